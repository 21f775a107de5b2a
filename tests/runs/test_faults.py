"""Fault tolerance of runs: damaged files, a second process in the folder, kills, a full disk, and a
clock set back.
"""

import dataclasses
import json
import os
import platform
import random
import re
import shutil
import signal
import subprocess
import time

import forked
import fuzzing
import jax
import numpy as np
import pytest
import tensorstore
from helpers import run_child, state_of

from jaxdl import main, status
from jaxdl.runs import checkpoint, integrity
from jaxdl.runs import disk as disk_files
from jaxdl.runs import folder as run_folder
from jaxdl.runs.disk import write_atomic
from jaxdl.terminal import command
from jaxdl.training import experiment, loop


def equal(first, second):
  return all(map(np.array_equal, jax.tree.leaves(first), jax.tree.leaves(second)))


@pytest.fixture
def run(small, tmp_path):
  """(experiment, folder of its finished run, with checkpoints of steps 6 and 8)."""
  built = experiment.build({**small, 'checkpoint_every': '2 steps'}, 'small')
  loop.train(built, tmp_path / 'run')
  assert checkpoint.kept_steps(tmp_path / 'run') == [6, 8]
  return built, tmp_path / 'run'


def delete(file, generator):
  file.unlink()


def truncate(file, generator):
  file.write_bytes(file.read_bytes()[: generator.randrange(max(1, file.stat().st_size))])


def flip_bit(file, generator):
  data = bytearray(file.read_bytes())
  if data:
    data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
  file.write_bytes(data)


@pytest.mark.parametrize(
  'offset',
  [
    *(pytest.param(offset, marks=pytest.mark.slow) for offset in range(3)),
    *(pytest.param(offset, marks=pytest.mark.nightly) for offset in range(3, 33)),
  ],
)
def test_faults_damaged_checkpoint_file_is_detected_or_harmless(
  run, offset, tmp_path, capsys, reliability
):
  """Damages each file of the last checkpoint in turn. The restored state equals the last or the
  previous checkpoint bit for bit.
  """
  built, workdir = run
  states = {step: state_of(built, workdir, step) for step in (6, 8)}
  detected = 0
  for number, name in enumerate(
    sorted(file.relative_to(workdir) for file in workdir.glob('checkpoints/8/**/*'))
  ):
    if not (workdir / name).is_file():
      continue
    copy = tmp_path / f'copy{number}'
    shutil.copytree(workdir, copy)
    (delete, truncate, flip_bit)[(number + offset) % 3](
      copy / name, random.Random(f'{fuzzing.seed} {offset // 3} {number}')
    )
    with checkpoint.manager(copy) as checkpoints:
      found = checkpoint.restore_last(checkpoints, built.initial_state())
    assert equal(found, states[int(found.step)]), name
    warned = 'checkpoint 8 is damaged' in capsys.readouterr().err
    assert warned == (copy / 'damaged/8').is_dir() == (int(found.step) == 6), name
    detected += warned
    reliability(
      'files of a checkpoint deleted, truncated or with a flipped bit: harmless, or detected and skipped',
      1,
      1,
    )
    shutil.rmtree(copy)
  assert detected > 4


def test_faults_run_resumes_before_a_damaged_checkpoint(small, run, tmp_path, capsys):
  """The final state equals that of a run without damage."""
  built, workdir = run
  expected = state_of(built, workdir)
  for file in workdir.glob('checkpoints/8/train/d/*'):
    flip_bit(file, random.Random(0))
  loop.train(built, workdir)
  captured = capsys.readouterr()
  assert 'checkpoint 8 is damaged' in captured.err
  assert f'moved to {workdir}/damaged/8, continuing without it' in captured.err
  assert 'at step 6 of 8' in captured.out
  assert equal(state_of(built, workdir), expected)
  lines = [json.loads(line) for line in (workdir / 'metrics.jsonl').read_text().splitlines()]
  steps = [(line['step'], line['split']) for line in lines]
  assert len(steps) == len(set(steps))


