"""Text on a terminal: names from files cannot send commands to it."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from jaxdl.config import streams

# Characters that a terminal executes, except tab and line ends, and those that reverse text.
CONTROL = [*range(0x09), *range(0x0B, 0x0D), *range(0x0E, 0x20), *range(0x7F, 0xA0)]
DIRECTION = [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]
ESCAPES = {code: ascii(chr(code))[1:-1] for code in (*CONTROL, *DIRECTION)}


def printable(text: str) -> str:
  """Escapes the control characters of a text, such as ESC as '\\x1b'."""
  return text.translate(ESCAPES)


@contextlib.contextmanager
def escaped() -> Iterator[None]:
  """Escapes what the block prints, where standard output or standard error is a terminal."""
  before = sys.stdout, sys.stderr
  sys.stdout, sys.stderr = (
    streams.Changed(stream, printable) if stream is not None and stream.isatty() else stream
    for stream in before
  )
  try:
    yield
  finally:
    sys.stdout, sys.stderr = before


def progress_bar(*columns: Any, **keywords: Any) -> Any:
  """A progress bar, which moves the cursor; other output is printed above it.

  Args:
    *columns: columns of rich. Those of text get `markup=False`.
    **keywords: keyword arguments of rich.progress.Progress.

  Returns:
    The rich.progress.Progress, which is not started; it is also a context manager.
  """
  from rich import console, progress

  target = console.Console(file=getattr(sys.stdout, 'stream', sys.stdout))
  return progress.Progress(*columns, console=target, **keywords)
