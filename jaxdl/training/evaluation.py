"""Evaluation: sums over all examples of a split, in one or several compiled calls."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxdl.devices import parallel
from jaxdl.step import steps, tasks
from jaxdl.step.state import State
from jaxdl.training.experiment import Experiment


def of_splits(
  experiment: Experiment,
  over: Callable[..., Any] = parallel.over_devices,
  split_feed: Callable[..., Any] = parallel.split_feed,
) -> Callable[[State], dict[str, dict[str, Any]]]:
  """Compiles the evaluation of every split except the training split.

  Args:
    experiment: the experiment to evaluate.
    over: function that compiles the pure function of `steps.many_eval_steps`.
    split_feed: function that puts its feed on the devices.

  Returns:
    Function (State on the devices) → split → name → sum over all its examples, each counted once.
  """
  compiled = {}
  for name, split in experiment.data.splits.items():
    if name != 'train':
      run = steps.many_eval_steps(
        model=experiment.recipe.model,
        task=tasks.measuring(experiment.evaluation_task, experiment.metrics, split.count),
        split=split,
        prepare=experiment.data.prepare,
        views=experiment.views if name == 'test' else (),
        shards=experiment.recipe.shards,
      )
      compiled[name] = (over(run), parallel.replicate(split.arrays), _feeds(split, split_feed))

  def evaluate(current):
    variables = current.variables()
    return {
      name: _added(call, variables, arrays, feeds())
      for name, (call, arrays, feeds) in compiled.items()
    }

  return evaluate


def _feeds(split, split_feed):
  """Returns a function that returns the feeds of an epoch.

  If a feed has only indices, the epoch is a single feed that is created once. Otherwise, it is
  several feeds.
  """
  if split.capacity is None:
    feed = split_feed(split.feed(0, split.batches), split.batches)
    return lambda: [feed]
  capacity = min(split.capacity, split.batches)
  firsts = range(0, split.batches, capacity)
  return lambda: (
    split_feed(split.feed(first, min(capacity, split.batches - first)), capacity)
    for first in firsts
  )


def _added(call, variables, arrays, feeds):
  """Sums over all feeds, added on the host in float64.

  The device computes one feed while the next one is prepared.
  """
  sums = []
  for feed in feeds:
    jax.block_until_ready(sums[-1:])
    sums.append(call(variables, arrays, feed))
  sums = jax.device_get(sums)
  return {name: np.sum([part[name] for part in sums], axis=0, dtype=np.float64) for name in sums[0]}
