"""Sweeps on an engine: tasks, retries, Ray and SLURM (submitit's processes of this machine)."""

import argparse
import contextlib
import dataclasses
import functools
import importlib.util
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from helpers import ROOT, WITHOUT_TENSORFLOW, last_json, run_child, slow_after, state_of

from jaxdl import stores
from jaxdl import sweep as sweep_command
from jaxdl.config.reading import read_file
from jaxdl.runs import files
from jaxdl.runs import folder as run_folder
from jaxdl.stores import lease, local
from jaxdl.stores.lease import Lease
from jaxdl.stores.store import Store
from jaxdl.sweeps import (
  dispatch,
  engines,
  grouping,
  members,
  on_ray,
  on_slurm,
  progress_table,
  tasks,
)
from jaxdl.sweeps.dispatch import RETRIES, Died
from jaxdl.sweeps.tasks import Outcome
from jaxdl.terminal import command
from jaxdl.terminal.signals import stop_signals
from jaxdl.training import experiment

with_ray, with_submitit = (
  pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f'{name} is not installed')
  for name in ('ray', 'submitit')
)


@pytest.fixture
def sweep(small, config_file):
  """Two learning rates of a small network, each a group of its own."""
  config_file(small, 'base')
  rates = [dict(name='fast', optimizer=dict(learning_rate=2e-2)), dict(name='slow')]
  return dict(base='base.py', seeds=[0], axes=[dict(name='rate', choices=rates)])


@pytest.fixture
def found(sweep, tmp_path):
  return members.read(sweep, tmp_path / 'sweep.py')


def task_of(group, workdir, *, found=None, address=None):
  """The task of a group as another process gets it."""
  task = tasks.of_group(
    group,
    found=found or group,
    finished=[],
    workdir=workdir,
    command_line='python -m jaxdl.sweep',
    start_over=False,
    address=address,
  )
  return pickle.loads(pickle.dumps(task))


def check_equal_runs(found, one, other):
  """The journals and the states of all members are equal in two folders, bit for bit."""
  for member in found:
    lines = [
      [{**line, 'examples_per_second': 0} for line in files.journal(folder / member.folder)]
      for folder in (one, other)
    ]
    assert lines[0] == lines[1]
    assert lines[0], 'the run has a journal'
    built = experiment.build(member.config, 'small')
    states = [state_of(built, folder / member.folder) for folder in (one, other)]
    jax.tree.map(np.testing.assert_array_equal, *states)


def train_in_one_process(file, workdir, *flags):
  line = ['sweep', f'--config={file}', f'--workdir={workdir}', *flags]
  assert command.run(sweep_command.main, line) == 0


class Scripted(dispatch.Engine):
  """An engine whose tasks end as a script says: label → the ends of its attempts."""

  def __init__(self, script, *, keeps_tasks=False):
    self.script, self.keeps_tasks = script, keeps_tasks
    self.attempts, self.stopped, self.handles = [], [], {}

  def submit(self, found):
    new = {f'{len(self.attempts) + number}': task for number, task in enumerate(found)}
    self.handles |= new
    self.attempts += [task.label for task in found]
    return list(new)

  def ended(self, handles, seconds):
    ends = {}
    for handle in handles:
      script = self.script.get(getattr(self.handles.get(handle), 'label', handle), [])
      if script:
        ends[handle] = script.pop(0)
    return ends

  def stop(self, handles):
    self.stopped += handles
    self.script = {self.handles[handle].label: [Outcome(stopped=True)] for handle in handles}


FAST, SLOW = 'fast (seed 0)', 'slow (seed 0)'


