"""Evaluation: sums over every example of a split, however many calls that takes."""

import jax
import numpy as np

from jaxdl.devices import parallel
from jaxdl.step import steps


def of_splits(experiment, over=parallel.over_devices, split_feed=parallel.split_feed):
  """Compiles the evaluation of every split but the training one.

  Args:
    experiment: Experiment.
    over, split_feed: how the pure evaluation of `steps.many_eval_steps` is compiled, and its feed
      put on the devices.

  Returns:
    function (State on the devices) → split → name → sum over all its examples, each counted once.
  """
  compiled = {}
  for name, split in experiment.data.splits.items():
    if name != 'train':
      run = steps.many_eval_steps(
        model=experiment.recipe.model,
        task=experiment.evaluation_task,
        split=split,
        prepare=experiment.data.prepare,
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
  """Returns a function that goes through an epoch: one feed, made once, where they are only
  indices, else many.
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
  """Sums over all feeds, added on the host in float64; the device works on one while the next is
  made.
  """
  sums = []
  for feed in feeds:
    jax.block_until_ready(sums[-1:])
    sums.append(call(variables, arrays, feed))
  sums = jax.device_get(sums)
  return {name: np.sum([part[name] for part in sums], axis=0, dtype=np.float64) for name in sums[0]}
