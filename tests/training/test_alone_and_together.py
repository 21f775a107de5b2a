"""A run that is trained together with others leaves what it leaves when it is trained alone."""

import pathlib
import signal

import numpy as np
import pytest
from training_helpers import train_together

from jaxdl.runs import checkpoint, files, record
from jaxdl.training import experiment, loop

SEEDS = (0, 1)


def train_alone(experiments, folders, callbacks):
  found = []
  for built, folder, one in zip(experiments, folders, callbacks, strict=True):
    try:
      found.append(
        loop.train(
          built,
          folder,
          at_start=one.at_start,
          at_evaluation=one.at_evaluation,
          at_end=one.at_end,
        )
      )
    except FloatingPointError as error:
      found.append(str(error))
  return found


WAYS = {'alone': train_alone, 'together': train_together}


def built(small, **changes):
  return [experiment.build({**small, **changes, 'seed': seed}, 'small') for seed in SEEDS]


def recorded(calls, number, stop_at=None):
  """Callbacks that append (name, number of the run, step) to a list and may send a signal."""

  def at_evaluation(writers, state):
    calls.append(('evaluation', number, int(state.step)))
    if int(state.step) == stop_at:
      signal.raise_signal(signal.SIGTERM)

  return loop.Callbacks(
    at_start=lambda writers: calls.append(('start', number, None)),
    at_evaluation=at_evaluation,
    at_end=lambda writers, state: calls.append(('end', number, int(state.step))),
  )


def left(folder):
  """What a run left: files, checkpoints, the form of its journal, the facts of its summary."""
  run = record.load(folder)
  top = {path.relative_to(folder).parts[0] for path in pathlib.Path(folder).rglob('*')}
  lines = [
    (line['step'], line['split'], sorted(line), line['loss']) for line in files.journal(folder)
  ]
  return {
    'files': sorted(top),
    'checkpoints': checkpoint.kept_steps(folder),
    'journal': [line[:3] for line in lines],
    'losses': [line[3] for line in lines],
    'weights': [line['step'] for line in files.weights(folder)],
    'summary': {key: run.summary.get(key) for key in ('step', 'steps', 'stopped', 'stopped_early')},
    'figures': sorted(run.summary),
    'finished': run.finished,
  }


def both(tmp_path, scenario):
  """Runs a scenario alone and together; returns what each run left, and the callbacks' calls."""
  found = {}
  for name, train in WAYS.items():
    folders = [tmp_path / name / str(seed) for seed in SEEDS]
    calls = []
    scenario(train, folders, calls)
    found[name] = [left(folder) for folder in folders], sorted(calls, key=str)
  return found['alone'], found['together']


def assert_same(tmp_path, scenario):
  (alone, calls_alone), (together, calls_together) = both(tmp_path, scenario)
  assert calls_together == calls_alone
  for one, other in zip(alone, together, strict=True):
    np.testing.assert_allclose(other.pop('losses'), one.pop('losses'), rtol=1e-4)
    assert other == one
  return alone


def test_a_run_to_its_end(small, tmp_path):
  def scenario(train, folders, calls):
    train(built(small), folders, [recorded(calls, number) for number in SEEDS])
    assert [call for call in calls if call[0] == 'start'] == [
      ('start', 0, None),
      ('start', 1, None),
    ]

  alone = assert_same(tmp_path, scenario)
  assert all(run['finished'] for run in alone)


def test_checkpoints_between_evaluations(small, tmp_path):
  """The best state is kept until the next checkpoint is due."""
  changes = dict(evaluate_every='2 steps', checkpoint_every='3 steps', keep_every='6 steps')

  def scenario(train, folders, calls):
    train(built(small, **changes), folders, [loop.Callbacks()] * 2)

  alone = assert_same(tmp_path, scenario)
  assert all(6 in run['checkpoints'] and 8 in run['checkpoints'] for run in alone)


def test_a_signal_in_the_last_call_is_no_stop(small, tmp_path):
  def scenario(train, folders, calls):
    train(built(small), folders, [recorded(calls, number, stop_at=8) for number in SEEDS])

  alone = assert_same(tmp_path, scenario)
  assert all(run['finished'] and run['summary']['stopped'] is None for run in alone)


def test_a_signal_in_the_middle_and_a_resume(small, tmp_path):
  """A signal at the evaluation of step 2 ends the training after the next call, at step 4."""
  changes = dict(evaluate_every='2 steps')

  def scenario(train, folders, calls):
    # Each run gets a signal where one starts after the other has ended.
    signalled = [recorded([], number, stop_at=2) for number in SEEDS]
    if train is train_together:
      signalled[1] = loop.Callbacks()
    first = train(built(small, **changes), folders, signalled)
    assert [summary['stopped'] for summary in first] == [4, 4]
    assert not any(record.load(folder).finished for folder in folders)
    train(built(small, **changes), folders, [recorded(calls, number) for number in SEEDS])

  alone = assert_same(tmp_path, scenario)
  assert all(run['finished'] for run in alone)


def test_a_loss_that_is_not_finite(small, tmp_path):
  """The run that diverges is named; the other one is trained to its end."""
  small['optimizer'] = dict(name='sgd', learning_rate=1e-2)
  wild = {**small, 'optimizer': dict(name='sgd', learning_rate=1e38)}
  found = {}
  for name, train in WAYS.items():
    folders = [tmp_path / name / which for which in ('good', 'bad')]
    experiments = [experiment.build(config, 'small') for config in (small, wild)]
    good, bad = train(experiments, folders, [loop.Callbacks()] * 2)
    found[name] = (good['step'], bad, checkpoint.kept_steps(folders[0]))
    assert not (folders[1] / 'summary.json').exists()
  assert found['together'] == found['alone']
  assert 'not finite at step' in found['alone'][1]


@pytest.mark.parametrize(
  ('key', 'value'),
  [
    ('plateau', dict(patience='4 steps')),
    ('early_stopping', '4 steps'),
    ('profile', '2 steps'),
  ],
)
def test_what_follows_one_run_is_refused_by_name_for_several(key, value, small, tmp_path):
  with pytest.raises(
    ValueError, match=rf'config\.{key} is set, so small cannot be trained together'
  ):
    train_together(built(small, **{key: value}), [tmp_path / 'a', tmp_path / 'b'])
  assert not (tmp_path / 'a').exists()
