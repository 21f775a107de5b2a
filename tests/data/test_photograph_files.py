"""Folders of photographs: layouts, errors and the prepared copy."""

import os
import re
import shutil
import sys

import numpy as np
import PIL.Image
import pytest
from helpers import ROOT

from jaxdl.data import duplicates, image_folder, prepare
from jaxdl.data.photographs import contents, copies, decode, examples, folders, reading, stream
from jaxdl.prediction import inputs

FOOD = ROOT.parent / 'shared/data/food'


def fill(folder, *names):
  """Writes placeholder files; returns the folder."""
  for name in names:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(os.fsencode(name))
  return folder


def found(folder):
  """Returns (split → [(path below the folder, label)], classes)."""
  read = folders.find(folder)
  return {
    split: [(path.relative_to(folder).as_posix(), label) for path, label in files]
    for split, files in read.splits.items()
  }, read.classes


@pytest.mark.parametrize(
  ('names', 'expected'),
  [
    (('train', 'test'), {'train', 'test'}),
    (('training', 'validation', 'evaluation'), {'train', 'validation', 'test'}),
    (('Train', 'val'), {'train', 'validation'}),
  ],
)
def test_splits_with_class_folders(tmp_path, names, expected):
  for name in names:
    fill(
      tmp_path,
      f'{name}/soup/b.jpg',
      f'{name}/soup/a.JPEG',
      f'{name}/bread/c.png',
      f'{name}/bread/.hidden.png',
      f'{name}/bread/notes.txt',
    )
  splits, classes = found(tmp_path)
  assert set(splits) == expected
  assert classes == ('bread', 'soup')
  assert splits['train'] == [
    (f'{names[0]}/bread/c.png', 0),
    (f'{names[0]}/soup/a.JPEG', 1),
    (f'{names[0]}/soup/b.jpg', 1),
  ]


def test_class_folders_without_splits_form_the_training_split(tmp_path):
  assert found(fill(tmp_path, 'cat/1.jpg', 'ant/2.png')) == (
    {'train': [('ant/2.png', 0), ('cat/1.jpg', 1)]},
    ('ant', 'cat'),
  )


def test_food11_class_and_split_names_are_recognised(tmp_path):
  for split in ('training', 'validation', 'evaluation'):
    fill(
      tmp_path,
      *(f'{split}/{number}_{photograph}.jpg' for number in range(11) for photograph in (2, 1)),
    )
  splits, classes = found(tmp_path)
  assert classes == tuple(map(str, range(11)))
  names = image_folder.named(classes, 'food11', numbered=folders.find(tmp_path).numbered)
  assert (len(names), names[0], names[2], names[10]) == (11, 'Bread', 'Dessert', 'Vegetable/Fruit')
  assert splits['test'][:3] == [
    ('evaluation/0_1.jpg', 0),
    ('evaluation/0_2.jpg', 0),
    ('evaluation/1_1.jpg', 1),
  ]
  assert splits['train'][-1] == ('training/10_2.jpg', 10)  # in numerical order


@pytest.mark.parametrize(
  ('names', 'error', 'message'),
  [
    ((), FileNotFoundError, r'holds no photographs: put .* into train/<class>/'),
    (('train/a/x.txt',), FileNotFoundError, r'holds no photographs \(1 not an image \(train/a/x'),
    (('a/b/1.jpg',), FileNotFoundError, r'\(1 folders inside a class folder \(a/b\)\): put image'),
    (
      ('train/a/1.jpg', os.fsdecode(b'train/\xff/1.jpg')),
      ValueError,
      r"class '\\udcff' of .* has a name that is not UTF-8: rename it",
    ),
    (
      ('train/Cat/1.jpg', 'test/cat/1.jpg'),
      ValueError,
      r"class 'cat' of the test split .* is not in train, .*: rename it to 'Cat'",
    ),
    (
      ('train/\xe9t\xe9/1.jpg', 'test/e\u0301te\u0301/1.jpg'),
      ValueError,
      r"class 'e\\u0301te\\u0301' of the test .* is not in train, .*: rename it to '\\xe9t\\xe9'",
    ),
    (
      ('train/a/1.jpg', 'train/b/x.txt'),
      ValueError,
      r"class 'b' has no photographs in the train split .*: put some there, or give the folder",
    ),
    (
      ('train/a/1.jpg', 'test/a/1.jpg', 'test/z/1.jpg'),
      ValueError,
      r"class 'z' of the test split .*z/1.jpg\) is not in train, which has 1 classes",
    ),
    (
      ('train/0_1.jpg', 'train/photo.jpg'),
      ValueError,
      r'photo\.jpg is not in a class folder and is not named',
    ),
    (
      ('train/a/1.jpg', 'extra/a/1.jpg'),
      ValueError,
      r'extra is next to the split folders but is not a split: move it',
    ),
    (('test/a/1.jpg', 'evaluation/a/1.jpg'), ValueError, r'are both the test split: keep one'),
  ],
)
def test_invalid_folders_are_named_in_the_error(tmp_path, names, error, message):
  with pytest.raises(error, match=message) as raised:
    folders.find(fill(tmp_path, *names))
  assert '\n' not in str(raised.value)


