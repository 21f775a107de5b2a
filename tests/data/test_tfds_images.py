"""Any TFDS data set of images and labels, prepared by small builders."""

import json

import numpy as np
import pytest
from helpers import SMALL

import jaxdl
from jaxdl.data import loading, tfds_arrays
from jaxdl.training import experiment
from jaxdl.views import subject

tfds = pytest.importorskip('tensorflow_datasets')
pytest.importorskip('tensorflow')

DRAW = np.random.default_rng(0)
PIXELS = DRAW.integers(0, 256, (40, 6, 6, 3), np.uint8)

DATA = dict(name='tfds', dataset='pictures', batch_size=8)
MODEL = dict(
  name='cnn',
  layers=[dict(kind='flatten'), dict(kind='dense', features='classes', activate=False)],
)


def feature(kind, **options):
  return getattr(tfds.features, kind)(**options)


def prepare(folder, features, example, splits=('train', 'test'), *, name='pictures', config=None):
  """Prepares a data set of 30 training and 10 test examples in TFDS's folder."""
  configs = [tfds.core.BuilderConfig(name=config)] if config else []

  class Pictures(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Pictures."""

    VERSION = tfds.core.Version('1.0.0')
    BUILDER_CONFIGS = configs

    def _info(self):
      return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, manager):
      numbers = {'train': range(30), 'test': range(30, 40)}
      return {split: self._generate_examples(numbers[split]) for split in splits}

    def _generate_examples(self, numbers):
      for number in numbers:
        yield number, example(number)

  Pictures.name = name
  chosen = {'config': config} if config else {}
  Pictures(data_dir=str(folder), file_format='array_record', **chosen).download_and_prepare()


def load(folder, seed=0, **section):
  section = {'name': 'tfds', 'data_dir': str(folder), 'batch_size': 8, **section}
  return loading.bind({'dataset': 'pictures', **section}, seed=seed)()


@pytest.fixture(scope='module')
def prepared(tmp_path_factory):
  """TFDS's folder with data sets of several kinds."""
  folder = tmp_path_factory.mktemp('tfds')
  features = {
    'picture': feature('Image', shape=(6, 6, 3)),
    'label': feature('ClassLabel', names=['cat', 'dog']),
    'coarse': feature('ClassLabel', names=['a', 'b', 'c']),
    'weight': np.int64,
  }

  def example(number):
    return {
      'picture': PIXELS[number],
      'label': number % 2,
      'coarse': number % 3,
      'weight': 5 * (number % 4),
    }

  prepare(folder, features, example)
  return folder


def by_pixels(data, split):
  """First pixel values of an image → the name of its class."""
  arrays = data.splits[split].arrays
  return {
    image.tobytes(): data.classes[label]
    for image, label in zip(arrays['image'], arrays['label'], strict=True)
  }


def test_features_and_splits_are_found(prepared):
  data = load(prepared)
  assert (data.name, data.origin, data.classes) == ('pictures', 'tfds', ('cat', 'dog'))
  assert data.available == {'train': 26, 'validation': 4, 'test': 10}
  assert data.division == '90/10'
  expected = {PIXELS[number].tobytes(): ('cat', 'dog')[number % 2] for number in range(30, 40)}
  assert by_pixels(data, 'test') == expected
  assert load(prepared).checksums == data.checksums != load(prepared, seed=1).checksums
  slices = {'train': 'train[:20]', 'test': 'test'}
  assert load(prepared, splits=slices, color='gray', size=3).input_shape() == (3, 3, 1)


def test_other_labels_are_named_and_cached_apart(prepared):
  """Class labels, and numbers with gaps."""
  assert load(prepared, label='coarse').classes == ('a', 'b', 'c')
  data = load(prepared, label='weight')
  assert data.classes == ('0', '5', '10', '15')
  expected = {PIXELS[number].tobytes(): str(5 * (number % 4)) for number in range(30, 40)}
  assert by_pixels(data, 'test') == expected
  assert load(prepared).classes == ('cat', 'dog')
  with pytest.raises(ValueError, match="label='kind' is not a feature of pictures: .* coarse"):
    load(prepared, label='kind')


def test_configs_and_versions(tmp_path):
  features = {
    'image': feature('Image', shape=(6, 6, 1)),
    'label': feature('ClassLabel', num_classes=2),
  }

  def example(number):
    return {'image': PIXELS[number, ..., :1], 'label': number % 2}

  prepare(tmp_path, features, example, config='small')
  assert load(tmp_path).classes == ('0', '1')
  assert load(tmp_path, dataset='pictures/small:1.0.0').available['train'] == 26
  with tfds_arrays.downloads(False), pytest.raises(FileNotFoundError, match='small:2.0.0 is not p'):
    load(tmp_path, dataset='pictures/small:2.0.0')
  prepare(tmp_path, features, example, config='large')
  with pytest.raises(ValueError, match='several configs: name one of pictures/large, pictures/sm'):
    load(tmp_path)
  with pytest.raises(ValueError, match="dataset='../x' is not the name of a data set"):
    load(tmp_path, dataset='../x')


@pytest.mark.parametrize(
  ('features', 'message'),
  [
    (
      {'text': ('Text', {}), 'label': ('ClassLabel', {'num_classes': 2})},
      r'pictures has no image: only .* features are label \(ClassLabel\), text \(Text\)',
    ),
    (
      {'one': ('Image', {'shape': (6, 6, 3)}), 'two': ('Image', {'shape': (6, 6, 3)})},
      'several features that may be the image: set config.data.image to one of one, two',
    ),
    (
      {'image': ('Image', {'shape': (None, None, 3)}), 'label': ('ClassLabel', {'num_classes': 2})},
      "different sizes, such as .*: store them in class folders and set data.name='image_folder'",
    ),
  ],
)
def test_other_data_sets_are_refused_by_name(tmp_path, features, message):
  kinds = {name: feature(kind, **options) for name, (kind, options) in features.items()}
  values = {'text': 'a', 'one': PIXELS[0], 'two': PIXELS[0]}

  def example(number):
    found = {**values, 'label': number % 2, 'image': PIXELS[number, : 4 + number % 2]}
    return {name: found[name] for name in features}

  prepare(tmp_path, kinds, example, splits=('train',))
  with pytest.raises(ValueError, match=message):
    load(tmp_path)


def test_a_split_without_labels_is_left_out(tmp_path):
  features = {
    'image': feature('Image', shape=(6, 6, 3)),
    'label': feature('ClassLabel', names=['cat', 'dog']),
  }

  def example(number):
    return {'image': PIXELS[number], 'label': -1 if number >= 30 else number % 2}

  prepare(tmp_path, features, example)
  data = load(tmp_path)
  assert data.available == {'train': 22, 'validation': 4, 'test': 4}
  assert data.division == '80/10/10'


def test_the_data_set_of_a_run_is_found_again(prepared):
  config = {**SMALL, 'model': MODEL, 'data': {**DATA, 'data_dir': str(prepared)}}
  kept = experiment.build(config).config
  assert (kept['dataset']['name'], kept['dataset']['data_dir']) == ('pictures', str(prepared))
  found = subject.data_of_run('run', kept, data_dir=prepared)
  assert found.checksums == kept['dataset']['checksums']


@pytest.mark.slow
def test_a_run_records_the_data_set(prepared, tmp_path):
  summary = jaxdl.train(
    {**SMALL, 'model': MODEL, 'data': {**DATA, 'data_dir': str(prepared)}}, tmp_path / 'run'
  )
  run = jaxdl.load(tmp_path / 'run')
  assert round(run.evaluate('test')['loss'], 6) == summary['test_loss']
  assert run.predict(PIXELS[:3]).classes == ('cat', 'dog')
  kept = json.loads((tmp_path / 'run/config.json').read_text(encoding='utf-8'))['dataset']
  assert (kept['name'], kept['data_dir']) == ('pictures', str(prepared))
  found = subject.read(tmp_path / 'run', data_dir=prepared)
  assert (found.name, found.images.shape) == ('pictures', (10, 6, 6, 3))