def test_a_task_is_repeated_where_its_worker_dies(found, tmp_path, capsys):
  """One dies twice and then trains; the other dies too often, and the first is not affected."""
  engine = Scripted(
    {
      FAST: [Died('power'), Died('power'), Outcome(faults={'fast/seed0': 'it diverged'})],
      SLOW: [Died('memory')] * (RETRIES + 1),
    }
  )
  result = dispatch.run(engine, [task_of([member], tmp_path) for member in found], [])
  assert (engine.attempts.count(FAST), engine.attempts.count(SLOW)) == (3, RETRIES + 1)
  assert result.faults == {'fast/seed0': 'it diverged'}
  assert result.failed == {'slow/seed0': 'its worker died 4 times, at last: memory'}
  assert not result.stopped
  lines = capsys.readouterr().err.splitlines()
  assert f'jaxdl: the worker of {FAST} died (power): retry 2 of {RETRIES}' in lines
  assert lines[-1].startswith(f'jaxdl: {SLOW} is not trained: its worker died 4 times')


def test_a_task_that_ends_with_an_error_is_not_repeated(found, tmp_path, capsys):
  engine = Scripted({FAST: [Outcome(error='no data')], SLOW: [Outcome()]})
  result = dispatch.run(engine, [task_of([member], tmp_path) for member in found], [])
  assert engine.attempts == [FAST, SLOW]
  assert result.failed == {'fast/seed0': 'no data'}
  error = f'jaxdl: {FAST} is not trained: no data: {tmp_path}/logs/fast-seed0.log has its output\n'
  assert capsys.readouterr().err == error


def test_a_signal_stops_the_tasks_and_a_worker_that_dies_then_is_not_repeated(found, tmp_path):
  stop, polls = [], []
  engine = Scripted({FAST: [], SLOW: []})

  def at_poll():
    polls.append(0)
    if len(polls) == 2:
      stop.append(signal.SIGINT)

  both = [task_of([member], tmp_path) for member in found]
  result = dispatch.run(engine, both, stop, at_poll=at_poll)
  assert engine.stopped == ['0', '1']
  assert (result.stopped, result.failed, len(engine.attempts)) == (True, {}, 2)
  stop = [signal.SIGINT]
  engine = Scripted({})
  engine.stop = lambda handles: setattr(engine, 'script', {FAST: [Died('killed')]})
  assert dispatch.run(engine, both[:1], stop).failed == {}
  assert engine.attempts == [FAST]


def test_a_second_signal_ends_the_wait(found, tmp_path):
  engine = Scripted({})
  engine.stop = lambda handles: None  # the tasks hang
  assert dispatch.run(engine, [task_of(found, tmp_path)], [signal.SIGINT] * 2).stopped


@pytest.mark.parametrize(('stop', 'waits'), [([signal.SIGINT], True), ([], False)])
def test_tasks_in_a_queue_go_on_without_the_command(stop, waits, found, tmp_path):
  engine = Scripted({}, keeps_tasks=True)
  result = dispatch.run(engine, [task_of(found, tmp_path)], stop, known={'7_0': ['a']}, waits=waits)
  assert sorted(result.left) == ['0', '7_0']
  assert engine.stopped == []


def test_tasks_of_an_earlier_session_are_awaited_once(found, tmp_path):
  engine = Scripted({'7_0': [Outcome(faults={'a': 'it diverged'})], '7_1': [Died('cancelled')]})
  result = dispatch.run(engine, [], [], known={'7_0': ['a'], '7_1': ['b']})
  assert (result.faults, list(result.failed), engine.attempts) == ({'a': 'it diverged'}, ['b'], [])


@pytest.mark.parametrize('together', slow_after(1, ['always', 'never']))
def test_tasks_equal_a_sweep_in_one_process(together, sweep, found, config_file, tmp_path):
  file, out = config_file(sweep, 'sweep'), tmp_path / 'tasks'
  train_in_one_process(file, tmp_path / 'one', f'--together={together}')
  (out / 'logs').mkdir(parents=True)
  for group in grouping.grouped(found, together=together):
    task = task_of(group, out, found=found)
    assert tasks.train(task) == Outcome()
    assert 'training' in task.log.read_text()
  assert len(list((out / 'logs').iterdir())) == (1 if together == 'always' else 2)
  check_equal_runs(found, tmp_path / 'one', out)


