"""Several processes that train one run: how they find each other, which one writes, and what they
agree on.

Process 0 alone reads and writes the run's folder and speaks; it hands what it read to the others.
Where one of them dies, JAX ends the others.
"""

import atexit
import contextlib
import os
import socket
import sys
import time

import jax
import numpy as np

SILENCE = 30  # seconds without a sign of life after which a process counts as dead
PATIENCE = 300  # seconds in which all processes must have come


@contextlib.contextmanager
def joined(coordinator, processes=None, process=None):
  """Makes this process one of several inside the `with` block; without a coordinator it stays
  alone.

  Args:
    coordinator: 'HOST:PORT' of process 0, 'auto' where the cluster says who they are (SLURM, a TPU
      slice, Kubernetes, Open MPI), or None.
    processes: int, how many there are; not for 'auto'.
    process: int, which one this is, from 0; not for 'auto'.

  Raises:
    ValueError: an impossible combination.
    OSError: the others cannot be found.
  """
  _check(coordinator, processes, process)
  if coordinator is None:
    yield
    return
  ended_well = []
  atexit.register(lambda: ended_well or _leave())  # after JAX's own, so that it runs before it
  _initialize(coordinator, processes, process)
  with (
    open(os.devnull, 'w') as nowhere,
    contextlib.redirect_stdout(sys.stdout if is_first() else nowhere),
  ):
    yield
  ended_well.append(True)


def _leave():
  """Ends a process that failed at once: JAX would wait for the others, which wait for this one."""
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
  waits = dict(initialization_timeout=PATIENCE, heartbeat_timeout_seconds=SILENCE)
  if coordinator == 'auto':
    try:
      jax.distributed.initialize(**waits)
    except (ValueError, RuntimeError) as error:
      raise OSError(
        f'--coordinator=auto found no cluster ({error}): give --coordinator=HOST:PORT, --processes and '
        '--process'
      ) from error
    return
  if process:
    _wait_for(coordinator)
  try:
    jax.distributed.initialize(coordinator, processes, process, **waits)
  except RuntimeError as error:
    raise OSError(
      f'--coordinator={coordinator} cannot be used ({str(error).partition(chr(10))[0]}): '
      'give a free port of process 0'
    ) from error


def _wait_for(coordinator):
  """Returns once process 0 answers, for JAX would abort with a trace."""
  host, _, port = coordinator.rpartition(':')
  end = time.monotonic() + PATIENCE
  while True:
    try:
      socket.create_connection((host, int(port)), timeout=5).close()
      return
    except OSError as error:
      if time.monotonic() > end:
        raise OSError(
          f'process 0 does not answer at {coordinator} ({error}): start it, or correct --coordinator'
        ) from error
      time.sleep(0.2)


def is_first():
  """Whether this process is the one that reads and writes the run's folder."""
  return jax.process_index() == 0


def min_over_processes(number):
  """The smallest of the whole numbers that the processes give; all of them must ask."""
  if jax.process_count() == 1:
    return number
  from jax.experimental import multihost_utils

  return int(multihost_utils.process_allgather(np.int32(number)).min())


def on_first_process(function):
  """Calls a function in the first process, while the others wait.

  Returns:
    what it returns in the first process, None in the others.

  Raises:
    what it raises there, and OSError in the others.
  """
  try:
    found = function() if is_first() else None
  except Exception:
    min_over_processes(0)
    raise
  if not min_over_processes(1):
    raise OSError('the first process cannot go on: its own message says why')
  return found


def broadcast_from_first(function, like):
  """What a function returns in the first process, to the bit, in all of them.

  Args:
    function: () → tree of arrays; called in the first process alone.
    like: tree of arrays of the same shapes and types.

  Returns:
    tree of arrays.

  Raises:
    as `alone`.
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
  packed = np.asarray(
    multihost_utils.broadcast_one_to_all(packed)
  )  # bytes: a sum would turn −0 into 0
  edges = np.cumsum([leaf.nbytes for leaf in leaves])[:-1]
  parts = np.split(packed, edges)
  return structure.unflatten(
    [part.view(leaf.dtype).reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)]
  )
