"""IDX, the format of MNIST's raw files, packed with gzip or not."""

import gzip
import math
import pathlib
import zlib

import numpy as np


def read(folder, name, shape):
  """Reads one IDX file of bytes.

  Args:
    folder: pathlib.Path of the raw files.
    name: str, the file's name without '.gz'; dots in place of its hyphens are accepted too.
    shape: what the file must hold, such as (60000, 28, 28).

  Returns:
    (array uint8 of that shape, content of the unpacked file).

  Raises:
    FileNotFoundError: neither NAME nor NAME.gz is in the folder.
    ValueError: not IDX, truncated, or of another shape.
  """
  path, header = find(folder, name), 4 + 4 * len(shape)
  content = unpacked(path, most=header + math.prod(shape))
  if content[:4] != bytes((0, 0, 8, len(shape))):
    raise ValueError(
      f'{path} is not an IDX file of {len(shape)}-dimensional bytes (it begins with {content[:4].hex()}): '
      'fetch it again'
    )
  found = (
    tuple(np.frombuffer(content, '>u4', len(shape), 4).tolist()) if len(content) >= header else ()
  )
  if found != shape:
    raise ValueError(
      f'{path} holds an array of shape {found}, expected {shape}: it belongs to another data set'
    )
  if len(content) != header + math.prod(shape):
    more = ' or more' * (len(content) > header + math.prod(shape))
    raise ValueError(
      f'{path} has {len(content):,} bytes{more}, expected {header + math.prod(shape):,}: fetch it again'
    )
  return np.frombuffer(content, np.uint8, offset=header).reshape(shape), content


def find(folder, name):
  """The path of NAME, NAME.gz or their older spelling (train-images.idx3-ubyte)."""
  older = name.replace('-idx', '.idx')
  for candidate in (name, f'{name}.gz', older, f'{older}.gz'):
    if (pathlib.Path(folder) / candidate).is_file():
      return pathlib.Path(folder) / candidate
  raise FileNotFoundError(
    f'{pathlib.Path(folder) / name} is missing (with or without .gz): put it there'
  )


def unpacked(path, *, most):
  """The bytes of a file, unpacked where it is gzip; of more than `most` the first ones and one
  more, however many there are.
  """
  with path.open('rb') as file:
    packed = file.read(2) == b'\x1f\x8b'
  try:
    with (gzip.open if packed else open)(path, 'rb') as file:
      return file.read(most + 1)
  except (OSError, EOFError, zlib.error) as error:
    raise ValueError(f'{path} is not a sound gzip file ({error}): fetch it again') from error
