"""Trains small runs whose writes fail: the child process of test_write_faults.py.

    LD_PRELOAD=failing_writes.so python tests/runs/write_faults.py CONFIG FOLDER KIND FIRST STEP

CONFIG is JSON. Every STEP-th writing call of a training, from the FIRST, fails in a run of its own:
alone with EIO or EINTR, and with ENOSPC together with all calls after it; with KILL, the process is
killed. The run is then trained to its end and compared with an uninterrupted one. Prints a line of
JSON for each run.
"""

import ctypes
import errno
import json
import os
import pathlib
import sys
import traceback
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxdl.runs import checkpoint
from jaxdl.training import experiment, loop

FOREVER = 1 << 40
CODES = {'EIO': errno.EIO, 'EINTR': errno.EINTR, 'ENOSPC': errno.ENOSPC, 'KILL': 0}


def main(config: str, folder: str, kind: str, first: str, step: str) -> None:
  """Tries the calls; see the module."""
  small, place = json.loads(config), pathlib.Path(folder)
  faults = ctypes.CDLL(os.environ['LD_PRELOAD'])
  faults.faults_begin.argtypes = [ctypes.c_char_p, ctypes.c_long, ctypes.c_long, ctypes.c_int]
  faults.faults_end.restype = ctypes.c_long
  if kind == 'count':
    print(json.dumps({'calls': _try(faults, small, place / 'uninterrupted', 'EIO', -1)[0]}))
    return
  for number in range(int(first), FOREVER, int(step)):
    workdir = place / f'{kind}{number}'
    if kind == 'KILL':  # JAX is started in the children only
      killed = _in_child(
        lambda workdir=workdir, number=number: _try(faults, small, workdir, kind, number)
      )
      _in_child(
        lambda workdir=workdir, number=number: _resume(small, workdir, place, number, 'killed')
      )
      if not killed:
        return
      continue
    calls, failure = _try(faults, small, workdir, kind, number)
    _resume(small, workdir, place, number, failure)
    if number >= calls:
      return


def _in_child(function: Callable[[], object]) -> bool:
  """Runs a function in a child process; whether the child was killed by a signal."""
  child = os.fork()
  if child == 0:
    try:
      function()
    except BaseException:
      traceback.print_exc()
      os._exit(1)
    os._exit(0)
  return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def _resume(small: dict, workdir: pathlib.Path, place: pathlib.Path, number: int, failure: str):
  """Trains a run to its end, compares it with the uninterrupted one, and prints the result."""
  whole = place / 'uninterrupted'
  built = experiment.build(small, 'small')
  loop.train(built, workdir)
  same = _equal(_state(built, workdir), _state(built, whole)) and _journal(workdir) == _journal(
    whole
  )
  print(json.dumps({'call': number, 'failure': failure, 'same': same}), flush=True)


def _try(faults: Any, small: dict, workdir: pathlib.Path, kind: str, number: int):
  """(number of writing calls, the error that ended the run or '') of a training with faults."""
  last = FOREVER if kind == 'ENOSPC' else number
  faults.faults_begin(os.fsencode(workdir), number, last, CODES[kind])
  failure = ''
  try:
    loop.train(experiment.build(small, 'small'), workdir)
  except Exception as error:
    kind_of_error = 'OSError' if isinstance(error, OSError) else type(error).__name__
    failure = f'{kind_of_error}: {error}'
  return faults.faults_end(), failure


def _state(built, workdir):
  with checkpoint.manager(workdir) as checkpoints:
    return checkpoint.restore(checkpoints, built.initial_state(), step=built.steps)


def _equal(one, other):
  return all(map(np.array_equal, jax.tree.leaves(one), jax.tree.leaves(other)))


def _journal(workdir):
  """The lines of metrics.jsonl without times."""
  found = []
  for line in (workdir / 'metrics.jsonl').read_text().splitlines():
    row = json.loads(line)
    found.append({key: value for key, value in row.items() if 'second' not in key})
  return found


if __name__ == '__main__':
  main(*sys.argv[1:])
