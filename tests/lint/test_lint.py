"""Tests of warnings before training: each mistake gives one warning, correct configs give none."""

import copy
import dataclasses
import functools
import types

import numpy as np
import pytest
from helpers import last_json
from training_helpers import CONFIGS

from jaxdl import lint, main
from jaxdl.config.reading import read_file
from jaxdl.data import DATA_SETS, characters, images
from jaxdl.data.source import Source
from jaxdl.lint import duration
from jaxdl.step import plateau
from jaxdl.training import experiment

DENSE = (dict(kind='flatten'), dict(kind='dense', features=4, activate=False))
CORRECT = dict(
  task='classify',
  train_for='10 steps',
  evaluate_every='2 steps',
  optimizer=dict(name='adam', learning_rate=1e-3),
  data=dict(
    name='forty',
    batch_size=8,
    splits=dict(train='train[:30]', validation='train[30:]', test='test'),
  ),
  model=dict(name='cnn', layers=DENSE),
)
TEXT = {
  **CORRECT,
  'task': 'next_char',
  'train_for': '2 epochs',
  'data': dict(
    name='letters',
    batch_size=4,
    time_step=5,
    splits=dict(train='train', validation='validation', test='test'),
  ),
  'model': dict(name='language_model', cell='rnn', features=3, classes=4),
}
BATCH_NORM = (
  dict(kind='flatten'),
  dict(kind='dense', features=5),
  dict(kind='batch_norm'),
  DENSE[1],
)
FLIP = [dict(kind='flip')]


@pytest.fixture(autouse=True)
def small_data_sets(monkeypatch):
  """Adds two small data sets.

  'forty' has 40 + 10 images of 6×6 pixels in 4 classes. 'letters' has 103 + 20 + 20 characters;
  'd' occurs only in its test split.
  """

  def read_images(*, source, data_dir):
    parts = {
      name: {
        'image': np.full((count, 6, 6, 1), first, np.uint8)
        + np.arange(count, dtype=np.uint8)[:, None, None, None],
        'label': np.arange(count, dtype=np.int32) % 4,
      }
      for name, count, first in (('train', 40, 0), ('test', 10, 40))
    }
    return Source(origin='memory', columns=parts, classes=('ant', 'bee', 'cat', 'dog'))

  def read_text(*, source, data_dir):
    columns, vocabulary = characters.columns(
      {'train': 'abc' * 34 + 'a', 'validation': 'abcc' * 5, 'test': 'abcd' * 5}
    )
    return Source(origin='memory', columns=columns, classes=vocabulary)

  monkeypatch.setitem(DATA_SETS, 'forty', functools.partial(images.load, read_images))
  monkeypatch.setitem(DATA_SETS, 'letters', functools.partial(characters.load, read_text))


def warnings_for(changes, config=CORRECT):
  """Returns the warnings for a config with changed values.

  Args:
    changes: dict from dotted keys to values, such as {'data.batch_size': 9}; None removes a key.
    config: dict.
  """
  config = copy.deepcopy(config)
  for path, value in changes.items():
    *sections, key = path.split('.')
    section = functools.reduce(dict.__getitem__, sections, config)
    section.pop(key, None)
    if value is not None:
      section[key] = value
  return lint.warnings(experiment.build(config, 'small'))


def splits(train='train[:30]', validation='train[30:]', test='test', **more):
  slices = {'train': train, 'validation': validation, 'test': test}
  return {'data.splits': {name: value for name, value in slices.items() if value}, **more}


def layers(*layers):
  return {'model.layers': layers}


def test_correct_config_gets_no_warning():
  assert warnings_for({}) == []
  assert warnings_for({'train_for': '4 steps', 'data.augment': FLIP}) == []


