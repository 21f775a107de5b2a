"""CDB, the Hoda data set's own file format of handwritten characters."""

import struct
from pathlib import Path

import numpy as np
from jaxtyping import Int32, UInt8

HEADER = 1024  # bytes
START = 0xFF  # first byte of every record
SHORTEST = 4  # bytes of the shortest record: start, label and size


def read(path: Path) -> tuple[list[UInt8[np.ndarray, '_ _']], Int32[np.ndarray, ' N']]:
  """Reads a CDB file.

  Args:
    path: the file.

  Returns:
    (list of [H, W] uint8 images of varying size, ink 255 on 0; labels [N] int32).

  Raises:
    ValueError: the file is truncated or not CDB; raised before memory is allocated for its header.
  """
  content = path.read_bytes()
  if len(content) < HEADER:
    raise ValueError(
      f'{path} is not a CDB file (shorter than its header of {HEADER} bytes): fetch it again'
    )
  year, _, _, height, width, count = struct.unpack('<HBBBBI', content[:10])
  gray = content[522]
  if not 1990 <= year <= 2100 or gray > 1:
    raise ValueError(
      f'{path} is not a CDB file (year {year}, image type {gray}): '
      'use the files of the Hoda data set'
    )
  if count * SHORTEST > len(content) - HEADER:
    raise ValueError(f'{path} is too short for the {count:,} records of its header: fetch it again')
  images, labels, position = [], np.zeros(count, np.int32), HEADER
  for record in range(count):
    try:
      image, labels[record], position = _record(content, position, height, width, gray)
    except (IndexError, struct.error, ValueError):
      raise ValueError(
        f'{path} is truncated or damaged in record {record} of {count}: fetch it again'
      ) from None
    images.append(image)
  return images, labels


def _record(
  content: bytes, position: int, height: int, width: int, gray: int
) -> tuple[np.ndarray, int, int]:
  """(image, label, position of the next record)."""
  if content[position] != START:
    raise ValueError
  label, position = content[position + 1], position + 2
  if not (height and width):
    width, height, position = content[position], content[position + 1], position + 2
  (size,) = struct.unpack_from('<H', content, position)
  data = np.frombuffer(content, np.uint8, size, position + 2)
  image = data.reshape(height, width) if gray else _unpack_runs(data, height, width)
  return image, label, position + 2 + size


def _unpack_runs(runs: np.ndarray, height: int, width: int) -> np.ndarray:
  """Decodes run lengths: for each row white and black in turn, white first, until it is full."""
  image, position = np.zeros((height, width), np.uint8), 0
  for row in image:
    column, ink = 0, 0
    while column < width:
      length = int(runs[position])
      row[column : column + length] = ink
      column, ink, position = column + length, 255 - ink, position + 1
    if column != width:
      raise ValueError
  if position != len(runs):
    raise ValueError
  return image
