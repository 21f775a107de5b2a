"""Raw files: every format, errors that name the file, and TFDS copies built from raw files without
a network.
"""

import gzip
import io
import json
import struct
import tarfile

import numpy as np
import PIL.Image
import pytest
from helpers import ROOT, run_child

from jaxdl.data import DATA_SETS, bundle, prepare, tfds_arrays
from jaxdl.data.__main__ import main
from jaxdl.data.raw import cdb, hoda_mat, idx, sources
from jaxdl.data.sets import cifar10, fashion_mnist, hoda, mnist, shakespeare

SHARED = ROOT.parent / 'shared/data'
needs_raw_files = pytest.mark.skipif(
  not SHARED.is_dir(), reason='the original raw files (../shared/data) are not available'
)


def idx_bytes(array):
  return (
    struct.pack(f'>{1 + array.ndim}i', 0x800 + array.ndim, *array.shape)
    + array.astype(np.uint8).tobytes()
  )


DIGITS = np.arange(2 * 28 * 28).reshape(2, 28, 28) % 251


@pytest.mark.parametrize(
  'name', ['a-idx3-ubyte', 'a-idx3-ubyte.gz', 'a.idx3-ubyte', 'a.idx3-ubyte.gz']
)
def test_idx_is_read_with_or_without_gzip(tmp_path, name):
  content = idx_bytes(DIGITS)
  (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith('.gz') else content)
  array, unpacked = idx.read(tmp_path, 'a-idx3-ubyte', (2, 28, 28))
  np.testing.assert_array_equal(array, DIGITS)
  assert unpacked == content


@pytest.mark.parametrize(
  ('content', 'message'),
  [
    (None, 'a-idx3-ubyte is missing'),
    (b'hello, world', 'is not an IDX file .*68656c6c'),
    (idx_bytes(DIGITS)[:-1], 'has 1,583 bytes, expected 1,584: fetch it again'),
    (idx_bytes(DIGITS[:1]), r'holds an array of shape \(1, 28, 28\), expected \(2, 28, 28\)'),
    (gzip.compress(idx_bytes(DIGITS), mtime=0)[:-20], 'is not a valid gzip file'),
    (b'', 'is not an IDX file'),
  ],
)
def test_idx_error_names_the_file(tmp_path, content, message):
  if content is not None:
    (tmp_path / 'a-idx3-ubyte').write_bytes(content)
  with pytest.raises((ValueError, FileNotFoundError), match=f'a-idx3-ubyte.*{message}|{message}'):
    idx.read(tmp_path, 'a-idx3-ubyte', (2, 28, 28))


def cdb_bytes(images, labels, *, size=(0, 0), gray=0, count=None):
  """Encodes a CDB file as in its specification; images are [H, W] of 0 and 255."""
  header = bytearray(
    struct.pack('<HBBBBI', 2005, 1, 2, *size, len(images) if count is None else count).ljust(
      1024, b'\0'
    )
  )
  header[522] = gray
  records = []
  for image, label in zip(images, labels, strict=True):
    data = image.tobytes() if gray else bytes(run for row in image for run in runs(row))
    extent = b'' if size[0] else bytes(image.shape[::-1])
    records.append(b'\xff' + bytes([label]) + extent + struct.pack('<H', len(data)) + data)
  return bytes(header) + b''.join(records)


def runs(row):
  """Alternating lengths of white and black runs, starting with white."""
  lengths, ink = [0], 0
  for pixel in row:
    if pixel != ink:
      lengths.append(0)
      ink = 255 - ink
    lengths[-1] += 1
  return lengths


SHAPES = [np.array([[0, 255, 0], [255, 255, 0]], np.uint8), np.full((1, 4), 255, np.uint8)]


def test_cdb_decodes_hand_made_runs(tmp_path):
  file = tmp_path / 'a.cdb'
  file.write_bytes(cdb_bytes(SHAPES, [7, 3]))
  assert list(runs(SHAPES[0][0])) == [1, 1, 1]
  assert list(runs(SHAPES[0][1])) == [0, 2, 1]
  images, labels = cdb.read(file)
  assert labels.tolist() == [7, 3]
  for image, expected in zip(images, SHAPES, strict=True):
    np.testing.assert_array_equal(image, expected)
  gray = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
  file.write_bytes(cdb_bytes([gray], [0], size=(2, 3), gray=1))
  np.testing.assert_array_equal(cdb.read(file)[0][0], gray)


