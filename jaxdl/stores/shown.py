"""Shows the address of a run in place of the path of its mirror."""

import contextlib
import os
import sys
from collections.abc import Iterator

from jaxdl.config import paths, streams


@contextlib.contextmanager
def as_address(folder: str | os.PathLike, address: str) -> Iterator[None]:
  """Replaces a folder by an address in what the block prints and in the errors that it raises.

  `paths.shown` does it for the texts that the block writes into files.
  """
  before = sys.stdout, sys.stderr
  sys.stdout, sys.stderr = (
    None if stream is None else streams.Changed(stream, paths.with_addresses) for stream in before
  )
  with paths.shown_as(folder, address):
    try:
      yield
    except Exception as error:
      error.args = tuple(
        paths.with_addresses(part) if isinstance(part, str) else part for part in error.args
      )
      if isinstance(error, OSError) and isinstance(error.filename, str):
        error.filename = paths.with_addresses(error.filename)
      raise
    finally:
      sys.stdout, sys.stderr = before