@pytest.mark.slow
def test_a_task_with_shards_equals_a_sweep_in_one_process(sweep, small, config_file, tmp_path):
  """On a machine that does not have the environment of the command: the task sets the devices and
  the threads.
  """
  config_file({**small, 'shards': 2}, 'base')
  sweep['axes'][0]['choices'].pop()
  file = config_file(sweep, 'sweep')
  found = members.read(sweep, file)
  workdir = tmp_path / 'tasks'
  (workdir / 'logs').mkdir(parents=True)
  task_file = tmp_path / 'task'
  task_file.write_bytes(pickle.dumps(task_of(found, workdir)))
  code = (
    'import pickle, sys; from jaxdl.sweeps import tasks; '
    "print(tasks.train(pickle.load(open(sys.argv[1], 'rb'))).error)"
  )
  environment = child_environment()
  task = run_child('-c', code, task_file, environment=environment)
  assert (task.returncode, task.stdout.strip()) == (0, 'None'), task.stderr
  one = tmp_path / 'one'
  sweep_of_one = run_child(
    '-m', 'jaxdl.sweep', f'--config={file}', f'--workdir={one}', environment=environment
  )
  assert sweep_of_one.returncode == 0, sweep_of_one.stderr
  # this process has other threads, so it reads the states without shards
  readable = [
    dataclasses.replace(member, config={**member.config, 'shards': 1}) for member in found
  ]
  check_equal_runs(readable, one, workdir)


def test_a_task_returns_its_error(found, tmp_path):
  """A folder that the machine does not have, and a config that cannot be built."""
  lost = tasks.train(task_of(found[:1], tmp_path / 'lost'))
  assert lost.error is not None
  assert lost.error.startswith(f'{tmp_path}/lost does not exist on ')
  (tmp_path / 'logs').mkdir()
  wrong = dataclasses.replace(found[0], config={**found[0].config, 'l2': -1})
  task = task_of([wrong], tmp_path)
  assert str(tasks.train(task).error).startswith('fast: config.l2=-1 ')
  assert 'Traceback' in task.log.read_text()


def test_own_code_of_a_task_is_imported_where_it_is_trained(sweep, small, config_file, tmp_path):
  """Its run has the names and checksums of a run in one process; changed code is refused."""
  code = tmp_path / 'nets.py'
  code.write_text(
    'import flax.linen as nn\n\nclass Mean(nn.Module):\n  classes: int = 10\n\n'
    '  @nn.compact\n  def __call__(self, x, train=False):\n'
    "    return nn.Dense(self.classes, name='logits')(x.mean(1))\n"
  )
  config_file({**small, 'model': {'name': f'{code}:Mean', 'classes': 10}}, 'base')
  found = members.read(sweep, tmp_path / 'sweep.py')
  task = task_of(found[:1], tmp_path)
  linked = tasks._linked(task.members[0], task.code[0])
  assert linked.config == found[0].config
  assert linked.config['model']['name'] == 'nets.py:Mean'
  code.write_text(code.read_text().replace('mean(1)', 'sum(1)'))
  (tmp_path / 'logs').mkdir()
  assert 'its own code has changed' in str(tasks.train(task).error)


@pytest.fixture
def address(monkeypatch, tmp_path):
  """The address of an empty store in memory; mirrors are in a folder of the test."""
  import fsspec

  fsspec.filesystem('memory').store.clear()
  monkeypatch.setenv(local.PLACE, str(tmp_path / 'mirrors'))
  monkeypatch.setattr(lease, 'SETTLES', 0.0)
  return 'memory://bucket/sweep'


