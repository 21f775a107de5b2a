"""Start message of a command while its libraries are imported.

A command calls `begin` before its other imports; `command.run` calls `end`.
"""

import os
import signal
import sys

STARTING = 'starting …'


def begin() -> None:
  """Shows a start message on a terminal; Ctrl-C ends the command without a traceback."""
  _open_closed_streams()
  if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing to save yet
  if sys.stderr.isatty():
    print(STARTING, end='\r', file=sys.stderr, flush=True)


def end() -> None:
  """Clears the message of `begin`; Ctrl-C raises KeyboardInterrupt again."""
  if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
    signal.signal(signal.SIGINT, signal.default_int_handler)
  if sys.stderr.isatty():
    print(' ' * len(STARTING), end='\r', file=sys.stderr, flush=True)


def _open_closed_streams():
  """Opens the null device for each standard stream that was closed when the process started.

  Without this, a file of the run could get the number of a closed stream, and what a library writes
  to the stream would get into the file.
  """
  for number in range(3):
    try:
      os.fstat(number)
    except OSError:
      os.open(os.devnull, os.O_RDWR)  # the lowest free number
  for name in ('stdout', 'stderr'):
    if getattr(sys, name) is None:
      setattr(sys, name, open(os.devnull, 'w', encoding='utf-8'))  # noqa: SIM115
