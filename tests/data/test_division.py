"""Division of folders of photographs without splits; runs keep their splits."""

import shutil

import numpy as np
import PIL.Image
import pytest
from helpers import ROOT

from jaxdl.config import reading
from jaxdl.data import DATA_SETS, image_folder, prepare
from jaxdl.data.photographs import division
from jaxdl.data.photographs import reading as photographs
from jaxdl.runs import folder as run_folder
from jaxdl.training import experiment, loop
from jaxdl.views import subject

SIZES = {'ant': 40, 'bee': 13, 'cat': 3}
FOOD = ROOT.parent / 'shared/data/food'


def fill(folder, sizes, split=''):
  """Writes different photographs, the last class first."""
  for label, (name, size) in reversed(list(enumerate(sizes.items()))):
    (folder / split / name).mkdir(parents=True)
    for number in reversed(range(size)):
      image = np.full((4, 4, 3), (label * 80, number, 9 + len(split)), np.uint8)
      PIL.Image.fromarray(image).save(folder / split / name / f'{number}.png')
  return folder


def load(folder, splits=None, **options):
  options = {'seed': 0, 'batch_size': 4, 'source': 'folder', 'size': 4, 'workers': 0, **options}
  return image_folder.load(folder=str(folder), splits=splits, **options)


def names(folder, splits=None, *, seed=0, **options):
  """Returns split → set of the paths of its photographs, relative to the folder."""
  found = photographs.read(folder, **{'source': 'folder', **options})
  divided = division.divide(found, splits, seed=seed)
  return {
    split: {
      divided.found.splits[split][place][2].removeprefix(f'{folder}/')
      for place in range(len(divided.found.splits[split]))
    }
    for split in divided.splits
  }


def test_division_is_stratified_by_class(tmp_path):
  """Each split has its share of every class, and each photograph is in one split."""
  data = load(fill(tmp_path, SIZES))
  assert data.per_class == {'train': [32, 11, 1], 'validation': [4, 1, 1], 'test': [4, 1, 1]}
  assert data.division == '80/10/10'
  parts = names(tmp_path)
  assert sum(map(len, parts.values())) == len(set.union(*parts.values())) == 56
  assert names(tmp_path, '80/10/10') == parts
  assert load(tmp_path, '50/25/25').per_class == {
    'train': [20, 7, 1],
    'validation': [10, 3, 1],
    'test': [10, 3, 1],
  }
  assert load(tmp_path, '75/25/0').per_class == {'train': [30, 10, 2], 'validation': [10, 3, 1]}


def test_division_depends_only_on_seed_and_names(tmp_path):
  """The path of the folder, and the order and times of its files, have no effect."""
  parts = names(fill(tmp_path / 'one', SIZES))
  files = sorted((tmp_path / 'one').rglob('*.png'))
  for file in np.random.default_rng(0).permutation(files):
    target = tmp_path / 'two' / file.relative_to(tmp_path / 'one')
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, target)
  assert names(tmp_path / 'two') == parts
  other = names(tmp_path / 'one', seed=1)
  assert {split: len(part) for split, part in other.items()} == {
    split: len(part) for split, part in parts.items()
  }
  assert other['test'] != parts['test']
  # A new photograph has little effect, because each photograph is drawn by its name.
  shutil.copyfile(files[0], tmp_path / 'one/ant/new.png')
  now = names(tmp_path / 'one')
  assert len(now['test'] ^ parts['test']) <= 2


@pytest.mark.parametrize(
  ('own', 'shares', 'drawn'),
  [
    (('train', 'val', 'test'), '', set()),
    (('training', 'valid', 'evaluation'), '', set()),
    (('train', 'test'), '90/10', {'validation'}),
    (('train', 'validation'), '90/10', {'test'}),
    (('train',), '80/10/10', {'validation', 'test'}),
  ],
)
def test_splits_without_a_folder_are_held_out(tmp_path, own, shares, drawn):
  for split in own:
    fill(tmp_path, {'ant': 20, 'bee': 10}, split)
  for splits in (None, division.COMPLETE):  # equivalent
    data = load(tmp_path, splits)
    assert data.division == shares
    assert set(data.splits) == {'train', 'validation', 'test'}
    for split in ('validation', 'test'):
      assert data.per_class[split] == ([2, 1] if split in drawn else [20, 10])
    assert data.per_class['train'] == [20 - 2 * len(drawn), 10 - len(drawn)]
  (note, *_) = data.described_splits()
  assert note.startswith('splits: ')
  assert all((f'10 % {split}' in note) == (split in drawn) for split in ('validation', 'test'))