def test_tasks_at_an_address_equal_a_sweep_in_one_process(
  sweep, found, config_file, tmp_path, address
):
  """The process that coordinates them sees their progress, and at the end has their runs."""
  train_in_one_process(config_file(sweep, 'sweep'), tmp_path / 'one')
  with stores.coordinating(address) as coordinated:
    (first,), (second,) = grouping.grouped(found, together='never')
    planned = functools.partial(task_of, found=found, address=coordinated.address)
    assert tasks.train(planned([first], coordinated.folder)) == Outcome()
    coordinated.refresh()
    rows = progress_table.rows(found, coordinated.folder, coordinated)
    assert progress_table.text(rows) == '1 of 2 runs finished, 1 waiting'
    held = Lease(Store(f'{address}/{second.folder}'), 'other', is_part=True)
    assert coordinated.trained([member.folder for member in found]) == {second.folder}
    held.release()
    assert tasks.train(planned([second], coordinated.folder)) == Outcome()
    coordinated.fetch()
    check_equal_runs(found, tmp_path / 'one', coordinated.folder)
    assert 'training fast' in (coordinated.folder / 'logs/fast-seed0.log').read_text()
    (coordinated.folder / 'table.md').write_text('table')
  names = Store(address).find()
  assert {'table.md', 'logs/slow-seed0.log', 'fast/seed0/committed.json'} <= names.keys()
  assert not [name for name in names if name.endswith(lease.NAME)]
  with stores.reading(address) as folder:
    check_equal_runs(found, tmp_path / 'one', folder)


def test_a_sweep_at_an_address_is_coordinated_by_one_process(found, tmp_path, address):
  with stores.coordinating(address):
    for place in (address, f'{address}/fast/seed0'):
      with pytest.raises(OSError, match=r'in use by (another )?process'), stores.training(place):
        pass
  fails = tasks.train(task_of(found[:1], tmp_path, address='memory2://bucket/sweep'))
  assert fails.error is not None
  assert 'memory2://bucket/sweep' in fails.error


@pytest.mark.parametrize('expired', [True, False])
def test_a_repeated_task_waits_for_the_lease_of_a_worker_that_died(
  expired, found, tmp_path, address, monkeypatch
):
  """On another machine, which does not see the lock of the first."""
  monkeypatch.setattr(lease, 'BEAT', 0.1)
  monkeypatch.setattr(lease, 'EXPIRES', 1.0 if expired else 1000.0)
  Lease(Store(f'{address}/fast/seed0'), 'mirror on another machine', is_part=True)
  monkeypatch.setattr(lease, 'EXPIRES', 1.0)
  outcome = tasks.train(task_of(found[:1], tmp_path, address=address))
  assert (outcome.error is None) == expired
  assert expired or f'{address}/fast/seed0 is in use by process' in str(outcome.error)


def test_progress_has_the_state_of_every_run(sweep, found, config_file, tmp_path):
  assert progress_table.text(progress_table.rows(found, tmp_path)) == (
    '0 of 2 runs finished, 2 waiting'
  )
  (tmp_path / 'logs').mkdir()
  tasks.train(task_of(found[:1], tmp_path))
  rows = progress_table.rows(found, tmp_path)
  assert progress_table.text(rows) == '1 of 2 runs finished, 1 waiting'
  assert [(row.step, row.steps) for row in rows] == [(8, 8), (0, None)]
  assert progress_table.share(rows) == 0.5
  with run_folder.locked(tmp_path / 'fast/seed0', experiment_config(found[0]), 8):
    head, line = progress_table.text(progress_table.rows(found, tmp_path)).splitlines()
  assert head == '0 of 2 runs finished, 1 training, 1 waiting'
  assert line.startswith('  fast (seed 0)  step 8 of 8  loss ')


def experiment_config(member):
  return experiment.build(member.config, 'small').config


def flags(**changes):
  given = dict(on=None, address=None, cpus=None, gpus=None, wait='yes', together='auto')
  return argparse.Namespace(**{**given, **changes})