def test_folder_of_tfds_that_is_a_pattern_is_refused(tmp_path):
  with pytest.raises(ValueError, match=r'data_dir=.*/a\*\*b has \*\* in its name, .*: rename it$'):
    prepare.prepare('image_folder', raw=fill(tmp_path, 'a/1.jpg'), data_dir=tmp_path / 'a**b')


def test_file_as_folder_is_named_in_the_error(tmp_path):
  (tmp_path / 'photos.zip').touch()
  for read in (folders.find, reading.read):
    with pytest.raises(FileNotFoundError, match=r'photos\.zip is a file: give the folder'):
      read(tmp_path / 'photos.zip')


def test_folders_of_systems_are_hidden(tmp_path):
  """Archives of macOS and network drives have folders of their own next to those of the user."""
  fill(
    tmp_path,
    *(f'{name}/cat/._1.jpg' for name in folders.OF_SYSTEMS),
    *('cat/1.jpg', 'cat/@eaDir/1.jpg', 'dog/1.jpg'),
  )
  read = folders.find(tmp_path)
  assert read.classes == ('cat', 'dog')
  assert read.left_out == {'hidden': sorted([*folders.OF_SYSTEMS, 'cat/@eaDir'])}


def test_missing_folder_is_named_in_the_error(tmp_path):
  with pytest.raises(FileNotFoundError, match=r'nowhere does not exist: give the folder'):
    folders.find(tmp_path / 'nowhere')
  with pytest.raises(
    FileNotFoundError,
    match=r'config\.data\.folder=nowhere does not exist: give .*--config\.data\.folder=DIR',
  ):
    reading.read('nowhere')


@pytest.mark.parametrize('link', ['train/a/link.jpg', 'train/b'])
def test_links_out_of_the_folder_need_follow_links(tmp_path, link):
  outside, folder = fill(tmp_path / 'outside', '1.jpg'), fill(tmp_path / 'inside', 'train/a/1.jpg')
  (folder / link).symlink_to(outside / '1.jpg' if link.endswith('.jpg') else outside)
  with pytest.raises(
    ValueError,
    match=rf'{link} is a link that leads out of .*: put a copy there, or set '
    r'config\.data\.follow_links=True',
  ):
    folders.find(folder)
  keys = dict(seed=0, splits={'train': 'train'}, batch_size=2, source='folder')
  data = image_folder.load(folder=str(folder), follow_links=True, **keys)
  assert data.splits['train'].count == 2
  name = link if link.endswith('.jpg') else f'{link}/1.jpg'
  assert [entry.name for entry in data.files['train']] == sorted(['train/a/1.jpg', name])
  copied = shutil.copytree(folder, tmp_path / 'copied')  # follows links
  assert data.checksums == image_folder.load(folder=str(copied), **keys).checksums
  with pytest.raises(ValueError, match=r"config\.data\.follow_links='yes' is not"):
    image_folder.load(folder=str(folder), follow_links='yes', **keys)


@pytest.mark.parametrize('follow_links', [False, True])
def test_links_that_lead_nowhere_are_named(tmp_path, follow_links):
  for number, (link, target) in enumerate(
    [('train/a/2.jpg', 'missing.jpg'), ('train/b', 'b'), ('train/b', 'c'), ('train/a/notes', 'x')]
  ):
    folder = fill(tmp_path / str(number), 'train/a/1.jpg')
    (folder / link).symlink_to(target)
    if target == 'c':
      (folder / 'train/c').symlink_to('b')
    with pytest.raises(
      ValueError, match=rf'{link} is a link that leads nowhere .*: delete'
    ) as raised:
      folders.find(folder, follow_links=follow_links)
    assert '\n' not in str(raised.value)


