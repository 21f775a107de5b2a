"""Side outputs of a run, such as pictures; their errors become warnings and training continues."""

import os
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

from jaxdl.terminal.errors import is_out_of_memory

LONGEST = 300  # characters of a reason


class SideOutputs:
  """Calls functions that training does not depend on: pictures, TensorBoard files, the report.

  The first exception of an output prints one warning on standard error; from then on, that output
  is skipped. KeyboardInterrupt and SystemExit are raised as usual. JAXDL_TRACEBACK=1 adds the
  traceback.
  """

  def __init__(self) -> None:
    self._failed, self._lock = set(), threading.Lock()

  def attempt(self, name: str, function: Callable, *arguments: Any) -> Any:
    """Calls a function, unless an earlier call with the same name failed. Thread-safe.

    Args:
      name: name of the output, for the warning.
      function: called with the arguments.
      *arguments: arguments of the function.

    Returns:
      The function's result, or None if it failed or is skipped.
    """
    if name in self._failed:
      return None
    try:
      return function(*arguments)
    except Exception as error:
      self._warn(name, error)
      return None

  def _warn(self, name, error):
    with self._lock:
      if name in self._failed:
        return
      self._failed.add(name)
    print(f'warning: {name} left out: {reason(error)}', file=sys.stderr, flush=True)
    if os.environ.get('JAXDL_TRACEBACK'):
      traceback.print_exception(error)


def reason(error: BaseException) -> str:
  """The first line of an exception's message, preceded by its type if it is not meant for users.

  Args:
    error: the exception.
  """
  lines = str(error).strip().splitlines()
  first = lines[0] if lines else ''
  if len(first) > LONGEST:
    first = f'{first[:LONGEST]}…'
  if isinstance(error, (ValueError, OSError)) and first:
    return first
  name = 'out of memory' if is_out_of_memory(error) else type(error).__name__
  return f'{name}: {first}' if first else name
