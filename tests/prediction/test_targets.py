"""Runs of regressions and of classifiers of labels: figures, analyses, predictions, documents."""

import csv
import json

import numpy as np
import PIL.Image
import pytest
import task_helpers
from helpers import SMALL, last_json

import jaxdl
from jaxdl import analyze, predict
from jaxdl.analysis import labels, regression
from jaxdl.prediction import session
from jaxdl.report import page
from jaxdl.training import experiment, loop
from jaxdl.views import subject

CNN = dict(
  name='cnn',
  layers=(
    dict(kind='conv', features=3, kernel=5, strides=4),
    dict(kind='flatten'),
    dict(kind='dense', features='classes', activate=False),
  ),
)


@pytest.fixture(scope='module', params=['regress', 'multi_label'])
def trained(request, tmp_path_factory):
  """(folder, Run) of a small CNN that was trained for 12 steps."""
  with pytest.MonkeyPatch.context() as patched:
    for name, load in task_helpers.OWN.items():
      patched.setitem(task_helpers.DATA_SETS, name, load)
    folder = tmp_path_factory.mktemp(request.param) / 'run'
    config = task_helpers.config_of(SMALL, request.param, model=CNN, train_for='12 steps')
    config['data'] = {**config['data'], 'layout': 'image'}
    loop.train(experiment.build(config, 'small'), folder)
    yield folder, jaxdl.load(folder)


@pytest.mark.usefixtures('unchecked_types')
def test_predictions_are_those_of_the_evaluation(trained):
  """The figures of the summary follow from the predictions, in the targets' own unit."""
  folder, run = trained
  read = subject.read(folder)
  found = run.predict((read.images * 255).round().astype(np.uint8))
  assert len(found) == len(read.labels) == 50
  first = next(iter(found))
  if run.kind == 'regressor':
    assert found.targets == task_helpers.TARGETS
    figures = regression.residuals(read.labels, found.values)
    assert run.summary['test_rmse'] == pytest.approx(figures.rmse.mean(), rel=1e-4)
    assert run.summary['test_r2'] == pytest.approx(figures.r2.mean(), abs=1e-4)
    np.testing.assert_array_equal(first.values, found.values[0])
  else:
    table = labels.table(read.labels, found.logits)
    assert run.summary['test_f1'] == pytest.approx(np.nanmean(table.f1), abs=1e-4)
    np.testing.assert_allclose(found.probabilities, 1 / (1 + np.exp(-found.logits)), rtol=1e-5)
    assert first.labels == tuple(np.array(task_helpers.LABELS)[found.logits[0] > 0])
  evaluated = run.evaluate('test')
  summarised = {
    key.removeprefix('test_'): value
    for key, value in run.summary.items()
    if key.startswith('test_')
  }
  assert evaluated == pytest.approx(summarised, abs=1e-6)
  with pytest.raises(FileNotFoundError, match='no image'):
    run.evaluate(str(folder))


@pytest.mark.usefixtures('unchecked_types')
def test_predict_writes_a_table(trained, tmp_path, capsys):
  folder, run = trained
  (tmp_path / 'images').mkdir()
  pictures = (subject.read(folder, count=3).images[..., 0] * 255).round().astype(np.uint8)
  for number, picture in enumerate(pictures):
    PIL.Image.fromarray(picture).save(tmp_path / f'images/{number}.png')
  given = ['predict', str(folder), str(tmp_path / 'images'), '--json']
  assert predict.main([*given, f'--out={tmp_path}/a.csv']) == 0
  assert predict.main([*given, f'--out={tmp_path}/a.jsonl', '--explain=saliency', '--page']) == 0
  printed = last_json(capsys.readouterr().out)
  rows = list(csv.reader((tmp_path / 'a.csv').open(encoding='utf-8')))
  lines = [json.loads(line) for line in (tmp_path / 'a.jsonl').read_text().splitlines()]
  found = run.predict(pictures)
  if run.kind == 'regressor':
    assert rows[0] == ['file', *task_helpers.TARGETS]
    np.testing.assert_allclose(np.array(rows[1:])[:, 1:].astype(float), found.values, rtol=1e-5)
    assert list(lines[0]) == ['file', 'values']
    assert printed['counts'] == {}
    assert 'mean squared error' not in (tmp_path / 'a.html').read_text()
  else:
    assert rows[0] == ['file', 'labels', *task_helpers.LABELS]
    np.testing.assert_allclose(
      np.array(rows[1:])[:, 2:].astype(float), found.probabilities, rtol=1e-5
    )
    assert [tuple(line['labels']) for line in lines] == [one.labels for one in found]
    assert sum(printed['counts'].values()) == sum(len(one.labels) for one in found)
  assert (tmp_path / 'a.html').is_file()


@pytest.mark.usefixtures('unchecked_types')
@pytest.mark.slow
def test_errors_are_shown_in_the_report(trained, capsys):
  folder, run = trained
  assert analyze.main(['analyze', str(folder), '--only=errors,numpy,statistics']) == 0
  printed = last_json(capsys.readouterr().out)
  page.write_report(folder)
  html = (folder / 'report.html').read_text()
  card = (folder / 'card.md').read_text()
  if run.kind == 'regressor':
    assert {'residuals.png', 'per_target.json', 'worst.png'} <= set(printed['analyses']['errors'])
    facts = json.loads((folder / 'analysis/per_target.json').read_text())['targets']
    assert np.mean([row['rmse'] for row in facts]) == pytest.approx(
      run.summary['test_rmse'], rel=1e-4
    )
    assert '<th scope="col" class="number">RMSE</th>' in html
    assert 'It predicts 2 numbers (ink, digit) from inputs of shape 28 × 28 × 1.' in card
  else:
    assert {'per_label.json', 'mistakes.png', 'calibration.png'} <= set(
      printed['analyses']['errors']
    )
    facts = json.loads((folder / 'analysis/per_label.json').read_text())['labels']
    assert [row['label'] for row in facts] == list(task_helpers.LABELS)
    assert 'average precision' in html
    assert 'It assigns any number of labels to inputs of shape 28 × 28 × 1, out of 3: ' in card


@pytest.mark.slow
@pytest.mark.usefixtures('unchecked_types')
def test_every_analysis_that_fits_is_made(trained, capsys):
  folder, _ = trained
  assert analyze.main(['analyze', str(folder), '--images=8']) == 0
  captured = capsys.readouterr()
  left_out = [line for line in captured.out.splitlines() if 'left out' in line]
  assert len(left_out) == 1
  assert 'importance: left out, the inputs have no named columns' in left_out[0]
  assert list(last_json(captured.out)['analyses']) == [
    'filters',
    'activations',
    'statistics',
    'weights',
    'attributions',
    'relevance',
    'sanity',
    'errors',
    'numpy',
  ]


def test_metrics_of_a_prediction_are_named():
  def described(**metrics):
    return session.described(session.Outcome(9, [], [], metrics, 8, [], [], ''))

  assert described(accuracy=0.5, loss=1.25) == 'accuracy 50.00 % of 8 labelled inputs, loss 1.2500'
  assert described(mse=0.25, loss=0.25) == 'mean squared error 0.250000'
  named = 'loss 0.2500, rmse 1.5000, r2 0.7500 of 8 labelled inputs'
  assert described(loss=0.25, rmse=1.5, r2=0.75) == named
