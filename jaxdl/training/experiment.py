"""An experiment: a checked config with its data, model, optimizer and durations."""

import dataclasses
import functools
import inspect
import math
from collections.abc import Callable
from typing import Any, no_type_check

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from jaxdl import models
from jaxdl.config import binding, checks, memory, named, reading
from jaxdl.data import image_folder, loading, mixing
from jaxdl.data.dataset import LARGEST, Data, check_sizes
from jaxdl.devices import parallel
from jaxdl.devices import shards as sharding
from jaxdl.models import table
from jaxdl.runs import folder
from jaxdl.runs import format as formats
from jaxdl.step import class_weights, optimizers, schedules, state, tasks
from jaxdl.step import plateau as plateaus
from jaxdl.step import precision as mixed_precision
from jaxdl.step import views as test_views
from jaxdl.step import watch as watches
from jaxdl.step.state import accepted_kwargs
from jaxdl.step.steps import Recipe
from jaxdl.training import profiling, starting, whitening


@no_type_check  # values have any type until `build` checks them; its errors name the key
@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
  """The keys of a config and their defaults. A duration is '5500 steps' or '20 epochs'.

  Attributes:
    task: name of the training task, or a section with 'name' and its arguments.
    train_for: duration of the run.
    data: section of the data set: 'name' and the arguments of its loader.
    model: section of the network: 'name' and its fields.
    optimizer: section with 'name', 'learning_rate' and the optimizer's other arguments.
    schedule: section of the learning rate's schedule; None for a constant rate.
    plateau: section of reductions of the learning rate on a plateau; None for no reductions.
    early_stopping: duration without a better figure of `watch` after which a run ends; None for
      never.
    metrics: names of further metrics that evaluation measures, keys of `tasks.FURTHER`.
    watch: metric of the validation split that chooses the best checkpoint and that `plateau` and
      `early_stopping` follow.
    l2: strength of the L2 penalty.
    l2_all: whether it includes biases and batch normalisation.
    precision: precision in which the network computes, one of `precision.PRECISIONS`.
    seed: root of every random draw, from 0 to 2³² - 1.
    log_every: duration between two lines of training metrics.
    evaluate_every: duration between two evaluations.
    checkpoint_every: duration between two checkpoints.
    keep_every: duration between checkpoints that are kept besides the last and the best; None for
      no additional checkpoints.
    profile: duration that is traced; None for no trace.
    ema_decay: decay of the moving average of the parameters, from 0 to below 1; 0 for no average.
    start_from: folder or packed run whose parameters the run starts with; None to draw them.
    accumulate: number of parts of a batch that are computed one after another.
    shards: number of shards of a batch, a power of 2, with which the bits do not depend on the
      number of devices; 1 for none.
    test_augment: views of the test images, whose mean probabilities give an accuracy of its own.
    reported: published metrics with which the run is compared, and their 'source'.
    cpu_devices: number of virtual devices into which a CPU is split; applied before JAX starts.
    format: format of the run; set by `build`, never by a config.
  """

  task: str | dict[str, Any]
  train_for: str
  data: dict[str, Any]
  model: dict[str, Any]
  optimizer: dict[str, Any]
  schedule: dict[str, Any] | None = None
  plateau: dict[str, Any] | None = None
  early_stopping: str | None = None
  metrics: tuple[str, ...] = ()
  watch: str = watches.DEFAULT
  l2: float = 0.0
  l2_all: bool = False
  precision: str = 'float32'
  seed: int = 0
  log_every: str = '50 steps'
  evaluate_every: str = '1 epoch'
  checkpoint_every: str = '1 epoch'
  keep_every: str | None = None
  profile: str | None = None
  ema_decay: float = 0.0
  start_from: str | None = None
  accumulate: int = 1
  shards: int = 1
  test_augment: tuple[str, ...] = ()
  reported: dict[str, Any] | None = None
  cpu_devices: int = 1
  format: int = formats.FORMAT

  @classmethod
  def from_resolved(cls, config: dict[str, Any]) -> 'Config':
    """The keys of an Experiment's config, without those that `build` added."""
    return cls(**keys_of(config))


def keys_of(config: dict[str, Any]) -> dict[str, Any]:
  """The keys of an Experiment's config from which it can be built again.

  Args:
    config: the resolved config, which also has the keys that `build` adds, such as 'dataset'.
  """
  names = [field.name for field in dataclasses.fields(Config)]
  return {name: config[name] for name in names if name in config}


