"""A run compiled together with others leaves the same files and figures as a separate run."""

import json
import pathlib
import signal

import numpy as np
import pytest
from helpers import run_child
from training_helpers import train_together

from jaxdl.runs import checkpoint, files, record
from jaxdl.training import experiment, loop

SEEDS = (0, 1)


def train_separately(experiments, folders, callbacks):
  found = []
  for built, folder, hooks in zip(experiments, folders, callbacks, strict=True):
    try:
      found.append(
        loop.train(
          built,
          folder,
          at_start=hooks.at_start,
          at_evaluation=hooks.at_evaluation,
          at_end=hooks.at_end,
        )
      )
    except FloatingPointError as error:
      found.append(str(error))
  return found


MODES = {'separate': train_separately, 'together': train_together}


def built(small, **changes):
  return [experiment.build({**small, **changes, 'seed': seed}, 'small') for seed in SEEDS]


def recording_callbacks(calls, number, stop_at=None):
  """Callbacks that append (name, number of the run, step) to a list and optionally send SIGTERM."""

  def at_evaluation(writers, state):
    calls.append(('evaluation', number, int(state.step)))
    if int(state.step) == stop_at:
      signal.raise_signal(signal.SIGTERM)

  return loop.Callbacks(
    at_start=lambda writers: calls.append(('start', number, None)),
    at_evaluation=at_evaluation,
    at_end=lambda writers, state: calls.append(('end', number, int(state.step))),
  )


def results_of(folder):
  """A run's results: its files, checkpoints, journal and summary."""
  run = record.load(folder)
  names = {path.relative_to(folder).parts[0] for path in pathlib.Path(folder).rglob('*')}
  lines = [
    (line['step'], line['split'], sorted(line), line['loss']) for line in files.journal(folder)
  ]
  return {
    'files': sorted(names),
    'checkpoints': checkpoint.kept_steps(folder),
    'damaged': sorted(path.name for path in pathlib.Path(folder).glob('damaged/*')),
    'journal': [line[:3] for line in lines],
    'losses': [line[3] for line in lines],
    'weights': [line['step'] for line in files.weights(folder)],
    'summary': {key: run.summary.get(key) for key in ('step', 'steps', 'stopped', 'stopped_early')},
    'figures': sorted(run.summary),
    'finished': run.finished,
  }


def train_in_both_modes(tmp_path, scenario):
  """Trains a scenario in both modes; returns the runs' results and the callbacks' calls of each."""
  found = {}
  for mode, train in MODES.items():
    folders = [tmp_path / mode / str(seed) for seed in SEEDS]
    calls = []
    scenario(train, folders, calls)
    found[mode] = [results_of(folder) for folder in folders], sorted(calls, key=str)
  return found['separate'], found['together']


def assert_same(tmp_path, scenario):
  (separate, calls_separate), (together, calls_together) = train_in_both_modes(tmp_path, scenario)
  assert calls_together == calls_separate
  for one, other in zip(separate, together, strict=True):
    np.testing.assert_allclose(other.pop('losses'), one.pop('losses'), rtol=1e-4)
    assert other == one
  return separate


def test_complete_run_is_equal_in_both_modes(small, tmp_path):
  def scenario(train, folders, calls):
    train(built(small), folders, [recording_callbacks(calls, number) for number in SEEDS])
    assert [call for call in calls if call[0] == 'start'] == [
      ('start', 0, None),
      ('start', 1, None),
    ]

  results = assert_same(tmp_path, scenario)
  assert all(run['finished'] for run in results)


@pytest.mark.slow
def test_checkpoints_between_evaluations_are_equal(small, tmp_path):
  """The best state is kept until the next checkpoint is due."""
  changes = dict(evaluate_every='2 steps', checkpoint_every='3 steps', keep_every='6 steps')

  def scenario(train, folders, calls):
    train(built(small, **changes), folders, [loop.Callbacks()] * 2)

  results = assert_same(tmp_path, scenario)
  assert all(6 in run['checkpoints'] and 8 in run['checkpoints'] for run in results)


@pytest.mark.slow
def test_signal_in_the_last_call_does_not_stop(small, tmp_path):
  def scenario(train, folders, calls):
    train(
      built(small), folders, [recording_callbacks(calls, number, stop_at=8) for number in SEEDS]
    )

  results = assert_same(tmp_path, scenario)
  assert all(run['finished'] and run['summary']['stopped'] is None for run in results)


