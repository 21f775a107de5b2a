"""Checks that data fit into memory before they are allocated."""

import contextlib
import errno
import os
import pathlib
import struct
import zipfile
import zlib
from collections.abc import Iterator

import numpy as np
import psutil


def check(size: int, what: str) -> None:
  """Checks that data fit into the memory of the machine.

  Args:
    size: bytes.
    what: the beginning of the message, such as 'config.data.size=4000'.

  Raises:
    ValueError: `size` is larger than the memory of the machine.
  """
  _compare(size, psutil.virtual_memory().total, what, 'has')


def check_file(size: int, file: str | os.PathLike) -> None:
  """Checks that the content of a file fits into the free memory.

  A small file may unpack to any size, or may state any size in its header.

  Args:
    size: bytes of the content in memory.
    file: path of the file, for the message.

  Raises:
    ValueError: `size` is larger than the free memory.
  """
  _compare(size, psutil.virtual_memory().available, str(file), 'has free')


def check_zip(file: str | os.PathLike) -> None:
  """Checks that the content of a zip file, such as .npz or .keras, fits into the free memory.

  Args:
    file: path of the file.

  Raises:
    ValueError: the content is larger, or the file is not a zip file.
  """
  try:
    with reading_zip(), zipfile.ZipFile(file) as archive:
      size = sum(member.file_size for member in archive.infolist())
  except (zipfile.BadZipFile, ValueError) as error:
    kind = pathlib.Path(file).suffix or 'zip'
    raise ValueError(f'{file} is not a {kind} file ({error}): save it again') from error
  check_file(size, file)


@contextlib.contextmanager
def reading_zip() -> Iterator[None]:
  """Raises zipfile.BadZipFile for every error that zipfile raises for a damaged file."""
  try:
    yield
  except (zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError) as error:
    raise zipfile.BadZipFile(str(error) or type(error).__name__) from error
  except OSError as error:
    if error.errno != errno.EINVAL:  # not a place before the start of the file
      raise
    raise zipfile.BadZipFile('a member is at an invalid place') from error


def load_arrays(file: str | os.PathLike) -> dict[str, np.ndarray]:
  """Reads an .npz file without Python objects, if its content fits into the free memory.

  Args:
    file: path of the file.

  Returns:
    Name → array.

  Raises:
    ValueError: the content is larger, or the file cannot be read; the message names the file.
  """
  check_zip(file)
  try:
    with np.load(file, allow_pickle=False) as found:
      return {name: found[name] for name in found.files}
  except Exception as error:  # NumPy, zipfile, zlib and others
    reason = str(error).partition('\n')[0] or type(error).__name__
    raise ValueError(f'{file} cannot be read as arrays ({reason}): write it again') from error


def _compare(size, limit, what, has):
  if size > limit:
    raise ValueError(
      f'{what} needs {size // 10**9:,} GB and the machine {has} {limit // 10**9:,}: make it smaller'
    )
