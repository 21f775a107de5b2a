"""Tests of runs that watch another metric than the validation loss: resumed, compiled together."""

import json

import jax
import numpy as np
import pytest
import task_helpers
from helpers import state_of
from training_helpers import train_together

from jaxdl import status
from jaxdl.report import card, page
from jaxdl.runs import checkpoint, identity, record
from jaxdl.training import experiment, loop, programs

# Validation accuracy by step: nothing is higher than at step 4 until the end.
ACCURACIES = {2: 0.2, 4: 0.5, 6: 0.4, 8: 0.45}


@pytest.fixture
def watching(small):
  """The small config, which watches the accuracy and is evaluated every 2 steps."""
  return {
    **task_helpers.linear(small),
    'watch': 'validation_accuracy',
    'evaluate_every': '2 steps',
    'checkpoint_every': '8 steps',
    'log_every': '4 steps',
  }


@pytest.fixture
def given_accuracies(monkeypatch):
  """Makes evaluation return ACCURACIES, and a loss that is lowest at the first evaluation."""

  def of_splits(built):
    def evaluate(current):
      step = int(current.step)
      correct = 100 * ACCURACIES.get(step, 0.0)
      return {'validation': {'loss': 100.0 * step, 'correct': correct, 'count': 100}}

    return evaluate

  monkeypatch.setattr(programs.evaluation, 'of_splits', of_splits)


@pytest.mark.usefixtures('given_accuracies')
@pytest.mark.slow
def test_checkpoint_rate_and_end_follow_the_metric(watching, tmp_path, capsys):
  """The accuracy is highest at step 4: the rate is cut at step 8, and 4 is the best checkpoint.

  A run that resumes at step 3 equals the uninterrupted one to the bit.
  """
  config = {**watching, 'plateau': dict(patience='4 steps'), 'early_stopping': '4 steps'}
  built = experiment.build({**config, 'train_for': '12 steps'}, 'small')
  summary = loop.train(built, tmp_path / 'run')
  said = capsys.readouterr().out
  assert (summary['step'], summary['stopped_early']) == (4, 8)
  assert summary['watch'] == 'validation_accuracy'
  assert summary['validation_accuracy'] == 0.5
  assert 'validation accuracy improved from 0.2 to 0.5' in said
  assert 'no higher validation accuracy since step 4: learning rate cut to 0.5' in said
  assert 'no higher validation accuracy for 4 steps: stopped early at step 8' in said
  with checkpoint.manager(tmp_path / 'run') as checkpoints:
    assert checkpoint.best_score(checkpoints) == -0.5
    assert checkpoint.find_step(checkpoints, 'best') == 4

  loop.train(experiment.build({**config, 'train_for': '3 steps'}, 'small'), tmp_path / 'resumed')
  resumed = loop.train(built, tmp_path / 'resumed')
  assert {**resumed, 'seconds': 0} == {**summary, 'seconds': 0}
  jax.tree.map(
    np.testing.assert_array_equal,
    state_of(built, tmp_path / 'resumed', 8),
    state_of(built, tmp_path / 'run', 8),
  )

  run = record.load(tmp_path / 'run')
  best = 'The figures are from step 4, the checkpoint with the highest validation accuracy.'
  assert best in page.one(run)['figures']['remarks']
  assert best in card.markdown(card.of_run(run, 'lead', []), 'run')
  found = status.read(tmp_path / 'run')
  assert found['watch'] == 'validation_accuracy'
  assert 'the best one by validation accuracy' in status.text(found)


@pytest.mark.slow
def test_runs_that_watch_are_compiled_together(watching, tmp_path):
  """Two seeds with a metric of all scores: the first has the same figures as when trained alone."""
  config = {**watching, 'metrics': ('roc_auc', 'f1'), 'watch': 'validation_roc_auc'}
  config = {**config, 'train_for': '4 steps', 'checkpoint_every': '4 steps'}
  built = [experiment.build({**config, 'seed': seed}, 'small') for seed in (0, 1)]
  together = train_together(built, [tmp_path / 'together0', tmp_path / 'together1'])
  for number, one in enumerate(built[:1]):
    separate = loop.train(one, tmp_path / str(number))
    for key in ('validation_roc_auc', 'test_roc_auc', 'test_f1', 'validation_loss'):
      assert together[number][key] == pytest.approx(separate[key], abs=1e-3)
    assert together[number]['step'] == separate['step']
    lines = [
      json.loads(line) for line in (tmp_path / f'{number}/metrics.jsonl').read_text().splitlines()
    ]
    best = max(line['roc_auc'] for line in lines if line['split'] == 'validation')
    assert separate['validation_roc_auc'] == pytest.approx(best, abs=1e-6)


def test_watch_and_class_weights_identify_a_run(small):
  """A config with 'balanced' weights is that of a run whose weights became numbers."""
  task = dict(name='classify', class_weights='balanced')
  before = experiment.build({**small, 'task': task}, 'small').config
  assert identity.keys_of_another_run(before, {**small, 'task': task}) == []
  assert identity.keys_of_another_run(before, {**small, 'task': dict(name='classify')}) == [
    'task.class_weights'
  ]
  other = {**task, 'class_weights': {'0': 2.0}}
  assert identity.keys_of_another_experiment(before, {**small, 'task': other})
  now = experiment.build({**small, 'task': task, 'metrics': ('f1',)}, 'small').config
  assert identity.keys_against_resuming(before, now) == []
  now = experiment.build({**small, 'task': task, 'watch': 'validation_accuracy'}, 'small').config
  assert identity.keys_against_resuming(before, now) == ['watch']
