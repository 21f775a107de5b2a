"""The learning-rate finder: a short run with a rising learning rate, which writes nothing."""

import dataclasses
import os
import pathlib
from typing import Any

import jax
import ml_collections
import numpy as np
from jaxtyping import Float

from jaxdl import figures
from jaxdl.config import checks, reading
from jaxdl.devices import parallel
from jaxdl.step import finding
from jaxdl.training import chunks, experiment

MOST = 100_000  # steps
PART = 10  # steps between two checks whether the run has diverged
LEFT_OUT = ('schedule', 'plateau', 'early_stopping', 'profile')  # keys that change the rate or end


@dataclasses.dataclass(frozen=True)
class RateSearch:
  """Result of `find_rate`.

  Attributes:
    rates: [S] the learning rate of each step, ascending.
    losses: [S] the training loss of each step, before its update, in the unit of the task's loss.
    smoothed: [S] centred moving average of the losses.
    suggestion: the rate at which the smoothed loss falls fastest; None if it does not fall.
  """

  rates: Float[np.ndarray, ' S']
  losses: Float[np.ndarray, ' S']
  smoothed: Float[np.ndarray, ' S']
  suggestion: float | None

  def figure(self) -> Any:
    """Draws the losses over the rates, as a matplotlib Figure."""
    return figures.rate_search(self.rates, self.losses, self.smoothed, self.suggestion)

  def save(self, file: str | pathlib.Path) -> None:
    """Writes the picture.

    Args:
      file: a name that ends with .png, .svg or .pdf; an existing file is replaced.

    Raises:
      OSError: the file cannot be written.
    """
    figures.save(self.figure(), file)


def find_rate(
  config: ml_collections.ConfigDict | dict[str, Any] | str | os.PathLike,
  *,
  low: float = 1e-6,
  high: float = 1.0,
  steps: int = 100,
) -> RateSearch:
  """Finds a learning rate: trains for a few steps while the rate rises from `low` to `high`.

  The logarithm of the rate rises evenly. The run starts from the initial parameters of the config
  and ends early if the loss is no longer finite or 4 times the lowest one. It uses the config's
  optimizer, batches, augmentation and seed, but not its learning rate, schedule, plateau and early
  stopping. Nothing is written.

  Args:
    config: a config, the path of a config file, or the name of a config in the package.
    low, high: first and last learning rate.
    steps: number of steps.

  Returns:
    RateSearch. Its suggestion is the rate at which the smoothed loss falls fastest. It is a
    starting point: a constant rate is often slightly lower, and the peak of `one_cycle` higher.

  Raises:
    ValueError: as in `jaxdl.build`, or a range that does not ascend.
    OSError: the data set is missing or corrupt.
  """
  checks.check_integer(steps, 'steps', 10, MOST)
  checks.check_range(low, 'low', 0, above=True)
  checks.check_range(high, 'high', low, above=True)
  if isinstance(config, (str, os.PathLike)):
    config = reading.read_config(config)
  given = {key: value for key, value in reading.to_dict(config).items() if key not in LEFT_OUT}
  optimizer = given.get('optimizer')
  if isinstance(optimizer, dict):
    given['optimizer'] = {**optimizer, 'learning_rate': low}
  given |= {
    'train_for': f'{steps} steps',
    'schedule': {'name': 'exponential', 'final': high / low},
  }
  parallel.use_cpu_devices([given])
  built = experiment.build(given)
  losses = _losses(built)
  rates = np.array([built.rate(step) for step in range(built.steps)], np.float64)
  count = finding.usable(losses)
  rates, losses = rates[:count], losses[:count]
  smooth = finding.smoothed(losses)
  return RateSearch(rates, losses, smooth, finding.steepest(rates, smooth))


def _losses(built) -> np.ndarray:
  """The mean training loss of each step, up to a part in which the run diverges."""
  split = built.data.splits['train']
  capacity = min(PART, split.capacity or PART)
  run = chunks.compile_steps(built)
  state, arrays = parallel.replicate(built.initial_state()), parallel.replicate(split.arrays)
  found = np.zeros(0)
  while len(found) < built.steps and finding.usable(found) == len(found):
    count = min(capacity, built.steps - len(found))
    feed = parallel.split_feed(split.feed(len(found), count), capacity)
    state, history = run(state, arrays, feed, np.int32(count))
    sums = {
      name: np.asarray(jax.device_get(history[name]), np.float64) for name in ('loss', 'count')
    }
    found = np.concatenate([found, (sums['loss'] / sums['count'])[:count]])
  return found