@pytest.mark.parametrize('follow_links', [False, True])
def test_folders_that_contain_themselves_are_read_once(tmp_path, follow_links):
  folder = fill(tmp_path, 'train/a/1.jpg', 'train/b/1.jpg')
  (folder / 'train/a/again').symlink_to(folder)
  (folder / 'train/b/up').symlink_to('..')
  read = folders.find(folder, follow_links=follow_links)
  assert [path.name for path, _ in read.splits['train']] == ['1.jpg', '1.jpg']
  assert read.left_out == {'folders inside a class folder': ['train/a/again', 'train/b/up']}
  found = inputs.images([folder], ('a', 'b'), follow_links=follow_links)
  assert len(found) == 2


def test_predictions_search_linked_folders_only_with_follow_links(tmp_path):
  outside, folder = fill(tmp_path / 'outside', '1.jpg'), fill(tmp_path / 'inside', 'a/1.jpg')
  (folder / 'b').symlink_to(outside)
  assert len(inputs.images([folder], ('a', 'b'))) == 1
  (files,) = inputs.images([folder], ('a', 'b'), follow_links=True).sources
  assert [(file.name, file.label) for file in files.files] == [
    (str(folder / 'a/1.jpg'), 0),
    (str(folder / 'b/1.jpg'), 1),
  ]


def test_identical_files_of_two_splits_are_found(tmp_path, monkeypatch):
  """Files are opened only if another split has one of their size."""
  folder = fill(tmp_path, 'train/a/1.jpg', 'train/b/22.jpg', 'test/a/1.jpg', 'test/b/4444.jpg')
  for name, content in {
    'train/a/x.jpg': b'x' * 9000,
    'test/b/copy.jpg': b'x' * 9000,
    'test/a/start.jpg': b'y' + b'x' * 8999,  # the last bytes are equal
    'test/a/end.jpg': b'x' * 8999 + b'y',
    'train/b/x.jpg': b'x' * 9000,
    'test/a/copy.jpg': b'x' * 9000,
    'train/a/alone.jpg': b'x' * 9001,
  }.items():
    (folder / name).write_bytes(content)
  data = image_folder.load(
    seed=0,
    splits=dict(train='train', test='test'),
    batch_size=2,
    folder=str(folder),
    source='folder',
  )
  opened = set()

  def counted(path, *arguments, **options):
    opened.add(path.relative_to(folder).as_posix())
    return open(path, *arguments, **options)

  monkeypatch.setattr(duplicates, 'open', counted, raising=False)
  (found,) = duplicates.of_data(data)
  assert (found.first, found.second, found.count) == ('train', 'test', 2)
  assert found.pair[0] in ('train/a/x.jpg', 'train/b/x.jpg')
  assert found.pair[1] in ('test/a/copy.jpg', 'test/b/copy.jpg')
  assert 'train/a/alone.jpg' not in opened
  assert 'test/b/4444.jpg' not in opened
  assert 'test/a/end.jpg' in opened
  (folder / 'test/a/copy.jpg').unlink()  # a file that cannot be read has no duplicates
  assert [one.count for one in duplicates.of_data(data)] == [1]
  assert duplicates.of_files(data.files, None) == []
  entries = {
    split: [contents.Entry(name, 0, 5, 0, checksum) for name, checksum in part]
    for split, part in {'train': [('a', 'one'), ('b', 'two')], 'test': [('c', 'two')]}.items()
  }
  assert duplicates.of_files(entries, None) == [  # of a prepared copy, without its folder
    duplicates.Repeated('train', 'test', 1, ('b', 'c'))
  ]


def test_slices_are_disjoint_and_stratified_by_class(tmp_path):
  """Each class contributes its share to a slice within one photograph, whatever the class sizes."""
  folder = fill(
    tmp_path,
    *(
      f'{kind}/{number}.jpg'
      for kind, size in dict(a=50, b=20, c=120, d=10).items()
      for number in range(size)
    ),
  )
  splits = reading.read(folder, source='folder').splits
  parts = [examples.select(splits, part) for part in ('train[:80%]', 'train[80%:]')]
  names = [[part[position][2] for position in range(len(part))] for part in parts]
  assert [len(part) for part in names] == [160, 40]
  assert not set(names[0]) & set(names[1])
  found = np.bincount([parts[1][position][1] for position in range(40)])
  np.testing.assert_allclose(found, [10, 4, 24, 2], atol=1)
  joined = examples.select(splits, 'train[80%:]+train[:10]')
  assert [joined[position][2] for position in (0, 40, 49)] == [
    names[1][0],
    names[0][0],
    names[0][9],
  ]