@pytest.mark.parametrize(
  ('changes', 'expected'),
  [
    (
      {'data.distort': FLIP},
      'config.data.distort also changes the images of validation and test, so the results are not those of the original images: move it to config.data.augment, which applies only in training',
    ),
    (
      splits(train='train[:35]', **{'data.overlap': True}),
      "config.data.splits.validation='train[30:]' shares 5 examples with train='train[:35]', so training examples choose the checkpoint: make them disjoint",
    ),
    (
      splits(test='test+train[:3]', **{'data.overlap': True}),
      "config.data.splits.test='test+train[:3]' shares 3 examples with train='train[:30]', so the test uses training examples: make them disjoint",
    ),
    (
      splits(train='train', validation='test[:6]', early_stopping='2 steps'),
      "config.data.splits.test='test' shares 6 examples with validation='test[:6]', so test examples choose the checkpoint and end the run: make them disjoint",
    ),
    (
      splits(
        train='train', validation='test[:6]', test='test[6:]', plateau=dict(patience='2 steps')
      ),
      "config.data.splits.validation='test[:6]' takes 6 examples of the data set's test split, which then choose the checkpoint and cut the learning rate: take it from train, such as 'train[90%:]'",
    ),
    (
      splits(train='train', validation=None),
      "config.data.splits has no validation split, so the last checkpoint is used and only the test shows when to stop: take one from train, such as train='train[:90%]', validation='train[90%:]'",
    ),
    (
      splits(train='train[:28]'),
      "config.data.splits leaves 2 of the 40 examples of 'train' unused: let the slices cover all of it",
    ),
    (
      splits(test='test[:9]'),
      "config.data.splits leaves 1 of the 10 examples of 'test' unused: let the slices cover all of it",
    ),
    (
      {'train_for': '3 steps'},
      "config.train_for='3 steps' ends within the first epoch: 6 of 30 training examples are never seen; an epoch has 4 steps",
    ),
    (
      splits(train='train[:2]+train[4:6]', validation='train[2:4]+train[6:]'),
      "config.data.splits.train='train[:2]+train[4:6]' has no example of 2 of 4 classes ('cat', 'dog'): use more of the data set",
    ),
    (
      layers(dict(kind='flatten'), dict(kind='dense', features=4)),
      'config.model.layers[1] (dense1) applies an activation to the logits: set activate=False',
    ),
    (
      layers(
        dict(kind='conv', features=4, kernel=6, padding='VALID'),
        dict(kind='dropout', rate=0.1),
        dict(kind='flatten'),
      ),
      'config.model.layers[0] (conv1) applies an activation to the logits: set activate=False',
    ),
    (
      layers(*DENSE, dict(kind='activation', name='squash')),
      'config.model.layers[2] (squash) applies an activation to the logits: remove it',
    ),
    (
      layers(*BATCH_NORM[:2], dict(kind='dropout', rate=0.1), *BATCH_NORM[2:]),
      'config.model.layers[2] (dropout1) directly precedes batch_norm1, whose running variance is then that of training, too large in evaluation: put the dropout after it',
    ),
    (
      splits(train='train[:33]', validation='train[33:]', **layers(*BATCH_NORM)),
      'config.data.batch_size=8 leaves a last batch of 1 of the 33 training examples, which has no variance for batch_norm1: use another batch size',
    ),
    (
      layers(dict(kind='max_pool', window=4), *DENSE),
      "config.model.layers do not use rows 4–5 and columns 4–5 of the images, 20 of 36 pixels: give max_pool1 padding='SAME' and a stride no longer than the window",
    ),
    (
      layers(dict(kind='conv', features=2, kernel=(6, 1), strides=(1, 4)), *DENSE),
      "config.model.layers do not use columns 1–3, 5 of the images, 24 of 36 pixels: give conv1 padding='SAME' and a stride no longer than the window",
    ),
    (
      {'cpu_devices': 3},
      'config.data.batch_size=8 does not divide over config.cpu_devices=3, so a CPU uses fewer devices: use 6 or 9',
    ),
    (
      {'evaluate_every': '11 steps'},
      'config.evaluate_every, 11 steps, is longer than the run of 10, so only the last checkpoint can be the best: make it shorter',
    ),
    (
      {'early_stopping': '2 epochs'},
      "config.early_stopping='2 epochs' does not end within the run of 10 steps, evaluated every 2: make it shorter, or config.train_for longer",
    ),
    (
      {'plateau': dict(patience='7 steps')},
      "config.plateau.patience='7 steps' does not end within the run of 10 steps, evaluated every 2: make it shorter, or config.train_for longer",
    ),
  ],
)
def test_mistake_gets_exactly_one_warning(changes, expected):
  assert warnings_for(changes) == [expected]


@pytest.mark.parametrize(
  'changes',
  [
    splits(train='train', validation=None, test=None),
    splits(train='train[:30]', validation='train[30:]', test='test[:4]+test[4:]'),
    splits(train='train[:34]', validation='train[34:]', **layers(*BATCH_NORM)),
    splits(train='train[:33]', validation='train[33:]', train_for='5 steps'),
    layers(*BATCH_NORM[:3], dict(kind='dropout', rate=0.1), DENSE[1]),
    layers(*BATCH_NORM[:2], dict(kind='dropout', rate=0), *BATCH_NORM[2:]),
    layers(
      dict(kind='flatten'), dict(kind='dense', features=4), dict(kind='batch_norm', name='logits')
    ),
    layers(dict(kind='max_pool', window=4, padding='SAME'), *DENSE),
    layers(dict(kind='activation'), *DENSE),
    {'evaluate_every': '10 steps'},
    {'early_stopping': '6 steps'},
    {'plateau': dict(patience='1 epoch')},
  ],
)
def test_corrected_config_gets_no_warning(changes):
  assert warnings_for(changes) == []


