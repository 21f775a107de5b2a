"""Text as streams of characters, each of which continues from one step to the next."""

import functools
import statistics
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any, no_type_check

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int32, Integer, UInt8

from jaxdl.config import checks
from jaxdl.data import checksum, order, slicing, stand_ins
from jaxdl.data.dataset import (
  Batch,
  Data,
  Feed,
  Split,
  batch_sizes,
  check_sizes,
  check_texts,
  process_shard,
)
from jaxdl.data.source import Source

# Random lengths, as in the program of AWD-LSTM (Merity et al. 2018).
SHORT = 0.05  # probability of a step whose mean length is half of time_step
DEVIATION = 5.0  # characters
SHORTEST = 5
LONGER = 10  # most characters by which a step is longer than time_step


@no_type_check  # a config may hold anything: the function checks it, and its errors name the key
def load(
  read: Callable[..., Source],
  *,
  seed: int,
  splits: Mapping[str, str],
  batch_size: int,
  time_step: int,
  evaluation_batch_size: int = 8,
  source: str = 'auto',
  data_dir: str | PathLike[str] | None = None,
  overlap: bool = False,
  random_length: bool = False,
) -> Data:
  """Reads a text as a config's data section describes it.

  Args:
    read: function(source, data_dir) → Source with the column 'character'; its classes are the
      vocabulary.
    seed: of the random lengths; a text is read in its own order.
    splits: 'train' and any of 'validation', 'test' → TFDS slicing over characters, such as
      'train[:90%]'.
    batch_size: streams in training, over all devices.
    time_step: characters of each stream in a step.
    evaluation_batch_size: streams in an evaluation, over all devices.
    source, data_dir, overlap: as in `images.load`.
    random_length: whether the training steps have the lengths of `random_lengths`.

  Returns:
    Data; its classes are the vocabulary, which the checkpoint's config keeps.

  Raises:
    ValueError, OSError: as `images.load`.
  """
  sizes = batch_sizes(splits, batch_size=batch_size, evaluation_batch_size=evaluation_batch_size)
  check_sizes(time_step=time_step)
  check_texts(source=source, data_dir=data_dir)
  checks.check_flag(overlap, 'config.data.overlap')
  checks.check_flag(random_length, 'config.data.random_length')
  if random_length and time_step < 2 * SHORTEST:
    raise ValueError(
      f'config.data.random_length=True halves steps to no less than {SHORTEST} characters, and '
      f'config.data.time_step={time_step}: use at least {2 * SHORTEST}'
    )
  found = read(source=source, data_dir=data_dir)
  available = slicing.counts(found.columns)
  if not overlap:
    slicing.refuse_overlap(splits, available)
  checksums = {}
  if found.origin != stand_ins.ABSENT:
    checksums = checksum.of_splits(found.columns, splits.values())
  parts = {name: slicing.cut(found.columns, splits[name]) for name in sizes}
  ready = {
    name: streams(
      parts[name]['character'],
      batch_size=size,
      time_step=time_step,
      seed=seed if random_length and name == 'train' else None,
    )
    for name, size in sizes.items()
  }
  return Data(
    name=read.__name__,
    origin=found.origin,
    classes=found.classes,
    splits=ready,
    prepare=prepare,
    scaling={},
    available=available,
    checksums=checksums,
    place={'data_dir': found.data_dir},
    evidence={name: part['evidence'] for name, part in parts.items() if 'evidence' in part},
  )


def columns(
  parts: Mapping[str, str],
) -> tuple[
  dict[str, dict[str, UInt8[np.ndarray, ' _'] | Int32[np.ndarray, ' _']]], tuple[str, ...]
]:
  """Texts as numbers.

  Args:
    parts: split name → text.

  Returns:
    (split name → {'character': [N] uint8 or int32}, vocabulary: every character of all splits,
    sorted). The type is uint8 for a vocabulary of up to 256 characters.
  """
  vocabulary = tuple(sorted(set().union(*parts.values())))
  dtype = np.uint8 if len(vocabulary) <= 256 else np.int32
  encoded = {
    name: {'character': encode(text, vocabulary).astype(dtype)} for name, text in parts.items()
  }
  return encoded, vocabulary


def encode(text: str, vocabulary: Sequence[str]) -> Int32[np.ndarray, ' N']:
  """Text as positions in a vocabulary.

  Args:
    text: N characters.
    vocabulary: the known characters.

  Returns:
    [N] int32.

  Raises:
    ValueError: characters that are not in the vocabulary; the message names them.
  """
  codes = np.frombuffer(text.encode('utf-32-le', 'surrogatepass'), np.uint32)
  known = np.array([ord(character) for character in vocabulary], np.uint32)
  order = np.argsort(known)
  position = order[np.minimum(np.searchsorted(known, codes, sorter=order), len(known) - 1)]
  unknown = sorted({chr(code) for code in codes[known[position] != codes]})
  if unknown:
    raise ValueError(
      f'characters {", ".join(map(repr, unknown))} are not in the vocabulary of {len(vocabulary)}: '
      f'leave them out, or use only {"".join(vocabulary)!r}'
    )
  return position.astype(np.int32)


def decode(positions: Sequence[int] | Integer[np.ndarray, ' N'], vocabulary: Sequence[str]) -> str:
  """Positions in a vocabulary as text; the inverse of `encode`."""
  return ''.join(str(vocabulary[position]) for position in np.asarray(positions).tolist())