def test_prepared_copy_equals_the_folder_byte_for_byte(tmp_path):
  pytest.importorskip('tensorflow')
  folder = fill(
    tmp_path / 'My Photos',
    *(
      f'{split}/{kind}/{number}.jpg'
      for split in ('train', 'test')
      for kind in (' a ', 'b\n', 'c')
      for number in range(5)
    ),
  )
  copies.builder(str(folder))(
    data_dir=tmp_path / 'tfds', file_format='array_record'
  ).download_and_prepare()
  assert (tmp_path / 'tfds/image_folder/my_photos/1.0.0/dataset_info.json').is_file()
  files, copy = (
    reading.read(folder, source=source, data_dir=tmp_path / 'tfds') for source in ('folder', 'auto')
  )
  assert (files.origin, copy.origin) == ('folder', 'tfds')
  assert files.classes == copy.classes == (' a ', 'b\n', 'c')
  for split in ('train', 'test'):
    for position in range(15):
      assert copy.splits[split][position][:2] == files.splits[split][position][:2]
  with pytest.raises(
    FileNotFoundError, match='image_folder/other is not prepared in .*: run python -m jaxdl'
  ):
    reading.read(folder, source='tfds', name='other', data_dir=tmp_path / 'tfds')


def write_image(path, value=7, kind='PNG', **options):
  """Writes an image; returns its path."""
  path.parent.mkdir(parents=True, exist_ok=True)
  PIL.Image.fromarray(np.full((9, 8, 3), value, np.uint8)).save(path, kind, **options)
  return path


def test_images_of_any_format_and_name_are_used(tmp_path):
  kinds = {
    'a.webp': 'WEBP',
    'b.BMP': 'BMP',
    'c.gif': 'GIF',
    'd.tif': 'TIFF',
    'e.jfif': 'JPEG',
    'f': 'PNG',
    'g.download': 'JPEG',
    'h.png': 'JPEG',
  }
  for name, kind in kinds.items():
    write_image(tmp_path / 'cat' / name, kind=kind)
  read = folders.find(tmp_path)
  assert [path.name for path, _ in read.splits['train']] == list(kinds)
  assert (read.left_out, read.remark('x')) == ({}, None)
  split = stream.streaming(
    reading.read(tmp_path, source='folder').splits['train'], batch_size=8, size=4, workers=0
  )
  feed = split.feed(0, 1)
  assert feed['mask'].all()
  np.testing.assert_allclose(feed['image'].astype(int), 7, atol=1)


def test_skipped_files_are_named(tmp_path):
  fill(
    tmp_path,
    'train/cat/1.jpg',
    'train/dog/1.jpg',
    'train/loose.jpg',
    'train/cat/notes.txt',
    'train/cat/b.pdf',
    'readme.md',
    'train/cat/.DS_Store',
    '.git/config',
    'train/dog/more/2.jpg',
    *(f'train/dog/{number}.doc' for number in range(7)),
  )
  assert folders.find(tmp_path).left_out == {
    'hidden': ['.git', 'train/cat/.DS_Store'],
    'next to the split folders': ['readme.md'],
    'next to the class folders': ['train/loose.jpg'],
    'folders inside a class folder': ['train/dog/more'],
    'not an image': [
      'train/cat/b.pdf',
      'train/cat/notes.txt',
      *(f'train/dog/{number}.doc' for number in range(7)),
    ],
  }
  data = image_folder.load(
    seed=0, splits={'train': 'train'}, batch_size=2, folder=str(tmp_path), source='folder'
  )
  (line,) = data.left_out
  assert line.startswith(
    f'left out of {tmp_path}: 2 hidden (.git, train/cat/.DS_Store); 1 next to the split folders (readme.md)'
  )
  assert '9 not an image (train/cat/b.pdf, train/cat/notes.txt, train/dog/0.doc, …)' in line
  if sys.platform != 'win32':
    os.mkfifo(tmp_path / 'train/cat/pipe.jpg')  # reading it would wait for a writer
    assert folders.find(tmp_path).left_out['not a file'] == ['train/cat/pipe.jpg']
  (tmp_path / 'train/cat/line\nbreak.txt').touch()
  assert '\n' not in folders.find(tmp_path).remark('x')
  assert data.counted() == ['train: 2 examples, 1 of each of 2 classes']


