"""Trains small runs whose writes fail: the child process of test_write_faults.py.

    LD_PRELOAD=failing_writes.so python tests/runs/write_faults.py CONFIG FOLDER KIND FIRST STEP

CONFIG is JSON. Every STEP-th writing call of a training, from the FIRST, fails in a run of its own:
alone with EIO or EINTR, and with ENOSPC together with all calls after it; with KILL, the process is
killed. With SLOW, FIRST is the time in milliseconds that every call of one run takes longer. The run
is then trained to its end and compared with an uninterrupted one. Prints a line of JSON for each
run.
"""

import contextlib
import ctypes
import errno
import json
import os
import pathlib
import shutil
import sys
import traceback
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxdl.runs import checkpoint
from jaxdl.training import experiment, loop

FOREVER = 1 << 40
TOGETHER = 20  # killed runs that one child resumes
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
  if kind == 'SLOW':
    faults.faults_delay(1000 * int(first))
    _, failure = _try(faults, small, place / f'{kind}{first}', 'EIO', -1)
    _resume(small, place, f'{kind}{first}', failure)
    return
  if kind == 'KILL':
    _kill(faults, small, place, int(first), int(step))
    return
  for number in range(int(first), FOREVER, int(step)):
    calls, failure = _try(faults, small, place / f'{kind}{number}', kind, number)
    _resume(small, place, f'{kind}{number}', failure)
    if number >= calls:
      return


def _kill(faults, small, place, first, step):
  """Kills a child at each call, then resumes the runs in another child. JAX is started in both."""
  with contextlib.suppress(ImportError):  # once, and not in every child
    from clu import metric_writers  # noqa: F401
  started = []
  for number in range(first, FOREVER, step):
    name = f'KILL{number}'
    killed = _in_child(
      lambda name=name, number=number: _try(faults, small, place / name, 'KILL', number)
    )
    started.append((name, 'killed' if killed else ''))
    if not killed or len(started) == TOGETHER:
      runs, started = started, []
      _in_child(lambda runs=runs: [_resume(small, place, *run) for run in runs])
    if not killed:
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


def _resume(small: dict, place: pathlib.Path, name: str, failure: str):
  """Trains a run to its end, compares it with the uninterrupted one, and prints the result."""
  whole, workdir = place / 'uninterrupted', place / name
  built = experiment.build(small, 'small')
  loop.train(built, workdir)
  same = _equal(_state(built, workdir), _state(built, whole)) and _journal(workdir) == _journal(
    whole
  )
  print(json.dumps({'run': name, 'failure': failure, 'same': same}), flush=True)
  if same:
    shutil.rmtree(workdir)
  jax.clear_caches()  # the memory maps of hundreds of compiled runs would exceed Linux's limit


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
