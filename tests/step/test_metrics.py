"""Tests of the table of metrics: formatted values, order, units and main metrics."""

import json

import jax
import numpy as np
import pytest

from jaxdl.report import page
from jaxdl.runs import files, record
from jaxdl.step import metrics, tasks
from jaxdl.sweeps import members, table
from jaxdl.terminal import progress
from jaxdl.training import experiment, loop


def test_one_entry_adds_a_metric_everywhere(small, tmp_path, monkeypatch, capsys):
  """The new metric, the probability of the true class, appears wherever metrics are shown."""
  original = tasks.classify

  def classify(logits, batch, *, label_smoothing=0.0):
    true_class = np.arange(len(batch['label'])), batch['label']
    probability = jax.nn.softmax(logits)[true_class] * batch['mask']
    sums = original(logits, batch, label_smoothing=label_smoothing)
    return {**sums, 'true': probability.sum()}

  monkeypatch.setitem(tasks.TASKS, 'classify', classify)
  confidence = metrics.Metric(
    'confidence', sum='true', title='confidence', unit='%', scale=100, digits=1
  )
  monkeypatch.setitem(metrics.METRICS, 'confidence', confidence)

  summary = loop.train(experiment.build(small, 'small'), tmp_path / 'run')
  formatted = f'{100 * summary["test_confidence"]:.1f} %'
  assert f'confidence {formatted}' in capsys.readouterr().out
  journal = files.journal(tmp_path / 'run')
  assert {entry['split'] for entry in journal if 'confidence' in entry} == set(metrics.SPLITS)
  page.write([tmp_path / 'run'], tmp_path / 'report.html')
  html = (tmp_path / 'report.html').read_text()
  assert f'<th scope="row">test confidence</th><td class="number">{formatted}</td>' in html
  assert '<figcaption><h3>confidence (%)</h3>' in html

  member = members.Member(
    label='one',
    choices={'axis': 'one'},
    seed=0,
    name='small',
    config={'reported': {}, **json.loads((tmp_path / 'run/config.json').read_text())},
    folder='run',
  )
  rows = table.rows([member], tmp_path, {})
  assert f'| {formatted} |' in table.table(rows)
  assert 'test confidence' in table.table(rows)
  assert ('validation', 'confidence') in table.curves([journal])

  file = tmp_path / 'run/summary.json'
  file.write_text(json.dumps({**json.loads(file.read_text()), 'test_confidence': 'high'}))
  with pytest.raises(ValueError, match='has an invalid test_confidence'):
    record.load(tmp_path / 'run')


def test_values_are_formatted_as_their_metric_defines():
  assert metrics.shown('accuracy', 0.97274) == '97.27 %'
  assert metrics.shown('test_accuracy', float('nan')) == 'nan %'
  assert metrics.shown('validation_loss', 0.12345) == '0.1235'
  assert metrics.shown('test_mse', None) == '–'
  assert metrics.shown('learning_rate', 0.5) == '0.5000', 'not a metric'
  assert metrics.find('summed_loss') is None
  assert metrics.shown('test_top_5_accuracy', 0.5) == '50.00 %'
  assert metrics.shown('validation_balanced_accuracy', 0.5) == '50.00 %'
  assert metrics.find('test_top_5_accuracy').is_share
  assert not metrics.find('balanced_accuracy').is_share, 'a mean of shares has no such interval'
  assert (
    progress.describe({'loss': 0.1, 'penalty': 2, 'accuracy': 0.5})
    == 'loss 0.1000, penalty 2.0000, accuracy 50.00 %'
  )


def test_metrics_have_a_defined_order_in_each_place():
  assert [metric.name for metric in metrics.evaluated()] == [
    'loss',
    'accuracy',
    'accuracy_augmented',
    'balanced_accuracy',
    'bits_per_character',
    'f1',
    'mae',
    'mean_average_precision',
    'mse',
    'precision',
    'r2',
    'recall',
    'rmse',
    'roc_auc',
    'top_5_accuracy',
  ]
  of_test = [key for key in metrics.table_keys() if key.startswith('test_')]
  assert of_test == [
    *(f'test_{metric.name}' for metric in metrics.evaluated()[1:]),
    'test_loss',
  ]
  of_validation = [f'validation_{key.removeprefix("test_")}' for key in of_test]
  of_validation.remove('validation_mse')
  of_validation.remove('validation_accuracy_augmented')
  assert metrics.table_keys() == [*of_test, *of_validation]
  assert metrics.leading_keys()[:3] == ['test_bits_per_character', 'test_accuracy', 'test_mse']
  assert list(tasks.metrics({'count': 2, 'correct': 1, 'bits': 4, 'loss': 6})) == [
    'loss',
    'bits_per_character',
    'accuracy',
  ]


def test_axis_labels_name_the_unit():
  labels = {metric.name: metric.label('nats') for metric in metrics.METRICS.values()}
  assert labels == {
    'loss': 'loss (nats)',
    'penalty': 'penalty',
    'bits_per_character': 'bits per character',
    'accuracy': 'accuracy (%)',
    'mse': 'mean squared error',
    'rmse': 'root mean squared error',
    'mae': 'mean absolute error',
    'r2': 'R²',
    'f1': 'macro F1',
    'mean_average_precision': 'mean average precision',
    'balanced_accuracy': 'balanced accuracy (%)',
    'top_5_accuracy': 'top-5 accuracy (%)',
    'precision': 'macro precision',
    'recall': 'macro recall',
    'roc_auc': 'macro area under the ROC curve',
    'accuracy_augmented': 'accuracy, test-time augmentation (%)',
  }


def test_every_task_has_one_main_metric():
  assert {task: metrics.main_metric(task).name for task in tasks.TASKS} == {
    'classify': 'accuracy',
    'classify_by_squared_error': 'accuracy',
    'next_char': 'bits_per_character',
    'reconstruct': 'mse',
    'regress': 'rmse',
    'multi_label': 'f1',
  }
  with pytest.raises(ValueError, match="^no metric is the main figure of task 'sort'$"):
    metrics.main_metric('sort')
