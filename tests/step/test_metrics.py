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
  assert '<figcaption>confidence (%) by step' in html

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
  assert (
    progress.describe({'loss': 0.1, 'penalty': 2, 'accuracy': 0.5})
    == 'loss 0.1000, penalty 2.0000, accuracy 50.00 %'
  )


def test_metrics_have_a_defined_order_in_each_place():
  assert [metric.name for metric in metrics.evaluated()] == [
    'loss',
    'accuracy',
    'accuracy_augmented',
    'bits_per_character',
    'mse',
  ]
  assert metrics.table_keys() == [
    'test_accuracy',
    'test_accuracy_augmented',
    'test_bits_per_character',
    'test_mse',
    'test_loss',
    'validation_accuracy',
    'validation_bits_per_character',
    'validation_loss',
  ]
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
    'accuracy_augmented': 'accuracy, test-time augmentation (%)',
  }


def test_every_task_has_one_main_metric():
  assert {task: metrics.main_metric(task).name for task in tasks.TASKS} == {
    'classify': 'accuracy',
    'classify_by_squared_error': 'accuracy',
    'next_char': 'bits_per_character',
    'reconstruct': 'mse',
  }
  with pytest.raises(ValueError, match="^no metric is the main figure of task 'sort'$"):
    metrics.main_metric('sort')
