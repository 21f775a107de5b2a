"""An experiment: a config checked and turned into data, model, optimizer and durations, before anything is written."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

from jaxdl import config as configuration
from jaxdl import models, optimizers, parallel, state, tasks
from jaxdl.data import DATA_SETS
from jaxdl.data.split import Data
from jaxdl.models import table


@dataclasses.dataclass(frozen=True)
class Experiment:
  """All that training needs.

  Attributes:
    name: the config's name.
    config: the resolved config, plain JSON data, with what was found of the data under 'dataset'.
    seed: root of every random draw.
    data: jaxdl.data.Data.
    model: linen module.
    optimizer: optax.GradientTransformation.
    ema_decay: of the average of the parameters, which is what is evaluated and saved as the model; 0 for none.
    task: function (outputs, batch) → sums.
    layers: rows of the layer table.
    steps: how many to train for.
    log_every, evaluate_every, checkpoint_every: in steps.
    reported: the report's figures, {} where there are none.
  """

  name: str
  config: dict
  seed: int
  data: Data
  model: Any
  optimizer: Any
  ema_decay: float
  task: Callable
  layers: list
  steps: int
  log_every: int
  evaluate_every: int
  checkpoint_every: int
  reported: dict

  def initial_state(self):
    """The State before the first step."""
    inputs = self.data.inputs()
    return state.create(self.model, self.optimizer, seed=self.seed, input_shape=inputs.shape[1:], input_dtype=inputs.dtype,
                        averaged=self.ema_decay > 0, streams=self.data.streams())


def build(config, name):
  """Checks a config, key by key, and builds the experiment.

  Args:
    config: ConfigDict or dict.
    name: str, the config's name.

  Returns:
    Experiment.

  Raises:
    ValueError: an unknown, missing or impossible key; the message names the valid ones.
    OSError: the data set is missing or corrupt.
  """
  plain = configuration.to_dict(config)
  return configuration.bind_one(_build, plain, 'config', name=name, config=plain)()


def _build(*, name, config, task, train_for, data, model, optimizer, schedule=None, seed=0, log_every='50 steps',
           evaluate_every='1 epoch', checkpoint_every='1 epoch', ema_decay=0.0, reported=None):
  if task not in tasks.TASKS:
    raise ValueError(f'config.task={task!r} is unknown: use one of {", ".join(tasks.TASKS)}')
  if not isinstance(seed, int) or not 0 <= seed < 2**32:
    raise ValueError(f'config.seed={seed!r} is not a seed: use a whole number from 0 to 4294967295')
  if not isinstance(ema_decay, (int, float)) or not 0 <= ema_decay < 1:
    raise ValueError(f'config.ema_decay={ema_decay!r} is not a decay: use a number from 0 (no average) to below 1')
  network = models.build(model)
  loading = configuration.bind(DATA_SETS, data, 'config.data', seed=seed)
  parallel.check_batch_size(loading.keywords['batch_size'], 'config.data.batch_size')
  together = inspect.signature(loading).parameters['evaluation_batch_size'].default  # the config's, or the loader's own
  loaded = loading(evaluation_batch_size=parallel.pad_to_devices(together))
  epoch = loaded.splits['train'].batches
  steps = configuration.in_steps(train_for, epoch, 'config.train_for')
  factor = configuration.bind(optimizers.SCHEDULES, schedule or {'name': 'constant'}, 'config.schedule', steps=steps)()
  rows = table.layers(network, loaded.input_shape(), loaded.inputs().dtype)
  _check_outputs(task, rows, loaded)
  return Experiment(
      name=name, config={**config, 'dataset': loaded.facts()}, seed=seed, data=loaded, model=network, layers=rows, task=tasks.TASKS[task],
      optimizer=configuration.bind(optimizers.OPTIMIZERS, optimizer, 'config.optimizer', schedule=factor)(),
      ema_decay=ema_decay, steps=steps, log_every=configuration.in_steps(log_every, epoch, 'config.log_every'),
      evaluate_every=configuration.in_steps(evaluate_every, epoch, 'config.evaluate_every'),
      checkpoint_every=configuration.in_steps(checkpoint_every, epoch, 'config.checkpoint_every'),
      reported=reported or {})


def _check_outputs(task, rows, data):
  last, shape = rows[-1]['name'], rows[-1]['output']
  if task == 'reconstruct':
    if shape != list(data.input_shape()):
      raise ValueError(f'the last layer {last} has output {shape}, but the images are {list(data.input_shape())}: '
                       'change the model section')
  elif shape[-1:] != [len(data.classes)]:
    raise ValueError(f'the last layer {last} has output {shape}, but {data.name} has {len(data.classes)} classes: '
                     'change the model section')
