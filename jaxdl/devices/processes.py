"""Several processes that train one run: how they connect, and how they exchange values.

Only process 0 reads and writes the run's folder and prints; it sends the values it reads to the
others. If one process dies, JAX ends the others.
"""

import atexit
import contextlib
import functools
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
import numpy as np

SILENCE = 30  # seconds without a heartbeat after which a process counts as dead
PATIENCE = 300  # seconds in which all processes must have connected
Result = TypeVar('Result')


@contextlib.contextmanager
def joined(
  coordinator: str | None, processes: int | None = None, process: int | None = None
) -> Iterator[None]:
  """Connects this process with the others inside the `with` block.

  Args:
    coordinator: 'HOST:PORT' of process 0; 'auto' if the cluster provides the addresses (SLURM, a
      TPU slice, Kubernetes, Open MPI); or None for a single process.
    processes: number of processes; not with 'auto'.
    process: number of this process, from 0; not with 'auto'.

  Raises:
    ValueError: the combination is impossible.
    OSError: the other processes cannot be reached.
  """
  _check(coordinator, processes, process)
  if coordinator is None:
    yield
    return
  ended_well = []
  # Registered after JAX's function, so that it runs before it.
  atexit.register(lambda: ended_well or _leave())
  _initialize(coordinator, processes, process)
  with (
    open(os.devnull, 'w', encoding='utf-8') as nowhere,
    contextlib.redirect_stdout(sys.stdout if is_first() else nowhere),
  ):
    yield
  ended_well.append(True)


def _leave():
  """Ends a failed process at once: JAX would wait for the others, which wait for this one."""
  sys.stdout.flush()
  sys.stderr.flush()
  os._exit(1)


def _check(coordinator, processes, process):
  numbers = [number is not None for number in (processes, process)]
  if coordinator in (None, 'auto'):
    if any(numbers):
      raise ValueError(
        '--processes and --process belong to --coordinator=HOST:PORT: give the address of process 0'
      )
    return
  host, _, port = coordinator.rpartition(':')
  if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
    raise ValueError(
      f'--coordinator={coordinator} is not an address: write HOST:PORT of process 0, or auto'
    )
  if not all(numbers):
    raise ValueError(
      '--coordinator=HOST:PORT needs --processes=N and --process=I, I from 0 to N - 1'
    )
  if not 0 <= process < processes:
    raise ValueError(
      f'--process={process} is not one of --processes={processes}: use 0 to {processes - 1}'
    )


def _initialize(coordinator, processes, process):
  initialize = functools.partial(
    jax.distributed.initialize,
    initialization_timeout=PATIENCE,
    heartbeat_timeout_seconds=SILENCE,
  )
  if coordinator == 'auto':
    try:
      initialize()
    except (ValueError, RuntimeError) as error:
      raise OSError(
        f'--coordinator=auto found no cluster ({error}): give --coordinator=HOST:PORT, '
        '--processes and --process'
      ) from error
    return
  if process:
    _wait_for(coordinator)
  try:
    initialize(coordinator, processes, process)
  except RuntimeError as error:
    reason = str(error).partition('\n')[0]
    raise OSError(
      f'--coordinator={coordinator} cannot be used ({reason}): give a free port of process 0'
    ) from error


def _wait_for(coordinator):
  """Waits until process 0 answers, because JAX would abort with a traceback."""
  host, _, port = coordinator.rpartition(':')
  end = time.monotonic() + PATIENCE
  while True:
    try:
      socket.create_connection((host, int(port)), timeout=5).close()
      return
    except OSError as error:
      if time.monotonic() > end:
        raise OSError(
          f'process 0 does not answer at {coordinator} ({error}): '
          'start it, or correct --coordinator'
        ) from error
      time.sleep(0.2)


def is_first() -> bool:
  """Whether this is process 0, which reads and writes the run's folder."""
  return jax.process_index() == 0


def min_over_processes(number: int) -> int:
  """Minimum over all processes (a collective call).

  Args:
    number: this process's integer.
  """
  if jax.process_count() == 1:
    return number
  from jax.experimental import multihost_utils

  return int(multihost_utils.process_allgather(np.int32(number)).min())


def on_first_process(function: Callable[[], Result]) -> Result | None:
  """Calls a function in the first process, while the others wait (a collective call).

  Args:
    function: called without arguments.

  Returns:
    The function's result in the first process, None in the others.

  Raises:
    Exception: the function's exception in the first process.
    OSError: the function failed, in the other processes.
  """
  try:
    found = function() if is_first() else None
  except Exception:
    min_over_processes(0)
    raise
  if not min_over_processes(1):
    raise OSError('the first process failed: see its own message')
  return found


def broadcast_from_first(function: Callable[[], Any], like: Any) -> Any:
  """Sends a function's result from the first process to all, bit by bit (a collective call).

  Args:
    function: () → tree of arrays; called in the first process only.
    like: tree of arrays of the same shapes and types.

  Returns:
    The function's result.

  Raises:
    Exception, OSError: as in `on_first_process`.
  """
  found = on_first_process(function)
  if jax.process_count() == 1:
    return found
  from jax.experimental import multihost_utils

  leaves, structure = jax.tree.flatten(jax.device_get(found if is_first() else like))
  leaves = [np.asarray(leaf) for leaf in leaves]
  packed = np.concatenate(
    [np.ascontiguousarray(leaf).reshape(-1).view(np.uint8) for leaf in leaves]
    or [np.zeros(0, np.uint8)]
  )
  # Bytes are sent, because the sum that broadcasts would turn −0 into 0.
  packed = np.asarray(multihost_utils.broadcast_one_to_all(packed))
  edges = np.cumsum([leaf.nbytes for leaf in leaves])[:-1]
  parts = np.split(packed, edges)
  return structure.unflatten(
    [part.view(leaf.dtype).reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)]
  )