@pytest.mark.parametrize(
  ('changes', 'slurm', 'message'),
  [
    (dict(address='a:1'), {}, '--address=a:1 is for --on=ray: add it, or leave out --address'),
    (dict(on='slurm', address='a:1'), {}, '--address=a:1 is for --on=ray'),
    (dict(cpus=2), {}, '--cpus=2 is for --on=ray or --on=slurm'),
    (dict(gpus=1), {}, '--gpus=1 is for --on=ray or --on=slurm'),
    (dict(on='ray', cpus=0), {}, '--cpus=0 is too few: use at least 1'),
    (dict(on='ray', gpus=-1), {}, '--gpus=-1 is too few: use at least 0'),
    (dict(wait='no'), {}, '--wait=no is for --on=slurm'),
    (dict(on='ray'), {'time': 5}, '--slurm.time=5 is for --on=slurm: add it, or leave it out'),
    (dict(on='ray', address='a:1'), {}, "--on=ray needs ray, which .* pip install 'jaxdl.ray.'"),
    (dict(on='slurm'), {}, "--on=slurm needs submitit, .*: pip install 'jaxdl.slurm.'"),
  ],
)
def test_flags_that_do_not_fit_are_one_line(changes, slurm, message, monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)  # no library
  with pytest.raises(ValueError, match=f'^{message}'):
    engines.check(flags(**changes), slurm)


def test_flags_of_slurm_are_separated():
  line = ['sweep', '--on=slurm', '--slurm.time=90', '--slurm.partition=gpu', '--config=a.py']
  others, slurm = engines.separated(line)
  assert others == ['sweep', '--on=slurm', '--config=a.py']
  assert slurm == {'time': 90, 'partition': 'gpu'}
  with pytest.raises(ValueError, match=r'^--slurm\.time has no value: write --slurm\.time=VALUE$'):
    engines.separated(['--slurm.time'])


def test_a_search_is_trained_in_one_process(config_file, small, capsys, monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: True)
  config_file(small, 'base')
  file = config_file(dict(base='base.py', search=dict(space=[], trials=2)), 'tuned')
  assert command.run(sweep_command.main, ['sweep', f'--config={file}', '--on=slurm']) == 1
  assert capsys.readouterr().err.startswith('jaxdl: --on=slurm: the trials of a search are ')


NODES = [{'CPU': 8, 'GPU': 4}, {'CPU': 4, 'GPU': 0}]


@pytest.mark.parametrize(
  ('cpus', 'gpus', 'cores'), [(None, 0, 4), (None, 1, 2), (None, 4, 8), (6, 0, 6), (1, 2, 1)]
)
def test_cores_of_a_task(cpus, gpus, cores):
  """Without --cpus, all cores of the smallest node, or the share of the GPUs of theirs."""
  assert on_ray._fitting_cores(NODES, cpus, gpus, None) == cores


@pytest.mark.parametrize(
  ('cpus', 'gpus', 'message'),
  [
    (9, 0, '--cpus=9: a group asks for 9 cores and 0 GPUs of one node, but the nodes of the Ray '),
    (None, 5, '--cpus=1 --gpus=5: a group asks for 1 core and 5 GPUs of one node, '),
    (9, 1, '.* have 8 cores and 4 GPUs; 4 cores and 0 GPUs: ask for less$'),
  ],
)
def test_a_task_that_fits_on_no_node_is_refused(cpus, gpus, message):
  with pytest.raises(ValueError, match=f'^{message}'):
    on_ray._fitting_cores(NODES, cpus, gpus, '10.0.0.1:6379')


def child_environment():
  """Of a command, and of its workers."""
  return {**os.environ, **WITHOUT_TENSORFLOW, 'JAXDL_CHECK_TYPES': '0'}


class Command:
  """The command in a process group of its own; its output goes to files, which jobs may hold open."""

  def __init__(self, folder, *arguments):
    folder.mkdir()
    self.files = [folder / 'stdout', folder / 'stderr']
    with self.files[0].open('w') as shown, self.files[1].open('w') as errors:
      self.process = subprocess.Popen(
        [sys.executable, '-m', 'jaxdl.sweep', *map(str, arguments)],
        cwd=ROOT,
        env=child_environment(),
        stdout=shown,
        stderr=errors,
        start_new_session=sys.platform != 'win32',
      )

  def finish(self, code):
    """Waits for the command, whose exit code must be `code`; returns its output and errors."""
    found = self.process.wait(600)
    shown, errors = (file.read_text() for file in self.files)
    assert found == code, shown + errors
    return shown, errors

  def wait_for(self, condition):
    """Waits until a condition holds while the command runs."""
    until = time.monotonic() + 300
    while not condition():
      assert self.process.poll() is None, '\n'.join(file.read_text() for file in self.files)
      assert time.monotonic() < until
      time.sleep(0.05)