@pytest.mark.usefixtures('unchecked_types')
def test_numbered_folders_keep_their_names(tmp_path):
  """Food-11's class names are used only if the config asks for them and the files are named as in
  Food-11.
  """
  for number in range(11):
    fill(tmp_path / 'folders', f'train/{number}/a.jpg')
    fill(tmp_path / 'files', f'training/{number}_0.jpg')
  numbers = tuple(map(str, range(11)))
  for place, class_names, expected in (
    ('folders', None, numbers),
    ('folders', 'food11', numbers),
    ('files', None, numbers),
    ('files', 'food11', image_folder.FOOD11),
    ('folders', list('abcdefghijk'), tuple('abcdefghijk')),
  ):
    data = image_folder.load(
      seed=0,
      splits={'train': 'train'},
      batch_size=2,
      folder=str(tmp_path / place),
      source='folder',
      class_names=class_names,
    )
    assert data.classes == expected
  assert data.facts()['examples_per_class'] == {'train': [1] * 11}
  for class_names, message in (
    (['a', 'b'], 'has 2 names, but the photographs have 11 classes: give'),
    (['a'] * 11, 'is not a list of different names'),
    ('food', 'is not a list of different'),
    (3, 'is not a list of different names'),
  ):
    with pytest.raises(ValueError, match=rf'config\.data\.class_names.* {message}'):
      image_folder.named(numbers, class_names, numbered=False)


def test_animated_files_are_reported_once(tmp_path, capsys):
  frames = [PIL.Image.fromarray(np.full((9, 8), value, np.uint8)) for value in (10, 200)]
  for number in range(4):
    (tmp_path / 'cat').mkdir(exist_ok=True)
    frames[0].save(tmp_path / f'cat/{number}.gif', save_all=True, append_images=frames[1:])
  split = stream.streaming(
    reading.read(tmp_path, source='folder').splits['train'], batch_size=2, size=4, workers=0
  )
  assert (split.feed(0, 2)['image'] == 10).all()
  message = capsys.readouterr().err
  assert message.count('\n') == 1
  assert 'cat/' in message
  assert message.endswith('.gif has 2 frames: only the first frame of such files is used\n')


def test_background_of_the_config_is_applied(tmp_path):
  (tmp_path / 'cat').mkdir()
  PIL.Image.fromarray(np.zeros((9, 8, 4), np.uint8)).save(tmp_path / 'cat/1.png')
  for background, expected in (
    ({}, 255),
    ({'background': 'black'}, 0),
    ({'background': [9, 9, 9]}, 9),
  ):
    data = image_folder.load(
      seed=0,
      splits={'train': 'train'},
      batch_size=1,
      folder=str(tmp_path),
      source='folder',
      size=4,
      workers=0,
      **background,
    )
    assert (data.splits['train'].feed(0, 1)['image'] == expected).all()
  with pytest.raises(ValueError, match=r"config\.data\.background='green' is not a colour"):
    image_folder.load(
      seed=0, splits={'train': 'train'}, batch_size=1, folder='nowhere', background='green'
    )


@pytest.fixture
def two_folders(tmp_path):
  """Two folders of photographs with the same name, and a folder for prepared copies."""
  for place, classes in (('a', ('cat', 'dog')), ('b', ('rose', 'tulip'))):
    for kind in classes:
      for number in range(3):
        write_image(tmp_path / place / 'images' / kind / f'{number}.png', value=number)
  return tmp_path / 'a/images', tmp_path / 'b/images', tmp_path / 'tfds'


def prepared(folder, root):
  return prepare.prepare('image_folder', raw=folder, data_dir=root)


def swap(first, second):
  content = first.read_bytes()
  first.write_bytes(second.read_bytes())
  second.write_bytes(content)


