"""Evaluation: sums over all examples of a split, in one or several compiled calls."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from jaxdl.data.dataset import Split
from jaxdl.devices import parallel
from jaxdl.step import steps, tasks
from jaxdl.step.state import State
from jaxdl.training.experiment import Experiment

MOST_PADDING = 1 << 28  # bytes by which the arrays of splits may grow to share a program


def of_splits(
  experiment: Experiment,
  over: Callable[..., Any] = parallel.over_devices,
  split_feed: Callable[..., Any] = parallel.split_feed,
) -> Callable[[State], dict[str, dict[str, Any]]]:
  """Compiles the evaluation of every split except the training split.

  The splits share one compiled program where they can, because compiling takes seconds.

  Args:
    experiment: the experiment to evaluate.
    over: function that compiles the pure function of `steps.many_eval_steps`.
    split_feed: function that puts its feed on the devices.

  Returns:
    Function (State on the devices) → split → name → sum over all its examples, each counted once.
  """
  splits = {name: split for name, split in experiment.data.splits.items() if name != 'train'}
  shared = _is_shared(experiment, splits)
  rows = max((_rows(split) for split in splits.values()), default=0) if shared else 0
  batches = max(split.batches for split in splits.values()) if shared else 0
  programs, compiled = {}, {}
  for name, split in splits.items():
    key = 'all' if shared else name
    if key not in programs:
      programs[key] = over(_program(experiment, name), scalars=1)
    arrays = parallel.replicate({key: _padded(part, rows) for key, part in split.arrays.items()})
    compiled[name] = (programs[key], arrays, _feeds(split, split_feed, batches))

  def evaluate(current):
    variables = current.variables()
    return {
      name: _added(call, variables, arrays, feeds())
      for name, (call, arrays, feeds) in compiled.items()
    }

  return evaluate


def _program(experiment, name):
  """The function that evaluates a split, as in `steps.many_eval_steps`."""
  split = experiment.data.splits[name]
  return steps.many_eval_steps(
    model=experiment.recipe.model,
    task=tasks.measuring(experiment.evaluation_task, experiment.metrics, split.count),
    split=split,
    prepare=experiment.data.prepare,
    views=experiment.views if name == 'test' else (),
    shards=experiment.recipe.shards,
  )


def _is_shared(experiment: Experiment, splits: Mapping[str, Split]) -> bool:
  """Whether one program can evaluate all splits, if their arrays are padded to the same length."""
  if experiment.metrics or experiment.views:
    return False  # of which some depend on the number of examples, and others are of one split
  kinds = {(split.fetch, split.capacity, _shapes_of_rows(split)) for split in splits.values()}
  if len(kinds) != 1:
    return False
  rows = max(map(_rows, splits.values()))
  return sum(_bytes_of_padding(split, rows) for split in splits.values()) <= MOST_PADDING


def _bytes_of_padding(split, rows):
  return sum((rows - len(part)) * part[:1].nbytes for part in split.arrays.values() if len(part))


def _shapes_of_rows(split):
  """Name, shape of one row and type of the arrays of a split."""
  return tuple(
    (name, part.shape[1:], str(part.dtype)) for name, part in sorted(split.arrays.items())
  )


def _rows(split):
  return max((len(part) for part in split.arrays.values()), default=0)


def _padded(values, rows):
  """Adds rows of zeros, which no feed refers to."""
  missing = rows - len(values)
  return np.pad(values, [(0, missing)] + [(0, 0)] * (values.ndim - 1)) if missing > 0 else values


def _feeds(split, split_feed, batches):
  """Returns a function that returns the feeds of an epoch, each with its number of steps.

  If a feed has only indices, the epoch is a single feed that is created once. Otherwise, it is
  several feeds. Feeds are padded to `batches` steps, or to the capacity.
  """
  if split.capacity is None:
    longest = max(split.batches, batches)
    feed = split_feed(split.feed(0, split.batches), longest)
    return lambda: [(feed, split.batches)]
  capacity = min(split.capacity, max(split.batches, batches))

  def feeds():
    for first in range(0, split.batches, capacity):
      count = min(capacity, split.batches - first)
      yield split_feed(split.feed(first, count), capacity), count

  return feeds


def _added(call, variables, arrays, feeds):
  """Sums over all feeds, added on the host in float64.

  The device computes one feed while the next one is prepared.
  """
  sums = []
  for feed, count in feeds:
    jax.block_until_ready(sums[-1:])
    sums.append(call(variables, arrays, feed, np.int32(count)))
  sums = jax.device_get(sums)
  return {name: np.sum([part[name] for part in sums], axis=0, dtype=np.float64) for name in sums[0]}