@pytest.fixture
def start(long_sweep, tmp_path):
  """Returns a function (workdir, *flags) → Command that trains the long sweep."""
  started = []

  def run(workdir, *flags):
    place = tmp_path / f'command-{len(started)}'
    started.append(
      Command(place, f'--config={long_sweep}', f'--workdir={workdir}', '--json', *flags)
    )
    return started[-1]

  yield run
  for one in started:
    with contextlib.suppress(ProcessLookupError):
      os.killpg(one.process.pid, signal.SIGKILL)  # and its jobs
    one.process.wait()


def saved(folder):
  last = run_folder.last_checkpoint(folder)
  return 0 if last is None else int(last.name)


def send(folder, number):
  """Sends a signal to the process that trains in a folder."""
  os.kill(json.loads((folder / 'lock').read_text())['process'], number)


@pytest.fixture
def long_sweep(sweep, small, config_file):
  """The config file of the sweep, with hundreds of checkpoints in each run."""
  config_file({**small, 'train_for': '600 steps', 'checkpoint_every': '3 steps'}, 'base')
  return config_file(sweep, 'sweep')


@with_submitit
def test_slurm_jobs_equal_a_sweep_in_one_process(sweep, config_file, tmp_path, monkeypatch, capsys):
  """As jobs of submitit's local executor."""
  for name, value in child_environment().items():
    monkeypatch.setenv(name, value)
  sweep['axes'][0]['choices'].pop()
  file, out = config_file(sweep, 'sweep'), tmp_path / 'jobs'
  line = ['sweep', f'--config={file}', f'--workdir={out}', '--on=slurm', '--slurm.cluster=local']
  assert command.run(sweep_command.main, line) == 0
  result = last_json(capsys.readouterr().out)
  assert (result['finished'], result['stopped'], result['faults']) == (1, False, {})
  assert (out / 'table.md').is_file()
  assert (out / 'compare.html').is_file()
  train_in_one_process(file, tmp_path / 'one')
  check_equal_runs(members.read(sweep, file), tmp_path / 'one', out)
  assert command.run(sweep_command.main, line) == 0, 'nothing is left to train'
  assert len(json.loads((out / 'slurm/local_jobs.json').read_text())) == 1


@pytest.fixture
def cluster(tmp_path, monkeypatch):
  """Stubs of SLURM's commands; returns a function that writes the stub of sbatch."""
  place = tmp_path / 'bin'
  place.mkdir()

  def write(name, text):
    (place / name).write_text(f'#!/bin/sh\n{text}\n')
    (place / name).chmod(0o755)

  for name in ('srun', 'sacct'):
    write(name, 'true')
  monkeypatch.setenv('PATH', f'{place}{os.pathsep}{os.environ["PATH"]}')
  return functools.partial(write, 'sbatch')


@with_submitit
def test_slurm_gets_an_array_job_with_the_resources(cluster, found, tmp_path):
  """An engine of a later session knows the jobs that have not ended."""
  cluster(f'cp "$1" {tmp_path}/script; echo Submitted batch job 7')
  out = tmp_path / 'out'
  parameters = {'partition': 'gpu', 'time': 90}
  with on_slurm.SlurmEngine(out, cpus=4, gpus=1, parameters=parameters) as engine:
    assert engine.known() == {}
    handles = engine.submit([task_of([member], out) for member in found])
  assert handles == ['7_0', '7_1']
  script = (tmp_path / 'script').read_text()
  for option in ('array=0-1%2', 'cpus-per-task=4', 'gpus-per-node=1', 'partition=gpu', 'time=90'):
    assert f'#SBATCH --{option}\n' in script
  assert re.search(r'^srun .* --cpus-per-task=4 ', script, re.MULTILINE)
  with on_slurm.SlurmEngine(out, cpus=4, gpus=1, parameters=parameters) as engine:
    assert engine.known() == {'7_0': ['fast/seed0'], '7_1': ['slow/seed0']}
    (out / 'slurm/7_0_0_result.pkl').write_bytes(pickle.dumps(('success', Outcome(error='no'))))
    assert engine.ended(['7_0', '7_1'], 0.0) == {'7_0': Outcome(error='no')}