@pytest.mark.slow
def test_signal_stops_both_modes_and_they_resume(small, tmp_path):
  """A signal at the evaluation of step 2 ends the training after the next call, at step 4."""
  changes = dict(evaluate_every='2 steps')

  def scenario(train, folders, calls):
    # Separate runs start one after the other, so each of them gets a signal.
    signalled = [recording_callbacks([], number, stop_at=2) for number in SEEDS]
    if train is train_together:
      signalled[1] = loop.Callbacks()
    first = train(built(small, **changes), folders, signalled)
    assert [summary['stopped'] for summary in first] == [4, 4]
    assert not any(record.load(folder).finished for folder in folders)
    train(
      built(small, **changes), folders, [recording_callbacks(calls, number) for number in SEEDS]
    )

  results = assert_same(tmp_path, scenario)
  assert all(run['finished'] for run in results)


def resume_groups(train, experiments, folders, callbacks):
  """Resumes runs of any steps; like a sweep, it trains those of the same step together."""
  runs = list(zip(experiments, folders, callbacks, strict=True))
  steps = [checkpoint.last_step(folder) for folder in folders]
  for step in set(steps):
    train(*zip(*[run for run, at in zip(runs, steps, strict=True) if at == step], strict=True))


class Crash(BaseException):
  """Ends a training at once; an Exception of a callback is only a warning."""


def crash_runs(train, experiments, folders, step):
  """Ends each training by an exception at the evaluation of a step."""

  def crash(writers, state):
    if int(state.step) == step:
      raise Crash

  groups = [slice(None)] if train is train_together else [slice(0, 1), slice(1, 2)]
  for group in groups:
    callbacks = [loop.Callbacks(at_evaluation=crash)] * len(experiments[group])
    with pytest.raises(Crash):
      train(experiments[group], folders[group], callbacks)


KILLED = """
import json, os, signal, sys
from jaxdl.sweeps import ensemble
from jaxdl.training import experiment, loop, programs

configs, step, *folders = map(json.loads, sys.argv[1:])
built = [experiment.build(config, 'small') for config in configs]
program = programs.of_one(built[0]) if len(built) == 1 else ensemble.program(built)

def kill(writers, state):
  if int(state.step) == step:
    os.kill(os.getpid(), signal.SIGKILL)

loop.train_runs(built, folders, program, [loop.Callbacks(at_evaluation=kill)] * len(built))
"""


def kill_runs(train, experiments, folders, step):
  """Ends each training by SIGKILL at the evaluation of a step."""
  groups = [slice(None)] if train is train_together else [slice(0, 1), slice(1, 2)]
  for group in groups:
    configs = [one.config for one in experiments[group]]
    configs = [{key: config[key] for key in config if key != 'dataset'} for config in configs]
    names = [json.dumps(str(folder)) for folder in folders[group]]
    done = run_child('-c', KILLED, json.dumps(configs), step, *names)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize('end', [crash_runs, pytest.param(kill_runs, marks=pytest.mark.slow)])
def test_run_killed_between_checkpoint_and_log_resumes(end, small, tmp_path):
  """Saved at step 3 and killed at step 6: the lines of step 4 are written a second time."""
  changes = dict(evaluate_every='2 steps', checkpoint_every='3 steps')

  def scenario(train, folders, calls):
    end(train, built(small, **changes), folders, 6)
    for folder in folders:
      assert checkpoint.kept_steps(folder) in ([2], [2, 3])  # a kill may interrupt the last save
      assert {line['step'] for line in files.journal(folder)} == {2, 4}
    callbacks = [recording_callbacks(calls, number) for number in SEEDS]
    resume_groups(train, built(small, **changes), folders, callbacks)

  results = assert_same(tmp_path, scenario)
  for run in results:
    assert run['finished']
    assert [step for step, split, _ in run['journal'] if split == 'validation'] == [2, 4, 6, 8]
    assert [step for step, split, _ in run['journal'] if split == 'train'] == [4, 8]


def damage(folder, step):
  for file in folder.glob(f'checkpoints/{step}/train/d/*'):
    file.write_bytes(bytes(file.stat().st_size))


