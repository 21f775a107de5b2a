"""Tasks on Ray: a cluster of this machine's cores by itself, or a cluster with an address."""

import logging
import os
import socket
from collections.abc import Sequence
from typing import Any

from jaxdl.sweeps import tasks
from jaxdl.sweeps.dispatch import Died, Engine
from jaxdl.sweeps.tasks import Outcome, Task

# For a cluster by itself, read when Ray is imported or started: no usage statistics are sent, and
# every port is that of 127.0.0.1, in spite of the name of the second one.
LOCAL = {'RAY_USAGE_STATS_ENABLED': '0', 'RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER': '0'}
OBJECTS = 80_000_000  # bytes for objects that tasks share, of which these have none
ANSWER = 10  # seconds in which a cluster must answer
OF_A_NODE = {'CPU': 'cores', 'GPU': 'GPUs'}


class RayEngine(Engine):
  """Runs tasks on Ray; see `dispatch.Engine`.

  Args:
    cpus: cores of a task; None for all cores of the smallest node that has its GPUs.
    gpus: GPUs of a task.
    address: address of a cluster, such as '10.0.0.1:6379'; None for one on this machine.
  """

  def __init__(self, *, cpus: int | None, gpus: int, address: str | None) -> None:
    self._cpus, self._gpus, self._address = cpus, gpus, address
    self._tasks: dict[str, Any] = {}  # handle → its object reference
    self._stopping = False
    self._count = 0

  def __enter__(self) -> 'RayEngine':
    _start(self._address)
    try:
      import ray  # pyright: ignore[reportMissingImports]

      cores = _fitting_cores(_nodes(ray), self._cpus, self._gpus, self._address)
      options: Any = {'num_cpus': cores, 'num_gpus': self._gpus, 'max_retries': 0, 'max_calls': 1}
      self._train: Any = ray.remote(**options)(tasks.train)
    except BaseException:
      _shut_down()
      raise
    return self

  def __exit__(self, *error: object) -> None:
    _shut_down()

  def submit(self, tasks: Sequence[Task]) -> list[str]:
    handles = []
    for task in tasks:
      self._count += 1
      handles.append(str(self._count))
      self._tasks[handles[-1]] = self._train.options(name=task.label).remote(task)
    return handles

  def ended(self, handles: Sequence[str], seconds: float) -> dict[str, Outcome | Died]:
    import ray  # pyright: ignore[reportMissingImports]

    of_task = {self._tasks[handle]: handle for handle in handles}
    done, _ = ray.wait(list(of_task), num_returns=len(of_task), timeout=seconds)
    return {of_task[one]: self._outcome(one) for one in done}

  def stop(self, handles: Sequence[str]) -> None:
    import ray  # pyright: ignore[reportMissingImports]

    self._stopping = True
    for handle in handles:
      ray.cancel(self._tasks[handle])  # SIGINT, which `tasks.train` records

  def _outcome(self, reference):
    import ray  # pyright: ignore[reportMissingImports]
    from ray import exceptions  # pyright: ignore[reportMissingImports]

    try:
      outcome: Any = ray.get(reference)
    except exceptions.TaskCancelledError:
      return Outcome(stopped=True)
    except exceptions.RayTaskError as error:  # such as a worker without jaxdl
      lines = str(error).strip().splitlines()
      return Outcome(error=f'{lines[-1]} (on a worker of Ray: install jaxdl there)')
    except exceptions.RayError as error:
      return Died(str(error).partition('\n')[0].partition('. ')[0])
    if outcome.stopped and not self._stopping:
      return Died('it received a signal')  # such as the end of its machine
    return outcome


def _start(address: str | None) -> None:
  """Starts a cluster, or connects to one; ConnectionError if there is none."""
  if address is None:
    os.environ.update(LOCAL)
  import ray  # pyright: ignore[reportMissingImports]

  quiet: dict[str, Any] = {'log_to_driver': False, 'logging_level': logging.ERROR}
  if address is None:
    ray.init('local', include_dashboard=False, object_store_memory=OBJECTS, **quiet)
    return
  try:
    _check_answers(address)
    ray.init(address, **quiet)
  except (OSError, RuntimeError, ValueError) as error:
    _shut_down()
    first = str(error).strip().partition('\n')[0]
    raise ConnectionError(
      f'--address={address}: no Ray cluster can be used there ({first}): start one with ray start '
      '--head, set RAY_AUTH_MODE=token if it has a token, or leave out --address'
    ) from None


def _check_answers(address: str) -> None:
  """Connects to HOST:PORT once, because Ray itself waits for minutes.

  Raises:
    OSError: nothing answers there.
    ValueError: the address has no port.
  """
  if address == 'auto':  # what ray start has started on this machine
    return
  host, _, port = address.rpartition('://')[2].rpartition(':')
  if not (host and port.isdecimal()):
    raise ValueError('it is not HOST:PORT')
  socket.create_connection((host.strip('[]'), int(port)), timeout=ANSWER).close()


def _shut_down():
  import ray  # pyright: ignore[reportMissingImports]

  ray.shutdown()


def _nodes(ray: Any) -> list[dict[str, int]]:
  """For each node, its number of 'CPU' and 'GPU'."""
  return [
    {name: int(node['Resources'].get(name, 0)) for name in OF_A_NODE}
    for node in ray.nodes()
    if node['Alive']
  ]


def _fitting_cores(
  nodes: Sequence[dict[str, int]], cpus: int | None, gpus: int, address: str | None
) -> int:
  """The cores of each task.

  Args:
    nodes: for each node, its number of 'CPU' and 'GPU'.
    cpus, gpus: what each task asks for.
    address: address of the cluster.

  Raises:
    ValueError: no node has that much.
  """
  able = [node for node in nodes if node['GPU'] >= gpus and node['CPU'] >= (cpus or 1)]
  if not able:
    asked = _counted(cpus or 1, gpus)
    has = '; '.join(_counted(node['CPU'], node['GPU']) for node in nodes)
    flags = f'--cpus={cpus or 1}' + (f' --gpus={gpus}' if gpus else '')
    where = f'the Ray cluster at {address}' if address else 'this machine'
    raise ValueError(
      f'{flags}: a group asks for {asked} of one node, but the nodes of {where} have '
      f'{has or "none"}: ask for less'
    )
  if cpus:
    return cpus
  # a node's cores are shared by the tasks that its GPUs can hold
  return min(max(node['CPU'] * gpus // node['GPU'] if gpus else node['CPU'], 1) for node in able)


def _counted(cores, gpus):
  """'2 cores and 1 GPU'."""
  parts = [f'{cores} core{"" if cores == 1 else "s"}', f'{gpus} GPU{"" if gpus == 1 else "s"}']
  return ' and '.join(parts)
