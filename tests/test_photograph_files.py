"""Folders of photographs: layouts, what is wrong with them, and the prepared copy."""

import numpy as np
import pytest
from conftest import ROOT

from jaxdl.data import image_folder
from jaxdl.data.photographs import encoded
from jaxdl.data.photographs import files as photograph_files

FOOD = ROOT.parent / 'shared/data/food'


def fill(folder, *names):
  for name in names:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(name.encode())
  return folder


def found(folder):
  """Split → (path below the folder, label), and the classes."""
  splits, classes = photograph_files.find(folder)
  return {split: [(path.relative_to(folder).as_posix(), label) for path, label in files]
          for split, files in splits.items()}, classes


@pytest.mark.parametrize(('names', 'expected'), [
    (('train', 'test'), {'train', 'test'}), (('training', 'validation', 'evaluation'), {'train', 'validation', 'test'}),
    (('Train', 'val'), {'train', 'validation'})])
def test_splits_with_class_folders(tmp_path, names, expected):
  for name in names:
    fill(tmp_path, f'{name}/soup/b.jpg', f'{name}/soup/a.JPEG', f'{name}/bread/c.png', f'{name}/bread/.hidden.png',
         f'{name}/bread/notes.txt')
  splits, classes = found(tmp_path)
  assert set(splits) == expected
  assert classes == ('bread', 'soup')
  assert splits['train'] == [(f'{names[0]}/bread/c.png', 0), (f'{names[0]}/soup/a.JPEG', 1), (f'{names[0]}/soup/b.jpg', 1)]


def test_class_folders_alone_are_all_training_photographs(tmp_path):
  assert found(fill(tmp_path, 'cat/1.jpg', 'ant/2.png')) == ({'train': [('ant/2.png', 0), ('cat/1.jpg', 1)]}, ('ant', 'cat'))


def test_food11_has_its_own_names_for_classes_and_splits(tmp_path):
  for split in ('training', 'validation', 'evaluation'):
    fill(tmp_path, *(f'{split}/{number}_{photograph}.jpg' for number in range(11) for photograph in (2, 1)))
  splits, classes = found(tmp_path)
  assert (len(classes), classes[0], classes[2], classes[10]) == (11, 'Bread', 'Dessert', 'Vegetable/Fruit')
  assert splits['test'][:3] == [('evaluation/0_1.jpg', 0), ('evaluation/0_2.jpg', 0), ('evaluation/1_1.jpg', 1)]
  assert splits['train'][-1] == ('training/10_2.jpg', 10)  # by number: 10 after 9, not after 1


@pytest.mark.parametrize(('names', 'error', 'message'), [
    ((), FileNotFoundError, r'holds no photographs: put .* into train/<class>/'),
    (('train/a/x.txt',), FileNotFoundError, 'holds no photographs'),
    (('train/a/1.jpg', 'train/b/x.txt'), ValueError, r"class 'b' has no photographs in the train split .*: put some there, or give the folder"),
    (('train/a/1.jpg', 'test/a/1.jpg', 'test/z/1.jpg'), ValueError, r"class 'z' of the test split .*z/1.jpg\) is not in train, which has 1 classes"),
    (('train/0_1.jpg', 'train/photo.jpg'), ValueError, r'photo\.jpg stands in no class folder and is not named'),
    (('train/a/1.jpg', 'extra/a/1.jpg'), ValueError, r'extra stands beside the splits but is none: move it'),
    (('test/a/1.jpg', 'evaluation/a/1.jpg'), ValueError, r'are both the test split: keep one'),
])
def test_folders_at_fault_are_named(tmp_path, names, error, message):
  with pytest.raises(error, match=message) as raised:
    photograph_files.find(fill(tmp_path, *names))
  assert '\n' not in str(raised.value)


def test_a_missing_folder_is_named(tmp_path):
  with pytest.raises(FileNotFoundError, match=r'nowhere is not there: give the folder'):
    photograph_files.find(tmp_path / 'nowhere')
  with pytest.raises(FileNotFoundError, match=r'config\.data\.folder=nowhere is not there: give .*--config\.data\.folder=DIR'):
    image_folder.read('nowhere')


@pytest.mark.parametrize('link', ['train/a/link.jpg', 'train/b'])
def test_links_that_leave_the_folder_are_refused(tmp_path, link):
  outside, folder = fill(tmp_path / 'outside', '1.jpg'), fill(tmp_path / 'inside', 'train/a/1.jpg')
  (folder / link).symlink_to(outside / '1.jpg' if link.endswith('.jpg') else outside)
  with pytest.raises(ValueError, match=rf'{link} is a link that leads out of .*: put a copy there'):
    photograph_files.find(folder)


def test_slices_mix_the_classes_and_share_nothing(tmp_path):
  """Of each class a slice has its share, to one photograph, whatever the sizes of the classes."""
  folder = fill(tmp_path, *(f'{kind}/{number}.jpg' for kind, size in dict(a=50, b=20, c=120, d=10).items()
                            for number in range(size)))
  _, splits, _ = image_folder.read(folder, source='folder')
  parts = [encoded.select(splits, part) for part in ('train[:80%]', 'train[80%:]')]
  names = [[part[position][2] for position in range(len(part))] for part in parts]
  assert [len(part) for part in names] == [160, 40]
  assert not set(names[0]) & set(names[1])
  found = np.bincount([parts[1][position][1] for position in range(40)])
  np.testing.assert_allclose(found, [10, 4, 24, 2], atol=1)
  joined = encoded.select(splits, 'train[80%:]+train[:10]')
  assert [joined[position][2] for position in (0, 40, 49)] == [names[1][0], names[0][0], names[0][9]]


def test_a_prepared_copy_equals_the_folder_byte_for_byte(tmp_path):
  pytest.importorskip('tensorflow')
  folder = fill(tmp_path / 'My Photos', *(f'{split}/{kind}/{number}.jpg' for split in ('train', 'test')
                                          for kind in 'abc' for number in range(5)))
  image_folder.builder(str(folder))(data_dir=tmp_path / 'tfds', file_format='array_record').download_and_prepare()
  assert (tmp_path / 'tfds/image_folder/my_photos/1.0.0/dataset_info.json').is_file()
  files, copy = (image_folder.read(folder, source=source, data_dir=tmp_path / 'tfds') for source in ('folder', 'auto'))
  assert (files[0], copy[0]) == ('folder', 'tfds')
  assert files[2] == copy[2]
  for split in ('train', 'test'):
    for position in range(15):
      assert copy[1][split][position][:2] == files[1][split][position][:2]
  with pytest.raises(FileNotFoundError, match='image_folder/other is not prepared in .*: run python -m jaxdl'):
    image_folder.read(folder, source='tfds', name='other', data_dir=tmp_path / 'tfds')


@pytest.mark.skipif(not FOOD.is_dir(), reason='the real photographs are not here')
def test_real_photographs_are_all_sound():
  from jaxdl.data.photographs import decode
  origin, splits, classes = image_folder.read(FOOD, source='folder')
  assert (origin, {split: len(source) for split, source in splits.items()}) == ('folder', {'train': 300, 'test': 100})
  assert len(classes) == 10
  for position in range(0, 300, 10):
    content, label, name = splits['train'][position]
    image = decode.square(content, 512)
    assert image.shape == (512, 512, 3)
    assert image.std() > 5
    assert f'/{classes[label]}/' in name
  assert np.bincount([splits['test'][position][1] for position in range(100)]).tolist() == [10] * 10
