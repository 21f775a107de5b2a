"""Processes that train one run together, started as on several hosts."""

import contextlib
import os
import socket
import subprocess
import sys

from helpers import ROOT, WITHOUT_TENSORFLOW

LONG = {  # long enough to be stopped by a signal
  'train_for': '800 steps',
  'log_every': '50 steps',
  'evaluate_every': '400 steps',
  'checkpoint_every': '400 steps',
}


@contextlib.contextmanager
def started(count, command, environment=lambda process: {}):
  """Starts `command(address, process)` for each of `count` processes; kills what is left of them at
  the end of the block. `environment(process)` are further environment variables.
  """
  with socket.socket() as found:
    found.bind(('127.0.0.1', 0))
    address = f'127.0.0.1:{found.getsockname()[1]}'
  children = [
    subprocess.Popen(
      [sys.executable, '-u', *map(str, command(address, process))],
      cwd=ROOT,
      text=True,
      env={**os.environ, **WITHOUT_TENSORFLOW, **environment(process)},
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
    )
    for process in range(count)
  ]
  try:
    yield children
  finally:
    for child in children:
      child.kill()
      child.communicate()


def wait_for_all(children):
  """Waits for all children; returns (exit code, standard output, standard error) of each."""
  outputs = [child.communicate(timeout=300) for child in children]
  return [(child.returncode, *texts) for child, texts in zip(children, outputs, strict=True)]


def main_command(config_file, workdir, count):
  """Function (address, process) → the arguments of a user's command."""
  return lambda address, process: (
    '-m',
    'jaxdl.main',
    f'--config={config_file}',
    f'--workdir={workdir}',
    f'--coordinator={address}',
    f'--processes={count}',
    f'--process={process}',
  )
