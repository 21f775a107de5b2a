"""Side outputs of a run, such as pictures; their errors become warnings and training continues."""

import concurrent.futures
import os
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

from jaxdl.terminal.errors import is_out_of_memory

LONGEST = 300  # characters of a reason
LIMIT = 60.0  # seconds that an output may take


class SideOutputs:
  """Calls functions that training does not depend on: pictures, TensorBoard files, the report.

  The first exception of an output prints one warning on standard error; from then on, that output
  is skipped. The same happens if it takes more than LIMIT seconds: training does not wait longer,
  and the thread of the output is abandoned. KeyboardInterrupt and SystemExit are raised as usual.
  JAXDL_TRACEBACK=1 adds the traceback.

  Args:
    patience: factor of LIMIT.
  """

  def __init__(self, patience: float = 1.0) -> None:
    self._patience = patience
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
      return _within(self._patience * LIMIT, function, arguments)
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


def _within(limit, function, arguments):
  """The result of a function; raises TimeoutError if it takes more than `limit` seconds."""
  call = concurrent.futures.Future()

  def run():
    try:
      call.set_result(function(*arguments))
    except BaseException as error:  # raised again by call.result()
      call.set_exception(error)

  threading.Thread(target=run, daemon=True).start()  # a hanging thread does not delay the exit
  if not concurrent.futures.wait([call], limit).done:
    raise TimeoutError(f'it did not finish within {limit:g} seconds')
  return call.result()


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