@pytest.mark.parametrize(
  'change',
  [
    lambda folder: write_image(folder / 'cat/1.bmp', value=9, kind='BMP'),
    lambda folder: swap(folder / 'cat/1.bmp', folder / 'dog/1.bmp'),
    lambda folder: swap(folder / 'cat/1.bmp', folder / 'cat/2.bmp'),
    lambda folder: (folder / 'cat/1.bmp').rename(folder / 'cat/0.bmp'),
    lambda folder: (folder / 'cat').rename(folder / 'cow'),
  ],
)
def test_checksums_cover_names_classes_and_bytes(tmp_path, change, monkeypatch):
  """In a BMP, the number of bytes does not depend on the pixels."""
  for name in ('cat/1', 'cat/2', 'dog/1', 'dog/2'):
    write_image(tmp_path / f'photos/{name}.bmp', ord(name[0]) + int(name[-1]), 'BMP')
  keys = dict(seed=0, splits={'train': 'train'}, batch_size=2, source='folder')
  before = image_folder.load(folder=str(tmp_path / 'photos'), **keys)
  copied = shutil.copytree(tmp_path / 'photos', tmp_path / 'copied')
  assert image_folder.load(folder=str(copied), **keys).differs(before.checksums) is None
  change(copied)
  assert image_folder.load(folder=str(copied), **keys).differs(before.checksums) == 'train'
  names = {'train': before.checksums['train']}  # of a run of an older version
  monkeypatch.setattr(contents, 'READ', 100)
  later = image_folder.load(folder=str(copied), **keys)
  assert list(later.checksums) == ['train']
  assert later.differs(names) == (None if list(copied.glob('cat/1.bmp')) else 'train')


def test_copy_is_used_only_for_its_own_folder(two_folders, capsys):
  pytest.importorskip('tensorflow')
  first, second, root = two_folders
  assert prepared(first, root) == (root / 'image_folder/images/1.0.0', False)
  found = reading.read(second, data_dir=root)
  assert (found.origin, found.classes) == ('folder', ('rose', 'tulip'))
  message = capsys.readouterr().err
  assert message.count('\n') == 1
  assert re.search(
    rf'images/1\.0\.0 was made from other photographs than {second} \(rose/\d\.png is new\): reading the folder; to prepare '
    rf'it again: python -m jaxdl\.data prepare image_folder --from={second} --data_dir={root}\n',
    message,
  )
  with pytest.raises(
    ValueError,
    match=r'was made from other photographs than .*: run python -m jaxdl\.data prepare .*, or set config',
  ):
    reading.read(second, source='tfds', data_dir=root)
  version, existed = prepared(second, root)
  assert not existed
  assert re.fullmatch(r'images_[0-9a-f]{8}', version.parent.name)
  assert prepared(second, root) == (version, True)
  for folder, classes in ((first, ('cat', 'dog')), (second, ('rose', 'tulip'))):
    copy, files = (
      reading.read(folder, source=source, data_dir=root) for source in ('auto', 'folder')
    )
    assert (copy.origin, copy.classes, copy.place['folder']) == ('tfds', classes, str(folder))
    assert contents.checksum(copy.entries['train']) == contents.checksum(files.entries['train'])
  assert capsys.readouterr().err == ''


def rewrite_with_same_size(folder):
  file = folder / 'cat/1.png'
  size = file.stat().st_size
  write_image(file, value=8)
  assert file.stat().st_size == size


def rewrite_with_same_size_and_time(folder):
  before = (folder / 'cat/1.png').stat()
  rewrite_with_same_size(folder)
  os.utime(folder / 'cat/1.png', ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
  ('change', 'reason'),
  [
    (rewrite_with_same_size_and_time, r'cat/1\.png has changed'),
    (lambda folder: write_image(folder / 'cat/9.png'), r'cat/9\.png is new'),
    (lambda folder: (folder / 'cat/1.png').unlink(), r'cat/1\.png is gone'),
    (lambda folder: (folder / 'cat/1.png').write_bytes(b'x'), r'cat/1\.png has changed'),
    (rewrite_with_same_size, r'cat/1\.png has changed'),
    (lambda folder: (folder / 'dog').rename(folder / 'cow'), r'cow/\d\.png is new'),
  ],
  ids=['same size and time', 'new', 'gone', 'other size', 'same size', 'renamed'],
)
def test_copy_of_a_changed_folder_is_not_used(two_folders, change, reason, capsys):
  pytest.importorskip('tensorflow')
  folder, _, root = two_folders
  prepared(folder, root)
  change(folder)
  found = reading.read(folder, data_dir=root)
  assert found.origin == 'folder'
  assert re.search(
    rf'was made from other photographs than {folder} \({reason}\): reading the folder',
    capsys.readouterr().err,
  )
  version, existed = prepared(folder, root)
  assert not existed
  assert reading.read(folder, data_dir=root).place['copy'] == version.parent.name


