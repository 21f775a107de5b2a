"""Reads inputs in several threads, with constant memory, while the device computes."""

import collections
import dataclasses
import os
from collections.abc import Iterator
from concurrent import futures

import numpy as np
from jaxtyping import Int32, Shaped

from jaxdl.data.own_images import Preparation, VectorPreparation
from jaxdl.data.photographs import decode
from jaxdl.prediction.inputs import File, Files, Found, Source, Stack

CHUNK = 64  # inputs per task of a thread
MOST_THREADS = 4
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
  waiting: Batch | None = None
  for part in _parts(found, preparation):
    waiting = part if waiting is None else _together(waiting, part)
    while len(waiting.names) >= batch_size:
      yield _cut(waiting, 0, batch_size, waiting.faults)
      waiting = _cut(waiting, batch_size, len(waiting.names), [])
  if waiting is not None and (waiting.names or waiting.faults):
    yield waiting


def _parts(found: Found, preparation: Preparation | VectorPreparation) -> Iterator[Batch]:
  """Reads chunks of all sources in threads, a few chunks ahead."""
  decode.load_library()
  threads = min(MOST_THREADS, os.cpu_count() or 1)
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


def _together(one: Batch, other: Batch) -> Batch:
  return Batch(
    names=one.names + other.names,
    images=np.concatenate([one.images, other.images]),
    labels=np.concatenate([one.labels, other.labels]),
    index=np.concatenate([one.index, other.index]),
    faults=one.faults + other.faults,
  )


def _cut(batch: Batch, first: int, stop: int, faults: list[Fault]) -> Batch:
  return Batch(
    names=batch.names[first:stop],
    images=batch.images[first:stop],
    labels=batch.labels[first:stop],
    index=batch.index[first:stop],
    faults=faults,
  )
