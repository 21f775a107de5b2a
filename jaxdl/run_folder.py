"""A run's folder: one run at a time writes into it, always of the same config; and its files as they are read again."""

import contextlib
import fcntl
import json
import os
import pathlib
import platform

from jaxdl import config as configuration
from jaxdl import files, integrity

MAY_CHANGE = ('train_for', 'log_every', 'evaluate_every', 'checkpoint_every', 'keep_every', 'profile', 'reported')


@contextlib.contextmanager
def opened(workdir, config, steps):
  """Keeps a folder for this process inside the `with` block, mends it and writes `config.json` into it.

  How long and how often may change between sittings; what is trained may not. The system takes the lock away with the
  process, however that ends.

  Args:
    workdir: the run's folder, made where it is absent.
    config: dict of plain JSON data.
    steps: int, the length of the run.

  Raises:
    ValueError: the folder holds a run of another config; the message names the keys.
    OSError: another process trains there, or the folder cannot be written.
  """
  folder = pathlib.Path(workdir)
  folder.mkdir(parents=True, exist_ok=True)
  with (folder / 'lock').open('a+') as lock:
    try:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      raise OSError(f'{workdir} is in use by {_owner(folder)}: wait for its end, or give another --workdir') from None
    except OSError:
      pass  # a file system without locks
    _check_config(folder, config)
    lock.truncate(0)
    lock.write(json.dumps({'process': os.getpid(), 'host': platform.node(), 'steps': steps}) + '\n')
    lock.flush()
    integrity.mend(workdir)
    files.write_whole(folder / 'config.json', json.dumps(config, indent=2) + '\n')
    yield


def trainer(workdir):
  """Who trains in a folder, or did last: {'process': int, 'host': str, 'steps': int, 'now': bool}; {} where nobody did."""
  file = pathlib.Path(workdir) / 'lock'
  try:
    with file.open() as lock:
      found = json.loads(lock.read() or '{}')
      try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
      except BlockingIOError:
        return {**found, 'now': True}
      return {**found, 'now': False}
  except (FileNotFoundError, json.JSONDecodeError):
    return {}


def read_json(file):
  """The data of a run's `config.json` or `summary.json`.

  Raises:
    ValueError: the file is not JSON.
  """
  try:
    return json.loads(file.read_text())
  except json.JSONDecodeError as error:
    raise ValueError(f'{file} is not JSON ({error}): delete it and give the command of its run again') from error


def journal(workdir):
  """The lines of `metrics.jsonl` as dicts, one that is just being written left out; [] where there is none."""
  file = pathlib.Path(workdir) / 'metrics.jsonl'
  return list(_lines(file.read_text())) if file.is_file() else []


def _lines(text):
  for line in text.splitlines():
    try:
      yield json.loads(line)
    except json.JSONDecodeError:
      continue


def _owner(folder):
  found = trainer(folder)
  return f'process {found["process"]} on {found["host"]}' if found.get('process') else 'another process'


def _check_config(folder, config):
  file = folder / 'config.json'
  if not ((folder / 'checkpoints').is_dir() and file.is_file()):
    return
  before, now = configuration.flat(read_json(file)), configuration.flat(config)
  changed = sorted(key for key in before.keys() | now.keys()
                   if key.split('.')[0] not in MAY_CHANGE and before.get(key) != now.get(key))
  if changed:
    raise ValueError(f'{folder} holds a run of another config (differing in {", ".join(changed)}): '
                     'give another --workdir, or delete the folder')