@pytest.mark.parametrize(
  ('content', 'message'),
  [
    (b'short', 'is not a CDB file'),
    (b'\0' * 2000, 'is not a CDB file .year 0'),
    (cdb_bytes(SHAPES, [7, 3])[:-1], 'is truncated or damaged in record 1 of 2'),
    (cdb_bytes(SHAPES, [7, 3], count=3), 'is truncated or damaged in record 2 of 3'),
    (
      cdb_bytes(SHAPES, [7, 3])[:1024] + b'\x00' + cdb_bytes(SHAPES, [7, 3])[1025:],
      'damaged in record 0 of 2',
    ),
  ],
)
def test_cdb_error_names_the_file(tmp_path, content, message):
  (tmp_path / 'a.cdb').write_bytes(content)
  with pytest.raises(ValueError, match=f'a.cdb.*{message}'):
    cdb.read(tmp_path / 'a.cdb')


@pytest.mark.parametrize(
  ('variables', 'message'),
  [
    ({'other': np.zeros(3)}, 'is not Hoda: it has no variables Data and labels'),
    (
      {'Data': np.zeros((2, 2)), 'labels': np.zeros(4)},
      'is not Hoda: Data must be an object array',
    ),
    (None, 'is not a valid MATLAB file'),
  ],
)
def test_mat_file_that_is_not_hoda_is_rejected(tmp_path, variables, message):
  import scipy.io

  file = tmp_path / 'Data_hoda_full.mat'
  if variables is None:
    file.write_bytes(b'MATLAB 5.0 MAT-file but not really' * 20)
  else:
    scipy.io.savemat(file, variables)
  with pytest.raises(ValueError, match=f'Data_hoda_full.mat {message}'):
    hoda_mat.read(file)


def test_hoda_digits_are_centred_and_scaled():
  tall = np.zeros((48, 24), np.uint8)
  tall[:, 12:] = 255
  square = hoda.centre(tall)
  assert square.shape == (32, 32, 1)
  assert (
    square[4:28, 16:22] == 255
  ).all()  # 48 × 24 → 24 × 12, in the middle: rows 4..27, columns 10..21
  assert square.sum() == 255 * 24 * 6
  small = hoda.centre(np.full((3, 3), 255, np.uint8))
  assert (small[4:28, 4:28] == 255).all()
  assert small.sum() == 255 * 24 * 24
  assert hoda.centre(np.full((1, 100), 255, np.uint8)).any()  # a stroke of one pixel is kept


@pytest.mark.parametrize('link', [None, '/etc/hostname'])
def test_archive_that_escapes_its_folder_is_rejected(tmp_path, link):
  archive, member = (
    tmp_path / 'cifar-10-binary.tar.gz',
    tarfile.TarInfo('a/link' if link else '../outside'),
  )
  if link:
    member.type, member.linkname = tarfile.SYMTYPE, link
  with tarfile.open(archive, 'w:gz') as tar:
    tar.addfile(member, io.BytesIO(b''))
  (tmp_path / 'aside').mkdir()
  with pytest.raises(
    ValueError,
    match=r"tar.gz holds '(a/link|\.\./outside)', which leads out of its folder: do not use",
  ):
    sources.cifar10(tmp_path, tmp_path / 'aside')
  assert not (tmp_path / 'outside').exists()


def cifar_folder(folder):
  folder = folder / 'cifar-10-batches-bin'
  folder.mkdir(parents=True)
  for name in [*sources.CIFAR10, 'test_batch.bin']:
    (folder / name).write_bytes(bytes(30730000))
  (folder / 'batches.meta.txt').write_text('\n'.join(sources.CIFAR10_CLASSES))
  return folder


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (lambda folder: (folder / 'data_batch_3.bin').unlink(), 'data_batch_3.bin is missing'),
    (
      lambda folder: (folder / 'data_batch_1.bin').write_bytes(bytes(7)),
      'data_batch_1.bin has 7 bytes, expected 30,730,000',
    ),
    (
      lambda folder: (folder / 'data_batch_1.bin').write_bytes(b'\x0b' * 30730000),
      'data_batch_1.bin has a label 11, expected 0 to 9',
    ),
    (lambda folder: None, r'data_batch_1.bin has another checksum \(sha256 .*: fetch it again'),
    (
      lambda folder: (folder / 'batches.meta.txt').write_text('a\nb\n'),
      r'batches.meta.txt names 2 classes \(a, b…\), expected',
    ),
    (
      lambda folder: (folder / 'data_batch_1').write_bytes(b'\x80\x02}'),
      'holds the Python version, whose files are pickles and are never loaded',
    ),
  ],
)
def test_cifar10_error_names_the_file(tmp_path, change, message):
  change(cifar_folder(tmp_path))
  (tmp_path / 'aside').mkdir()
  with pytest.raises((ValueError, FileNotFoundError), match=message):
    sources.cifar10(tmp_path, tmp_path / 'aside')


