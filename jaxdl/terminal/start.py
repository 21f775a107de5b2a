"""Start message of a command while its libraries are imported.

A command calls `begin` before its other imports; `command.run` calls `end`.
"""

import signal
import sys

STARTING = 'starting …'


def begin() -> None:
  """Shows a start message on a terminal; Ctrl-C ends the command without a traceback."""
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
