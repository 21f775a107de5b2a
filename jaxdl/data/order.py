"""The order of examples: a pure function of (seed, step), so that nothing needs to be saved."""

import functools

import numpy as np
from jaxtyping import Float32, Int32

Index = Int32[np.ndarray, 'steps batch']
Mask = Float32[np.ndarray, 'steps batch']


# The training split and a few others; each step of a stream reads only a little of an epoch.
@functools.lru_cache(maxsize=4)
def permutation(seed: int, epoch: int, count: int) -> Int32[np.ndarray, ' count']:
  """Order of the examples in one epoch.

  Philox's raw bits are fixed by NumPy's compatibility policy (NEP 19) and the sort is stable, so
  the order is the same on every machine and NumPy version.

  Args:
    seed: int >= 0.
    epoch: int >= 0.
    count: examples in the epoch.

  Returns:
    [count] int32, each of 0..count-1 once; read-only.
  """
  bits = np.random.Philox(key=[seed, epoch]).random_raw(count)  # [N]
  found = np.argsort(bits, kind='stable').astype(np.int32)
  found.setflags(write=False)
  return found


def batches_per_epoch(count: int, batch_size: int) -> int:
  """Batches that hold each example exactly once; the last one may be partly padding."""
  return -(-count // batch_size)


def shuffled(
  seed: int, first_step: int, steps: int, *, count: int, batch_size: int
) -> tuple[Index, Mask]:
  """The examples of steps first_step .. first_step + steps - 1 of an endlessly reshuffled data set.

  An epoch has ceil(count / batch_size) steps; the tail of its last batch is padding (example 0,
  mask 0).

  Args:
    seed: int >= 0.
    first_step: int >= 0, counted from the start of training.
    steps: how many steps.
    count: examples in the data set.
    batch_size: examples in a batch, over all devices.

  Returns:
    index [steps, batch_size] int32 and mask [steps, batch_size] float32 (1 real, 0 padding).
  """
  per_epoch = batches_per_epoch(count, batch_size)
  index = np.zeros((steps, batch_size), np.int32)
  mask = np.zeros((steps, batch_size), np.float32)
  step = first_step
  while step < first_step + steps:  # one turn for each epoch, so that it is sorted once
    epoch, position = divmod(step, per_epoch)
    stop = min(first_step + steps, (epoch + 1) * per_epoch)
    rows = slice(step - first_step, stop - first_step)
    examples = permutation(seed, epoch, count)
    index[rows], mask[rows] = _cut(examples, position, stop - step, batch_size)
    step = stop
  return index, mask


def in_order(first_batch: int, batches: int, *, count: int, batch_size: int) -> tuple[Index, Mask]:
  """As `shuffled`, for evaluation: examples 0 .. count-1 in their own order, each exactly once."""
  return _cut(np.arange(count, dtype=np.int32), first_batch, batches, batch_size)


def batches_at(
  seed: int | None, first_step: int, steps: int, *, count: int, batch_size: int
) -> tuple[Index, Mask]:
  """`shuffled` with a seed, `in_order` with None."""
  if seed is None:
    return in_order(first_step, steps, count=count, batch_size=batch_size)
  return shuffled(seed, first_step, steps, count=count, batch_size=batch_size)


def _cut(order, first, batches, batch_size):
  """Batches first .. first+batches-1 of an order, padded with example 0 and mask 0."""
  part = order[first * batch_size : (first + batches) * batch_size]
  index = np.zeros(batches * batch_size, np.int32)
  mask = np.zeros(batches * batch_size, np.float32)
  index[: len(part)], mask[: len(part)] = part, 1
  return index.reshape(batches, batch_size), mask.reshape(batches, batch_size)