@pytest.mark.slow
def test_damaged_checkpoint_is_moved_and_run_resumes(small, tmp_path):
  """The newest checkpoint, of step 6, is moved; the run resumes from step 4."""
  changes = dict(evaluate_every='2 steps', checkpoint_every='2 steps')

  def scenario(train, folders, calls):
    train(built(small, **changes, train_for='6 steps'), folders, [loop.Callbacks()] * 2)
    for folder in folders:
      damage(folder, 6)
    train(
      built(small, **changes), folders, [recording_callbacks(calls, number) for number in SEEDS]
    )

  results = assert_same(tmp_path, scenario)
  for run in results:
    assert run['finished']
    assert run['damaged'] == ['6']
    assert [step for step, split, _ in run['journal'] if split == 'validation'] == [2, 4, 6, 8]


@pytest.mark.slow
def test_one_damaged_checkpoint_of_two_runs(small, tmp_path):
  """The damaged one is moved; the runs are then at different steps and resume one by one."""
  changes = dict(evaluate_every='2 steps', checkpoint_every='2 steps')

  def scenario(train, folders, calls):
    train(built(small, **changes, train_for='6 steps'), folders, [loop.Callbacks()] * 2)
    damage(folders[0], 6)
    if train is train_together:
      with pytest.raises(
        loop.DifferentStepsError, match='at different steps, 4 and 6: train those'
      ):
        train(built(small, **changes), folders)
    callbacks = [recording_callbacks(calls, number) for number in SEEDS]
    resume_groups(train, built(small, **changes), folders, callbacks)

  results = assert_same(tmp_path, scenario)
  assert [run['damaged'] for run in results] == [['6'], []]
  assert all(run['finished'] for run in results)


DAMAGED_LINES = [
  b'{"step": 4, "spl',
  b'{"step": 4, "split": "train", "loss": 0.\xff1}',
  b'{"step": "4", "split": "train", "loss": 0.1}',
  b'[4]',
  b'\x00\x00',
]


@pytest.mark.slow
def test_damaged_journal_lines_are_removed_on_resume(small, tmp_path):
  """They are removed; the lines before and after them are kept."""

  def scenario(train, folders, calls):
    train(built(small, train_for='4 steps'), folders, [loop.Callbacks()] * 2)
    for folder in folders:
      file = folder / 'metrics.jsonl'
      first, _, last = file.read_bytes().splitlines()
      file.write_bytes(b'\n'.join([first, *DAMAGED_LINES, last, b'{"step": 6, "sp']))
    train(built(small), folders, [recording_callbacks(calls, number) for number in SEEDS])
    for folder in folders:
      text = (folder / 'metrics.jsonl').read_text(encoding='utf-8')
      assert all(map(json.loads, text.splitlines()))

  results = assert_same(tmp_path, scenario)
  for run in results:
    assert run['finished']
    assert [entry[:2] for entry in run['journal']] == [
      (4, 'train'),
      (4, 'test'),
      (8, 'train'),
      (8, 'validation'),
      (8, 'test'),
    ]


@pytest.mark.slow
def test_diverging_run_is_reported_and_others_finish(small, tmp_path):
  """The diverging run is reported, and the other one is trained to its end."""
  small['optimizer'] = dict(name='sgd', learning_rate=1e-2)
  diverging = {**small, 'optimizer': dict(name='sgd', learning_rate=1e38)}
  found = {}
  for name, train in MODES.items():
    folders = [tmp_path / name / which for which in ('good', 'bad')]
    experiments = [experiment.build(config, 'small') for config in (small, diverging)]
    good, bad = train(experiments, folders, [loop.Callbacks()] * 2)
    found[name] = (good['step'], bad, checkpoint.kept_steps(folders[0]))
    assert not (folders[1] / 'summary.json').exists()
  assert found['together'] == found['separate']
  assert 'not finite at step' in found['separate'][1]


@pytest.mark.parametrize(
  ('key', 'value'),
  [
    ('plateau', dict(patience='4 steps')),
    ('early_stopping', '4 steps'),
    ('profile', '2 steps'),
  ],
)
def test_options_for_one_run_are_refused_for_several(key, value, small, tmp_path):
  with pytest.raises(
    ValueError, match=rf'config\.{key} is set, so small cannot be trained together'
  ):
    train_together(built(small, **{key: value}), [tmp_path / 'a', tmp_path / 'b'])
  assert not (tmp_path / 'a').exists()