def test_faults_run_without_checkpoints_is_not_overwritten(small, tmp_path):
  built = experiment.build({**small, 'train_for': '4 steps'}, 'small')
  loop.train(built, tmp_path)
  shutil.rmtree(tmp_path / 'checkpoints')
  before = {
    name: (tmp_path / name).read_bytes()
    for name in ('metrics.jsonl', 'summary.json', 'config.json')
  }
  with pytest.raises(
    ValueError,
    match='has the figures of a run but no checkpoints: give another --workdir, or delete the folder',
  ):
    loop.train(built, tmp_path)
  assert {name: (tmp_path / name).read_bytes() for name in before} == before
  assert status.text(status.read(tmp_path)).endswith('no checkpoint')


def damage_all(workdir):
  for file in workdir.glob('checkpoints/*/train/d/*'):
    flip_bit(file, random.Random(0))


def contents(folder):
  """Maps the name of each file except the lock to its bytes. A refused session must not change
  them.
  """
  return {
    str(file.relative_to(folder)): file.read_bytes()
    for file in sorted(folder.rglob('*'))
    if file.is_file() and file.name != 'lock'
  }


@pytest.mark.slow
def test_faults_all_checkpoints_damaged_needs_start_over(small, run, config_file, capsys):
  """Training is refused and changes no file until --start-over is given."""
  built, workdir = run
  expected = state_of(built, workdir)
  damage_all(workdir)
  before = contents(workdir)
  small.update(checkpoint_every='2 steps', train_for='10 steps')
  longer = experiment.build(small, 'small')
  message = re.escape(
    f'every checkpoint of {workdir} is damaged: 2 in {workdir}/checkpoints, the last of step 8 ('
  )
  for again in (built, built, longer):
    with pytest.raises(
      checkpoint.AllDamagedError,
      match=(
        rf'^{message}.*\); restore the files from a copy, or add --start-over, which moves them to '
        rf'{re.escape(str(workdir))}/damaged, loses the training up to step 8 and begins at step 1$'
      ),
    ):
      loop.train(again, workdir)
    assert contents(workdir) == before
  file = config_file({**small, 'train_for': '8 steps'})
  arguments = ['main', f'--config={file}', f'--workdir={workdir}']
  assert command.run(main.main, arguments) == 1
  assert re.fullmatch(rf'(.*\n)*jaxdl: {message}.*\n', capsys.readouterr().err)
  assert contents(workdir) == before
  assert command.run(main.main, [*arguments, '--start-over']) == 0
  assert sorted(path.name for path in (workdir / 'damaged').iterdir()) == ['6', '8']
  assert equal(state_of(built, workdir), expected)
  assert (
    workdir / 'command.txt'
  ).read_text() == f'python -m jaxdl.main --config={file} --workdir={workdir}\n'
  lines = [json.loads(line) for line in (workdir / 'metrics.jsonl').read_text().splitlines()]
  steps = [(line['step'], line['split']) for line in lines]
  assert len(steps) == len(set(steps))


def test_faults_start_over_resumes_an_intact_run(small, run, capsys):
  built, workdir = run
  small.update(checkpoint_every='2 steps', train_for='10 steps')
  longer = experiment.build(small, 'small')
  loop.train(longer, workdir, start_over=True)
  assert f'resuming {workdir} at step 8 of 10' in capsys.readouterr().out
  assert not (workdir / 'damaged').exists()


def test_faults_unreadable_loss_damages_only_its_own_checkpoint(run):
  built, workdir = run
  states = {step: state_of(built, workdir, step) for step in (6, 8)}
  (workdir / 'checkpoints/8/metrics/metrics').write_text('{"loss": "low"}')
  assert checkpoint.kept_steps(workdir) == [6, 8]
  with pytest.raises(
    ValueError, match=r"damaged \(its validation loss is 'low'\): give another --step"
  ):
    checkpoint.load_model(workdir, 8)
  with checkpoint.manager(workdir) as checkpoints:
    found = checkpoint.restore_last(checkpoints, built.initial_state())
  assert equal(found, states[6])
  (workdir / 'checkpoints/6/metrics').mkdir()
  (workdir / 'checkpoints/6/metrics/metrics').write_text('')
  with pytest.raises(
    checkpoint.AllDamagedError, match=r'the last of step 6 \(its validation loss cannot'
  ):
    loop.train(built, workdir)
  assert [path.name for path in (workdir / 'checkpoints').iterdir()] == ['6']


