"""Signal handling: Ctrl-C and SIGTERM are recorded, and training stops at the next step."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any


class _Handler:
  """Signal handler that records signals and forwards them to an outer `_Handler`."""

  def __init__(self, received: list[int]):
    self.received = received
    self.before: dict[int, Any] = {}

  def __call__(self, number: int, frame: FrameType | None) -> None:
    self.received.append(number)
    if isinstance(self.before[number], _Handler):
      self.before[number](number, frame)


@contextlib.contextmanager
def stop_signals() -> Iterator[list[int]]:
  """Records SIGTERM and Ctrl-C inside the `with` block instead of ending the process.

  Blocks may be nested, such as a run in a sweep; each block records the signal.
  Python allows signal handlers only in the main thread. In other threads the list stays empty.

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