@pytest.mark.parametrize(
  ('name', 'message'),
  [
    ('mnist', 'train-images-idx3-ubyte is missing'),
    ('fashion_mnist', 'train-images-idx3-ubyte is missing'),
    ('cifar10', 'data_batch_1.bin is missing'),
    ('hoda', 'Data_hoda_full.mat is missing'),
    ('tiny_shakespeare', 'input.txt is missing'),
    ('shakespeare', 'shakespeare.txt is missing'),
  ],
)
def test_prepare_names_missing_files_and_leaves_nothing(tmp_path, name, message):
  (tmp_path / 'raw').mkdir()
  with pytest.raises((ValueError, FileNotFoundError), match=message):
    prepare.prepare(name, raw=tmp_path / 'raw', data_dir=tmp_path / 'tfds')
  assert list((tmp_path / 'tfds').iterdir()) == []


def test_prepare_rejects_a_different_text(tmp_path):
  (tmp_path / 'input.txt').write_text('To be')
  with pytest.raises(
    ValueError, match='input.txt has 5 characters, expected 1,115,394: fetch it again'
  ):
    prepare.prepare('tiny_shakespeare', raw=tmp_path, data_dir=tmp_path / 'tfds')
  (tmp_path / 'input.txt').write_text('T' * 1115394)
  with pytest.raises(ValueError, match='input.txt has another checksum'):
    prepare.prepare('tiny_shakespeare', raw=tmp_path, data_dir=tmp_path / 'tfds')


def test_prepare_command_names_the_missing_folder(tmp_path):
  run = run_child(
    '-m',
    'jaxdl.data',
    'prepare',
    'mnist',
    f'--from={tmp_path / "nowhere"}',
    f'--data_dir={tmp_path}',
  )
  assert run.returncode == 1
  assert (
    run.stderr
    == f'jaxdl: --from={tmp_path / "nowhere"} does not exist: give the folder of the raw files\n'
  )


def test_list_shows_every_data_set(tmp_path):
  run = run_child('-m', 'jaxdl.data', 'list', f'--data_dir={tmp_path}')
  assert run.returncode == 0, run.stderr
  lines = dict(line.split(maxsplit=1) for line in run.stdout.splitlines()[1:])
  assert list(lines) == list(DATA_SETS)
  assert lines['mnist'].startswith('bundled')
  assert lines['cifar10'].startswith('absent')
  assert 'python -m jaxdl.data prepare hoda --from=DIR' in lines['hoda']


@pytest.mark.slow
def test_prepare_keeps_the_copy_of_a_concurrent_process(tmp_path):
  """Another process finishes first: its complete copy is kept, and no temporary files are left."""
  pytest.importorskip('tensorflow')
  text = bundle.read('shakespeare', shakespeare.CHECKSUMS)['complete_works.txt']
  (tmp_path / 'shakespeare.txt').write_bytes(text)
  root = tmp_path / 'tfds'
  first, existed = prepare.prepare('shakespeare', raw=tmp_path, data_dir=root)
  assert not existed
  aside = root / '.preparing' / 'shakespeare'
  aside.mkdir(parents=True)
  (aside / '1.0.0').mkdir()
  (aside / '1.0.0/dataset_info.json').write_text('{}')
  assert tfds_arrays.move(aside / '1.0.0', first) == (first, True)
  assert json.loads((first / 'dataset_info.json').read_text()) != {}
  source = shakespeare.shakespeare(source='tfds', data_dir=root)
  packed = shakespeare.shakespeare(source='bundled', data_dir=root)
  assert source.classes == packed.classes
  for split in ('train', 'validation', 'test'):
    np.testing.assert_array_equal(
      source.columns[split]['character'], packed.columns[split]['character']
    )
  import tensorflow_datasets as tfds

  info = tfds.builder_from_directory(str(first)).info
  assert info.citation.startswith('@book')
  assert info.homepage
  assert [path.name for path in root.iterdir() if path.name.startswith('.preparing-')] == []


