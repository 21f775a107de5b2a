"""The order of examples: a pure function of (seed, step), so that nothing needs to be saved."""

import dataclasses
import functools

import numpy as np
from jaxtyping import Float32, Int32

Index = Int32[np.ndarray, 'steps batch']
Mask = Float32[np.ndarray, 'steps batch']

OF_CLASS = 1 << 63  # added to the number of a class in a key of Philox, above every epoch
WORDS = 4  # random words that Philox makes from one value of its counter


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


@dataclasses.dataclass(frozen=True, eq=False)
class Classes:
  """The classes of the training examples, for balanced sampling.

  Attributes:
    labels: [N], the class of each example.
  """

  labels: Int32[np.ndarray, ' N']

  @functools.cached_property
  def members(self) -> list[Int32[np.ndarray, ' _']]:
    """The positions of the examples of each class that has any."""
    by_class = np.argsort(self.labels, kind='stable').astype(np.int32)
    ends = np.cumsum(np.bincount(self.labels))
    return [part for part in np.split(by_class, ends[:-1]) if len(part)]


@functools.lru_cache(maxsize=4)
def balanced(seed: int, epoch: int, classes: Classes) -> Int32[np.ndarray, ' N']:
  """The examples of one epoch in which every class is drawn equally often.

  An epoch has as many examples as the data set. Each of the K classes is drawn N // K or
  N // K + 1 times; who gets the remainder alternates, so that after K epochs all classes were drawn
  equally often. The examples of a class come in a new permutation each time all of them were used,
  across epochs: at any time, each of them was used k or k + 1 times.

  Args:
    seed, epoch: as in `permutation`.
    classes: the classes of the N examples.

  Returns:
    [N] int32 in random order; read-only.
  """
  count, number = len(classes.labels), len(classes.members)
  drawn = [
    _draws(seed, place, members, *(_before(at, place, count, number) for at in (epoch, epoch + 1)))
    for place, members in enumerate(classes.members)
  ]
  found = np.concatenate(drawn)[permutation(seed, epoch, count)]
  found.setflags(write=False)
  return found


def _before(epoch: int, place: int, count: int, number: int) -> int:
  """How often a class is drawn before an epoch; `place` is its position among `number` classes."""
  each, rest = divmod(count, number)
  return epoch * each + (epoch * rest - place + number - 1) // number


def _draws(
  seed: int, place: int, members: Int32[np.ndarray, ' n'], first: int, stop: int
) -> Int32[np.ndarray, ' _']:
  """Draws first .. stop - 1 of a class, from its endless sequence of permutations."""
  count = len(members)
  start, end = first // count, -(-stop // count)  # permutations
  blocks = -(-count // WORDS)
  key = np.array([seed, OF_CLASS + place], np.uint64)
  bits = np.random.Philox(key=key, counter=start * blocks).random_raw(
    (end - start) * blocks * WORDS
  )
  rows = bits.reshape(end - start, blocks * WORDS)[:, :count]
  sequence = members[np.argsort(rows, axis=1, kind='stable')].reshape(-1)
  return sequence[first - start * count : stop - start * count]


def batches_per_epoch(count: int, batch_size: int) -> int:
  """Batches that hold each example exactly once; the last one may be partly padding."""
  return -(-count // batch_size)


def shuffled(
  seed: int,
  first_step: int,
  steps: int,
  *,
  count: int,
  batch_size: int,
  classes: Classes | None = None,
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
    classes: None for each example once in an epoch; or for epochs as in `balanced`.

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
    examples = (
      permutation(seed, epoch, count) if classes is None else balanced(seed, epoch, classes)
    )
    index[rows], mask[rows] = _cut(examples, position, stop - step, batch_size)
    step = stop
  return index, mask


def in_order(first_batch: int, batches: int, *, count: int, batch_size: int) -> tuple[Index, Mask]:
  """As `shuffled`, for evaluation: examples 0 .. count-1 in their own order, each exactly once."""
  return _cut(np.arange(count, dtype=np.int32), first_batch, batches, batch_size)


def batches_at(
  seed: int | None,
  first_step: int,
  steps: int,
  *,
  count: int,
  batch_size: int,
  classes: Classes | None = None,
) -> tuple[Index, Mask]:
  """`shuffled` with a seed, `in_order` with None."""
  if seed is None:
    return in_order(first_step, steps, count=count, batch_size=batch_size)
  return shuffled(seed, first_step, steps, count=count, batch_size=batch_size, classes=classes)


def _cut(order, first, batches, batch_size):
  """Batches first .. first+batches-1 of an order, padded with example 0 and mask 0."""
  part = order[first * batch_size : (first + batches) * batch_size]
  index = np.zeros(batches * batch_size, np.int32)
  mask = np.zeros(batches * batch_size, np.float32)
  index[: len(part)], mask[: len(part)] = part, 1
  return index.reshape(batches, batch_size), mask.reshape(batches, batch_size)
