"""An experiment: a checked config with its data, model, optimizer and durations."""

import dataclasses
import functools
import inspect
import math
from collections.abc import Callable
from typing import Any, no_type_check

import ml_collections

from jaxdl import models
from jaxdl.config import binding, checks, reading
from jaxdl.data import DATA_SETS, image_folder, memory
from jaxdl.data.dataset import Data, check_sizes
from jaxdl.data.photographs import division
from jaxdl.devices import parallel
from jaxdl.models import table
from jaxdl.runs import format as formats
from jaxdl.step import optimizers, schedules, state, tasks
from jaxdl.step import plateau as plateaus
from jaxdl.step import precision as mixed_precision
from jaxdl.step.steps import Recipe


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
    early_stopping: duration without a lower validation loss after which a run ends; None for never.
    l2: strength of the L2 penalty.
    l2_all: whether it includes biases and batch normalisation.
    precision: precision in which the network computes, a key of `precision.PRECISIONS`.
    seed: root of every random draw, from 0 to 2³² - 1.
    log_every: duration between two lines of training metrics.
    evaluate_every: duration between two evaluations.
    checkpoint_every: duration between two checkpoints.
    keep_every: duration between checkpoints that are kept besides the last and the best; None for
      no additional checkpoints.
    profile: duration that is traced; None for no trace.
    ema_decay: decay of the moving average of the parameters, from 0 to below 1; 0 for no average.
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
  reported: dict[str, Any] | None = None
  cpu_devices: int = 1
  format: int = formats.FORMAT

  @classmethod
  def from_resolved(cls, config: dict[str, Any]) -> 'Config':
    """The keys of an Experiment's config, without those that `build` added."""
    names = [field.name for field in dataclasses.fields(cls)]
    return cls(**{name: config[name] for name in names if name in config})


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
    observe: function (memory, validation loss, step) → memory, if the optimizer's state has a
      memory; otherwise None.
    early_stopping: steps without a lower validation loss after which a run ends; 0 for never.
    layers: rows of the layer table.
    steps: number of training steps.
    log_every, evaluate_every, checkpoint_every: intervals in steps.
    keep_every: steps between checkpoints that are kept besides the last and the best; 0 for none.
    profile: number of steps that are traced; 0 for no trace.
    reported: the reported metrics; {} if there are none.
  """

  name: str
  config: dict
  seed: int
  data: Data
  recipe: Recipe
  rate: Callable
  evaluation_task: Callable
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

  def initial_state(self) -> state.State:
    """The State before the first step."""
    return self.drawing().lower().compile()()

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
) -> Experiment:
  """Checks a config key by key and builds the experiment. Writes nothing.

  Args:
    config: the config, as returned by `jaxdl.read_config`.
    name: its name, for the summary and for reports; None for 'experiment'.
    format: format of the run to resume (`runs.folder.format_of`); None for a new run. Runs of
      format 1 keep the schedules with which they were started.

  Returns:
    Experiment.

  Raises:
    ValueError: an unknown, missing or invalid key; the message names the valid ones.
    OSError: the data set is missing or corrupt.
  """
  name = 'experiment' if name is None else name
  given = {key: value for key, value in reading.to_dict(config).items() if key != formats.KEY}
  number = formats.FORMAT if format is None else format
  keys = binding.bind_one(Config, given, 'config', format=number)()
  _check_seed(keys.seed)
  checks.check_section({} if keys.reported is None else keys.reported, 'config.reported')
  data, sizes = _load(keys)
  if format is None:  # an earlier run keeps its splits
    _check_classes(keys, data)
  reported = _reported(keys, data)
  model = models.with_classes(keys.model, len(data.classes))
  epoch = data.splits['train'].batches
  steps = checks.in_steps(keys.train_for, epoch, 'config.train_for')
  trained = recipe(dataclasses.replace(keys, model=model), steps=steps, epoch=epoch)
  factor = _schedule(keys, steps=steps, epoch=epoch)
  _, measured = tasks.build(keys.task)
  models.check_input(keys.model, data.input_shape(), measured.__name__)
  rows = table.layers(trained.model, data.input_shape(), data.inputs.dtype)
  _check_outputs(measured, rows, data)
  _check_memory(rows, data, **sizes)
  resolved = {
    **given,
    'task': binding.as_section(keys.task),
    'seed': keys.seed,
    'model': model,
    'dataset': data.facts(),
    **({'reported': {}} if keys.reported and not reported else {}),
  }

  def in_steps(key):
    duration = getattr(keys, key)
    return 0 if duration is None else checks.in_steps(duration, epoch, f'config.{key}')

  return Experiment(
    name=name,
    config={**resolved, formats.KEY: number},
    seed=keys.seed,
    data=data,
    recipe=trained,
    layers=rows,
    rate=lambda step: keys.optimizer['learning_rate'] * factor(step),
    evaluation_task=measured,
    early_stopping=in_steps('early_stopping'),
    observe=_observer(keys, data),
    steps=steps,
    log_every=in_steps('log_every'),
    evaluate_every=in_steps('evaluate_every'),
    checkpoint_every=in_steps('checkpoint_every'),
    keep_every=in_steps('keep_every'),
    profile=_traced(keys.profile, steps, epoch),
    reported=reported,
  )


def _check_classes(keys, data):
  """Raises ValueError if the folder of a split of photographs lacks a class."""
  if data.name == 'image_folder':
    splits = keys.data.get('splits')
    given = splits if isinstance(splits, dict) else division.COMPLETE
    division.check_classes(given, data.per_class, data.classes)


def _reported(keys, data):
  """The reported metrics; {} if they are of Food-11 and the photographs are others."""
  wants_food11 = keys.data.get('class_names') == 'food11'
  if keys.reported is None or (wants_food11 and data.classes != image_folder.FOOD11):
    return {}
  return keys.reported


def _check_seed(seed):
  if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
    raise ValueError(f'config.seed={seed!r} is not a seed: use an integer from 0 to 4294967295')


def _load(keys):
  """The Data of a config, and its batch sizes by key."""
  loading = binding.bind(DATA_SETS, keys.data, 'config.data', seed=keys.seed)
  sizes = {
    'batch_size': loading.keywords['batch_size'],
    # from the config, or the loader's default
    'evaluation_batch_size': inspect.signature(loading).parameters['evaluation_batch_size'].default,
  }
  check_sizes(**sizes)
  parallel.check_batch_size(sizes['batch_size'], 'config.data.batch_size')
  padded = parallel.pad_to_devices(sizes['evaluation_batch_size'])
  return loading(evaluation_batch_size=padded), sizes


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
  factor = _schedule(config, steps=steps, epoch=epoch)
  optimizer = binding.bind(
    optimizers.OPTIMIZERS, config.optimizer, 'config.optimizer', schedule=factor
  )()
  if config.plateau is not None or config.early_stopping is not None:
    optimizer = plateaus.with_plateau_memory(optimizer)
  checks.check_range(config.l2, 'config.l2', 0)
  checks.check_flag(config.l2_all, 'config.l2_all')
  checks.check_range(config.ema_decay, 'config.ema_decay', 0, 1)
  if config.precision not in list(mixed_precision.PRECISIONS):
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
  )


def _traced(profile, steps, epoch):
  """The number of steps to trace; ValueError if the run ends before the trace does."""
  traced = 0 if profile is None else checks.in_steps(profile, epoch, 'config.profile')
  if 2 * traced > steps:
    raise ValueError(
      f'config.profile={profile!r} traces the second {traced:,} steps, but the run has {steps:,}: '
      'make it shorter'
    )
  return traced


def _schedule(config, *, steps, epoch):
  """The function(step) → factor on the learning rate."""
  section = {'name': 'constant'} if config.schedule is None else config.schedule
  known = schedules.FORMAT_1 if config.format == 1 else schedules.SCHEDULES
  return binding.bind(known, section, 'config.schedule', steps=steps, epoch=epoch)()


def _observer(config, data):
  """The function that updates a run's memory with a validation loss; None if none is configured."""
  if config.plateau is None and config.early_stopping is None:
    return None
  if 'validation' not in data.splits:
    key = 'early_stopping' if config.plateau is None else 'plateau'
    raise ValueError(
      f'config.{key} follows the validation loss, but there is none: add '
      'config.data.splits.validation'
    )
  if config.plateau is None:
    return plateaus.observe
  return binding.bind_one(
    plateaus.on_plateau,
    config.plateau,
    'config.plateau',
    epoch=data.splits['train'].batches,
    learning_rate=config.optimizer['learning_rate'],
  )()


def _check_outputs(task, rows, data):
  if not table.totals(rows)['trainable']:
    raise ValueError(
      'config.model.layers have no parameters, so nothing can be trained: add one such as '
      "kind='dense'"
    )
  last, shape = rows[-1]['name'], rows[-1]['output']
  if task is tasks.reconstruct:
    if shape != list(data.input_shape()):
      raise ValueError(
        f'the last layer {last} has output {shape}, but the images are {list(data.input_shape())}: '
        'change the model section'
      )
  elif shape[-1:] != [len(data.classes)]:
    raise ValueError(
      f'the last layer {last} has output {shape}, but {data.name} has {len(data.classes)} classes: '
      'change the model section'
    )


def _check_memory(rows, data, **sizes):
  """Raises ValueError for sizes that exceed any memory.

  The sizes are those of a batch at its widest layer, and of the parameters with their gradients and
  two moments.
  """
  memory.check(16 * table.totals(rows)['parameters'], 'config.model')
  widest = max(math.prod(shape) for shape in (data.input_shape(), *(row['output'] for row in rows)))
  for key, examples in sizes.items():
    memory.check(4 * examples * widest, f'config.data.{key}={examples:,} with this network')