@pytest.mark.parametrize('step', [4, 6, 8])
@pytest.mark.slow
def test_faults_unreadable_new_checkpoint_stops_the_run(step, small, tmp_path, monkeypatch):
  """The arrays are damaged right after they are written. The previous checkpoint is kept; step 8 is
  the last one.
  """
  built = experiment.build({**small, 'checkpoint_every': '2 steps'}, 'small')
  loop.train(built, tmp_path / 'uninterrupted')
  read_back, workdir = checkpoint.read_back, tmp_path / 'run'

  def damage_then_read_back(checkpoints, state):
    checkpoints.wait_until_finished()
    if checkpoints.unread == step:
      for file in workdir.glob(f'checkpoints/{step}/train/d/*'):
        flip_bit(file, random.Random(0))
    read_back(checkpoints, state)

  with monkeypatch.context() as patch:
    patch.setattr(checkpoint, 'read_back', damage_then_read_back)
    with pytest.raises(
      OSError,
      match=(
        rf'^the checkpoint of step {step} was written to {workdir}/checkpoints but cannot be read back '
        rf'\(.+\): the checkpoint of step {step - 2} is kept; check the disk and rerun the command'
      ),
    ):
      loop.train(built, workdir)
  loop.train(built, workdir)
  assert [path.name for path in (workdir / 'damaged').iterdir()] == [str(step)]
  assert equal(*(state_of(built, tmp_path / name) for name in ('run', 'uninterrupted')))


def test_faults_older_checkpoint_is_deleted_after_the_newer_one_was_read(
  small, tmp_path, monkeypatch
):
  """At every read-back, all checkpoints that were there before the save are still there."""
  built = experiment.build({**small, 'checkpoint_every': '2 steps'}, 'small')
  workdir, seen = tmp_path / 'run', []
  restore, delete = checkpoint.restore, checkpoint.Manager.delete

  def restoring(checkpoints, state, *, step):
    seen.append(('read', step, checkpoint.kept_steps(workdir)))
    return restore(checkpoints, state, step=step)

  def deleting(self, step):
    seen.append(('delete', step, None))
    delete(self, step)

  monkeypatch.setattr(checkpoint, 'restore', restoring)
  monkeypatch.setattr(checkpoint.Manager, 'delete', deleting)
  loop.train(built, workdir)
  assert seen[:5] == [
    ('read', 2, [2]),
    ('read', 4, [2, 4]),
    ('read', 6, [2, 4, 6]),
    ('delete', 2, None),
    ('read', 8, [4, 6, 8]),
  ]
  assert checkpoint.kept_steps(workdir) == [6, 8]


def test_faults_unreadable_checkpoint_deletes_nothing(small, tmp_path, monkeypatch):
  built = experiment.build({**small, 'checkpoint_every': '2 steps'}, 'small')
  restore = checkpoint.restore

  def failing(checkpoints, state, *, step):
    if step == 8:
      raise integrity.DamagedError('it cannot be read')
    return restore(checkpoints, state, step=step)

  monkeypatch.setattr(checkpoint, 'restore', failing)
  with pytest.raises(OSError, match='the checkpoint of step 6 is kept'):
    loop.train(built, tmp_path / 'run')
  assert checkpoint.kept_steps(tmp_path / 'run') == [4, 6, 8]


def test_faults_old_checkpoint_that_cannot_be_deleted_is_one_warning(
  small, tmp_path, monkeypatch, capsys
):
  built = experiment.build({**small, 'checkpoint_every': '1 steps'}, 'small')
  delete = checkpoint.ocp.CheckpointManager.delete

  def failing(self, step):
    if step < 5:
      raise OSError(39, 'Directory not empty')
    delete(self, step)

  monkeypatch.setattr(checkpoint.ocp.CheckpointManager, 'delete', failing)
  assert loop.train(built, tmp_path / 'run')['stopped'] is None
  assert [line for line in capsys.readouterr().err.splitlines() if 'deleted' in line] == [
    'warning: the checkpoint of step 1 cannot be deleted ([Errno 39] Directory not empty): it is '
    'tried again after the next one'
  ]
  assert {1, 2, 3, 7, 8} <= set(checkpoint.kept_steps(tmp_path / 'run'))
  monkeypatch.undo()
  longer = experiment.build(
    {**small, 'checkpoint_every': '1 steps', 'train_for': '9 steps'}, 'small'
  )
  loop.train(longer, tmp_path / 'run')
  assert not {1, 2, 3} & set(checkpoint.kept_steps(tmp_path / 'run'))


