"""Pieces of batches, decoded: the unit of work of the processes that read photographs."""

import dataclasses
from typing import Any

import numpy as np

from jaxdl.data.photographs import decode

PIECE_BYTES = 4 << 20  # of photographs that a worker hands over at once, through shared memory
ENDLESS = 1 << 40  # pieces


@dataclasses.dataclass(frozen=True)
class Pieces:
  """Random access to decoded pieces of batches; what a worker gets and runs.

  Attributes:
    source: random access to (encoded bytes, label, name).
    indices: (first step, steps) → index and mask [S, B] of whole batches.
    batches: after so many the order begins anew.
    size, fit, background: as in `decode.square`.
    first, own: the host's part of a batch, and how many examples it has.
    length: examples in a piece.
  """

  source: Any
  indices: Any
  batches: int
  size: int
  fit: str
  first: int
  own: int
  length: int
  background: Any = 'white'

  def __len__(self):
    return ENDLESS

  def __getitem__(self, position):
    step, piece = divmod(position, self.own // self.length)
    index, mask = self.indices(step % self.batches, 1)
    part = slice(self.first + piece * self.length, self.first + (piece + 1) * self.length)
    found = blank((self.length,), self.size) | {
      'index': index[0, part],
      'mask': mask[0, part].copy(),
    }
    faults, several = [], []
    for slot in np.flatnonzero(found['mask']):
      encoded, found['label'][slot], name = self.source[int(found['index'][slot])]
      try:
        found['image'][slot], frames = decode.with_frames(
          encoded, self.size, self.fit, self.background
        )
        if frames > 1:
          several.append(f'{name} has {frames:,} frames')
      except Exception as error:  # Pillow raises whatever the format's own code raises
        found['mask'][slot] = 0
        faults.append(f'{name} is not a sound image file ({_reason(error)})')
    return found | {'faults': tuple(faults), 'several': tuple(several)}


def _reason(error):
  return str(error).partition('\n')[0].partition(' <_io')[0][:100] or type(error).__name__


def blank(shape, size):
  """A feed of padding: every example masked. `shape` is the leading axes."""
  return {
    'image': np.zeros((*shape, size, size, 3), np.uint8),
    'label': np.zeros(shape, np.int32),
    'index': np.zeros(shape, np.int32),
    'mask': np.zeros(shape, np.float32),
  }


def piece_length(own, size):
  """The most photographs that divide a host's part of a batch and stay within PIECE_BYTES, at least
  one.
  """
  return max(
    length
    for length in range(1, own + 1)
    if own % length == 0 and (length == 1 or length * size * size * 3 <= PIECE_BYTES)
  )