@pytest.mark.slow
def test_prepare_names_photographs_after_their_folder(tmp_path, capsys):
  pytest.importorskip('tensorflow')
  for place in ('train/cat', 'train/dog', 'test/dog'):
    (tmp_path / 'My pets' / place).mkdir(parents=True)
    PIL.Image.fromarray(np.full((9, 8, 3), 7, np.uint8)).save(
      tmp_path / 'My pets' / place / 'a.png'
    )
  command = (
    '-m',
    'jaxdl.data',
    'prepare',
    'image_folder',
    f'--from={tmp_path / "My pets"}',
    f'--data_dir={tmp_path}',
  )
  run = run_child(*command)
  assert run.returncode == 0, run.stderr
  assert run.stdout.startswith(f'image_folder is prepared: {tmp_path}/image_folder/my_pets/1.0.0')
  main(list(command[1:]))
  assert 'was there already' in capsys.readouterr().out
  main(['jaxdl.data', 'list', f'--data_dir={tmp_path}'])
  listed = capsys.readouterr().out
  assert 'train 2  test 1' in next(
    line for line in listed.splitlines() if line.startswith('image_folder/my_pets')
  )
  data = DATA_SETS['image_folder'](
    seed=0,
    source='auto',
    copy='my_pets',
    data_dir=tmp_path,
    size=4,
    workers=0,
    batch_size=2,
    splits={'train': 'train', 'test': 'test'},
  )
  assert (data.origin, data.classes, data.input_shape()) == ('tfds', ('cat', 'dog'), (4, 4, 3))
  feed = data.splits['test'].feed(0, 1)
  np.testing.assert_array_equal(feed['image'][0, 0], 7)
  assert feed['label'][0, 0] == 1


@pytest.fixture(scope='session')
def raw(tmp_path_factory):
  """The original raw files, unpacked by the script that comes with them."""
  folder = tmp_path_factory.mktemp('raw')
  run = run_child(SHARED / 'unpack.py', folder)
  assert run.returncode == 0, run.stderr
  return folder


REAL = [
  ('mnist', mnist.mnist, {'train': 60000, 'test': 10000}),
  ('fashion_mnist', fashion_mnist.fashion_mnist, {'train': 60000, 'test': 10000}),
  ('cifar10', cifar10.cifar10, {'train': 50000, 'test': 10000}),
  pytest.param(
    'hoda', hoda.hoda, {'train': 60000, 'test': 20000, 'remaining': 22352}, marks=pytest.mark.slow
  ),
  (
    'tiny_shakespeare',
    shakespeare.tiny_shakespeare,
    {'train': 1003854, 'validation': 55770, 'test': 55770},
  ),
]


@needs_raw_files
@pytest.mark.parametrize(('name', 'read', 'counts'), REAL)
@pytest.mark.parametrize('most', [100, pytest.param(None, marks=pytest.mark.slow)])
def test_real_data_sets_are_prepared_and_read_back(
  raw, tmp_path, monkeypatch, most, name, read, counts
):
  """The raw files are read and checked completely; by default only 100 examples of each split are
  written.
  """
  pytest.importorskip('tensorflow')
  monkeypatch.setattr(prepare, 'MOST', most)
  folder, existed = prepare.prepare(name, raw=raw / name, data_dir=tmp_path)
  assert not existed
  source = read(source='auto', data_dir=tmp_path)
  assert source.origin.startswith('tfds')
  lengths = {split: len(next(iter(columns.values()))) for split, columns in source.columns.items()}
  if 'shakespeare' in name:
    assert lengths == counts
  else:
    assert lengths == {split: most or count for split, count in counts.items()}
    assert len(source.classes) == 10
    assert set(source.columns['train']['label']) <= set(range(10))
  if name == 'mnist':  # the same images as the bundled copy, in TFDS's own order
    original = mnist.mnist(source='bundled', data_dir=None).columns['test']
    labels = {
      image.tobytes(): label
      for image, label in zip(original['image'], original['label'], strict=True)
    }
    for image, label in zip(
      source.columns['test']['image'], source.columns['test']['label'], strict=True
    ):
      assert labels[image.tobytes()] == label
  if name == 'cifar10':
    assert 'not the original (JPEG test copy)' in source.origin
  assert prepare.prepare(name, raw=raw / name, data_dir=tmp_path) == (folder, True)
  assert [path for path in tmp_path.iterdir() if path.name.startswith('.')] == []
  assert (folder / 'provenance.json').is_file()
  module = json.loads((folder / 'dataset_info.json').read_text())['moduleName']
  assert module == 'jaxdl.data.sets.hoda' or module.startswith('tensorflow_datasets.')


def test_prepare_has_a_raw_reader_for_each_data_set():
  assert tuple(sources.RAW) == tfds_arrays.PREPARABLE
