"""Tests of `jaxdl.status`, which reads the progress of runs from their files."""

import json
import os

import pytest
from helpers import last_json

from jaxdl import status
from jaxdl.runs import folder as run_folder
from jaxdl.step import metrics
from jaxdl.terminal import command
from jaxdl.training import experiment, loop


def test_status_before_during_and_after_training(small, tmp_path, capsys):
  with pytest.raises(
    FileNotFoundError, match=rf'^{tmp_path}/none contains no run: give the folder of a run$'
  ):
    status.read(tmp_path / 'none')
  built, folder = experiment.build(small, 'small'), tmp_path / 'run'
  with run_folder.locked(folder, built.config, built.steps):
    found = status.read(folder)
  assert (found['state'], found['step'], found['steps'], found['checkpoint']) == (
    'training',
    0,
    8,
    None,
  )
  assert status.text(found).endswith('no checkpoint yet')
  loop.train(experiment.build({**small, 'train_for': '4 steps'}, 'small'), folder)
  with run_folder.locked(folder, built.config, built.steps):
    with (folder / 'metrics.jsonl').open('a') as journal:
      journal.write('{"step": 6, "spl')  # a line that is being written
    found = status.read(folder)
  assert (found['state'], found['process'], found['step'], found['steps']) == (
    'training',
    os.getpid(),
    4,
    8,
  )
  assert found['seconds_left'] == pytest.approx(4 * 16 / found['examples_per_second'], abs=0.06)
  assert found['checkpoint'] == 4
  assert 0 <= found['checkpoint_seconds_ago'] < 600
  lines = [json.loads(line) for line in (folder / 'metrics.jsonl').read_text().splitlines()[:-1]]
  last = next(line for line in reversed(lines) if line['split'] == 'validation')
  assert found['figures']['validation'] == {'loss': last['loss'], 'accuracy': last['accuracy']}
  assert set(found['figures']) == {'train', 'validation', 'test'}
  loop.train(built, folder)
  assert status.main(['status', '--workdir', str(folder)]) == 0
  printed = capsys.readouterr().out
  assert f'{folder}: finished\n  step 8 of 8  train loss' in printed
  counts = built.data.per_class
  assert found['chance'] == {
    f'{split}_accuracy': max(counts[split]) / sum(counts[split]) for split in ('validation', 'test')
  }
  assert f' %  chance level {metrics.chance_levels(found["chance"])}\n' in printed
  assert ', checkpoint at step 8, 0:00:' in printed
  assert last_json(printed)[0]['state'] == 'finished'


def test_status_of_a_killed_extended_run_is_stopped(small, tmp_path):
  loop.train(experiment.build({**small, 'train_for': '4 steps'}, 'small'), tmp_path)
  assert status.read(tmp_path)['state'] == 'finished'
  with (tmp_path / 'metrics.jsonl').open('a') as journal:
    # A line of the second session, which was killed before it wrote a summary.
    journal.write('{"step": 8, "split": "train", "loss": 1.0}\n')
  assert status.read(tmp_path)['state'] == 'stopped'


def test_status_time_left_includes_evaluations(small, tmp_path):
  built = experiment.build({**small, 'train_for': '12 steps'}, 'small')
  loop.train(built, tmp_path)
  with run_folder.locked(tmp_path, {**built.config, 'train_for': '20 steps'}, 20):
    # The speed is that of the last log, because both checkpoints are of the previous session.
    fast = status.read(tmp_path)
    assert fast['seconds_left'] == pytest.approx(8 * 16 / fast['examples_per_second'], abs=0.06)
    began = (tmp_path / 'lock').stat().st_mtime
    for step, time in ((8, began + 5), (12, began + 35)):
      os.utime(tmp_path / f'checkpoints/{step}', (time, time))
    assert status.read(tmp_path)['seconds_left'] == 8 * 30 / 4