def test_slices_in_a_config_are_used_unchanged(tmp_path):
  for split in ('train', 'test'):
    fill(tmp_path, {'ant': 20, 'bee': 20}, split)
  data = load(tmp_path, {'train': 'train[:30]', 'validation': 'train[30:]', 'test': 'test'})
  assert {name: split.count for name, split in data.splits.items()} == {
    'train': 30,
    'validation': 10,
    'test': 40,
  }
  assert (data.division, data.available) == ('', {'train': 40, 'test': 40})
  assert load(tmp_path, {'train': 'train'}).available == {'train': 40, 'test': 40}
  assert load(tmp_path, {'train': 'train', 'test': 'test'}).division == ''


@pytest.mark.parametrize(
  ('own', 'splits', 'message'),
  [
    (('',), '80-20', r"splits='80-20' is invalid: write the per cent .*, such as '80/10/10'"),
    (('',), '100', r"splits='100' is invalid"),
    (('',), '80/20', r"has 2 parts, but .* needs 3, for train, validation and test: write '80/10/10'"),
    (('',), '40/30/20/10', r'has 4 parts: write the per cent of train, validation and test'),
    (('',), '70/20/20', r"adds up to 110 instead of 100: change a part, such as '80/10/10'"),
    (('',), '0/50/50', r'leaves nothing for training'),
    (('train', 'test'), '80/10/10', r"needs 2, for train and validation \(test has a folder\): write '90/10'"),
    (('train', 'val', 'test'), '90/10', r'has nothing to divide: .*; leave the key out'),
    (('test',), None, r'has test photographs but no training photographs: add a folder train/'),
  ],
)  # fmt: skip
def test_invalid_division_error_names_the_fix(tmp_path, own, splits, message):
  for split in own:
    fill(tmp_path, {'ant': 20, 'bee': 20}, split)
  with pytest.raises(ValueError, match=message) as raised:
    load(tmp_path, splits)
  assert '\n' not in str(raised.value)


def test_class_with_too_few_photographs_is_named(tmp_path):
  fill(tmp_path, {'ant': 20, 'bee': 2})
  message = r"class 'bee' of .* has 2 photographs, too few for train, validation and test \('80/10/10'\): add some"
  with pytest.raises(ValueError, match=message):
    load(tmp_path)
  assert load(tmp_path, '90/10/0').per_class == {'train': [18, 1], 'validation': [2, 1]}


def config(folder, **options):
  return dict(
    seed=3,
    task='classify',
    train_for='4 steps',
    log_every='2 steps',
    evaluate_every='2 steps',
    checkpoint_every='2 steps',
    data=dict(
      name='image_folder', folder=str(folder), source='folder', size=4, workers=0, batch_size=4,
      **options,
    ),
    model=dict(
      name='cnn',
      layers=[dict(kind='flatten'), dict(kind='dense', features='classes', activate=False)],
    ),
    optimizer=dict(name='adam', learning_rate=1e-2),
  )  # fmt: skip


def test_split_without_a_class_is_rejected(tmp_path):
  fill(tmp_path, {'ant': 20, 'bee': 20}, 'train')
  fill(tmp_path, {'ant': 20}, 'test')
  message = r"class 'bee' has no photographs in the test split: add some, delete the test folder"
  for splits in ({}, {'splits': dict(division.COMPLETE)}):
    with pytest.raises(ValueError, match=message):
      experiment.build(config(tmp_path, **splits))
  accepted = {'train': 'train', 'validation': 'validation', 'test': 'test[:]'}
  with pytest.raises(ValueError, match=r"split 'validation' is not one of train, test"):
    experiment.build(config(tmp_path, splits=accepted))
  accepted['validation'] = 'train[90%:]'
  accepted['train'] = 'train[:90%]'
  assert experiment.build(config(tmp_path, splits=accepted)).data.per_class['test'] == [20, 0]


