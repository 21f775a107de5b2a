"""Paths that several packages need: the user's cache folder, and the files of packed runs."""

import os
import pathlib

PACKED = '.zip'


def cache(name: str) -> pathlib.Path:
  """A folder of jaxdl in the user's cache folder ($XDG_CACHE_HOME, else ~/.cache).

  Args:
    name: name of the folder, which may not exist.
  """
  base = pathlib.Path(os.environ.get('XDG_CACHE_HOME') or '~/.cache').expanduser()
  return base / 'jaxdl' / name


def is_packed(path: str | os.PathLike) -> bool:
  """Whether a path is a packed run: a file whose name ends in .zip."""
  path = pathlib.Path(path)
  return path.suffix.lower() == PACKED and path.is_file()