def test_copy_is_used_after_its_folder_moved(two_folders, capsys):
  """The same holds if the folder was touched or deleted."""
  pytest.importorskip('tensorflow')
  folder, other, root = two_folders
  prepared(folder, root)
  for file in folder.rglob('*.png'):
    os.utime(file, ns=(1, 1))
  assert reading.read(folder, data_dir=root).origin == 'tfds'
  moved = folder.parent.parent / 'c/images'
  moved.parent.mkdir()
  folder.rename(moved)
  assert reading.read(moved, data_dir=root).origin == 'tfds'
  assert reading.read(folder, data_dir=root).classes == ('cat', 'dog'), (
    'the copy records this folder as its source'
  )
  shutil.rmtree(other)
  with pytest.raises(
    FileNotFoundError,
    match=r'config\.data\.folder=.* does not exist: give .*--config\.data\.copy=images for',
  ):
    reading.read(other, data_dir=root)
  assert reading.read(other, name='images', data_dir=root).classes == ('cat', 'dog'), (
    'the copy is given by name'
  )
  assert capsys.readouterr().err == ''


@pytest.mark.parametrize(
  'content', [None, '{}', '[', '{"from": 1, "numbered": false, "splits": {"train": [[1]]}}']
)
def test_copy_of_an_older_version_must_be_named(two_folders, content, capsys):
  """It has no list of its photographs, so its source folder is unknown."""
  pytest.importorskip('tensorflow')
  folder, _, root = two_folders
  version, _ = prepared(folder, root)
  (version / contents.FILE).unlink()
  if content is not None:
    (version / contents.FILE).write_text(content)
  assert reading.read(folder, data_dir=root).origin == 'folder'
  assert 'has no list of its photographs, so it cannot be compared with' in capsys.readouterr().err
  with pytest.raises(ValueError, match='has no list of its photographs'):
    reading.read(folder, source='tfds', data_dir=root)
  found = reading.read(None, name='images', data_dir=root)
  assert (found.origin, found.entries, len(found.splits['train'])) == ('tfds', None, 6)
  data = image_folder.load(
    seed=0, splits={'train': 'train'}, batch_size=2, copy='images', data_dir=str(root)
  )
  assert (data.checksums, data.per_class, data.counted()) == ({}, {}, ['train: 6 examples'])
  version, existed = prepared(folder, root)
  assert not existed
  assert reading.read(folder, data_dir=root).origin == 'tfds'


def test_prepared_copy_keeps_the_original_file_bytes(tmp_path):
  pytest.importorskip('tensorflow')
  for name, kind in {'a.webp': 'WEBP', 'b.bmp': 'BMP', 'c.gif': 'GIF', 'd.tif': 'TIFF'}.items():
    write_image(tmp_path / 'images/cat' / name, kind=kind)
  prepared(tmp_path / 'images', tmp_path / 'tfds')
  found = reading.read(tmp_path / 'images', source='tfds', data_dir=tmp_path / 'tfds').splits[
    'train'
  ]
  for position in range(4):
    content, _, name = found[position]
    assert content == (tmp_path / 'images/cat' / name).read_bytes()
    assert (decode.square(content, 4) == 7).all()


@pytest.mark.skipif(not FOOD.is_dir(), reason='the real photographs are not available')
def test_real_photographs_are_valid():
  read = reading.read(FOOD, source='folder')
  splits, classes = read.splits, read.classes
  assert (read.origin, {split: len(source) for split, source in splits.items()}) == (
    'folder',
    {'train': 300, 'test': 100},
  )
  assert len(classes) == 10
  for position in range(0, 300, 10):
    content, label, name = splits['train'][position]
    image = decode.square(content, 512)
    assert image.shape == (512, 512, 3)
    assert image.std() > 5
    assert f'/{classes[label]}/' in name
  assert np.bincount([splits['test'][position][1] for position in range(100)]).tolist() == [10] * 10
