"""A group of members as a task for another process: what it is given, and how it is trained there.

The process trains the group with the code of a sweep in one process, into the same folders.
"""

import contextlib
import dataclasses
import pathlib
import platform
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from typing import Any

from jaxdl import stores
from jaxdl.config import named
from jaxdl.devices import parallel
from jaxdl.sweeps.members import Member
from jaxdl.sweeps.training import Trainer
from jaxdl.terminal import command
from jaxdl.terminal.errors import is_out_of_memory
from jaxdl.terminal.signals import stop_signals

LOGS = 'logs'  # folder of a sweep with the output of its tasks


@dataclasses.dataclass(frozen=True)
class Task:
  """A group of members for another process; plain data that can be pickled.

  Attributes:
    members: the members. Own code in their configs is named by its absolute path.
    code: for each member, file of its own code → checksum.
    finished: members of the sweep that were already finished, without their configs.
    workdir: absolute path of the sweep's folder; the folder on the machine that runs the sweep if
      there is an address.
    address: address of the sweep in an object store; None if all machines share the folder.
    command: the command that trains the sweep.
    cpu_devices: number of virtual devices of the CPU.
    start_over: as in `loop.train`.
  """

  members: tuple[Member, ...]
  code: tuple[dict[str, str], ...]
  finished: tuple[Member, ...]
  workdir: str
  address: str | None
  command: str
  cpu_devices: int
  start_over: bool

  @property
  def folders(self) -> list[str]:
    """The folders of the members, relative to the sweep's folder."""
    return [member.folder for member in self.members]

  @property
  def label(self) -> str:
    """The members in words, such as 'LSTM, slow (seed 0); LSTM, slow (seed 1)'."""
    return '; '.join(f'{member.label} (seed {member.seed})' for member in self.members)

  @property
  def log(self) -> pathlib.Path:
    """The file of the task's output."""
    return pathlib.Path(self.workdir) / LOGS / f'{self.folders[0].replace("/", "-")}.log'


@dataclasses.dataclass(frozen=True)
class Outcome:
  """What became of a task whose process did not die.

  Attributes:
    faults: folder of a member → why it failed, such as a loss that is not finite.
    damaged: folder of a member → error message about its damaged checkpoints.
    stopped: whether a signal ended the task; its members are saved.
    error: message of the error that ended the task; None without one.
  """

  faults: dict[str, str] = dataclasses.field(default_factory=dict)
  damaged: dict[str, str] = dataclasses.field(default_factory=dict)
  stopped: bool = False
  error: str | None = None


def of_group(
  group: Sequence[Member],
  *,
  found: Sequence[Member],
  finished: Sequence[Member],
  workdir: pathlib.Path,
  command_line: str,
  start_over: bool,
  address: str | None = None,
) -> Task:
  """The task that trains a group.

  Args:
    group: members that are compiled together.
    found: all members of the sweep.
    finished: those that have finished.
    workdir: the sweep's folder.
    command_line: the command that trains the sweep.
    start_over: as in `loop.train`.
    address: as in Task.
  """
  return Task(
    members=tuple(dataclasses.replace(one, config=_located(one.config)) for one in group),
    code=tuple(named.record(one.config).get('sha256', {}) for one in group),
    finished=tuple(dataclasses.replace(one, config={}) for one in finished),
    workdir=str(workdir.absolute()),
    address=address,
    command=command_line,
    cpu_devices=parallel.shared_cpu_devices([one.config for one in found]),
    start_over=start_over,
  )


def _located(config):
  """A config whose own code is named by text: its absolute path, or its module."""
  config = named.copied(config)
  for section, key, _ in named.references(config):
    one = section[key]
    if isinstance(one, named.Reference):
      if one.module is not None or one.code is None or one.code.folder is None:
        section[key] = str(one)
      else:
        section[key] = f'{one.code.folder / one.code.main}:{one.name}'
  return config


def _linked(member, sums):
  """A member whose own code is imported; ValueError if the code has changed."""
  config = named.link(member.config)
  if named.record(config).get('sha256', {}) != sums:
    raise ValueError(
      f'{member.label}: its own code has changed since the task was submitted: rerun the sweep'
    )
  return dataclasses.replace(member, config=config)


def train(task: Task) -> Outcome:
  """Trains the members of a task in this process, which does nothing else.

  SIGTERM and SIGINT stop the training; its state is saved. The output goes to `Task.log`, or to an
  object of the same name.

  Args:
    task: the task.
  """
  with stop_signals() as stop:
    if task.address is not None:
      return _train_at_address(task, task.address, stop)
    if not task.log.parent.is_dir():
      return Outcome(
        error=f'{task.workdir} does not exist on {platform.node()}: give a --workdir that all '
        'machines share'
      )
    with _output(task.log):
      return _train_in(task, stop, pathlib.Path(task.workdir), {})


def _train_at_address(task, address, stop):
  """Trains the members of a task, each in the mirror of its own address."""
  with tempfile.TemporaryDirectory(prefix='jaxdl-') as temporary:
    log = pathlib.Path(temporary) / task.log.name
    try:
      with _output(log), contextlib.ExitStack() as stack:
        sweep, _ = stack.enter_context(stores.peeked(address))
        folders = {
          folder: stack.enter_context(stores.training(f'{address}/{folder}', is_part=True))
          for folder in task.folders
        }
        return _train_in(task, stop, sweep, folders)
    except OSError as error:  # the store fails, at the start or at the end
      return Outcome(error=_line(error))
    finally:
      with contextlib.suppress(OSError):
        stores.send(log, f'{address}/{LOGS}')


def _train_in(task, stop, workdir, folders):
  """Trains the members of a task; `workdir` and `folders` are those of Trainer."""
  command.prepare_libraries()
  parallel.use_cpu_devices(
    [{**member.config, 'cpu_devices': task.cpu_devices} for member in task.members]
  )
  trainer = Trainer(
    workdir,
    task.command,
    finished=list(task.finished),
    start_over=task.start_over,
    folders=folders,
  )
  error = None
  try:
    group = [_linked(*pair) for pair in zip(task.members, task.code, strict=True)]
    trainer.train(group, stop)
  except Exception as raised:  # of any kind: the other tasks continue
    traceback.print_exc()
    error = _line(raised)
  return Outcome(trainer.faults, trainer.damaged, bool(stop), error)


def _line(error: Exception) -> str:
  text = ' '.join(str(error).split())
  if is_out_of_memory(error):
    return f'memory is exhausted ({text}): {command.LESS_TO_TRAIN}'
  return text if isinstance(error, command.BAD_INPUT) else f'{type(error).__name__}: {text}'


@contextlib.contextmanager
def _output(file: pathlib.Path) -> Iterator[Any]:
  """Appends what the block prints to a file."""
  with (
    file.open('a', encoding='utf-8', errors='backslashreplace') as log,
    contextlib.redirect_stdout(log),
    contextlib.redirect_stderr(log),
  ):
    yield
