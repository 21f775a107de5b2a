"""Gives the tasks of a sweep to an engine, and repeats those whose worker dies."""

import abc
import contextlib
import dataclasses
import sys
from collections.abc import Callable, Sequence

from jaxdl.sweeps.tasks import Outcome, Task

RETRIES = 3  # times that a task is repeated after its worker died
POLL = 1.0  # seconds between two looks at the tasks


@dataclasses.dataclass(frozen=True)
class Died:
  """The worker of a task ended without an Outcome.

  Attributes:
    why: the engine's reason, one line.
  """

  why: str


class Engine(contextlib.AbstractContextManager):
  """What runs tasks in other processes or on other machines; used in a `with` block.

  Attributes:
    keeps_tasks: whether tasks go on without this process, as in the queue of SLURM.
  """

  keeps_tasks = False

  def __exit__(self, *error: object) -> None:
    return None

  def known(self) -> dict[str, list[str]]:
    """Tasks that an earlier session submitted and that have not ended: handle → their folders."""
    return {}

  @abc.abstractmethod
  def submit(self, tasks: Sequence[Task]) -> list[str]:
    """Submits tasks; returns their handles.

    Raises:
      ValueError, OSError: the engine refuses them; the message names the fix.
    """

  @abc.abstractmethod
  def ended(self, handles: Sequence[str], seconds: float) -> dict[str, Outcome | Died]:
    """The tasks that have ended, after at most a number of seconds."""

  @abc.abstractmethod
  def stop(self, handles: Sequence[str]) -> None:
    """Asks tasks to save their members and to end; `ended` returns them then.

    It is not called if the engine keeps tasks.
    """


@dataclasses.dataclass
class Result:
  """What became of the tasks of a sweep.

  Attributes:
    faults, damaged: as in Outcome.
    failed: folder of a member → why its task could not train it.
    stopped: whether a signal ended this process or a task.
    left: handles of the tasks that go on without this process.
  """

  faults: dict[str, str] = dataclasses.field(default_factory=dict)
  damaged: dict[str, str] = dataclasses.field(default_factory=dict)
  failed: dict[str, str] = dataclasses.field(default_factory=dict)
  stopped: bool = False
  left: list[str] = dataclasses.field(default_factory=list)


def run(
  engine: Engine,
  tasks: Sequence[Task],
  stop: list[int],
  *,
  known: dict[str, list[str]] | None = None,
  waits: bool = True,
  at_poll: Callable[[], object] = lambda: None,
) -> Result:
  """Runs tasks until all have ended, or a signal has stopped them.

  Args:
    engine: the engine, whose `with` block was entered.
    tasks: the tasks.
    stop: the signals received so far. The first stops the tasks, the second stops waiting for them.
    known: tasks of an earlier session to wait for, as returned by `Engine.known`. They are not
      repeated.
    waits: whether to wait for tasks that go on without this process.
    at_poll: called about every POLL seconds.
  """
  result, deaths, asked = Result(), {}, False
  waiting: dict[str, Task | list[str]] = dict(known or {})
  if waiting:
    print(f'waiting for jobs of an earlier start: {", ".join(waiting)}', flush=True)
  waiting |= _submitted(engine, tasks)
  while waiting:
    if engine.keeps_tasks and (stop or not waits):
      result.left = list(waiting)
      break
    if stop and not asked:
      print('stopping: every task saves its runs', flush=True)
      engine.stop(list(waiting))
      asked = True
    for handle, end in engine.ended(list(waiting), POLL).items():
      task = waiting.pop(handle)
      if isinstance(end, Outcome):
        _add(result, task, end)
      elif not asked:
        waiting |= _repeated(engine, result, task, end, deaths)
    if len(stop) > 1:
      break
    at_poll()
  result.stopped |= bool(stop)
  return result


def _submitted(engine, tasks) -> dict[str, Task]:
  return dict(zip(engine.submit(tasks), tasks, strict=True)) if tasks else {}


def _add(result, task, outcome):
  result.faults |= outcome.faults
  result.damaged |= outcome.damaged
  result.stopped |= outcome.stopped
  for folder, message in outcome.damaged.items():
    _report(f'{folder}: {message}')
  if outcome.error is not None:
    _fail(result, task, outcome.error)


def _repeated(engine, result, task, end, deaths) -> dict[str, Task]:
  """Submits a task again whose worker died; {} if it was one of an earlier session or too often."""
  if not isinstance(task, Task):
    _fail(result, task, f'its worker died ({end.why}): rerun the command')
    return {}
  number = deaths[task.label] = deaths.get(task.label, 0) + 1
  if number > RETRIES:
    _fail(result, task, f'its worker died {number} times, at last: {end.why}')
    return {}
  _report(f'the worker of {task.label} died ({end.why}): retry {number} of {RETRIES}')
  try:
    return _submitted(engine, [task])
  except (OSError, ValueError) as error:  # the other tasks continue
    _fail(result, task, str(error))
    return {}


def _fail(result, task, why):
  folders = task.folders if isinstance(task, Task) else task
  name = task.label if isinstance(task, Task) else ', '.join(folders)
  log = f': {task.log} has its output' if isinstance(task, Task) else ''
  result.failed |= dict.fromkeys(folders, why)
  _report(f'{name} is not trained: {why}{log}')


def _report(line: str) -> None:
  print(f'jaxdl: {line}', file=sys.stderr, flush=True)
