"""Tests of the analysis `faithfulness`."""

import dataclasses
import json

import pytest

from jaxdl import analyze
from jaxdl.analysis import methods
from jaxdl.analysis.grading import map_metrics
from jaxdl.config import reading
from jaxdl.terminal import command
from jaxdl.training import experiment, loop
from jaxdl.views import VIEWS, faithfulness, subject


@pytest.fixture
def run(tmp_path):
  """The folder of a small network, trained for some steps."""
  config = reading.read_config(
    'exam/planted_mark',
    train_for='30 steps',
    evaluate_every='30 steps',
    checkpoint_every='30 steps',
    data=dict(splits=dict(train='train[:3000]', test='test[:60]')),
    model=dict(
      layers=(
        dict(kind='conv', features=2, kernel=5, strides=3),
        dict(kind='flatten'),
        dict(kind='dense', features='classes', activate=False, name='logits'),
      )
    ),
  )
  loop.train(experiment.build(config, 'small'), tmp_path / 'run')
  return tmp_path / 'run'


def test_methods_of_a_run_are_graded_without_known_evidence(run, monkeypatch, capsys):
  known = methods.of_images('conv1', {})
  few = {'gradient × input': known['gradient × input']}
  monkeypatch.setattr(methods, 'of_images', lambda layer, occluded, **more: few)
  monkeypatch.setattr(faithfulness, 'EXAMPLES', 6)
  code = command.run(analyze.main, ['analyze', str(run), '--only=faithfulness', '--quiet'])
  printed = capsys.readouterr()
  assert code == 0, printed.err
  facts = json.loads((run / 'analysis/faithfulness.json').read_text())
  assert facts['examples'] == 6
  scores = facts['scores']['gradient × input']
  without_truth = [name for name, metric in map_metrics.METRICS.items() if not metric.needs_truth]
  assert sorted(scores) == sorted(without_truth)
  assert 'cannot say which method is right' in facts['heading']
  html = (run / 'report.html').read_text()
  assert '<h2 id="which-attribution-to-trust">Which attribution to trust</h2>' in html


def test_it_is_made_only_if_it_is_named_and_has_reasons(run):
  view = VIEWS['faithfulness']
  assert view.named_only
  found = subject.read(run, count=5)
  assert view.left_out(found) == ''
  assert found.evidence.shape == (5, 28, 28)
  dense = dataclasses.replace(found, inputs=found.inputs.reshape(5, -1))
  assert view.left_out(dense) == 'its inputs are not images'
