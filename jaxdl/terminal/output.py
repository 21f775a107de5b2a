"""Standard output and standard error that cannot end a training."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any


class _Unfailing:
  """A text stream; after its first error, what is written to it is discarded.

  Args:
    stream: the stream; None if the process has none.
    name: its name for the warning; '' for no warning.
  """

  def __init__(self, stream: Any, name: str):
    self._stream = stream or _nowhere()
    self._name = name

  def write(self, text: str) -> int:
    self._attempt('write', text)
    return len(text)

  def writelines(self, lines: Any) -> None:
    self._attempt('writelines', lines)

  def flush(self) -> None:
    self._attempt('flush')

  def __getattr__(self, name: str) -> Any:
    return getattr(self._stream, name)

  def _attempt(self, method, *arguments):
    try:
      getattr(self._stream, method)(*arguments)
    except (OSError, ValueError) as error:  # ValueError: it is closed
      failed, self._stream = self._stream, _nowhere()
      with contextlib.suppress(OSError, ValueError, AttributeError):
        # What it still holds is written when Python exits, which would fail again.
        os.dup2(self._stream.fileno(), failed.fileno())
      if self._name:
        why = getattr(error, 'strerror', None) or str(error)
        print(f'warning: {self._name} left out: {why}', file=sys.stderr, flush=True)


def _nowhere():
  return open(os.devnull, 'w', encoding='utf-8')  # noqa: SIM115 (used until the process ends)


@contextlib.contextmanager
def unfailing() -> Iterator[None]:
  """Discards standard output and error in the `with` block after they can no longer be written.

  Examples are the closed pipe of `head`, the terminal of a lost connection and a full disk. One
  warning on standard error names the reason.
  """
  before = sys.stdout, sys.stderr
  sys.stdout, sys.stderr = _Unfailing(sys.stdout, 'standard output'), _Unfailing(sys.stderr, '')
  try:
    yield
  finally:
    sys.stdout, sys.stderr = before