def test_identical_examples_of_two_splits_get_a_warning(monkeypatch):
  """One of 10 test images is in the training split; 1 of 1,001 is too few."""
  keys = CORRECT['data']['splits']

  def warnings(copies, count):
    def read(*, source, data_dir):
      train = np.arange(40, dtype=np.int16)[:, None, None, None] + np.zeros((1, 6, 6, 1), np.int16)
      test = np.random.default_rng(0).integers(100, 256, (count, 6, 6, 1))
      test[3 : 3 + copies] = train[5 : 5 + copies]
      parts = {
        name: {'image': image.astype(np.uint8), 'label': np.arange(len(image), dtype=np.int32) % 4}
        for name, image in (('train', train), ('test', test))
      }
      return Source(origin='memory', columns=parts, classes=('ant', 'bee', 'cat', 'dog'))

    monkeypatch.setitem(DATA_SETS, 'forty', functools.partial(images.load, read))
    return warnings_for({'data.splits': dict(keys)})

  assert warnings(2, 10) == [
    '2 of 10 test examples are identical to examples of train (the first: test[3] and train[5]), '
    'so the test uses training examples: remove them from one of the splits'
  ]
  assert warnings(1, 1000) != []
  assert warnings(1, 1001) == []


@pytest.mark.parametrize(
  ('classes', 'pair'),
  [
    (('Cat', 'cat', 'bee', 'dog'), "'Cat' and 'cat'"),
    (('cat ', 'cat', 'bee', 'dog'), "'cat ' and 'cat'"),
    (('caf\xe9', 'cafe\u0301', 'bee', 'dog'), r"'caf\xe9' and 'cafe\u0301'"),
    (('01', '10', '001', '2'), "'01' and '001'"),
    (('STRASSE', 'Straße', 'straße', 'x'), r"'STRASSE' and 'Stra\xdfe'"),
    (('Cat', 'cat', 'Dog', 'dog'), "'Cat' and 'cat' and 1 other pairs"),
    (('A', 'a', 'É', 'é'), ''),
    (('cat', 'cats', '1', '11'), ''),
  ],
)
def test_classes_that_read_alike_get_a_warning(classes, pair):
  """Different single characters may be classes, as in data sets of letters."""
  built = experiment.build(CORRECT, 'small')
  built = dataclasses.replace(built, data=dataclasses.replace(built.data, classes=classes))
  expected = (
    f'the classes {pair} differ only in case, spaces, zeros or Unicode form: join them if they are '
    'one class'
  )
  assert lint.warnings(built) == ([expected] if pair else [])


def test_balanced_sampling_with_class_weights_gets_a_warning():
  task = dict(name='classify', class_weights='balanced')
  (warning,) = warnings_for({'task': task, 'data.sampling': 'balanced'})
  assert warning.startswith("config.data.sampling='balanced' draws every class equally often")
  assert warnings_for({'data.sampling': 'balanced'}) == []
  assert warnings_for({'task': task}) == []


def test_reconstruction_may_distort_images_and_activate_outputs():
  changes = {
    'task': 'reconstruct',
    'data.distort': FLIP,
    'model.layers': (dict(kind='conv', features=1, kernel=3),),
  }
  assert warnings_for(changes) == []


def test_text_warnings_count_unused_and_unseen_characters():
  """Splitting the text into streams causes no warning: 100 characters in 4 streams have 96 targets.

  3 steps read 3 · 4 · 5 = 60 of them.
  """
  assert warnings_for({}, TEXT) == [
    "config.data.splits.train='train' has no example of 1 of 4 classes ('d'): use more of the data set"
  ]
  short = warnings_for(
    {
      'train_for': '3 steps',
      'data.splits': dict(train='train[:100]', validation='validation', test='test'),
    },
    TEXT,
  )
  assert short[:2] == [
    "config.data.splits leaves 3 of the 103 characters of 'train' unused: let the slices cover all of it",
    "config.train_for='3 steps' ends within the first epoch: 36 of 96 training characters are never seen; an epoch has 5 steps",
  ]


