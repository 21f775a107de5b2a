"""Ctrl-C and SIGTERM as something to heed at the next good moment."""

import contextlib
import signal
import threading


@contextlib.contextmanager
def stop_signals():
  """Yields a list that each SIGTERM or Ctrl-C fills, so that what is in hand ends and is saved.

  Where one such block stands within another, as a run within a sweep, both hear it: the run may
    have ended just then.
  Python allows signal handlers in the main thread alone: in another thread the list stays empty.
  """
  if threading.current_thread() is not threading.main_thread():
    yield []
    return
  heard, before = [], {}

  def hear(number, frame):
    heard.append(number)
    if getattr(before[number], 'heeded', False):
      before[number](number, frame)

  hear.heeded = True
  for number in (signal.SIGTERM, signal.SIGINT):
    before[number] = signal.signal(number, hear)
  try:
    yield heard
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)