@pytest.fixture
def best_before_last(small, tmp_path):
  """(experiment, folder of its run): the best checkpoint is that of step 2, the last of step 8."""
  built = experiment.build({**small, 'checkpoint_every': '2 steps'}, 'small')
  workdir, state = tmp_path / 'run', built.initial_state()
  with checkpoint.manager(workdir) as checkpoints:
    for step, score in ((2, 0.1), (4, 0.5), (6, 0.4), (8, 0.3)):
      changed = jax.tree.map(lambda leaf, step=step: leaf + np.float32(step), state.params)
      saved = dataclasses.replace(state, step=np.int32(step), params=changed)
      checkpoint.save(checkpoints, saved, built.config, score=score)
    checkpoint.read_back(checkpoints, state)
  assert checkpoint.kept_steps(workdir) == [2, 6, 8]
  return built, workdir


@pytest.mark.slow
@pytest.mark.parametrize(('damaged', 'other'), [(8, 2), (2, 8)], ids=['last', 'best'])
@pytest.mark.parametrize('change', [delete, truncate, flip_bit])
def test_faults_best_and_last_survive_damage_of_each_other(
  change, damaged, other, best_before_last, tmp_path
):
  """Each file of the last checkpoint is damaged, then each file of the best one."""
  built, workdir = best_before_last
  expected = state_of(built, workdir, other)
  for number, file in enumerate(sorted(workdir.glob(f'checkpoints/{damaged}/**/*'))):
    if not file.is_file():
      continue
    copy = shutil.copytree(workdir, tmp_path / 'copy')
    change(copy / file.relative_to(workdir), random.Random(number))
    with checkpoint.manager(copy) as checkpoints:
      if other == 2:  # the best, although the last is damaged
        found = checkpoint.restore_last(checkpoints, built.initial_state())
        assert int(found.step) in (8, 6), file
        found = checkpoint.restore_best(checkpoints, found)
      else:
        found = checkpoint.restore_last(checkpoints, built.initial_state())
    assert int(found.step) == other, file
    assert equal(found, expected), file
    assert checkpoint.read_step(copy, other)[0] == other
    shutil.rmtree(copy)


@pytest.mark.slow
def test_faults_unsaved_arrays_are_detected(small, tmp_path, monkeypatch):
  """orbax treats this folder's name as a pattern that matches nothing, and saves no arrays."""
  monkeypatch.setattr(checkpoint, 'PLAIN', re.compile('.*'))
  for every in ('2 steps', '8 steps'):
    workdir = tmp_path / f'[x]{every}'
    small.update(checkpoint_every=every, evaluate_every='8 steps')
    built = experiment.build(small, 'small')
    with pytest.raises(
      OSError, match=r'cannot be read back \(.+\): there is no other checkpoint; check the disk'
    ):
      loop.train(built, workdir)
    with pytest.raises(checkpoint.AllDamagedError):
      loop.train(built, workdir)
    assert not (workdir / 'damaged').exists()


def test_faults_damaged_checkpoint_is_not_analysed(run):
  _, workdir = run
  for file in workdir.glob('checkpoints/8/model/ocdbt.process_0/d/*'):
    file.write_bytes(bytes(file.stat().st_size))
  with pytest.raises(
    ValueError,
    match=rf'^checkpoint 8 of {workdir} is damaged \(.+\): give another --step of \[6, 8\]$',
  ):
    checkpoint.load_model(workdir, 8)
  model, variables, _ = checkpoint.load_model(workdir, 6)
  assert np.isfinite(model.apply(variables, np.zeros((1, 28, 28), np.float32))).all()


def test_faults_arrays_larger_than_the_memory_are_not_read(run, monkeypatch):
  _, workdir = run
  place = f'file://{workdir}/checkpoints/8/model/'
  arrays = tensorstore.KvStore.open({'driver': 'ocdbt', 'base': place}).result()
  described = json.loads(arrays.read('params.logits.bias/.zarray').result().value)
  described['shape'] = [10**12]
  arrays.write('params.logits.bias/.zarray', json.dumps(described).encode()).result()
  monkeypatch.setattr(checkpoint, '_read', lambda *args, **items: pytest.fail('it is read'))
  with pytest.raises(
    ValueError, match=r'8 of .* is damaged \(its arrays need 4,000 GB and the mach'
  ):
    checkpoint.load_model(workdir, 8)


