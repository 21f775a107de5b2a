"""The first seconds of a command, while its libraries are imported.

A command calls `begin` before its other imports; `command.run` calls `end`.
"""

import signal
import sys

STARTING = 'starting …'


def begin() -> None:
  """Shows on a terminal that the command starts, and lets a Ctrl-C end it without a traceback."""
  if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # there is nothing to save yet
  if sys.stderr.isatty():
    print(STARTING, end='\r', file=sys.stderr, flush=True)


def end() -> None:
  """Clears the line that `begin` shows; a Ctrl-C is an exception again."""
  if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
    signal.signal(signal.SIGINT, signal.default_int_handler)
  if sys.stderr.isatty():
    print(' ' * len(STARTING), end='\r', file=sys.stderr, flush=True)
