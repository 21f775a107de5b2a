"""Signals: Ctrl-C and SIGTERM are noted, and training stops at the next step."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any


class _Handler:
  """A signal handler that notes signals and passes them on to a handler of the same kind."""

  def __init__(self, received: list[int]):
    self.received = received
    self.before: dict[int, Any] = {}

  def __call__(self, number: int, frame: FrameType | None) -> None:
    self.received.append(number)
    if isinstance(self.before[number], _Handler):
      self.before[number](number, frame)


@contextlib.contextmanager
def stop_signals() -> Iterator[list[int]]:
  """Notes SIGTERM and Ctrl-C inside the `with` block instead of ending the process.

  Blocks may be nested, as a run's in a sweep's: each of them notes the signal. Python allows signal
  handlers in the main thread only; in another thread the list stays empty.

  Yields:
    The numbers of the signals received so far.
  """
  received: list[int] = []
  if threading.current_thread() is not threading.main_thread():
    yield received
    return
  handler = _Handler(received)
  for number in (signal.SIGTERM, signal.SIGINT):
    handler.before[number] = signal.signal(number, handler)
  try:
    yield received
  finally:
    for number, previous in handler.before.items():
      signal.signal(number, previous)
