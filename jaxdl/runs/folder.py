"""A run's folder: only one process at a time trains in it, always with the same config."""

import contextlib
import json
import os
import pathlib
import platform
from collections.abc import Iterator
from typing import Any

import filelock
import psutil

from jaxdl.config import paths
from jaxdl.runs import code, disk, format, identity, keys
from jaxdl.runs.files import read_json

OWNER = 'lock'  # describes the process that trains
OWNER_KEYS = {'process': keys.is_count, 'host': keys.is_text, 'steps': keys.is_count}
LOCK = '.lock'  # a separate file, because a locked file cannot be read on Windows
ORIGIN = 'origin'  # key of config.json: the weights with which a run started
WAIT = 1.0  # seconds to wait for the lock, which `trainer` also holds briefly


@contextlib.contextmanager
def locked(workdir: str | os.PathLike, config: dict[str, Any], steps: int) -> Iterator[None]:
  """Locks a run's folder inside the `with` block; writes `config.json` and `code` of a new run.

  `identity.KEYS` defines which keys may change between sessions. The operating system releases the
  lock when the process ends, even after a crash.

  Args:
    workdir: the run's folder, created if it is missing.
    config: the resolved config, plain JSON data.
    steps: the length of the run.

  Raises:
    ValueError: the folder holds a run of another config; the message names the keys.
    OSError: another process trains in the folder, or it cannot be written.
  """
  folder = disk.make_folder(workdir)
  with contextlib.ExitStack() as stack:
    lock = _lock_of(folder)
    try:
      stack.enter_context(lock.acquire(timeout=WAIT))
    except filelock.Timeout:
      raise OSError(
        f'{workdir} is in use by {_owner(folder)}: wait until it ends, or give another --workdir'
      ) from None
    except (OSError, NotImplementedError):
      pass  # a file system without locks
    check_config(folder, config, steps)
    owner = {'process': os.getpid(), 'host': platform.node(), 'steps': steps}
    (folder / OWNER).write_text(json.dumps(owner) + '\n', encoding='utf-8')
    code.keep(folder, config)
    if last_checkpoint(folder) is None:
      write_config(folder, config)
    yield


def write_config(workdir: str | os.PathLike, config: dict[str, Any]) -> None:
  """Writes `config.json`. When resuming, call it after the checkpoint has been read."""
  disk.write_atomic(pathlib.Path(workdir) / 'config.json', disk.readable_json(config) + '\n')


def with_origin(config: dict[str, Any], workdir: str | os.PathLike) -> dict[str, Any]:
  """A config with the origin that the run in a folder has recorded, if it has one.

  Args:
    config: the resolved config of the session.
    workdir: the run's folder.
  """
  file = pathlib.Path(workdir) / 'config.json'
  if last_checkpoint(workdir) is None or not file.is_file():
    return config
  rest = {key: value for key, value in config.items() if key != ORIGIN}
  before = read_json(file)
  return {**rest, ORIGIN: before[ORIGIN]} if ORIGIN in before else rest


def trainer(workdir: str | os.PathLike) -> dict[str, Any]:
  """The process that trains in a folder, or the last one that did.

  Args:
    workdir: the run's folder.

  Returns:
    {'process': int, 'host': str, 'steps': int, 'now': bool}; {} if no process has trained there.
  """
  folder = pathlib.Path(workdir)
  try:
    found = _owner_in((folder / OWNER).read_text(encoding='utf-8'))
    written = (folder / OWNER).stat().st_mtime
  except (FileNotFoundError, UnicodeDecodeError):
    return {}
  return {**found, 'now': _is_locked(folder, found, written)}


def _lock_of(folder):
  """The lock of a folder; the operating system releases it when its process ends."""
  return filelock.FileLock(folder / LOCK, thread_local=False, fallback_to_soft=False)


def _is_locked(folder, owner, written):
  """Whether a process holds the lock of a folder.

  Args:
    folder: pathlib.Path.
    owner: the process that trained there last, as returned by `_owner_in`.
    written: time at which this was written, in seconds since 1970.
  """
  if not (folder / LOCK).exists():
    return False
  lock = _lock_of(folder)
  try:
    lock.acquire(timeout=0.05, poll_interval=0.01)  # another `trainer` may hold it briefly
  except filelock.Timeout:
    return True
  except (OSError, NotImplementedError):  # of another user, or a file system without locks
    return _is_alive(owner, written)
  lock.release()
  return False


def _is_alive(owner, written):
  """Whether the process that wrote its number into a folder still runs on this host."""
  if owner.get('host') != platform.node():
    return False
  try:
    return psutil.Process(owner['process']).create_time() <= written
  except (psutil.Error, ValueError, OverflowError):
    return False


def last_checkpoint(workdir: str | os.PathLike) -> pathlib.Path | None:
  """The folder of a run's last checkpoint, named after its step; None if there is none."""
  return max(_checkpoints(workdir), key=lambda path: int(path.name), default=None)


