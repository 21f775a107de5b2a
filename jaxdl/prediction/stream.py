"""Reads inputs in several threads, with constant memory, while the device computes."""

import collections
import dataclasses
import os
from collections.abc import Iterator, Sequence
from concurrent import futures

import numpy as np
from jaxtyping import Int32, Shaped

from jaxdl.data.own_images import Preparation, VectorPreparation
from jaxdl.data.photographs import decode
from jaxdl.prediction.inputs import File, Files, Found, Source, Stack

CHUNK = 64  # inputs per task of a thread
MOST_THREADS = 4
SMALL_FILE = 4096  # bytes; threads do not read smaller images faster, because of Python's lock
AHEAD = 2  # chunks per thread to read ahead


@dataclasses.dataclass(frozen=True)
class Fault:
  """An input that cannot be read, and the reason in one line."""

  name: str
  reason: str

  def __str__(self) -> str:
    return f'{self.name} cannot be read as an image ({self.reason})'


@dataclasses.dataclass(frozen=True, eq=False)
class Batch:
  """A batch of inputs.

  Attributes:
    names: name of each input.
    images: pixels, or vectors or sequences.
    labels: as in `inputs.Stack`.
    index: positions among all inputs, including inputs that cannot be read.
    faults: inputs of the batch that cannot be read.
  """

  names: list[str]
  images: Shaped[np.ndarray, 'n ...']
  labels: Shaped[np.ndarray, 'n ...']
  index: Int32[np.ndarray, ' n']
  faults: list[Fault]


def batches(
  found: Found, preparation: Preparation | VectorPreparation, batch_size: int
) -> Iterator[Batch]:
  """Reads inputs in batches of `batch_size`, in order.

  Args:
    found: the inputs.
    preparation: preparation of the images.
    batch_size: inputs per batch. The last batch may have fewer.

  Yields:
    Batches.

  Raises:
    ValueError: an array has an invalid shape, type or range.
  """
  waiting: list[Batch] = []
  for part in _parts(found, preparation):
    waiting.append(part)
    while sum(len(one.names) for one in waiting) >= batch_size:
      joined = _joined(waiting)
      yield _cut(joined, 0, batch_size, joined.faults)
      waiting = [_cut(joined, batch_size, len(joined.names), [])]
  joined = _joined(waiting) if waiting else None
  if joined is not None and (joined.names or joined.faults):
    yield joined


def _parts(found: Found, preparation: Preparation | VectorPreparation) -> Iterator[Batch]:
  """Reads chunks of all sources in threads, a few chunks ahead."""
  decode.load_library()
  threads = 1 if _has_small_files(found) else min(MOST_THREADS, os.cpu_count() or 1)
  pool = futures.ThreadPoolExecutor(threads)
  pending: collections.deque[futures.Future[Batch]] = collections.deque()
  try:
    for source, first, stop, position in _chunks(found):
      pending.append(pool.submit(_read, source, first, stop, position, preparation))
      if len(pending) > AHEAD * threads:
        yield pending.popleft().result()
    while pending:
      yield pending.popleft().result()
  finally:
    pool.shutdown(cancel_futures=True)


def _has_small_files(found: Found) -> bool:
  """Whether the first input is a small file."""
  source = found.sources[0] if found.sources else None
  if not isinstance(source, Files) or not os.path.isfile(source.files[0].name):
    return False
  return os.path.getsize(source.files[0].name) < SMALL_FILE


def _chunks(found: Found) -> Iterator[tuple[Source, int, int, int]]:
  position = 0
  for source in found.sources:
    for first in range(0, len(source), CHUNK):
      yield source, first, min(first + CHUNK, len(source)), position + first
    position += len(source)


def _read(
  source: Source, first: int, stop: int, position: int, preparation: Preparation | VectorPreparation
) -> Batch:
  """Reads the inputs first .. stop - 1 of a source."""
  if isinstance(source, Stack):
    name = source.name or 'the array'
    return Batch(
      names=[f'{source.name}[{number}]' for number in range(first, stop)],
      images=preparation.of_array(source.images[first:stop], name),
      labels=source.labels[first:stop],
      index=np.arange(position, position + stop - first, dtype=np.int32),
      faults=[],
    )
  return _read_files(source, first, stop, position, preparation)


def _read_files(
  source: Files, first: int, stop: int, position: int, preparation: Preparation | VectorPreparation
) -> Batch:
  names, pixels, labels, index, faults = [], [], [], [], []
  for number, file in enumerate(source.files[first:stop]):
    read = _pixels(file, preparation)
    if isinstance(read, Fault):
      faults.append(read)
      continue
    names.append(file.name)
    pixels.append(read)
    labels.append(file.label)
    index.append(position + number)
  empty = np.zeros((0, *preparation.shape), preparation.dtype)
  return Batch(
    names=names,
    images=np.concatenate([empty, *pixels]),
    labels=np.array(labels, np.int32),
    index=np.array(index, np.int32),
    faults=faults,
  )


def _pixels(
  file: File, preparation: Preparation | VectorPreparation
) -> Shaped[np.ndarray, '1 ...'] | Fault:
  try:
    return preparation.of_file(file.read())
  except Exception as error:  # decoders raise exceptions of many types
    if type(error).__name__ == 'UnidentifiedImageError':
      return Fault(file.name, 'unknown image format')
    reason = ' '.join(str(error).split()) or type(error).__name__
    return Fault(file.name, reason if isinstance(error, ValueError | OSError) else 'it is damaged')


def _joined(parts: Sequence[Batch]) -> Batch:
  return Batch(
    names=[name for part in parts for name in part.names],
    images=np.concatenate([part.images for part in parts]),
    labels=np.concatenate([part.labels for part in parts]),
    index=np.concatenate([part.index for part in parts]),
    faults=[fault for part in parts for fault in part.faults],
  )


def _cut(batch: Batch, first: int, stop: int, faults: list[Fault]) -> Batch:
  return Batch(
    names=batch.names[first:stop],
    images=batch.images[first:stop],
    labels=batch.labels[first:stop],
    index=batch.index[first:stop],
    faults=faults,
  )
