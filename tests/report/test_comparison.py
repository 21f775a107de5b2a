"""Tests of the comparison of several runs: differing keys, reported figures, one image."""

import dataclasses

import pytest

from jaxdl.report import comparison, page
from jaxdl.runs import record

CONFIG = {
  'seed': 0,
  'task': 'classify',
  'train_for': '8 steps',
  'log_every': '4 steps',
  'data': {'name': 'mnist', 'batch_size': 16, 'data_dir': '/a', 'layout': 'image'},
  'model': {'name': 'cnn', 'layers': [{'kind': 'flatten'}, {'kind': 'dense', 'features': 10}]},
  'dataset': {'classes': ['0', '1'], 'input_shape': [4, 4, 1], 'name': 'mnist'},
}


def made(tmp_path, name, command='', **changes):
  """A Run whose config has other values for some keys, such as data={'batch_size': 8}."""
  config = {
    key: {**value, **changes.get(key, {})} if isinstance(value, dict) else changes.get(key, value)
    for key, value in CONFIG.items()
  }
  summary = {
    'reported': {'test_accuracy': 0.99},
    'test_accuracy': 0.5,
    'test_examples': 4,
    'step': 8,
  }
  return record.Run(tmp_path / name, name, config, summary, [], command)


def test_differing_keys_are_listed_first(tmp_path):
  layers = [{'kind': 'flatten'}, {'kind': 'dense', 'features': 20}]
  one = made(tmp_path, 'one')
  other = made(tmp_path, 'other', seed=1, train_for='9 steps', model={'layers': layers})
  found = comparison.differences([one, other], ['one', 'other'])
  assert found['columns'] == ['config key', 'one', 'other']
  assert found['rows'] == [
    ['seed', '0', '1'],
    ['train_for', '8 steps', '9 steps'],
    ['model.layers.1.features', '10', '20'],
  ]
  parts = page.several([one, other])
  html = page.render(parts)
  assert html.index('id="what-differs"') < html.index('id="figures"')


def test_places_of_the_data_and_logging_are_no_differences(tmp_path):
  data = {'data_dir': '/b', 'source': 'tfds'}
  other = made(tmp_path, 'other', data=data, log_every='1 steps', dataset={'data_dir': '/b'})
  assert comparison.differences([made(tmp_path, 'one'), other], ['one', 'other']) is None
  command = 'python -m jaxdl.main --config=a.py --config.data.data_dir=/b'
  assert made(tmp_path, 'other', command, data=data).changed == []


def test_absent_and_long_values(tmp_path):
  other = made(tmp_path, 'other', data={'augment': ['x' * 100]})
  (row,) = comparison.differences([made(tmp_path, 'one'), other], ['one', 'other'])['rows']
  assert row[:2] == ['data.augment', comparison.ABSENT]
  assert len(row[2]) == comparison.LONGEST


def test_reported_figures_are_those_of_unchanged_configs(tmp_path):
  one = made(tmp_path, 'one')
  other = made(tmp_path, 'other', 'python -m jaxdl.main --config=a.py --config.train_for="2 steps"')
  table = page.several([one, other])['figures']
  column = table['columns'].index('reported test accuracy')
  assert [row[column] for row in table['rows']] == ['99.00 %', '–']
  assert table['remarks'] == [
    'other has no reported figures, because its config is not the reported one: it changes '
    'train_for.'
  ]
  both = page.several([other, dataclasses.replace(other, name='third')])['figures']
  assert 'reported test accuracy' not in both['columns']


DESCRIBED = {
  'network': {'weights': 'A' * 100, 'input': {'shape': [4, 4, 1]}, 'classes': ['0', '1']}
}


def test_networks_of_all_runs_are_compared_on_one_image(tmp_path, monkeypatch):
  runs = [made(tmp_path, 'one'), made(tmp_path, 'other', seed=1)]
  monkeypatch.setattr(comparison.network, 'of_run', lambda run: DESCRIBED)
  monkeypatch.setattr(comparison.examples, 'of_run', lambda run: {'sprite': 'data:', 'index': [0]})
  found = comparison.same_image(runs, ['one', 'other'])
  assert found['reason'] == ''
  assert [one['label'] for one in found['networks']] == ['one', 'other']
  html = page.render(page.several(runs))
  assert 'id="networks"' in html


@pytest.mark.parametrize(
  ('changes', 'described', 'shown', 'reason'),
  [
    ({'dataset': {'classes': ['a', 'b']}}, DESCRIBED, {'sprite': ''}, 'different classes'),
    ({'dataset': {'name': 'hoda'}}, DESCRIBED, {'sprite': ''}, 'different data sets'),
    ({}, {'reason': 'It has own layers.'}, {'sprite': ''}, 'one: It has own layers.'),
    ({}, DESCRIBED, None, 'No run has examples'),
    ({}, DESCRIBED, {'inputs': [1]}, 'No run has examples'),
    ({}, {'network': {'weights': 'A' * 60, 'input': {}}}, {'sprite': ''}, 'take more than'),
  ],
)
def test_page_says_why_there_is_no_comparison(
  tmp_path, monkeypatch, changes, described, shown, reason
):
  monkeypatch.setattr(comparison.network, 'of_run', lambda run: described)
  monkeypatch.setattr(comparison.examples, 'of_run', lambda run: shown)
  if 'take more' in reason:
    monkeypatch.setattr(comparison, 'BYTES', 100)
  runs = [made(tmp_path, 'one'), made(tmp_path, 'other', **changes)]
  found = comparison.same_image(runs, ['one', 'other'])
  assert reason in found['reason']
  assert found['networks'] == []
  assert 'id="networks"' not in page.render(page.several(runs))


def test_texts_have_no_comparison_on_images(tmp_path):
  assert comparison.same_image([made(tmp_path, 'a', task='next_char')] * 2, ['a', 'b']) is None