@dataclasses.dataclass(frozen=True)
class Experiment:
  """Everything that training needs.

  Attributes:
    name: the config's name.
    config: the resolved config, plain JSON data, with the facts about the data under 'dataset'.
    seed: root of every random draw.
    data: jaxdl.data.Data.
    recipe: steps.Recipe, the network and how it is trained.
    rate: function (step, counted from 0) → its learning rate, before reductions on a plateau.
    evaluation_task: function (outputs, batch) → sums, for evaluation.
    metrics: names of the further metrics that evaluation measures.
    watch: the metric that chooses the best checkpoint.
    views: functions of images, the views of test-time augmentation; () for none.
    observe: function (memory, score of `watch`, step) → memory, if the optimizer's state has a
      memory; otherwise None.
    early_stopping: steps without a better figure of `watch` after which a run ends; 0 for never.
    layers: rows of the layer table.
    steps: number of training steps.
    log_every, evaluate_every, checkpoint_every: intervals in steps.
    keep_every: steps between checkpoints that are kept besides the last and the best; 0 for none.
    profile: number of steps that are traced; 0 for no trace.
    reported: the reported metrics; {} if there are none.
    start: function () → starting.Start, which reads the parameters of another run; None if the
      config names none.
  """

  name: str
  config: dict
  seed: int
  data: Data
  recipe: Recipe
  rate: Callable
  evaluation_task: Callable
  metrics: tuple[str, ...]
  watch: watches.Watch
  views: tuple[Callable, ...]
  observe: Callable | None
  early_stopping: int
  layers: list
  steps: int
  log_every: int
  evaluate_every: int
  checkpoint_every: int
  keep_every: int
  profile: int
  reported: dict
  start: Callable[[], starting.Start] | None = None

  def initial_state(self) -> state.State:
    """The State before the first step."""
    return self.drawing().lower().compile()()

  def with_variables(self, state: state.State, variables: dict[str, Any]) -> state.State:
    """The State before the first step with other parameters and batch statistics.

    Args:
      state: the State that was drawn.
      variables: 'params' and 'batch_stats', of the same shapes.
    """
    params = variables['params']
    fresh = jax.jit(self.recipe.optimizer.init)(params)
    return dataclasses.replace(
      state,
      params=params,
      batch_stats=variables['batch_stats'],
      opt_state=jax.tree.map(
        lambda new, drawn: np.asarray(new, drawn.dtype), fresh, state.opt_state
      ),
      average=params if state.average else {},
    )

  def drawing(self) -> Any:
    """The traced program that draws the initial State, with its shapes."""
    inputs = self.data.inputs
    return state.trace_initial_state(
      self.recipe.model,
      self.recipe.optimizer,
      seed=self.seed,
      input_shape=inputs.shape[1:],
      input_dtype=inputs.dtype,
      averaged=self.recipe.ema_decay > 0,
      streams=self.data.streams(),
      fixed=whitening.kernels(self.recipe.model, self.data),
    )

  def learning_rate(self, step: int, opt_state: Any) -> float:
    """The learning rate of the step that ended at `step`, including reductions on a plateau.

    `opt_state` is the optimizer's state after that step.
    """
    cut = float(opt_state['memory']['factor']) if self.observe else 1.0
    return float(f'{float(self.rate(step - 1)) * cut:.7g}')  # the digits of a float32


