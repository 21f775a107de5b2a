"""Shows the address of a run in place of the path of its mirror."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any


class _Shown:
  """A text stream in which paths of a mirror are replaced by the address.

  Args:
    stream: the stream to which it writes; also an attribute.
    folder: path of the mirror.
    address: the address.
  """

  def __init__(self, stream: Any, folder: str, address: str):
    self.stream = stream
    self._folder, self._address = folder, address

  def write(self, text: str) -> int:
    self.stream.write(text.replace(self._folder, self._address))
    return len(text)

  def writelines(self, lines: Any) -> None:
    for line in lines:
      self.write(line)

  def __getattr__(self, name: str) -> Any:
    return getattr(self.stream, name)


@contextlib.contextmanager
def as_address(folder: str | os.PathLike, address: str) -> Iterator[None]:
  """Replaces a folder by an address in what the block prints and in the errors that it raises."""
  folder = os.fspath(folder)
  before = sys.stdout, sys.stderr
  sys.stdout, sys.stderr = (
    None if stream is None else _Shown(stream, folder, address) for stream in before
  )
  try:
    yield
  except Exception as error:
    error.args = tuple(
      part.replace(folder, address) if isinstance(part, str) else part for part in error.args
    )
    if isinstance(error, OSError) and isinstance(error.filename, str):
      error.filename = error.filename.replace(folder, address)
    raise
  finally:
    sys.stdout, sys.stderr = before
