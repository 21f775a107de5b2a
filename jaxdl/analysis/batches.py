"""Batches of one size, from an array or from a stream that does not fit into memory."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeGuard

import jax
import numpy as np
from jaxtyping import Shaped

from jaxdl.analysis import units
from jaxdl.analysis.units import AnyArray

Examples = AnyArray | Iterable[AnyArray]  # [N, …], or a stream of arrays [n, …] of any lengths


def rebatched(
  examples: Examples, batch_size: int = units.BATCH
) -> Iterator[tuple[Shaped[np.ndarray, 'b ...'], int]]:
  """Cuts examples into batches of one size, so that one compiled program takes all of them.

  At most two batches are in memory.

  Args:
    examples: [N, …] array, or an iterable of arrays [n, …] of any lengths.
    batch_size: examples of a batch; all batches have N examples where N is smaller.

  Yields:
    (batch, number of real examples in it). The last batch is padded with copies of its first
    example.

  Raises:
    ValueError: there are no examples, their shapes differ, or the batch size is less than 1.
  """
  if batch_size < 1:
    raise ValueError(f'batch_size={batch_size} is not a number of examples: use at least 1')
  size = None
  for batch in _cut(_arrays(examples, batch_size), batch_size):
    if size is None:
      size = len(batch)
    real = len(batch)
    if real < size:
      batch = np.concatenate([batch, np.repeat(batch[:1], size - real, axis=0)])
    yield batch, real
  if size is None:
    raise ValueError('there are no examples: give at least one')


def first_of(examples: Examples) -> tuple[AnyArray, Examples]:
  """Looks at the first examples, since a stream has no shape before it is read.

  Args:
    examples: as in `rebatched`.

  Returns:
    (array of the first examples, all examples again).

  Raises:
    ValueError: there are no examples in the stream.
  """
  if _is_array(examples):
    return examples, examples
  stream = iter(examples)
  for part in stream:
    if len(part):
      first = np.asarray(part)
      return first, _chained(first, stream)
  raise ValueError('there are no examples: give at least one')


def _is_array(examples: Examples) -> TypeGuard[AnyArray]:
  return hasattr(examples, 'shape')


def _chained(first: AnyArray, rest: Iterator[AnyArray]) -> Iterator[AnyArray]:
  yield first
  yield from rest


def _arrays(examples: Examples, batch_size: int) -> Iterator[np.ndarray]:
  """The arrays of a stream; an array in slices, so that a memory map is read piece by piece."""
  if not _is_array(examples):
    yield from map(np.asarray, examples)
    return
  for first in range(0, len(examples), batch_size):
    yield np.asarray(examples[first : first + batch_size])


def _cut(parts: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
  """Arrays of any lengths → arrays of `size` examples; the last one holds the remainder."""
  waiting, count = [], 0
  for part in parts:
    if waiting and part.shape[1:] != waiting[0].shape[1:]:
      raise ValueError(
        f'examples of shapes {waiting[0].shape[1:]} and {part.shape[1:]} are mixed: give one shape'
      )
    waiting.append(part)
    count += len(part)
    while count >= size:
      joined = np.concatenate(waiting) if len(waiting) > 1 else waiting[0]
      yield joined[:size]
      waiting = [joined[size:]]
      count -= size
  if count:
    yield np.concatenate(waiting)


def in_batches(
  function: Callable[..., Any], *arrays: Shaped[np.ndarray, 'N ...'], batch_size: int = units.BATCH
) -> Iterator[tuple[slice, Any]]:
  """Applies a compiled function batch by batch.

  The last batch is padded with copies of its first example.

  Args:
    function: maps arrays [b, …] to a tree of arrays [b, …].
    arrays: one or more arrays of equal length.
    batch_size: examples of a batch.

  Yields:
    (slice of the examples, tree of NumPy arrays [b, …] for them without the padding).
  """
  count = len(arrays[0])
  size = min(batch_size, count)
  for first in range(0, count, max(size, 1)):
    parts = [array[first : first + size] for array in arrays]
    real = len(parts[0])
    if real < size:
      parts = [np.concatenate([part, np.repeat(part[:1], size - real, axis=0)]) for part in parts]
    result = jax.device_get(function(*parts))
    yield slice(first, first + real), jax.tree.map(lambda leaf, real=real: leaf[:real], result)
