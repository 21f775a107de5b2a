"""Decoded pieces of batches: the unit of work of the processes that read photographs."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float32, Int32

from jaxdl.data import fits
from jaxdl.data.photographs import decode
from jaxdl.data.photographs.examples import PhotographSource

PIECE_BYTES = 4 << 20  # of photographs that a worker hands over at once, through shared memory
ENDLESS = 1 << 40  # pieces

Indices = Callable[[int, int], tuple[Int32[np.ndarray, 'S B'], Float32[np.ndarray, 'S B']]]


@dataclasses.dataclass(frozen=True)
class Pieces:
  """Random access to decoded pieces of batches; each worker gets a copy.

  A piece is a dict of 'image' [P, size, size, C] uint8, 'label' and 'index' [P] int32, 'mask' [P]
  float32, and of messages: 'faults', about photographs that could not be decoded, and 'several',
  about files of more than one frame.

  Attributes:
    source: random access to (encoded bytes, label, name).
    indices: (first step, steps) → index and mask [S, B] of complete batches.
    batches: number of batches after which the order is repeated.
    size, fit, background, color: as in `decode.square`.
    first, own: where this process's part of a batch begins, and how many examples it has.
    length: examples in a piece.
  """

  source: PhotographSource
  indices: Indices
  batches: int
  size: int
  fit: str
  first: int
  own: int
  length: int
  background: Any = 'white'
  color: str = 'original'

  @property
  def channels(self) -> int:
    """Channels of a photograph."""
    return fits.channels_of(self.color)

  def __len__(self) -> int:
    return ENDLESS

  def __getitem__(self, index: int) -> dict[str, Any]:
    step, piece = divmod(index, self.own // self.length)
    examples, mask = self.indices(step % self.batches, 1)
    part = slice(self.first + piece * self.length, self.first + (piece + 1) * self.length)
    found = blank((self.length,), self.size, self.channels)
    found['index'] = examples[0, part]
    found['mask'] = mask[0, part].copy()
    faults, several = [], []
    for slot in np.flatnonzero(found['mask']):
      encoded, found['label'][slot], name = self.source[int(found['index'][slot])]
      try:
        found['image'][slot], frames = decode.with_frames(
          encoded, self.size, self.fit, self.background, self.color
        )
        if frames > 1:
          more = ' or more' if frames == decode.MOST_FRAMES else ''
          several.append(f'{name} has {frames:,} frames{more}')
      except Exception as error:  # decoders raise exceptions of many types
        found['mask'][slot] = 0
        faults.append(f'{name} is not a valid image file ({_reason(error)})')
    return {**found, 'faults': tuple(faults), 'several': tuple(several)}


def _reason(error: Exception) -> str:
  return str(error).partition('\n')[0].partition(' <_io')[0][:100] or type(error).__name__


def blank(shape: tuple[int, ...], size: int, channels: int = 3) -> dict[str, np.ndarray]:
  """A feed of padding: every example is masked.

  Args:
    shape: the leading axes.
    size: pixels of a photograph's side.
    channels: channels of a photograph.

  Returns:
    'image' [*shape, size, size, channels] uint8, 'label' and 'index' [*shape] int32, 'mask'
    [*shape] float32.
  """
  return {
    'image': np.zeros((*shape, size, size, channels), np.uint8),
    'label': np.zeros(shape, np.int32),
    'index': np.zeros(shape, np.int32),
    'mask': np.zeros(shape, np.float32),
  }


def piece_length(own: int, size: int, channels: int = 3) -> int:
  """The largest number of photographs in a piece, at least 1.

  It divides a process's part of a batch, and the photographs take at most PIECE_BYTES.

  Args:
    own: examples in the process's part of a batch.
    size: pixels of a photograph's side.
    channels: channels of a photograph.
  """
  return max(
    length
    for length in range(1, own + 1)
    if own % length == 0 and (length == 1 or length * size * size * channels <= PIECE_BYTES)
  )
