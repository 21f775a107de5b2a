"""Overrides by values of another type than the config's, and of keys that take a path."""

import functools

import pytest

from jaxdl.config import overrides, reading


def value_of(config, key):
  return functools.reduce(overrides.below, overrides.parts(overrides.PREFIX + key), config)


def plain(value):
  return value.to_dict() if hasattr(value, 'to_dict') else value


@pytest.mark.parametrize(
  ('texts', 'expected'),
  [
    (['task.label_smoothing=0.1'], {'task': {'name': 'classify', 'label_smoothing': 0.1}}),
    (['task.focal=2', 'task.label_smoothing=0.1'], {'task.focal': 2, 'task.label_smoothing': 0.1}),
    (['task=regress', 'task.loss=huber'], {'task': {'name': 'regress', 'loss': 'huber'}}),
    (['task.loss=huber', 'task=regress'], {'task': 'regress'}),
    (['model.layers[0].kernel=(3,5)'], {'model.layers[0].kernel': (3, 5)}),
    (['model.layers[0].kernel=(3,5)', 'model.layers[0].kernel=7'], {'model.layers[0].kernel': 7}),
    (['model.layers[0].features=classes'], {'model.layers[0].features': 'classes'}),
    (['data.splits.test=None'], {'data.splits.test': None}),
    (['data.splits=80/10/10'], {'data.splits': '80/10/10'}),
    (['schedule=None'], {'schedule': None}),
    (['schedule=None', 'schedule.name=cosine'], {'schedule': {'name': 'cosine'}}),
    (['schedule.name=cosine', 'schedule=None'], {'schedule': None}),
    (
      ['optimizer=dict(name="sgd", learning_rate=1)', 'optimizer.learning_rate=0.5'],
      {'optimizer': {'name': 'sgd', 'learning_rate': 0.5}},
    ),
    (['optimizer.learning_rate=1'], {'optimizer.learning_rate': 1.0}),
    (['cpu_devices=0.5'], {'cpu_devices': 0.5}),
    (['data.layout=5'], {'data.layout': '5'}),
    (['data.layout=("a", "b")'], {'data.layout': ('a', 'b')}),
    (['reported=None', 'seed=3'], {'reported': None, 'seed': 3}),
  ],
)
def test_overrides_may_change_the_type(texts, expected):
  config = reading.read_config('cnn_mnist', *texts)
  for key, value in expected.items():
    found = plain(value_of(config, key))
    assert (found, type(found)) == (value, type(value))


def test_overrides_in_python_may_change_the_type():
  for given in ({'task.label_smoothing': 0.1}, {'task': {'label_smoothing': 0.1}}):
    config = reading.read_config('cnn_mnist', **given)
    assert config.task.to_dict() == {'name': 'classify', 'label_smoothing': 0.1}


@pytest.mark.parametrize('key', ['data.folder', 'data.file', 'data.target', 'start_from'])
@pytest.mark.parametrize(
  'name',
  ['2024', '0.5', '[1]', '[x]', '{a,b}', '1,2', 'dict(a=1)', 'True', '"5"', 'a\nb', '-x', ''],
)
def test_overrides_keep_paths_and_names_as_texts(key, name):
  """In a config that has the key, and in one that does not."""
  for config in ('cnn_food11', 'cnn_mnist'):
    assert value_of(reading.read_config(config, f'{key}={name}'), key) == name


def test_overrides_of_paths_may_be_none_or_a_list():
  config = reading.read_config('cnn_food11', 'data.folder=None', "data.file=['x.npy', 'y.npy']")
  assert (config.data.folder, list(config.data.file)) == (None, ['x.npy', 'y.npy'])


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('seed=x', r'--config\.seed=x is not an integer: write one such as 5'),
    ('task.a.b=1', r"config\.task of cnn_mnist has no key 'a'; it has no keys below it"),
    ('seed.a=1', r"config\.seed of cnn_mnist has no key 'a'; it has no keys below it"),
    ('model.layers[0]=dict(kind="conv")', r'is an entry of a list: set its keys, or the list'),
  ],
)
def test_invalid_overrides_are_named_in_one_line(text, message):
  with pytest.raises(ValueError, match=message) as raised:
    reading.read_config('cnn_mnist', text)
  assert '\n' not in str(raised.value)


@pytest.mark.parametrize(
  'name', ['a:b', 'gs:', '[x]', 'a\nb', '{a,b}', '%41', '~', '-a', ' ', '漢']
)
def test_config_files_are_read_in_folders_of_any_name(name, small, config_file, tmp_path):
  file = config_file(small)
  folder = tmp_path / name
  folder.mkdir()
  moved = file.rename(folder / f'{name}.py')
  assert reading.read_config(moved, 'seed=7').seed == 7
