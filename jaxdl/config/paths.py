"""Paths that several packages need: the user's cache folder, and the files of packed runs."""

import contextlib
import os
import pathlib
import re
from collections.abc import Iterator
from typing import TypeGuard

PACKED = '.zip'
ADDRESS = re.compile(r'[a-z][a-z0-9+.-]+://', re.IGNORECASE)  # a drive of Windows is one letter
_addresses: dict[str, str] = {}  # local copy of what is at an address → the address


def cache(name: str) -> pathlib.Path:
  """A folder of jaxdl in the user's cache folder ($XDG_CACHE_HOME, else ~/.cache).

  Args:
    name: name of the folder, which may not exist.
  """
  base = pathlib.Path(os.environ.get('XDG_CACHE_HOME') or '~/.cache').expanduser()
  return base / 'jaxdl' / name


def is_address(place: object) -> TypeGuard[str]:
  """Whether a place is the address of an object store, such as s3://bucket/runs/cnn.

  A `pathlib.Path` is none, because it removes one of the two slashes.
  """
  return isinstance(place, str) and ADDRESS.match(place) is not None


def absolute(place: str | os.PathLike) -> str:
  """The absolute path of a place, '~' being the home folder; an address, also for a copy of it."""
  if is_address(place):
    return os.fspath(place)
  return shown(os.path.abspath(os.path.expanduser(place)))


def name_as(folder: str | os.PathLike, address: str) -> None:
  """Names a local folder or file by the address of which it is a copy, until the process ends."""
  _addresses[os.fspath(folder)] = address


@contextlib.contextmanager
def shown_as(folder: str | os.PathLike, address: str) -> Iterator[None]:
  """Names a local folder by the address of which it is a copy, inside the `with` block."""
  name_as(folder, address)
  try:
    yield
  finally:
    _addresses.pop(os.fspath(folder), None)


def shown(place: str | os.PathLike) -> str:
  """How a command names a place: by its path, or by its address if it is in a local copy."""
  return with_addresses(os.fspath(place))


def with_addresses(text: str) -> str:
  """A text with addresses in place of the paths of their local copies."""
  for folder, address in _addresses.items():
    text = text.replace(folder, address)
  return text


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