def random_lengths(count: int, time_step: int) -> Integer[np.ndarray, ' steps']:
  """The lengths of the steps of an epoch that reads `count` characters of each stream.

  A length is drawn from a normal distribution with the mean `time_step`, or half of it with a
  probability of 0.05, and a deviation of 5 characters. It is at least 5 and at most
  `time_step` + 10. The last one is shortened, so that their sum is `count`.

  The paper draws the lengths of each epoch anew, so that epochs have different numbers of steps.
  Here the lengths depend on no seed, and each epoch takes them in another order (`streams`). The
  paper's program has no upper limit, which the fixed shapes of a compiled program need.

  Args:
    count: characters, at least 1.
    time_step: at least 10.

  Source: Merity et al. 2018, Regularizing and optimizing LSTM language models, section 5, with the
    numbers of their program.
  """
  bits, normal = np.random.Philox(key=0), statistics.NormalDist(0, DEVIATION)
  found: list[int] = []
  missing = count
  while missing > 0:
    short, place = ((bits.random_raw(2) >> 12) + 0.5) / (1 << 52)  # uniform, above 0 and below 1
    mean = time_step / 2 if short < SHORT else time_step
    length = int(mean + normal.inv_cdf(place))
    found.append(min(max(length, SHORTEST), time_step + LONGER, missing))
    missing -= found[-1]
  return np.array(found)


def streams(
  characters: Integer[np.ndarray, ' N'],
  *,
  batch_size: int,
  time_step: int,
  seed: int | None = None,
) -> Split:
  """A split of `batch_size` contiguous streams, each read `time_step` characters a step.

  Stream b begins at b * N // batch_size. If its last characters are fewer than time_step, its last
  step is partly padding. The target of a character is the one after it, so that a stream of n
  characters has n - 1 targets.

  With a seed, the steps of an epoch have the lengths of `random_lengths`, in an order that is a
  function of (seed, epoch). Every target counts once in an epoch. All batches have one shape, with
  T = time_step + 10: after the length of a step, the mask is 0, the carried state stops, and the
  next step continues. As in the paper, the learning rate of a step is multiplied by 'rate', its
  length divided by time_step.

  Args:
    characters: [N] integers.
    batch_size: streams, over all devices.
    time_step: characters of each stream in a step.
    seed: of random lengths; None for equal lengths.

  Returns:
    Split; a batch has 'character' and 'label' [B, T] int32, 'mask' [B, T] float32, 'reset' [B] bool
    (the hidden state is reset: first step of an epoch) and 'index' [B] int32 (the stream); with a
    seed also 'steps' [B, T], equal to the mask, and 'rate' [B] float32. Its count is the number of
    predicted characters.

  Raises:
    ValueError: the text is too short for so many streams.
  """
  count = len(characters)
  if count < 2 * batch_size:
    raise ValueError(
      f'a text of {count:,} characters is too short for {batch_size} streams: '
      f'use a batch size of at most {count // 2}, or a longer split'
    )
  edges = np.arange(batch_size + 1, dtype=np.int64) * count // batch_size
  start, targets = edges[:-1], np.diff(edges) - 1  # [B]
  longest = int(targets.max())
  window, lengths = time_step, np.full(-(-longest // time_step), time_step)
  if seed is not None:
    window, lengths = time_step + LONGER, random_lengths(longest, time_step)
  batches = len(lengths)

  def of_epoch(epoch: int) -> Integer[np.ndarray, ' batches']:
    return lengths if seed is None else lengths[order.permutation(seed, epoch, batches)]

  def feed(first_step: int, steps: int) -> Feed:
    epochs = range(first_step // batches, (first_step + steps) // batches + 1)
    most = np.stack([of_epoch(epoch) for epoch in epochs])  # [E, batches]
    before = most.cumsum(1) - most
    place = np.arange(first_step, first_step + steps)[:, None] - epochs.start * batches
    most, before = most.ravel()[place], before.ravel()[place]  # [S, 1]
    length = np.clip(targets - before, 0, most)  # [S, B]
    found = {
      'start': (start + before).astype(np.int32),
      'length': length.astype(np.int32),
      'reset': np.broadcast_to(place % batches == 0, length.shape),
      'index': np.broadcast_to(np.arange(batch_size, dtype=np.int32), length.shape),
    }
    if seed is not None:
      found['rate'] = np.broadcast_to((most / time_step).astype(np.float32), length.shape)
    return process_shard(found)

  return Split(
    arrays={'character': characters},
    count=int(targets.sum()),
    batches=batches,
    feed=feed,
    fetch=_fetch(window),
  )


@functools.cache
def _fetch(window):
  """The `fetch` of a Split of streams, the same function for all splits with the same window."""

  def fetch(arrays: Mapping[str, Any], feed: Batch) -> Batch:
    text, offset = arrays['character'], jnp.arange(window)
    # [B, T]; padding stays inside the text
    position = jnp.minimum(feed['start'][:, None] + offset, len(text) - 2)
    mask = (offset < feed['length'][:, None]).astype(jnp.float32)
    return {
      'character': text[position].astype(jnp.int32),
      'label': text[position + 1].astype(jnp.int32),
      'mask': mask,
      'reset': feed['reset'],
      'index': feed['index'],
      **({'steps': mask, 'rate': feed['rate']} if 'rate' in feed else {}),
    }

  return fetch


def prepare(batch: Batch, key: Any = None) -> Batch:
  """Adds 'inputs' [B, T] int32 to a batch; nothing is random, so that the key is not used."""
  del key
  return {**batch, 'inputs': batch['character']}