def test_text_with_time_step_1_gets_a_warning():
  assert (
    'config.data.time_step=1 passes no gradient from a character'
    in warnings_for({'data.time_step': 1}, TEXT)[-1]
  )
  assert not any('time_step' in line for line in warnings_for({'data.time_step': 2}, TEXT))


def test_number_of_unseen_examples_equals_those_not_in_batches():
  """Counts the examples in the batches, for images and for text."""
  for config, steps in ((CORRECT, 3), (TEXT, 1), (TEXT, 4)):
    built = experiment.build({**config, 'train_for': f'{steps} steps'}, 'small')
    split = built.data.splits['train']
    feed = split.feed(0, steps)
    seen = 0
    for step in range(steps):
      batch = split.fetch(split.arrays, {name: values[step] for name, values in feed.items()})
      seen += int(batch['mask'].sum())
    (line,) = (line for line in lint.warnings(built) if 'never seen' in line)
    assert f' {split.count - seen} of {split.count} training ' in line


def test_patience_warning_appears_exactly_where_patience_has_no_effect():
  """Compares with the plateau rule on a loss that never falls."""
  found, expected = {}, {}
  for case in np.ndindex(13, 5, 9):
    steps, every, patience = (number + 1 for number in case)
    memory = {'best': np.inf, 'best_step': 0, 'cut_step': 0, 'last_step': 0, 'factor': 1.0}
    for step in range(every, steps, every):  # a cut after the last step has no effect
      memory = plateau.observe(memory, 1.0, step, patience=patience, factor=0.5)
    expected[case] = memory['factor'] == 1
    data = types.SimpleNamespace(splits={'train': types.SimpleNamespace(batches=1)})
    built = types.SimpleNamespace(
      data=data, steps=steps, evaluate_every=every, config={'early_stopping': f'{patience} steps'}
    )
    found[case] = bool(list(duration.idle_patience(built)))
  assert found == expected
  assert len(set(found.values())) == 2


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
@pytest.mark.usefixtures('any_data')
def test_every_config_gets_only_known_warnings(path):
  """The network of report 000 never sees the last two rows and columns; it is kept as reported.

  The length of the speedrun is fixed, and its held-out images are its test split. The photographs of `any_data` are repeated, so they are in several splits.
  """
  known = {
    'cnn_cifar10': [
      'config.model.layers do not use rows 30–31 and columns 30–31 of the images, 124 of 1,024 pixels: '
      "give max_pool2 padding='SAME' and a stride no longer than the window"
    ],
    'speedrun_cifar10': [
      'config.data.splits has no validation split, so the last checkpoint is used and only the test '
      "shows when to stop: take one from train, such as train='train[:90%]', "
      "validation='train[90%:]'"
    ],
  }
  warnings = lint.warnings(experiment.build(read_file(path), path.stem))
  is_folder = path.stem.startswith('cnn_food11')
  found = [line for line in warnings if not (is_folder and 'are identical to examples' in line)]
  assert found == known.get(path.stem, [])


def test_describe_prints_warnings_on_stderr_and_in_json(small, config_file, capsys, monkeypatch):
  small['train_for'] = '2 steps'
  expected = lint.warnings(experiment.build(small, 'small'))
  assert [line.split()[0] for line in expected] == [
    'config.data.splits',
    'config.data.splits',
    "config.train_for='2",
    'config.evaluate_every,',
  ]
  arguments = ['jaxdl.main', f'--config={config_file(small)}', '--describe']
  monkeypatch.setattr('sys.argv', arguments)  # ml_collections reads overrides from it
  assert main.main(arguments) == 0
  shown = capsys.readouterr()
  assert shown.err.splitlines() == [f'warning: {line}' for line in expected]
  assert last_json(shown.out)['warnings'] == expected


def test_result_worse_than_uniform_guessing_gets_a_warning():
  """The loss of uniform guesses among 4 classes is ln 4 = 1.386."""
  built = experiment.build(CORRECT, 'correct')
  assert lint.of_result(built, {'validation_loss': 1.38, 'test_loss': 9.0}) is None
  assert lint.of_result(built, {}) is None
  assert lint.of_result(built, {'test_loss': 1.5}) == (
    'the test loss of 1.50 is above that of guessing among 4 classes, 1.39: train longer, or lower '
    'config.optimizer.learning_rate'
  )


@pytest.mark.parametrize('task', ['reconstruct', dict(name='reconstruct')])
def test_autoencoder_loss_is_not_compared_with_guessing(task, small_autoencoder):
  built = experiment.build({**small_autoencoder, 'task': task}, 'small')
  assert lint.of_result(built, {'test_loss': 9.0}) is None