@with_submitit
def test_slurm_refuses_a_job_in_one_line(cluster, found, tmp_path):
  cluster('echo "sbatch: error: Requested node configuration is not available" >&2; exit 1')
  engine = on_slurm.SlurmEngine(tmp_path / 'out', cpus=999, gpus=0, parameters={})
  message = '^--on=slurm: .*sbatch: error: Requested node configuration is not available: change'
  with engine, pytest.raises(ValueError, match=message):
    engine.submit([task_of(found, tmp_path)])


@with_submitit
@pytest.mark.parametrize(
  ('parameters', 'message'),
  [
    ({'partitoin': 'gpu'}, '--slurm.partitoin is no parameter of submitit: use cluster, account'),
    (
      {'time': '4:00:00'},
      '--slurm.time=4:00:00 is not a number of minutes: write --slurm.time=240',
    ),
    ({'cluster': 'pbs'}, '--slurm.cluster=pbs is unknown: use slurm or local'),
    ({}, '--on=slurm: this machine has no sbatch and srun: run the command on a login node'),
  ],
)
def test_parameters_of_slurm_are_checked_before_anything_is_written(
  parameters, message, tmp_path, monkeypatch
):
  monkeypatch.setenv('PATH', str(tmp_path))
  given = {'cluster': 'local', **parameters} if parameters else {}
  engine = on_slurm.SlurmEngine(tmp_path / 'out', cpus=None, gpus=0, parameters=given)
  with pytest.raises(ValueError, match=f'^{message}'), engine:
    pass
  assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('at_its_end', [True, False])
def test_a_job_at_the_end_of_its_time_saves_and_is_queued_again(
  at_its_end, found, tmp_path, monkeypatch
):
  """SLURM sends SIGUSR2, for which submitit has a handler that queues the job again."""
  queued = []

  def train(task):
    with stop_signals() as stop:
      if at_its_end:
        signal.raise_signal(signal.SIGUSR2)
      return Outcome(stopped=bool(stop))

  monkeypatch.setattr(tasks, 'train', train)
  before = signal.signal(signal.SIGUSR2, lambda number, frame: queued.append(number))
  try:
    assert on_slurm.Job()(task_of(found, tmp_path)).stopped == at_its_end
  finally:
    signal.signal(signal.SIGUSR2, before)
  assert queued == [signal.SIGUSR2] * at_its_end


@pytest.mark.slow
@with_submitit
def test_slurm_jobs_outlive_the_command_and_are_repeated(start, long_sweep, tmp_path):
  """The command is interrupted, its jobs go on, and the same command waits for them. A job whose
  process was killed is then submitted again, and resumes.
  """
  out, flags = tmp_path / 'jobs', ('--on=slurm', '--slurm.cluster=local')
  folders = out / 'fast/seed0', out / 'slow/seed0'
  first = start(out, *flags)
  for folder in folders:
    first.wait_for(lambda folder=folder: saved(folder) > 30)
    send(folder, signal.SIGSTOP)  # so that it does not end before the command
  first.process.send_signal(signal.SIGINT)
  shown, _ = first.finish(command.STOPPED)
  assert '2 jobs go on in the queue' in shown
  fast, slow = last_json(shown)['jobs']
  at_death = saved(folders[0])
  send(folders[0], signal.SIGKILL)
  send(folders[1], signal.SIGCONT)
  shown, _ = start(out, *flags).finish(0)
  assert last_json(shown)['finished'] == 2
  jobs = json.loads((out / 'slurm/local_jobs.json').read_text())
  assert ['fast/seed0'] in jobs.values()
  assert fast not in jobs, 'a new job'
  assert slow in jobs or ['slow/seed0'] not in jobs.values()
  log = (out / 'logs/fast-seed0.log').read_text()
  resumed = int(re.search(r'resuming .* at step (\d+)', log)[1])
  assert at_death <= resumed < 600
  train_in_one_process(long_sweep, tmp_path / 'one')
  check_equal_runs(members.read(read_file(long_sweep), long_sweep), tmp_path / 'one', out)


