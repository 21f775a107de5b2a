"""Text as streams of characters, each of which continues from one step to the next."""

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any, no_type_check

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int32, Integer, UInt8

from jaxdl.config import checks
from jaxdl.data import checksum, slicing, stand_ins
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
) -> Data:
  """Reads a text as a config's data section describes it.

  Args:
    read: function(source, data_dir) → Source with the column 'character'; its classes are the
      vocabulary.
    seed: not used, since a text is read in its own order.
    splits: 'train' and any of 'validation', 'test' → TFDS slicing over characters, such as
      'train[:90%]'.
    batch_size: streams in training, over all devices.
    time_step: characters of each stream in a step.
    evaluation_batch_size: streams in an evaluation, over all devices.
    source, data_dir, overlap: as in `images.load`.

  Returns:
    Data; its classes are the vocabulary, which the checkpoint's config keeps.

  Raises:
    ValueError, OSError: as `images.load`.
  """
  del seed
  sizes = batch_sizes(splits, batch_size=batch_size, evaluation_batch_size=evaluation_batch_size)
  check_sizes(time_step=time_step)
  check_texts(source=source, data_dir=data_dir)
  checks.check_flag(overlap, 'config.data.overlap')
  found = read(source=source, data_dir=data_dir)
  available = slicing.counts(found.columns)
  if not overlap:
    slicing.refuse_overlap(splits, available)
  checksums = {}
  if found.origin != stand_ins.ABSENT:
    checksums = checksum.of_splits(found.columns, splits.values())
  parts = {name: slicing.cut(found.columns, splits[name]) for name in sizes}
  ready = {
    name: streams(parts[name]['character'], batch_size=size, time_step=time_step)
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


def streams(characters: Integer[np.ndarray, ' N'], *, batch_size: int, time_step: int) -> Split:
  """A split of `batch_size` contiguous streams, each read `time_step` characters a step.

  Stream b begins at b * N // batch_size. If its last characters are fewer than time_step, its last
  step is partly padding. The target of a character is the one after it, so that a stream of n
  characters has n - 1 targets.

  Args:
    characters: [N] integers.
    batch_size: streams, over all devices.
    time_step: characters of each stream in a step.

  Returns:
    Split; a batch has 'character' and 'label' [B, T] int32, 'mask' [B, T] float32, 'reset' [B] bool
    (the hidden state is reset: first step of an epoch) and 'index' [B] int32 (the stream). Its
    count is the number of predicted characters.

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
  batches = int(-(-targets.max() // time_step))

  def feed(first_step: int, steps: int) -> Feed:
    step = np.arange(first_step, first_step + steps)[:, None] % batches  # [S, 1]
    length = np.clip(targets - step * time_step, 0, time_step)  # [S, B]
    return process_shard(
      {
        'start': (start + step * time_step).astype(np.int32),
        'length': length.astype(np.int32),
        'reset': np.broadcast_to(step == 0, length.shape),
        'index': np.broadcast_to(np.arange(batch_size, dtype=np.int32), length.shape),
      }
    )

  def fetch(arrays: Mapping[str, Any], feed: Batch) -> Batch:
    offset = jnp.arange(time_step)
    # [B, T]; padding stays inside the text
    position = jnp.minimum(feed['start'][:, None] + offset, count - 2)
    text = arrays['character']
    return {
      'character': text[position].astype(jnp.int32),
      'label': text[position + 1].astype(jnp.int32),
      'mask': (offset < feed['length'][:, None]).astype(jnp.float32),
      'reset': feed['reset'],
      'index': feed['index'],
    }

  return Split(
    arrays={'character': characters},
    count=int(targets.sum()),
    batches=batches,
    feed=feed,
    fetch=fetch,
  )


def prepare(batch: Batch, key: Any = None) -> Batch:
  """Adds 'inputs' [B, T] int32 to a batch; nothing is random, so that the key is not used."""
  del key
  return {**batch, 'inputs': batch['character']}
