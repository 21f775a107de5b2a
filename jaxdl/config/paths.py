"""Paths that several packages need: the user's cache folder, and the files of packed runs."""

import os
import pathlib
import re

PACKED = '.zip'
ADDRESS = re.compile(r'[a-z][a-z0-9+.-]+://', re.IGNORECASE)  # a drive of Windows is one letter


def cache(name: str) -> pathlib.Path:
  """A folder of jaxdl in the user's cache folder ($XDG_CACHE_HOME, else ~/.cache).

  Args:
    name: name of the folder, which may not exist.
  """
  base = pathlib.Path(os.environ.get('XDG_CACHE_HOME') or '~/.cache').expanduser()
  return base / 'jaxdl' / name


def is_address(place: str | os.PathLike) -> bool:
  """Whether a place is the address of an object store, such as s3://bucket/runs/cnn.

  A `pathlib.Path` is none, because it removes one of the two slashes.
  """
  return isinstance(place, str) and ADDRESS.match(place) is not None


def is_packed(path: str | os.PathLike) -> bool:
  """Whether a path is a packed run: a file whose name ends in .zip."""
  path = pathlib.Path(path)
  return path.suffix.lower() == PACKED and path.is_file()


def is_utf8(name: str | os.PathLike) -> bool:
  """Whether a name from the file system is valid UTF-8, so that it can be printed and written.

  Args:
    name: a path, or any other text.
  """
  return not any('\ud800' <= character <= '\udfff' for character in os.fspath(name))