def _checkpoints(workdir):
  return [
    path for path in (pathlib.Path(workdir) / 'checkpoints').glob('*') if path.name.isdecimal()
  ]


def seconds_a_step(workdir: str | os.PathLike) -> float | None:
  """Mean seconds per step between the first and the last checkpoint of this session.

  The time includes evaluations.

  Args:
    workdir: the run's folder.

  Returns:
    Seconds; None if the session has fewer than two checkpoints.
  """
  # The lock may be missing, and a newer checkpoint may replace an older one at any time.
  with contextlib.suppress(FileNotFoundError):
    began = (pathlib.Path(workdir) / OWNER).stat().st_mtime
    saved = {int(path.name): path.stat().st_mtime for path in _checkpoints(workdir)}
    ours = {step: moment for step, moment in saved.items() if moment >= began}
    spent = ours[max(ours)] - ours[min(ours)] if ours else 0.0
    if spent > 0:
      return spent / (max(ours) - min(ours))
  return None


def below(folder: pathlib.Path) -> list[pathlib.Path]:
  """The folders of the runs in a folder, such as a sweep's, sorted by name.

  For the folder of a run or the file of a packed one, the result is the path itself.
  """
  if paths.is_packed(folder) or (folder / 'config.json').is_file():
    return [folder]
  return [run for path in sorted(folder.glob('*/')) for run in below(path)]


def format_of(workdir: str | os.PathLike) -> int | None:
  """The format of the run in a folder; None if the folder has no run that could resume.

  Raises:
    ValueError: config.json is damaged.
  """
  file = pathlib.Path(workdir) / 'config.json'
  if last_checkpoint(workdir) is None or not file.is_file():
    return None
  return format.number(read_json(file))


def check_config(workdir: str | os.PathLike, config: dict[str, Any], steps: int) -> None:
  """Checks that a folder is empty, or has a run that may resume with a config.

  Args:
    workdir: the run's folder.
    config: the resolved config, plain JSON data.
    steps: the length of the run.

  Raises:
    ValueError: the folder holds a run of another config or of other data, a longer run, or a run
      whose checkpoints are missing.
  """
  folder = pathlib.Path(workdir)
  file, has_checkpoints = folder / 'config.json', (folder / 'checkpoints').is_dir()
  if (folder / 'summary.json').is_file() and not (has_checkpoints or (folder / 'damaged').is_dir()):
    raise ValueError(
      f'{folder} has the figures of a run but no checkpoints: give another --workdir, or delete '
      'the folder'
    )
  if not (has_checkpoints and file.is_file() and _has_learned(folder)):
    return
  _check_same_run(folder, read_json(file), config)
  last = last_checkpoint(folder)
  if last is not None and int(last.name) > steps:
    raise ValueError(
      f'{folder} holds a run that is at step {int(last.name):,}, but config.train_for ends at '
      f'step {steps:,}: make it longer, or give another --workdir'
    )


def _has_learned(folder):
  """Whether a run has saved or logged anything."""
  journal = folder / 'metrics.jsonl'
  return (
    last_checkpoint(folder) is not None
    or (folder / 'damaged').is_dir()
    or (journal.is_file() and journal.stat().st_size > 0)
  )


def _check_same_run(folder, before, config):
  """Raises ValueError if a run may not resume with a config; `before` is its config.json."""
  file = folder / 'config.json'
  format.check(before, file)
  changed = identity.keys_against_resuming(before, config)
  checksums, now = identity.checksums(before), identity.checksums(config)
  # Runs of older versions have fewer checksums.
  are_other_data = {split: now.get(split) for split in checksums} != checksums
  if are_other_data and all(key.startswith('dataset.') for key in changed):
    raise ValueError(
      f'{folder} holds a run that was trained on other data: give the data of that run, as '
      f'{file} names them, or another --workdir'
    )
  if files := list(code.names_of_changed(changed)):
    raise ValueError(
      f'{folder} contains a run with other code ({", ".join(files)} has changed): restore it from '
      f'{folder / code.FOLDER}, or give another --workdir'
    )
  if changed:
    raise ValueError(
      f'{folder} holds a run of another config (differing in {", ".join(changed)}): '
      'give another --workdir, or delete the folder'
    )


def _owner_in(text):
  """The content of a lock file; {} if it is empty or damaged."""
  try:
    found = json.loads(text)
  except (ValueError, RecursionError):
    return {}
  is_valid = isinstance(found, dict) and all(
    check(found.get(key)) for key, check in OWNER_KEYS.items()
  )
  return {key: found[key] for key in OWNER_KEYS} if is_valid else {}


def _owner(folder):
  found = trainer(folder)
  return (
    f'process {found["process"]} on {found["host"]}' if found.get('process') else 'another process'
  )
