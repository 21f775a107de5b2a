"""Runs whose writes fail, one call after another: they end with one line, or go on, and resume to the
bit.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
from helpers import ROOT

from jaxdl.runs import checkpoint
from jaxdl.training import experiment, loop

HERE = pathlib.Path(__file__).parent
# kind → every how many calls one fails; in nightly tests, every call
EVERY = {'EIO': 5, 'EINTR': 5, 'ENOSPC': 5, 'KILL': 10}

EVENTS = {
  'EIO': 'a writing call fails with EIO',
  'EINTR': 'a writing call fails with EINTR',
  'ENOSPC': 'disk full from a writing call on',
  'KILL': 'SIGKILL at a writing call',
}
SLOWER = (5, 20, 50)  # milliseconds that every writing call takes longer


def quick(small):
  return {
    **small,
    'train_for': '6 steps',
    'log_every': '2 steps',
    'evaluate_every': '2 steps',
    'checkpoint_every': '2 steps',
  }


@pytest.fixture(scope='module')
def library(tmp_path_factory):
  """The compiled failing_writes.c; the tests are skipped without Linux and a C compiler."""
  compiler = shutil.which('cc')
  if sys.platform != 'linux' or compiler is None:
    pytest.skip('needs Linux and a C compiler')
  built = tmp_path_factory.mktemp('library') / 'failing_writes.so'
  subprocess.run(
    [compiler, '-shared', '-fPIC', '-O1', '-o', built, HERE / 'failing_writes.c', '-ldl'],
    check=True,
  )
  return built


def tried(library, small, folder, kind, first, step):
  """The results of write_faults.py, one dict a line, and the exit code."""
  arguments = [json.dumps(quick(small)), str(folder), kind, str(first), str(step)]
  done = subprocess.run(
    [sys.executable, HERE / 'write_faults.py', *arguments],
    cwd=ROOT,
    env={**os.environ, 'LD_PRELOAD': str(library), 'PYTHONPATH': str(ROOT)},
    capture_output=True,
    text=True,
    timeout=10800,
  )
  lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{')]
  return lines, done


def is_one_line(failure):
  return '\n' not in failure and failure.startswith('OSError: ')


@pytest.mark.parametrize(
  ('kind', 'every'),
  [
    *(pytest.param(kind, every, marks=pytest.mark.slow) for kind, every in EVERY.items()),
    *(pytest.param(kind, 1, marks=pytest.mark.nightly) for kind in EVERY),
  ],
)
def test_faults_every_failed_write_ends_in_one_line_and_resumes_exactly(
  kind, every, library, small, tmp_path, reliability
):
  (counted,), _ = tried(library, small, tmp_path, 'count', 0, 1)
  assert counted['calls'] > 300
  found, done = tried(library, small, tmp_path, kind, 0, every)
  assert done.returncode == 0, done.stderr[-2000:]
  assert [line['run'] for line in found] == [
    f'{kind}{number * every}' for number in range(len(found))
  ]
  assert len(found) >= counted['calls'] // every // 2
  assert [line for line in found if not line['same']] == []
  assert found[-1]['failure'] == '', 'the last call was not reached'
  failures = [line['failure'] for line in found if line['failure'] not in ('', 'killed')]
  assert failures or kind == 'KILL'
  assert [failure for failure in failures if not is_one_line(failure)] == []
  reliability(
    f'{EVENTS[kind]}: the resumed run equals an uninterrupted one bit for bit',
    len(found),
    sum(line['same'] for line in found),
  )


@pytest.mark.slow
def test_faults_slow_disk_does_not_change_the_run(library, small, tmp_path, reliability):
  tried(library, small, tmp_path, 'count', 0, 1)
  for milliseconds in SLOWER:
    (found,), _ = tried(library, small, tmp_path, 'SLOW', milliseconds, 1)
    assert found == {'run': f'SLOW{milliseconds}', 'failure': '', 'same': True}
    reliability(
      f'slow disk, every writing call takes {SLOWER[0]} to {SLOWER[-1]} ms longer: the run equals '
      'an undisturbed one bit for bit',
      1,
      1,
    )


def test_faults_failed_save_names_the_step_and_what_is_kept(small, tmp_path, monkeypatch):
  save = checkpoint.ocp.CheckpointManager.save

  def failing(self, step, *arguments, **keywords):
    if step > 4:
      raise ValueError(f'UNKNOWN: Error writing {tmp_path}: No space left on device [error 28]')
    return save(self, step, *arguments, **keywords)

  monkeypatch.setattr(checkpoint.ocp.CheckpointManager, 'save', failing)
  built = experiment.build(quick(small), 'small')
  with pytest.raises(checkpoint.WriteError) as caught:
    loop.train(built, tmp_path / 'run')
  assert str(caught.value) == (
    f'the checkpoint of step 6 cannot be written to {tmp_path}/run/checkpoints (No space left on '
    'device): the checkpoint of step 4 is kept; check the disk and rerun the command'
  )
  monkeypatch.undo()
  assert loop.train(built, tmp_path / 'run')['step'] in (2, 4, 6)
