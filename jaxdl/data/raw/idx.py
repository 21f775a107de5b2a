"""IDX, the format of MNIST's raw files, packed with gzip or not."""

import gzip
import math
import zlib
from os import PathLike
from pathlib import Path

import numpy as np
from jaxtyping import UInt8


def read(
  folder: str | PathLike[str], name: str, shape: tuple[int, ...]
) -> tuple[UInt8[np.ndarray, '...'], bytes]:
  """Reads one IDX file of bytes.

  Args:
    folder: folder of the raw files.
    name: name of the file without '.gz'. A name with dots instead of hyphens is also accepted.
    shape: the expected shape, such as (60000, 28, 28).

  Returns:
    (array uint8 of that shape, content of the unpacked file).

  Raises:
    FileNotFoundError: neither NAME nor NAME.gz is in the folder.
    ValueError: not IDX, truncated, or of another shape.
  """
  path, header = find(folder, name), 4 + 4 * len(shape)
  size = header + math.prod(shape)
  content = unpacked(path, most=size)
  if content[:4] != bytes((0, 0, 8, len(shape))):
    raise ValueError(
      f'{path} is not an IDX file of {len(shape)}-dimensional bytes '
      f'(it begins with {content[:4].hex()}): fetch it again'
    )
  found = ()
  if len(content) >= header:
    found = tuple(np.frombuffer(content, '>u4', len(shape), 4).tolist())
  if found != shape:
    raise ValueError(
      f'{path} holds an array of shape {found}, expected {shape}: it belongs to another data set'
    )
  if len(content) != size:
    more = ' or more' if len(content) > size else ''
    raise ValueError(f'{path} has {len(content):,} bytes{more}, expected {size:,}: fetch it again')
  return np.frombuffer(content, np.uint8, offset=header).reshape(shape), content


def find(folder: str | PathLike[str], name: str) -> Path:
  """The path of NAME, NAME.gz or their older spelling (train-images.idx3-ubyte)."""
  older = name.replace('-idx', '.idx')
  for candidate in (name, f'{name}.gz', older, f'{older}.gz'):
    path = Path(folder) / candidate
    if path.is_file():
      return path
  raise FileNotFoundError(f'{Path(folder) / name} is missing (with or without .gz): put it there')


def unpacked(path: Path, *, most: int) -> bytes:
  """The bytes of a file, unpacked if it is gzip.

  At most the first `most` + 1 bytes are read, so that a file which unpacks to more is recognised
  without filling the memory.
  """
  with path.open('rb') as file:
    is_packed = file.read(2) == b'\x1f\x8b'
  try:
    with gzip.open(path, 'rb') if is_packed else path.open('rb') as file:
      return file.read(most + 1)
  except (OSError, EOFError, zlib.error) as error:
    raise ValueError(f'{path} is not a valid gzip file ({error}): fetch it again') from error