def test_faults_missing_checksums_are_accepted_in_older_formats(run):
  built, workdir = run
  expected = state_of(built, workdir)
  shutil.rmtree(workdir / 'checkpoints/8/checksums')
  with pytest.raises(integrity.DamagedError, match='its checksums are missing'):
    state_of(built, workdir)
  file = workdir / 'checkpoints/8/config/metadata'
  config = json.loads(file.read_text())
  assert config.pop('format') == 2
  file.write_text(json.dumps(config))
  assert equal(state_of(built, workdir), expected)


def test_faults_second_process_in_a_folder_is_refused(small, config_file, tmp_path):
  built = experiment.build(small, 'small')
  with run_folder.locked(tmp_path / 'run', built.config, built.steps):
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob('*'))
    done = run_child(
      '-m', 'jaxdl.main', f'--config={config_file(small)}', f'--workdir={tmp_path / "run"}'
    )
    after = [(path, path.stat().st_mtime_ns) for path in sorted(path for path, _ in before)]
  assert done.returncode == 1
  assert done.stderr.strip().splitlines()[-1] == (
    f'jaxdl: {tmp_path / "run"} is in use by process {os.getpid()} on {platform.node()}: wait until it ends, or give '
    'another --workdir'
  )
  assert [entry for entry in after if 'run' in entry[0].parts[-1:]] == [
    entry for entry in before if 'run' in entry[0].parts[-1:]
  ]
  loop.train(built, tmp_path / 'run')  # the lock is released


@pytest.mark.slow
def test_faults_clock_set_back_does_not_change_results(small, tmp_path, monkeypatch):
  built = experiment.build(small, 'small')
  loop.train(built, tmp_path / 'uninterrupted')
  loop.train(experiment.build({**small, 'train_for': '6 steps'}, 'small'), tmp_path / 'resumed')
  now = time.time
  monkeypatch.setattr(time, 'time', lambda: now() - 86400)
  for path in (tmp_path / 'resumed').rglob('*'):  # the files seem to be written tomorrow
    os.utime(path, (now() + 86400,) * 2)
  loop.train(built, tmp_path / 'resumed')
  assert equal(*(state_of(built, tmp_path / name) for name in ('resumed', 'uninterrupted')))


def kill_at_random_moment(process, output, generator):
  """Sends SIGKILL to a training. A third of the time, this is at a random moment of its start, until
  its first step; else, the run spends most of its time writing checkpoints.
  """
  starting = generator.random() < 1 / 3
  end = time.monotonic() + (generator.uniform(0, 4) if starting else 300)
  while time.monotonic() < end and process.is_alive() and '\nstep ' not in output.read_text():
    time.sleep(0.01)
  if not starting:
    time.sleep(generator.uniform(0, 0.4))
  process.kill()


def check_killed_run(config, folder, most, generator):
  """Trains a run that is killed again and again, and one that is not; returns the number of kills."""
  built = experiment.build(config, 'small')
  uninterrupted = loop.train(built, folder / 'uninterrupted')
  workdir, output, kills, code = folder / 'killed', folder / 'output', 0, None
  while code != 0:
    process = forked.started(forked.train, (config, workdir), output)
    if kills < most:
      kill_at_random_moment(process, output, generator)
    process.join(timeout=300)
    code = process.exitcode
    assert code == 0 or (code == -signal.SIGKILL and kills < most), output.read_text()
    assert 'is damaged' not in output.read_text()
    kills += code != 0
  assert equal(*(state_of(built, folder) for folder in (workdir, folder / 'uninterrupted')))
  lines = [json.loads(line) for line in (workdir / 'metrics.jsonl').read_text().splitlines()]
  steps = [(line['step'], line['split']) for line in lines]
  assert len(steps) == len(set(steps))
  assert {step for step, split in steps if split == 'train'} == set(range(1, built.steps + 1))
  summary = json.loads((workdir / 'summary.json').read_text())
  assert {key: summary[key] for key in uninterrupted if key != 'seconds'} == {
    key: uninterrupted[key] for key in uninterrupted if key != 'seconds'
  }
  return kills


