"""Data sets of Hugging Face in local folders; the library is optional."""

import sys

import numpy as np
import PIL.Image
import pytest

from jaxdl.data import hugging_face, loading

DRAW = np.random.default_rng(0)
PIXELS = DRAW.integers(0, 256, (40, 6, 6, 3), np.uint8)


def load(**section):
  return loading.bind({'name': 'huggingface', 'batch_size': 8, **section}, seed=0)()


@pytest.fixture
def datasets(monkeypatch, tmp_path):
  monkeypatch.setenv('HF_HUB_OFFLINE', '1')
  return pytest.importorskip('datasets')


def examples(datasets, numbers, mode='RGB', label='label', **options):
  """A data set of the library."""
  pictures = [PIL.Image.fromarray(PIXELS[number]).convert(mode) for number in numbers]
  kind = datasets.ClassLabel(names=['cat', 'dog'])
  features = datasets.Features({'img': datasets.Image(), label: options.pop('kind', kind)})
  labels = [number % 2 for number in numbers]
  return datasets.Dataset.from_dict({'img': pictures, label: labels}, features=features, **options)


def test_a_saved_data_set_is_read(datasets, tmp_path):
  parts = {
    'train': examples(datasets, range(30)),
    'test': examples(datasets, range(30, 40)),
  }
  parts['train'].info.license = 'CC0'
  datasets.DatasetDict(parts).save_to_disk(tmp_path / 'saved')
  data = load(folder=str(tmp_path / 'saved'))
  assert (data.name, data.origin, data.classes) == ('saved', 'huggingface', ('cat', 'dog'))
  assert data.available == {'train': 26, 'validation': 4, 'test': 10}
  np.testing.assert_array_equal(data.splits['test'].arrays['image'], PIXELS[30:])
  assert data.splits['test'].arrays['label'].tolist() == [0, 1] * 5
  assert data.further == {'licence': 'CC0'}
  assert data.place['folder'] == str(tmp_path / 'saved')


def test_gray_images_and_numbers_as_labels(datasets, tmp_path):
  kind = datasets.Value('int64')
  examples(datasets, range(40), mode='L', kind=kind).save_to_disk(tmp_path / 'gray')
  data = load(folder=str(tmp_path / 'gray'))
  assert (data.input_shape(), data.classes, data.division) == ((6, 6, 1), ('0', '1'), '80/10/10')
  examples(datasets, range(40), label='kind', kind=kind).save_to_disk(tmp_path / 'kind')
  with pytest.raises(
    ValueError, match=r'kind has no label: only .* features are img \(Image\), ki'
  ):
    load(folder=str(tmp_path / 'kind'))
  assert load(folder=str(tmp_path / 'kind'), label='kind').classes == ('0', '1')


def test_faults_are_refused_in_one_line(datasets, tmp_path):
  datasets.Dataset.from_dict({'text': ['a', 'b']}).save_to_disk(tmp_path / 'texts')
  with pytest.raises(ValueError, match='texts has no image: only data sets of images and labels'):
    load(folder=str(tmp_path / 'texts'))
  with pytest.raises(FileNotFoundError, match=r'text does not exist: did you mean .*texts\?'):
    load(folder=str(tmp_path / 'text'))
  (tmp_path / 'empty').mkdir()
  with pytest.raises(OSError, match=r'empty cannot be loaded \('):
    load(folder=str(tmp_path / 'empty'))


def test_the_data_set_is_named_once(tmp_path):
  for section in ({}, {'dataset': 'ylecun/mnist', 'folder': str(tmp_path)}):
    with pytest.raises(
      ValueError, match="name a data set: write dataset='ylecun/mnist', or folder"
    ):
      load(**section)


def test_without_the_library_the_extra_is_named(monkeypatch, tmp_path):
  monkeypatch.setitem(sys.modules, 'datasets', None)
  with pytest.raises(OSError, match=r"needs datasets, .*: pip install 'jaxdl\[huggingface\]'"):
    load(folder=str(tmp_path))


def test_the_revision_is_the_commit_in_the_addresses():
  commit = '77f3279092a1c1579b2250db8eafed0ad422088c'
  addresses = [f'hf://datasets/ylecun/mnist@{commit}/mnist/{part}.parquet' for part in ('a', 'b')]
  assert hugging_face.revision_of(dict.fromkeys(addresses)) == commit
  other = f'hf://datasets/ylecun/mnist@{commit[::-1]}/mnist/a.parquet'
  assert hugging_face.revision_of(dict.fromkeys([*addresses, other])) is None
  assert hugging_face.revision_of(None) is None
