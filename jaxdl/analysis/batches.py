"""Examples in batches of one size, from an array or from a stream that is longer than the memory."""

import jax
import numpy as np

from jaxdl.analysis import units


def rebatched(examples, batch_size=units.BATCH):
  """Batches of one size, so that one compiled program takes all of them; at most two are in memory.

  Args:
    examples: [N, …] array, or an iterable of arrays [n, …] of any lengths.
    batch_size: int; all batches are smaller where there are not as many examples.

  Yields:
    (batch [b, …], how many of it are real): the last batch is padded with copies of its first
    example.

  Raises:
    ValueError: there are no examples, they are of different shapes, or the size is less than 1.
  """
  if batch_size < 1:
    raise ValueError(f'batch_size={batch_size} is not a number of examples: use at least 1')
  size, whole = None, _cut(_arrays(examples, batch_size), batch_size)
  for batch in whole:
    size = size or len(batch)
    padding = np.repeat(batch[:1], size - len(batch), axis=0)
    yield (np.concatenate([batch, padding]) if len(padding) else batch), len(batch)
  if size is None:
    raise ValueError('there are no examples: give at least one')


def first_of(examples):
  """(an array of the first examples, the same examples again): what a stream holds is known only by
  reading it.
  """
  if hasattr(examples, 'shape'):
    return examples, examples
  stream = iter(examples)
  first = next((np.asarray(part) for part in stream if len(part)), None)
  if first is None:
    raise ValueError('there are no examples: give at least one')
  return first, _chained(first, stream)


def _chained(first, rest):
  yield first
  yield from rest


def _arrays(examples, batch_size):
  """An array in slices, so that one on disk is read piece by piece; a stream as it is."""
  if not hasattr(examples, 'shape'):
    yield from map(np.asarray, examples)
    return
  for first in range(0, len(examples), batch_size):
    yield np.asarray(examples[first : first + batch_size])


def _cut(parts, size):
  """Arrays of any lengths → arrays of `size` examples, the last one of what is left."""
  waiting, count = [], 0
  for part in parts:
    if waiting and part.shape[1:] != waiting[0].shape[1:]:
      raise ValueError(
        f'examples of shapes {waiting[0].shape[1:]} and {part.shape[1:]} are mixed: give one shape'
      )
    waiting, count = [*waiting, part], count + len(part)
    while count >= size:
      joined = np.concatenate(waiting) if len(waiting) > 1 else waiting[0]
      yield joined[:size]
      waiting, count = [joined[size:]], count - size
  if count:
    yield np.concatenate(waiting)


def in_batches(function, *arrays, batch_size=units.BATCH):
  """Applies a compiled function batch by batch, the last one padded with copies of its first
  example.

  Args:
    function: of arrays [b, …] → tree of arrays [b, …].
    arrays: [N, …] each, NumPy.
    batch_size: int.

  Yields:
    (slice of the examples, tree of NumPy arrays for them, padding taken off).
  """
  count = len(arrays[0])
  size = min(batch_size, count)
  for first in range(0, count, max(size, 1)):
    parts = [array[first : first + size] for array in arrays]
    real = len(parts[0])
    padded = [
      np.concatenate([part, np.repeat(part[:1], size - real, axis=0)]) if real < size else part
      for part in parts
    ]
    result = jax.device_get(function(*padded))
    yield slice(first, first + real), jax.tree.map(lambda leaf, real=real: leaf[:real], result)