def build(
  config: ml_collections.ConfigDict | dict[str, Any],
  name: str | None = None,
  *,
  format: int | None = None,
  data: Any = None,
) -> Experiment:
  """Checks a config key by key and builds the experiment. Writes nothing.

  Args:
    config: the config, as returned by `jaxdl.read_config`.
    name: its name, for the summary and for reports; None for 'experiment'.
    format: format of the run to resume (`runs.folder.format_of`); None for a new run. Runs of
      format 1 keep the schedules with which they were started.
    data: arrays in Python for a config with data.name='arrays': (x, y), (x, y, lengths), or split →
      such a tuple; None for the data that the config names.

  Returns:
    Experiment.

  Raises:
    ValueError: an unknown, missing or invalid key; the message names the valid ones.
    OSError: the data set is missing or corrupt.
  """
  name = 'experiment' if name is None else name
  given, keys = _bound(config, format)
  data, sizes = _load(keys, data)
  if format is None:  # an earlier run keeps its splits
    loading.check_classes(keys.data, data)
  reported = _reported(keys, data)
  keys = _fitted(keys, data)
  if 'rate' in data.batch:
    _check_random_length(keys)
  epoch = data.splits['train'].batches
  steps = checks.in_steps(keys.train_for, epoch, 'config.train_for')
  trained = recipe(keys, steps=steps, epoch=epoch)
  factor = schedules.build(keys.schedule, keys.format, steps=steps, epoch=epoch)
  rows, output = _layers(keys, trained.model, data)
  task, (_, measured) = tasks.name_of(keys.task), tasks.build(keys.task)
  tasks.check_output(
    measured,
    rows[-1]['name'],
    output,
    data.input_shape(),
    data.name,
    wanted=data.outputs(),
    has_targets=bool(data.targets),
  )
  _check_memory(rows, data, sizes)
  if keys.shards > 1:  # tracing the network takes time
    shapes = starting.shapes(trained.model, data.inputs)
    sharding.check(
      keys.shards,
      sizes['batch_size'],
      accumulate=keys.accumulate,
      has_statistics=any(path[0] == 'batch_stats' for path in shapes),
      own_code=bool(named.record(given)),
    )
  whitening.layers_of(trained.model, data)  # raises ValueError
  further = tasks.further_metrics(task, keys.metrics, len(data.classes))
  outputs = jax.ShapeDtypeStruct((data.inputs.shape[0], *output), jnp.float32)
  watch = watches.build(
    keys.watch,
    tasks.measuring(measured, further, 1),
    outputs=outputs,
    batch=data.batch,
    splits=data.splits,
  )
  start = None
  if keys.start_from is not None:
    start = starting.reader(keys.start_from, trained.model, data.inputs)
  resolved = {
    **given,
    'task': binding.as_section(keys.task),
    'seed': keys.seed,
    'model': keys.model,
    'dataset': data.facts(),
    **({named.KEY: code} if (code := named.record(given)) else {}),
    **({'reported': {}} if keys.reported and not reported else {}),
  }
  if start is not None and format is None:  # a run that resumes no longer needs the other one
    resolved[folder.ORIGIN] = start().origin

  def in_steps(key):
    duration = getattr(keys, key)
    return 0 if duration is None else checks.in_steps(duration, epoch, f'config.{key}')

  return Experiment(
    name=name,
    config={**resolved, formats.KEY: keys.format},
    seed=keys.seed,
    data=data,
    recipe=trained,
    layers=rows,
    rate=lambda step: keys.optimizer['learning_rate'] * factor(step),
    evaluation_task=measured,
    metrics=further,
    watch=watch,
    views=test_views.build(keys.test_augment, task, data.splits.get('test'), data.name),
    early_stopping=in_steps('early_stopping'),
    observe=_observer(keys, data, watch),
    steps=steps,
    log_every=in_steps('log_every'),
    evaluate_every=in_steps('evaluate_every'),
    checkpoint_every=in_steps('checkpoint_every'),
    keep_every=in_steps('keep_every'),
    profile=profiling.in_steps(keys.profile, steps=steps, epoch=epoch),
    reported=reported,
    start=start,
  )


def _bound(config, number):
  """(the config as plain data with own code linked, Config); `number` is None for a new run."""
  given = {key: value for key, value in reading.to_dict(config).items() if key != formats.KEY}
  given = named.link(given)
  number = formats.FORMAT if number is None else number
  keys = binding.bind_one(Config, given, 'config', format=number)()
  checks.check_seed(keys.seed, 'config.seed')
  checks.check_section({} if keys.reported is None else keys.reported, 'config.reported')
  return given, keys


def _fitted(keys, data):
  """The Config with numbers for the words that depend on the data, such as 'classes'."""
  tasks.build(keys.task)
  label = data.batch.get('label')
  tasks.check_examples(keys.task, data.name, has_targets=bool(data.targets), label=label)
  tasks.check_sampling(keys.task, keys.data.get('sampling'))
  counts = data.per_class.get('train')
  model = models.with_classes(keys.model, data.outputs())
  return dataclasses.replace(
    keys,
    task=class_weights.as_numbers(keys.task, data.classes, counts),
    model=models.with_mask(model) if data.masked else model,
  )


def _check_random_length(keys):
  """Raises ValueError if steps of random length do not fit the network or the optimizer."""
  where = 'config.data.random_length=True'
  if not accepted_kwargs(models.build(keys.model), steps=None):
    raise ValueError(
      f'{where} needs a network that accepts `steps`, the marks of real characters, and '
      f'config.model.name={str(keys.model["name"])!r} does not: leave it out'
    )
  if keys.optimizer.get('lookahead') is not None:
    raise ValueError(
      f'{where} cannot scale the slow weights of config.optimizer.lookahead: leave one of them out'
    )


def _layers(keys, model, data):
  """(rows of the layer table, shape of the output of the network for one example)."""
  shape, dtype = data.input_shape(), data.inputs.dtype
  models.check_input(keys.model, shape, tasks.name_of(keys.task))
  rows = optimizers.check_layers(keys.optimizer, table.layers(model, shape, dtype))
  if not table.totals(rows)['trainable']:
    raise ValueError(
      'config.model.layers have no parameters, so nothing can be trained: add one such as '
      "kind='dense'"
    )
  if isinstance(model, tuple(models.MODELS.values())):
    return rows, rows[-1]['output']
  return rows, table.output_shape(model, shape, dtype)  # own code may not end with a layer