@pytest.mark.slow
def test_status_of_a_language_model_counts_characters(small_text, tmp_path):
  loop.train(experiment.build({**small_text, 'train_for': '4 steps'}, 'small'), tmp_path)
  with run_folder.locked(
    tmp_path, experiment.build({**small_text, 'train_for': '9 steps'}, 'small').config, 9
  ):
    found = status.read(tmp_path)
  data = small_text['data']
  assert found['seconds_left'] == pytest.approx(
    5 * data['batch_size'] * data['time_step'] / found['examples_per_second'], abs=0.06
  )
  assert f'{found["examples_per_second"]:,.0f} characters/s, ' in status.text(found)


def test_status_without_log_uses_the_checkpoint(small, tmp_path):
  loop.train(experiment.build({**small, 'train_for': '4 steps'}, 'small'), tmp_path)
  (tmp_path / 'metrics.jsonl').unlink()
  found = status.read(tmp_path)
  assert (found['step'], found['checkpoint'], found['logged_seconds_ago']) == (4, 4, None)


def test_status_finds_runs_in_folders_and_skips_others(small, tmp_path, capsys):
  built = experiment.build(small, 'small')
  for name in ('single', 'sweeps/cells/lstm', 'sweeps/cells/gru'):
    with run_folder.locked(tmp_path / 'runs' / name, built.config, built.steps):
      pass
  (tmp_path / 'runs/empty').mkdir()
  (tmp_path / 'runs/compare.html').touch()
  everything = [
    'status',
    '--workdir',
    *(str(path) for path in sorted((tmp_path / 'runs').iterdir())),
  ]
  assert status.main(everything) == status.main(['status', str(tmp_path / 'runs')]) == 0
  shown = capsys.readouterr()
  first, second = [json.loads(line) for line in shown.out.splitlines() if line.startswith('[')]
  assert (
    [one['workdir'] for one in first]
    == [one['workdir'] for one in second]
    == [
      str(tmp_path / 'runs' / name) for name in ('single', 'sweeps/cells/gru', 'sweeps/cells/lstm')
    ]
  )
  assert shown.err == ''.join(
    f'jaxdl: {tmp_path}/runs/{name} contains no run: left out\n'
    for name in ('compare.html', 'empty')
  )
  assert status.main(['status', str(tmp_path / 'runs/single'), str(tmp_path / 'runs')]) == 0
  assert json.loads(capsys.readouterr().out.splitlines()[-1]) == first, 'each run is listed once'
  assert command.run(status.main, ['status', str(tmp_path / 'runs/singl')]) == 1
  assert (
    capsys.readouterr().err
    == f'jaxdl: {tmp_path}/runs/singl does not exist: did you mean {tmp_path}/runs/single?\n'
  )
  assert command.run(status.main, ['status', '--workdir', str(tmp_path / 'runs/empty')]) == 1
  assert (
    capsys.readouterr().err
    == f'jaxdl: {tmp_path}/runs/empty contains no run: give the folder of a run\n'
  )


def test_status_of_a_damaged_run_does_not_hide_the_others(small, tmp_path, capsys):
  for name in ('good', 'truncated', 'unreadable'):
    loop.train(experiment.build({**small, 'train_for': '2 steps'}, 'small'), tmp_path / name)
  config = tmp_path / 'truncated/config.json'
  config.write_text(config.read_text()[:50])
  (tmp_path / 'unreadable/config.json').write_bytes(b'\xff')
  capsys.readouterr()
  assert command.run(status.main, ['status', str(tmp_path), '--json']) == 1
  shown = capsys.readouterr()
  assert [one['workdir'] for one in last_json(shown.out)] == [str(tmp_path / 'good')]
  truncated, unreadable = sorted(shown.err.splitlines())
  assert truncated.startswith(f'jaxdl: {config} is not JSON')
  assert unreadable.startswith(f'jaxdl: {tmp_path}/unreadable/config.json is not JSON')
