"""An experiment: a config checked and turned into data, model, optimizer and durations, before
anything is written.
"""

import dataclasses
import functools
import inspect
import math
from collections.abc import Callable

import ml_collections

from jaxdl import models
from jaxdl.config import binding, checks, reading
from jaxdl.data import DATA_SETS, memory
from jaxdl.data.dataset import Data, check_sizes
from jaxdl.devices import parallel
from jaxdl.models import table
from jaxdl.step import optimizers, schedules, state, tasks
from jaxdl.step import plateau as plateaus
from jaxdl.step import precision as mixed_precision
from jaxdl.step.steps import Recipe


@dataclasses.dataclass(frozen=True)
class Experiment:
  """All that training needs.

  Attributes:
    name: the config's name.
    config: the resolved config, plain JSON data, with what was found of the data under 'dataset'.
    seed: root of every random draw.
    data: jaxdl.data.Data.
    recipe: steps.Recipe, the network and how it is trained.
    rate: function(step from 0 on) → its learning rate, before cuts on a plateau.
    evaluation_task: function (outputs, batch) → sums, to measure by.
    observe: function (memory, validation loss, step) → memory, where the optimizer's state holds
      one; else None.
    early_stopping: steps without a lower validation loss after which a run ends; 0 for never.
    layers: rows of the layer table.
    steps: how many to train for.
    log_every, evaluate_every, checkpoint_every: in steps.
    keep_every: steps between checkpoints that are kept beside the last and the best; 0 for none.
    profile: steps of which a trace is left; 0 for none.
    reported: the report's figures, {} where there are none.
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

  def initial_state(self):
    """The State before the first step."""
    return self.drawing().lower().compile()()

  def drawing(self):
    """The traced program that draws the State before the first step, and the shapes of it."""
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

  def learning_rate(self, step, opt_state):
    """The learning rate of the step that led to `step` and this optimizer's state, cuts on a
    plateau included.
    """
    cut = float(opt_state['memory']['factor']) if self.observe else 1.0
    return float(f'{float(self.rate(step - 1)) * cut:.7g}')  # as many digits as float32 has


FORMAT = 2  # of the runs that this version starts


def build(
  config: ml_collections.ConfigDict | dict, name: str | None = None, *, format: int | None = None
) -> Experiment:
  """Checks a config, key by key, and builds the experiment.

  Args:
    config: the config, such as `jaxdl.read_config` returns it.
    name: its name, for the summary and for pages; None for 'experiment'.
    format: that of the run which is resumed (`runs.folder.format_of`), None for a new run. Runs of
      format 1 keep the schedules that they were started with.

  Returns:
    Experiment.

  Raises:
    ValueError: an unknown, missing or impossible key; the message names the valid ones.
    OSError: the data set is missing or corrupt.
  """
  plain = reading.to_dict(config)
  name = 'experiment' if name is None else name
  plain = {key: value for key, value in plain.items() if key != 'format'}
  kept = {**plain, 'format': format or FORMAT}
  return binding.bind_one(_build, plain, 'config', name=name, config=kept)()


def _build(
  *,
  name,
  config,
  task,
  train_for,
  data,
  model,
  optimizer,
  schedule=None,
  plateau=None,
  early_stopping=None,
  l2=0.0,
  l2_all=False,
  precision='float32',
  seed=0,
  log_every='50 steps',
  evaluate_every='1 epoch',
  checkpoint_every='1 epoch',
  keep_every=None,
  profile=None,
  ema_decay=0.0,
  reported=None,
  cpu_devices=1,
):
  if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
    raise ValueError(f'config.seed={seed!r} is not a seed: use a whole number from 0 to 4294967295')
  checks.check_section(reported := {} if reported is None else reported, 'config.reported')
  loading = binding.bind(DATA_SETS, data, 'config.data', seed=seed)
  together = (
    inspect.signature(loading).parameters['evaluation_batch_size'].default
  )  # the config's, or the loader's own
  check_sizes(batch_size=loading.keywords['batch_size'], evaluation_batch_size=together)
  parallel.check_batch_size(loading.keywords['batch_size'], 'config.data.batch_size')
  loaded = loading(evaluation_batch_size=parallel.pad_to_devices(together))
  config = {**config, 'seed': seed, 'model': models.with_classes(model, len(loaded.classes))}
  epoch = loaded.splits['train'].batches
  steps = checks.in_steps(train_for, epoch, 'config.train_for')
  trained, factor = (
    recipe(config, steps=steps, epoch=epoch),
    _schedule(config, steps=steps, epoch=epoch),
  )
  _, measured = tasks.build(task)
  models.check_input(model, loaded.input_shape(), measured.__name__)
  rows = table.layers(trained.model, loaded.input_shape(), loaded.inputs.dtype)
  _check_outputs(measured, rows, loaded)
  _check_memory(
    rows, loaded, batch_size=loading.keywords['batch_size'], evaluation_batch_size=together
  )
  ending = (
    0 if early_stopping is None else checks.in_steps(early_stopping, epoch, 'config.early_stopping')
  )
  return Experiment(
    name=name,
    config={**config, 'dataset': loaded.facts()},
    seed=seed,
    data=loaded,
    recipe=trained,
    layers=rows,
    rate=lambda step: optimizer['learning_rate'] * factor(step),
    evaluation_task=measured,
    observe=_observer(plateau, early_stopping, loaded, optimizer['learning_rate']),
    early_stopping=ending,
    steps=steps,
    log_every=checks.in_steps(log_every, epoch, 'config.log_every'),
    evaluate_every=checks.in_steps(evaluate_every, epoch, 'config.evaluate_every'),
    checkpoint_every=checks.in_steps(checkpoint_every, epoch, 'config.checkpoint_every'),
    keep_every=0 if keep_every is None else checks.in_steps(keep_every, epoch, 'config.keep_every'),
    profile=_traced(profile, steps, epoch),
    reported=reported,
  )


def recipe(config, *, steps, epoch):
  """The network of a config and how it is trained.

  Args:
    config: dict; the learning rate, the strength of the L2 penalty and dropout rates may be traced.
    steps, epoch: length of the run and of an epoch, in steps.

  Returns:
    steps.Recipe.

  Raises:
    ValueError: as `build`.
  """
  trained, _ = tasks.build(config['task'])
  network = models.build(config['model'])
  factor = _schedule(config, steps=steps, epoch=epoch)
  rule = binding.bind(
    optimizers.OPTIMIZERS, config['optimizer'], 'config.optimizer', schedule=factor
  )()
  if any(config.get(key) is not None for key in ('plateau', 'early_stopping')):
    rule = plateaus.with_plateau_memory(rule)
  strength, everything = config.get('l2', 0.0), config.get('l2_all', False)
  decay, compute = config.get('ema_decay', 0.0), config.get('precision', 'float32')
  checks.check_range(strength, 'config.l2', 0)
  checks.check_flag(everything, 'config.l2_all')
  checks.check_range(decay, 'config.ema_decay', 0, 1)
  if compute not in list(mixed_precision.PRECISIONS):
    raise ValueError(
      f'config.precision={compute!r} is unknown: use one of {", ".join(mixed_precision.PRECISIONS)}'
    )
  penalised = checks.is_traced(strength) or strength > 0
  return Recipe(
    model=network,
    optimizer=rule,
    task=trained,
    ema_decay=decay,
    compute=compute,
    penalty=functools.partial(tasks.l2, strength=strength, everything=everything)
    if penalised
    else None,
  )


def _traced(profile, steps, epoch):
  """Steps to trace; ValueError where the run is over before they are."""
  traced = 0 if profile is None else checks.in_steps(profile, epoch, 'config.profile')
  if 2 * traced > steps:
    raise ValueError(
      f'config.profile={profile!r} traces the second {traced:,} steps, but the run has {steps:,}: '
      'make it shorter'
    )
  return traced


def _schedule(config, *, steps, epoch):
  """The function(step) → factor on the learning rate."""
  section = {'name': 'constant'} if config.get('schedule') is None else config['schedule']
  table = schedules.FORMAT_1 if config.get('format') == 1 else schedules.SCHEDULES
  return binding.bind(table, section, 'config.schedule', steps=steps, epoch=epoch)()


def _observer(plateau, early_stopping, data, learning_rate):
  """What a validation loss changes in the run's memory; None where the config asks for nothing of
  the kind.
  """
  if plateau is None and early_stopping is None:
    return None
  if 'validation' not in data.splits:
    key = 'early_stopping' if plateau is None else 'plateau'
    raise ValueError(
      f'config.{key} follows the validation loss, but there is none: add config.data.splits.validation'
    )
  if plateau is None:
    return plateaus.observe
  return binding.bind_one(
    plateaus.on_plateau,
    plateau,
    'config.plateau',
    epoch=data.splits['train'].batches,
    learning_rate=learning_rate,
  )()


def _check_outputs(task, rows, data):
  if not table.totals(rows)['trainable']:
    raise ValueError(
      "config.model.layers have no parameters, so that nothing can be trained: add one such as kind='dense'"
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
  """Refuses what no memory holds: a batch at its widest layer, or parameters with their gradients
  and two moments.
  """
  memory.check(16 * table.totals(rows)['parameters'], 'config.model')
  widest = max(math.prod(shape) for shape in (data.input_shape(), *(row['output'] for row in rows)))
  for key, examples in sizes.items():
    memory.check(4 * examples * widest, f'config.data.{key}={examples:,} with this network')