def _check_memory(rows, data, sizes):
  """Raises ValueError for sizes that exceed any memory.

  The sizes are those of a batch at its widest layer, and of the parameters with their gradients and
  two moments.
  """
  memory.check(16 * table.totals(rows)['parameters'], 'config.model')
  widest = max(math.prod(shape) for shape in (data.input_shape(), *(row['output'] for row in rows)))
  for key, examples in sizes.items():
    memory.check(4 * examples * widest, f'config.data.{key}={examples:,} with this network')


def _reported(keys, data):
  """The reported metrics; {} if they are of Food-11 and the photographs are others."""
  wants_food11 = keys.data.get('class_names') == 'food11'
  if keys.reported is None or (wants_food11 and data.classes != image_folder.FOOD11):
    return {}
  return keys.reported


def _load(keys, given):
  """The Data of a config, and its batch sizes by key."""
  task = binding.as_section(keys.task)
  name = task.get('name') if isinstance(task, dict) else None
  load = loading.bind(keys.data, seed=keys.seed, task=name, given=given)
  sizes = {
    'batch_size': load.keywords['batch_size'],
    # from the config, or the loader's default
    'evaluation_batch_size': inspect.signature(load).parameters['evaluation_batch_size'].default,
  }
  check_sizes(**sizes)
  checks.check_integer(keys.accumulate, 'config.accumulate', 1, LARGEST)
  parallel.check_batch_size(sizes['batch_size'], 'config.data.batch_size', _parts_of_batch(keys))
  sharding.check_number(keys.shards)
  padded = parallel.pad_to_devices(sizes['evaluation_batch_size'], keys.shards)
  return load(evaluation_batch_size=padded), sizes


def _parts_of_batch(keys):
  """Why each device's part of a batch must divide into equal parts → their number."""
  _, mixes = mixing.separate(keys.data.get('augment', ()), 'config.data.augment')
  if mixes:
    tasks.check_mixed(keys.task)
  return {
    **({f'config.accumulate={keys.accumulate}': keys.accumulate} if keys.accumulate > 1 else {}),
    **({f'pairs for {mixes[0]["kind"]}': 2} if mixes else {}),
  }


def recipe(config: Config, *, steps: int, epoch: int) -> Recipe:
  """Builds the Recipe of a config: the network and how it is trained.

  Args:
    config: keys of the config. The number of outputs must be a number; the learning rate, the
      strength of the L2 penalty and dropout rates may be traced.
    steps: length of the run in steps.
    epoch: length of an epoch in steps.

  Returns:
    Recipe.

  Raises:
    ValueError: as in `build`.
  """
  trained, _ = tasks.build(config.task)
  network = models.build(config.model)
  factor = schedules.build(config.schedule, config.format, steps=steps, epoch=epoch)
  optimizer = optimizers.build(config.optimizer, factor)
  if config.plateau is not None and config.optimizer.get('lookahead') is not None:
    raise ValueError(
      'config.plateau cannot scale the slow weights of config.optimizer.lookahead: '
      'use config.schedule instead'
    )
  if config.plateau is not None or config.early_stopping is not None:
    optimizer = plateaus.with_plateau_memory(optimizer)
  checks.check_range(config.l2, 'config.l2', 0)
  checks.check_flag(config.l2_all, 'config.l2_all')
  checks.check_range(config.ema_decay, 'config.ema_decay', 0, 1)
  if config.precision not in mixed_precision.PRECISIONS:
    raise ValueError(
      f'config.precision={config.precision!r} is unknown: use one of '
      f'{", ".join(mixed_precision.PRECISIONS)}'
    )
  penalty = None
  if checks.is_traced(config.l2) or config.l2 > 0:
    penalty = functools.partial(tasks.l2, strength=config.l2, everything=config.l2_all)
  return Recipe(
    model=network,
    optimizer=optimizer,
    task=trained,
    ema_decay=config.ema_decay,
    compute=config.precision,
    penalty=penalty,
    accumulate=config.accumulate,
    shards=config.shards,
    frozen=optimizers.frozen_layers(config.optimizer),
  )


def _observer(config, data, watch):
  """The function that updates a run's memory with a score; None if none is configured."""
  if config.plateau is None and config.early_stopping is None:
    return None
  key = 'early_stopping' if config.plateau is None else 'plateau'
  watch.check_splits(key, data.splits)
  if config.plateau is None:
    return plateaus.observe
  return binding.bind_one(
    plateaus.on_plateau,
    config.plateau,
    'config.plateau',
    epoch=data.splits['train'].batches,
    learning_rate=config.optimizer['learning_rate'],
  )()