@pytest.mark.slow
def test_run_keeps_its_splits(tmp_path, monkeypatch):
  """Analyses and resumed runs read the same examples if the default share changes."""
  photos, run = fill(tmp_path / 'photos', {'ant': 30, 'bee': 30}), tmp_path / 'run'
  built = experiment.build(config(photos))
  loop.train(built, run)
  assert built.config['dataset']['division'] == '80/10/10'
  expected = built.data.splits['test'].feed(0, 1)['image'][0, :6] / np.float32(255)
  monkeypatch.setattr('jaxdl.data.division.HELD_OUT', 20)
  read = subject.read(run)
  assert (read.split, read.available) == ('test', 6)
  np.testing.assert_allclose(read.images, expected, atol=1e-6)
  monkeypatch.undo()
  longer = {**config(photos), 'train_for': '8 steps'}
  assert loop.train(experiment.build(longer), run)['step'] == 8
  run_folder.check_config(run, experiment.build(longer).config, 8)
  for other in ({**longer, 'seed': 4}, config(photos, splits='60/20/20')):
    other = {**other, 'train_for': '8 steps'}
    with pytest.raises(ValueError, match='holds a run'):
      run_folder.check_config(run, experiment.build(other).config, 8)
  (photos / 'train').mkdir()
  for name in ('ant', 'bee'):
    (photos / name).rename(photos / 'train' / name)
  fill(photos, {'ant': 3, 'bee': 3}, 'validation')
  with pytest.raises(ValueError, match='holds a run that was trained on other data'):
    run_folder.check_config(run, experiment.build(longer).config, 8)


def test_prepared_copy_is_divided_like_its_folder(tmp_path):
  pytest.importorskip('tensorflow')
  folder = fill(tmp_path / 'photos', {'ant': 12, 'bee': 12})
  prepare.prepare('image_folder', raw=folder, data_dir=tmp_path / 'tfds')
  copy = load(folder, source='tfds', data_dir=str(tmp_path / 'tfds'), evaluation_batch_size=2)
  files = load(folder, evaluation_batch_size=2)
  assert (copy.origin, files.origin) == ('tfds', 'folder')
  assert copy.checksums == files.checksums
  for split in ('train', 'validation', 'test'):
    one, other = (data.splits[split].feed(0, 1) for data in (copy, files))
    np.testing.assert_array_equal(one['image'], other['image'])
    np.testing.assert_array_equal(one['label'], other['label'])


def test_splits_on_the_command_line_are_shares_or_slices():
  path = ROOT / 'configs/cnn_food11.py'
  assert reading.read_config(path, 'data.splits=70/15/15').data.splits == '70/15/15'
  sliced = reading.read_config(
    path, 'data.splits.train=train[:85%]', 'data.splits.validation=train[85%:]'
  )
  assert sliced.data.splits.to_dict() == {
    'train': 'train[:85%]',
    'validation': 'train[85%:]',
    'test': 'test',
  }
  replaced = reading.read_config(path, "data.splits=dict(train='train')")
  assert replaced.data.splits.to_dict() == {'train': 'train'}


def test_division_requires_data_without_splits():
  with pytest.raises(
    ValueError,
    match=r"splits='80/10/10' is for data without splits \(image_folder, arrays\): write",
  ):
    DATA_SETS['mnist'](seed=0, splits='80/10/10', batch_size=4)


def test_only_food11_is_compared_with_its_report(tmp_path):
  fill(tmp_path, {'ant': 10, 'bee': 10})
  reported = {'source': '004', 'test_accuracy': 0.46}
  built = experiment.build({**config(tmp_path, class_names='food11'), 'reported': reported})
  assert (built.reported, built.config['reported']) == ({}, {})
  built = experiment.build({**config(tmp_path), 'reported': reported})
  assert built.reported == reported


@pytest.mark.skipif(not FOOD.is_dir(), reason='the photographs are not available')
def test_real_photographs_without_a_validation_folder_are_divided():
  data = load(FOOD)
  assert data.per_class == {'train': [27] * 10, 'validation': [3] * 10, 'test': [10] * 10}
  flat = load(FOOD / 'train', seed=1)
  assert flat.per_class == {'train': [24] * 10, 'validation': [3] * 10, 'test': [3] * 10}
