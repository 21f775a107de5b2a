"""A run compiled together with others leaves the same files and figures as a separate run."""

import pathlib
import signal

import numpy as np
import pytest
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


def test_checkpoints_between_evaluations_are_equal(small, tmp_path):
  """The best state is kept until the next checkpoint is due."""
  changes = dict(evaluate_every='2 steps', checkpoint_every='3 steps', keep_every='6 steps')

  def scenario(train, folders, calls):
    train(built(small, **changes), folders, [loop.Callbacks()] * 2)

  results = assert_same(tmp_path, scenario)
  assert all(6 in run['checkpoints'] and 8 in run['checkpoints'] for run in results)


def test_signal_in_the_last_call_does_not_stop(small, tmp_path):
  def scenario(train, folders, calls):
    train(
      built(small), folders, [recording_callbacks(calls, number, stop_at=8) for number in SEEDS]
    )

  results = assert_same(tmp_path, scenario)
  assert all(run['finished'] and run['summary']['stopped'] is None for run in results)


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