@pytest.mark.parametrize(
  ('kills', 'number'),
  [
    *(pytest.param(kills, 0, marks=pytest.mark.slow) for kills in (1, 30)),
    *(pytest.param(30, number, marks=pytest.mark.nightly) for number in range(10)),
  ],
)
def test_faults_random_kills_do_not_change_the_result(kills, number, small, tmp_path, reliability):
  small.update(
    train_for='30 steps',
    log_every='1 steps',
    evaluate_every='10 steps',
    checkpoint_every='1 steps',
  )
  first = 1000 * ((fuzzing.seed or 0) + number)
  generator, done, seed = random.Random(first), 0, first
  while done < kills:
    assert seed < first + 10 * kills, 'most runs end before they are killed'
    seed += 1
    folder = tmp_path / str(seed)
    done += check_killed_run({**small, 'seed': seed}, folder, kills - done, generator)
  if kills > 1:
    reliability(
      'SIGKILL at a random moment, checkpoints at every step: the resumed run equals an uninterrupted one bit for bit',
      kills,
      kills,
    )


@pytest.mark.slow
def test_faults_full_disk_stops_and_keeps_checkpoints(small, config_file, tmp_path):
  """Uses a real file system that is too small for the run."""
  disk = tmp_path / 'disk'
  disk.mkdir()
  mounted = subprocess.run(
    ['mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk], capture_output=True, text=True
  )
  if mounted.returncode:
    pytest.skip(f'no file system can be mounted here: {mounted.stderr.strip()}')
  try:
    small.update(train_for='200 steps', checkpoint_every='2 steps', keep_every='2 steps')
    done = run_child(
      '-m', 'jaxdl.main', f'--config={config_file(small)}', f'--workdir={disk / "run"}'
    )
    assert done.returncode == 1, done.stdout
    kept = checkpoint.kept_steps(disk / 'run')
    assert kept
    assert re.search(
      rf'\njaxdl: the disk of {disk}/run/checkpoints is full: the checkpoint of step {kept[-1] + 2} needs '
      r'\d\.\d MB and \d\.\d MB are free; make room and rerun the command\n$',
      done.stderr,
    )
    assert 'Traceback' not in done.stderr
    built = experiment.build(small, 'small')
    shutil.copytree(disk / 'run', tmp_path / 'elsewhere')
    shorter = experiment.build(
      {**small, 'train_for': f'{kept[-1] + 2} steps', 'keep_every': None}, 'small'
    )
    loop.train(shorter, tmp_path / 'elsewhere')
    loop.train(shorter, tmp_path / 'uninterrupted')
    assert equal(*(state_of(built, tmp_path / name) for name in ('elsewhere', 'uninterrupted')))
  finally:
    subprocess.run(['umount', disk], check=True)


def test_faults_file_writes_are_atomic(tmp_path):
  file = tmp_path / 'file'
  write_atomic(file, 'first')
  (tmp_path / 'file.new').mkdir()  # the temporary file cannot be written
  with pytest.raises(OSError, match=r'file\.new'):
    write_atomic(file, 'second')
  assert file.read_text() == 'first'


@pytest.mark.parametrize(
  'value',
  [
    {},
    [],
    None,
    'x' * 200,
    {'a': {}},
    [1, 2.5, None, True] * 100,
    {'classes': list('ab cd"é') * 30},
    {'layers': [{'kind': 'dense', 'features': [1, [2, 3]] * 40}] * 3, 'b': {'c': 'd' * 100}},
    float('inf'),
  ],
)
def test_readable_json_round_trips_in_fewer_lines(value):
  text = disk_files.readable_json(value)
  assert json.loads(text) == value
  assert text.count('\n') <= json.dumps(value, indent=2).count('\n')


def test_readable_json_keeps_short_values_on_one_line():
  value = {
    'name': 'x' * 90,
    'list': ['plain'] * 50,
    'deep': [{'a': 1}, {'b': 'y' * 90, 'c': [1, 2]}],
  }
  assert disk_files.readable_json(value).splitlines() == [
    '{',
    f'  "name": "{"x" * 90}",',
    f'  "list": {json.dumps(value["list"])},',
    '  "deep": [',
    '    {"a": 1},',
    '    {',
    f'      "b": "{"y" * 90}",',
    '      "c": [1, 2]',
    '    }',
    '  ]',
    '}',
  ]