@pytest.mark.slow
@with_submitit
def test_a_slurm_job_is_continued_at_the_end_of_its_time(start, long_sweep, tmp_path):
  """SIGUSR2 saves the run; its job starts again, resumes, and is the same job."""
  out = tmp_path / 'jobs'
  first = start(out, '--on=slurm', '--slurm.cluster=local')
  first.wait_for(lambda: saved(out / 'fast/seed0') > 30)
  send(out / 'fast/seed0', signal.SIGUSR2)
  shown, _ = first.finish(0)
  assert last_json(shown)['finished'] == 2
  assert len(json.loads((out / 'slurm/local_jobs.json').read_text())) == 2
  log = (out / 'logs/fast-seed0.log').read_text()
  stopped = int(re.search(r'stopping after step (\d+)', log)[1])
  assert f'resuming {out}/fast/seed0 at step {stopped} of 600' in log
  train_in_one_process(long_sweep, tmp_path / 'one')
  check_equal_runs(members.read(read_file(long_sweep), long_sweep), tmp_path / 'one', out)


@pytest.mark.slow
@with_ray
@pytest.mark.parametrize('scheme', ['', 'file://'], ids=['folder', 'store'])
def test_ray_resumes_the_runs_of_a_killed_worker_and_of_ctrl_c(
  scheme, start, long_sweep, tmp_path, monkeypatch
):
  """Two workers train; one is killed, later all are interrupted. The runs equal those of one
  process, bit for bit.
  """
  monkeypatch.setenv(local.PLACE, str(tmp_path / 'mirrors'))
  out, flags = tmp_path / 'ray', ('--on=ray', '--cpus=1')
  fast, slow = out / 'fast/seed0', out / 'slow/seed0'
  place = f'{scheme}{out}'
  first = start(place, *flags)
  first.wait_for(lambda: saved(fast) > 30)
  at_death = saved(fast)
  send(fast, signal.SIGKILL)
  first.wait_for(lambda: saved(fast) > at_death + 60 and saved(slow) > 0)
  os.killpg(first.process.pid, signal.SIGINT)  # as a terminal does
  shown, errors = first.finish(command.STOPPED)
  assert 'jaxdl: the worker of fast (seed 0) died (' in errors
  assert f'retry 1 of {RETRIES}' in errors
  assert 'resuming' in (out / 'logs/fast-seed0.log').read_text()
  assert last_json(shown)['stopped']
  assert 0 < saved(fast) < 600
  shown, _ = start(place, *flags).finish(0)
  assert last_json(shown)['finished'] == 2
  assert (out / 'table.md').is_file()
  assert (out / 'compare.html').is_file()
  train_in_one_process(long_sweep, tmp_path / 'one')
  check_equal_runs(members.read(read_file(long_sweep), long_sweep), tmp_path / 'one', out)


@pytest.mark.slow
@with_ray
def test_ray_refuses_a_group_that_is_larger_than_the_machine(start, tmp_path):
  _, errors = start(tmp_path / 'ray', '--on=ray', '--cpus=9999').finish(1)
  assert errors.startswith('jaxdl: --cpus=9999: a group asks for 9999 cores and 0 GPUs of one node')
  assert not (tmp_path / 'ray').exists()


@with_ray
def test_ray_has_no_cluster_at_an_address():
  with pytest.raises(OSError, match='^--address=127.0.0.1:1: no Ray cluster can be used there'):
    on_ray._start('127.0.0.1:1')
