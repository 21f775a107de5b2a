"""jaxdl: train a small network and look inside it, repeatable to the bit."""

import signal
import sys

from jaxdl.devices import compiler

STARTING = 'starting …'

if sys.argv[:1] == [
  '-m'
]:  # `python -m jaxdl.…`, whose libraries take some seconds to import; `command.run` ends both
  if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(
      signal.SIGINT, signal.SIG_DFL
    )  # a Ctrl-C has nothing to save yet, and needs no traceback
  if sys.stderr.isatty():
    print(STARTING, end='\r', file=sys.stderr, flush=True)

compiler.set_flags()  # before JAX starts: it reads them once
