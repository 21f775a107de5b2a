"""Config keys that identify a run: the table, and its use in resuming, sweeps and reproduction."""

import copy
import dataclasses
import inspect
import json

import pytest

from jaxdl.data import arrays, image_folder
from jaxdl.runs import folder, format, identity, record
from jaxdl.runs.identity import Resume
from jaxdl.training import experiment, loop
from launch.reproduction import reproduce

RESOLVED = {
  'format': 2,
  'task': {'name': 'classify'},
  'seed': 0,
  'model': {'name': 'recurrent', 'features': 8},
  'data': {'name': 'mnist', 'source': 'tfds', 'batch_size': 16},
  'dataset': {'classes': ['a', 'b'], 'origin': 'tfds', 'checksums': {'train': 'x'}},
}


def changed(config, key):
  """Returns the config with another value of a key, such as 'data.folder'."""
  config = copy.deepcopy(config)
  *sections, last = key.split('.')
  node = config
  for section in sections:
    node = node.setdefault(section, {})
  node[last] = {'other': 1} if key in ('dataset', 'dataset.checksums') else 'another'
  return config


@pytest.mark.parametrize('key', [*identity.KEYS, 'model.features', 'data.batch_size', 'l2', 'task'])
def test_identity_functions_follow_the_key_table(key):
  """Keys that are not in the table must not change; another value is another experiment."""
  kind, now = identity.of(key), changed(RESOLVED, key)
  resumes = not identity.keys_against_resuming(RESOLVED, now)
  assert resumes == (kind.resume is not Resume.NEVER)
  without = changed(RESOLVED, 'dataset')  # removes the checksums
  resumes = not identity.keys_against_resuming(without, changed(without, key))
  if key != 'dataset':  # for which both configs are equal
    assert resumes == (kind.resume is Resume.ALWAYS)
  same_experiment = not identity.keys_of_another_experiment(RESOLVED, now)
  assert same_experiment == kind.same_experiment
  if not key.startswith('dataset'):
    wanted = {name: value for name, value in now.items() if name != 'dataset'}
    same_run = not identity.keys_of_another_run(RESOLVED, wanted)
    assert same_run == (kind.same_experiment and kind.resume is Resume.ALWAYS)


def test_identity_table_has_only_existing_keys(small):
  """A misspelt key would never be used."""
  found = {field.name for field in dataclasses.fields(experiment.Config)}
  for load in (image_folder.load, arrays.load):
    found |= {f'data.{name}' for name in inspect.signature(load).parameters}
  facts = experiment.build(small, 'small').data.facts()
  of_others = ['folder', 'file', 'copy', 'data_dir', 'targets', 'licence', 'revision']
  found |= {f'dataset.{name}' for name in [*facts, *of_others]}
  assert set(identity.KEYS) - found == {'dataset'}


def test_facts_and_reported_figures_are_not_hyperparameters():
  assert not identity.of('dataset.classes').hyperparameter
  assert not identity.of('reported.test_accuracy').hyperparameter
  assert identity.of('optimizer.learning_rate').hyperparameter


def test_data_location_does_not_identify_a_run():
  """Regression: resuming with another source was refused, but reproduction treated it as the same
  run.
  """
  for key in ('data.source', 'data.folder', 'data.workers'):
    now = changed(RESOLVED, key)
    assert identity.keys_against_resuming(RESOLVED, now) == []
    assert identity.keys_of_another_experiment(RESOLVED, now) == []


def test_finished_run_stays_finished_if_logging_changes(small, tmp_path):
  """Regression: a sweep treated such a run as unfinished, although no training was left."""
  summary = loop.train(experiment.build(small, 'small'), tmp_path)
  for key in ('log_every', 'checkpoint_every', 'evaluate_every'):
    other = {**small, key: '2 steps'}
    folder.check_config(tmp_path, experiment.build(other, 'small').config, 8)
    assert record.finished(tmp_path, other) == summary
    assert reproduce.is_finished(tmp_path, other)
  assert record.finished(tmp_path, {**small, 'seed': 1}) is None
  assert reproduce.is_finished(tmp_path, {**small, 'seed': 1})  # another run of the same experiment
  longer = {**small, 'train_for': '9 steps'}
  assert record.finished(tmp_path, longer) is None
  assert not reproduce.is_finished(tmp_path, longer)


def test_moved_data_is_finished_only_after_a_check(small, tmp_path):
  """A sweep must not take the figures of one folder for those of another. Training compares the
  examples.
  """
  summary = loop.train(experiment.build(small, 'small'), tmp_path)
  other = {**small, 'data': {**small['data'], 'data_dir': str(tmp_path)}}
  assert record.finished(tmp_path, other) is None
  assert loop.train(experiment.build(other, 'small'), tmp_path) == summary
  assert record.finished(tmp_path, other) == summary


def test_extended_run_is_not_finished(small, tmp_path):
  """The run was extended and killed before its first step, so its summary is that of the shorter
  run.
  """
  loop.train(experiment.build(small, 'small'), tmp_path)
  run = record.load(tmp_path)
  assert (run.finished, run.steps, run.state(False)) == (True, 8, 'finished')
  longer = {**small, 'train_for': '3 epochs'}
  folder.write_config(tmp_path, experiment.build(longer, 'small').config)
  run = record.load(tmp_path)
  assert (run.finished, run.steps, run.state(False)) == (False, 12, 'stopped')
  assert record.finished(tmp_path, longer) is None
  assert not reproduce.is_finished(tmp_path, longer)


def test_task_name_equals_task_section(small, tmp_path):
  summary = loop.train(experiment.build(small, 'small'), tmp_path)
  assert record.finished(tmp_path, {**small, 'task': {'name': 'classify'}}) == summary
  smoothed = {**small, 'task': {'name': 'classify', 'label_smoothing': 0.1}}
  assert identity.keys_of_another_run(record.load(tmp_path).config, smoothed) == [
    'task.label_smoothing'
  ]


def test_run_of_a_newer_format_is_refused(small, tmp_path):
  loop.train(experiment.build({**small, 'train_for': '2 steps'}, 'small'), tmp_path)
  file = tmp_path / 'config.json'
  config = json.loads(file.read_text())
  assert config['format'] == format.FORMAT
  file.write_text(json.dumps({**config, 'format': 99}))
  message = r'was written by a newer version \(format 99; this one reads up to 2\): update jaxdl'
  with pytest.raises(ValueError, match=message):
    record.load(tmp_path)
  with pytest.raises(ValueError, match=message):
    loop.train(experiment.build(small, 'small'), tmp_path)
