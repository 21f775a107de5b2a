"""One split of a data set, as training and evaluation use it."""

import dataclasses
import re
from collections.abc import Callable

import numpy as np

from jaxdl.data import order


@dataclasses.dataclass(frozen=True)
class Split:
  """What stays on the device, and how a step finds its batch in it.

  Attributes:
    arrays: column name → array that stays on the device, leading axis `count`.
    count: examples in an epoch.
    batches: batches in an epoch, the last one perhaps partly padding.
    feed: (first step, steps) → name → [steps, batch, …] NumPy array: all that a step needs from the host.
    fetch: pure (arrays, one step's feed) → batch with 'index' [B] int32, 'mask' [B] float32 and the columns.
  """

  arrays: dict[str, np.ndarray]
  count: int
  batches: int
  feed: Callable
  fetch: Callable


def resident(columns, *, batch_size, seed=None):
  """A split that fits on the device: the feed is only the indices.

  Args:
    columns: column name → [N, …] array.
    batch_size: int, examples in a batch, over all devices.
    seed: int for a new permutation in each epoch (training), None for the examples' own order (evaluation).

  Returns:
    Split.
  """
  count = len(next(iter(columns.values())))

  def feed(first_step, steps):
    if seed is None:
      index, mask = order.in_order(first_step, steps, count=count, batch_size=batch_size)
    else:
      index, mask = order.shuffled(seed, first_step, steps, count=count, batch_size=batch_size)
    return {'index': index, 'mask': mask}  # [S, B] each

  batches = order.batches_per_epoch(count, batch_size)
  return Split(arrays=columns, count=count, batches=batches, feed=feed, fetch=_gather)


def _gather(arrays, feed):
  return {**feed, **{name: values[feed['index']] for name, values in arrays.items()}}


def cut(columns, expression):
  """Examples of a split named as TFDS names them: 'train', 'train[:45000]', 'train[90%:]', 'train[-5000:]'.

  Args:
    columns: split name → column name → [N, …].
    expression: str.

  Returns:
    column name → [n, …], views.

  Raises:
    ValueError: an unknown split, a malformed slice, or one that selects nothing.
  """
  match = re.fullmatch(r'(\w+)(?:\[(-?\d+%?)?:(-?\d+%?)?\])?', expression)
  if not match or match[1] not in columns:
    raise ValueError(f'split {expression!r} is not one of {", ".join(columns)}, or a slice such as train[:90%]')
  part = columns[match[1]]
  count = len(next(iter(part.values())))
  start, stop = (_position(text, count) for text in match.group(2, 3))
  chosen = slice(start, stop)
  if not range(count)[chosen] or max(abs(start or 0), abs(stop or 0)) > count:
    raise ValueError(f'split {expression!r} is out of range: {match[1]} has {count} examples')
  return {name: values[chosen] for name, values in part.items()}


def _position(text, count):
  """'90%' → examples, rounded as TFDS does; '45000' → 45000; None → None."""
  if text is None:
    return None
  return round(int(text[:-1]) / 100 * count) if text.endswith('%') else int(text)
