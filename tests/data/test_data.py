"""Example order, splits, checksums, bundled files and copies prepared by TFDS."""

import gzip
import lzma
import struct
import time

import numpy as np
import pytest
from helpers import ROOT

from jaxdl.data import DATA_SETS, bundle, checksum, duplicates, images, order, slicing, tfds_arrays
from jaxdl.data.dataset import count_lines
from jaxdl.data.sets import mnist
from jaxdl.data.sets.mnist import CHECKSUMS
from jaxdl.data.source import Source


@pytest.mark.parametrize(('count', 'batch_size'), [(61, 16), (64, 16), (5, 8)])
def test_order_covers_every_example_once_per_epoch(count, batch_size):
  per_epoch = order.batches_per_epoch(count, batch_size)
  for epoch in range(3):
    index, mask = order.shuffled(
      7, epoch * per_epoch, per_epoch, count=count, batch_size=batch_size
    )
    assert sorted(index[mask == 1]) == list(range(count))
    assert index.shape == mask.shape == (per_epoch, batch_size)


def test_order_is_a_pure_function_of_seed_and_step():
  full = order.shuffled(3, 0, 40, count=61, batch_size=16)
  for first, steps in [(0, 1), (3, 2), (5, 30), (39, 1)]:  # across epochs, which end every 4 steps
    part = order.shuffled(3, first, steps, count=61, batch_size=16)
    for a, b in zip(part, full, strict=True):
      np.testing.assert_array_equal(a, b[first : first + steps])
  assert (full[0] != order.shuffled(4, 0, 40, count=61, batch_size=16)[0]).any()
  assert (full[0][:4] != full[0][4:8]).any()  # each epoch has its own order


def test_evaluation_reads_every_example_in_its_own_order():
  """Five examples in batches of two: the last one is filled with example 0."""
  for index, mask in (
    order.in_order(1, 2, count=5, batch_size=2),
    order.batches_at(None, 1, 2, count=5, batch_size=2),
  ):
    assert index.tolist() == [[2, 3], [4, 0]]
    assert mask.tolist() == [[1, 1], [1, 0]]
    assert (index.dtype, mask.dtype) == (np.int32, np.float32)


def test_a_seed_shuffles_the_batches():
  for classes in (None, RARE):
    given = dict(count=186, batch_size=32, classes=classes)
    found, expected = order.batches_at(3, 5, 4, **given), order.shuffled(3, 5, 4, **given)
    for a, b in zip(found, expected, strict=True):
      np.testing.assert_array_equal(a, b)


def test_order_is_the_same_on_every_machine():
  """Philox's raw bits are fixed. These numbers must not change, or old runs could not be
  repeated.
  """
  np.testing.assert_array_equal(order.permutation(0, 0, 10), [0, 2, 9, 1, 8, 5, 4, 3, 6, 7])
  np.testing.assert_array_equal(order.permutation(2**32 - 1, 3, 5), [3, 4, 2, 1, 0])


RARE = order.Classes(
  np.array([3] * 6 + [1] * 180, np.int32)[np.random.default_rng(0).permutation(186)]
)


def test_balanced_epochs_draw_every_class_equally_often():
  """180 and 6 examples, batches of 32: 93 of each class in each of the 6 steps of an epoch."""
  used = np.zeros(186, int)
  for epoch in range(4):
    index, mask = order.shuffled(7, epoch * 6, 6, count=186, batch_size=32, classes=RARE)
    drawn = index[mask == 1]
    assert len(drawn) == 186
    assert np.bincount(RARE.labels[drawn]).tolist() == [0, 93, 0, 93]
    used += np.bincount(drawn, minlength=186)
    rare, common = used[RARE.labels == 3], used[RARE.labels == 1]
    for counts, examples in ((rare, 6), (common, 180)):
      # 93, 186, 279 and 372 draws: each example was used k or k + 1 times
      each = 93 * (epoch + 1) // examples
      assert set(counts) <= {each, each + 1}
      assert counts.sum() == 93 * (epoch + 1)
  first, second = (order.balanced(7, epoch, RARE) for epoch in (0, 1))
  assert (first != second).any()
  assert (order.balanced(8, 0, RARE) != first).any()


def test_balanced_remainder_alternates_between_the_classes():
  """11 examples of 4 classes: 2 or 3 of each in an epoch, and 11 of each after 4 epochs."""
  classes = order.Classes(np.array([0, 0, 0, 0, 0, 0, 0, 1, 2, 2, 5], np.int32))
  counts = [
    np.bincount(classes.labels[order.balanced(0, epoch, classes)], minlength=6)[[0, 1, 2, 5]]
    for epoch in range(8)
  ]
  assert {count for epoch in counts for count in epoch.tolist()} == {2, 3}
  assert [epoch.sum() for epoch in counts] == [11] * 8
  assert sum(counts[:4]).tolist() == sum(counts[4:]).tolist() == [11] * 4


def test_balanced_order_is_a_pure_function_of_seed_and_step():
  """The numbers of the second part must not change, or old runs could not be repeated."""
  full = order.shuffled(3, 0, 40, count=186, batch_size=32, classes=RARE)
  again = order.Classes(RARE.labels.copy())
  for first, steps in [(0, 1), (4, 3), (5, 30), (39, 1)]:
    part = order.shuffled(3, first, steps, count=186, batch_size=32, classes=again)
    for a, b in zip(part, full, strict=True):
      np.testing.assert_array_equal(a, b[first : first + steps])
  few = order.Classes(np.array([0, 1, 0, 0, 1, 0, 0], np.int32))
  np.testing.assert_array_equal(order.balanced(0, 0, few), [3, 0, 2, 4, 1, 6, 4])
  np.testing.assert_array_equal(order.balanced(2**32 - 1, 9, few), [4, 4, 0, 4, 5, 1, 2])


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (
      dict(image=np.zeros((4, 8, 8), np.float64)),
      r"^mine: 'image' of train is float64 \[4, 8, 8\]: make it uint8 \[N, H, W, C\], from 0 to 255$",
    ),
    (dict(image=np.full((4, 8, 8, 1), 9, np.float32)), r'float32 from 9 to 9: make it from 0 to 1'),
    (
      dict(label=np.zeros(4)),
      r"'label' of train is float64 \[4\]: make it int32 \[N\], here \[4\]$",
    ),
    (
      dict(label=np.zeros((4, 10), np.int32)),
      r"'label' of train is int32 \[4, 10\]: make it int32 \[N\], here \[4\]$",
    ),
    (
      dict(label=np.zeros(3, np.int32)),
      r"'label' of train is int32 \[3\]: make it int32 \[N\], here \[4\]$",
    ),
    (dict(label=None), "'label' of train is empty"),
    (
      dict(label=None, labels=np.zeros(4, np.int32)),
      "'label' of train is empty, but there is 'labels': make it int32",
    ),
    (
      dict(label=np.array([1, 2, 1, 2], np.int32)),
      'the labels of train go from 1 to 2, but there are 2 classes: number these from 0$',
    ),
  ],
)
def test_custom_data_set_error_names_the_required_arrays(change, message):
  columns = {'image': np.zeros((4, 8, 8, 1), np.uint8), 'label': np.array([0, 1, 0, 1], np.int32)}
  given = {name: value for name, value in {**columns, **change}.items() if value is not None}

  def mine(*, source, data_dir):
    return Source('memory', {'train': given}, ('a', 'b'))

  images.load(
    lambda **_: Source('memory', {'train': columns}, ('a', 'b')),
    seed=0,
    splits=dict(train='train'),
    batch_size=2,
  )
  with pytest.raises(ValueError, match=message):
    images.load(mine, seed=0, splits=dict(train='train'), batch_size=2)


def test_bundled_mnist_has_its_known_statistics():
  source = mnist.mnist(source='bundled', data_dir=None)
  assert {name: columns['image'].shape for name, columns in source.columns.items()} == {
    'train': (60000, 28, 28, 1),
    'test': (10000, 28, 28, 1),
  }
  np.testing.assert_array_equal(
    source.columns['train']['label'][:10], [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
  )
  assert np.bincount(source.columns['test']['label']).tolist() == [
    980,
    1135,
    1032,
    1010,
    982,
    892,
    958,
    1028,
    974,
    1009,
  ]
  assert abs(source.columns['train']['image'].mean() / 255 - 0.1307) < 1e-4


@pytest.mark.skipif(
  not (ROOT.parent / 'shared/data/mnist').is_dir(),
  reason='the original raw files are not available',
)
def test_bundled_mnist_equals_the_original_files():
  decoded = bundle.read('mnist', CHECKSUMS)
  for name, content in decoded.items():
    assert content == gzip.decompress((ROOT.parent / f'shared/data/mnist/{name}.gz').read_bytes())


@pytest.mark.parametrize('damage', ['flip', 'truncate', 'delete'])
def test_corrupt_bundled_file_is_named_in_the_error(tmp_path, monkeypatch, damage):
  folder = tmp_path / 'mnist'
  folder.mkdir()
  for name in CHECKSUMS:
    (folder / f'{name}.xz').write_bytes((bundle.FOLDER / 'mnist' / f'{name}.xz').read_bytes())
  damaged_file = folder / 't10k-labels-idx1-ubyte.xz'
  content = bytearray(damaged_file.read_bytes())
  content[1000] ^= 1
  {
    'flip': lambda: damaged_file.write_bytes(content),
    'truncate': lambda: damaged_file.write_bytes(content[:-9]),
    'delete': damaged_file.unlink,
  }[damage]()
  monkeypatch.setattr(bundle, 'FOLDER', tmp_path)
  with pytest.raises(
    (ValueError, FileNotFoundError), match=r't10k-labels-idx1-ubyte\.xz is .*reinstall jaxdl'
  ):
    mnist.mnist(source='bundled', data_dir=None)


@pytest.mark.parametrize(
  ('expression', 'expected'),
  [
    ('train', range(10)),
    ('train[:3]', range(3)),
    ('train[7:]', range(7, 10)),
    ('train[-2:]', range(8, 10)),
    ('train[25%:75%]', range(2, 8)),
    ('train[2:5]', range(2, 5)),
    ('train[8:]+train[:1]', [8, 9, 0]),
  ],
)
def test_split_slices_follow_the_tfds_syntax(expression, expected):
  columns = {'train': {'label': np.arange(10)}}
  assert slicing.cut(columns, expression)['label'].tolist() == list(expected)


@pytest.mark.parametrize(
  'expression', ['trian', 'train[:11]', 'train[5:5]', 'train[a:]', 'train[3:2]', 'train[']
)
def test_invalid_splits_are_named_in_the_error(expression):
  with pytest.raises(ValueError, match='split .* is (not one of train|out of range)'):
    slicing.cut({'train': {'label': np.arange(10)}}, expression)


@pytest.mark.parametrize(
  ('first', 'second', 'expected'),
  [
    ('train[:3]', 'train[3:]', 0),
    ('train[:4]', 'train[3:]', 1),
    ('train[:4]+train[2:6]', 'train[3:5]+train[3:4]', 2),
    ('train', 'test', 0),
    ('train+test', 'test[1:]', 4),
  ],
)
def test_split_overlap_counts_each_example_once(first, second, expected):
  assert slicing.shared(first, second, {'train': 10, 'test': 5}) == expected


@pytest.fixture
def tfds_mnist(tmp_path, monkeypatch):
  """Returns a function that prepares MNIST with TFDS's own builder from local files: 200 training
  and 100 test images.
  """
  tfds = pytest.importorskip('tensorflow_datasets')
  pytest.importorskip('tensorflow')
  from tensorflow_datasets.image_classification import mnist as builder_module

  monkeypatch.setattr(builder_module, '_TRAIN_EXAMPLES', 200)
  monkeypatch.setattr(builder_module, '_TEST_EXAMPLES', 100)
  raw = bundle.read('mnist', CHECKSUMS)

  def serve(manager, urls):
    for name in urls.values():
      (tmp_path / name).write_bytes(raw[name.removesuffix('.gz')])
    return {key: tmp_path / name for key, name in urls.items()}

  names = {
    'train_data': 'train-images-idx3-ubyte.gz',
    'train_labels': 'train-labels-idx1-ubyte.gz',
    'test_data': 't10k-images-idx3-ubyte.gz',
    'test_labels': 't10k-labels-idx1-ubyte.gz',
  }
  monkeypatch.setattr(
    tfds.download.DownloadManager,
    'download_and_extract',
    lambda manager, urls: serve(manager, names),
  )

  def prepare(file_format):
    folder = tmp_path / file_format
    tfds.builder('mnist', data_dir=str(folder), file_format=file_format).download_and_prepare()
    return folder

  return prepare


@pytest.mark.parametrize('file_format', ['array_record', 'tfrecord'])
@pytest.mark.parametrize('source', ['auto', 'tfds'])
def test_prepared_tfds_copy_is_used(tfds_mnist, file_format, source):
  found = mnist.mnist(source=source, data_dir=tfds_mnist(file_format))
  assert found.origin == 'tfds'
  assert found.classes == tuple('0123456789')
  original = mnist.mnist(source='bundled', data_dir=None)
  assert found.columns['train']['label'].dtype == np.int32
  as_bytes = {
    image.tobytes(): label for image, label in zip(*original.columns['test'].values(), strict=True)
  }
  assert len(found.columns['test']['image']) == 100
  for image, label in zip(
    found.columns['test']['image'], found.columns['test']['label'], strict=True
  ):
    assert as_bytes[image.tobytes()] == label  # TFDS shuffles, so compare image by image


def test_tfds_download_error_names_the_fix(tmp_path, monkeypatch, capsys):
  tfds = pytest.importorskip('tensorflow_datasets')

  def refuse(manager, urls):
    raise ConnectionError('no route to host')

  monkeypatch.setattr(tfds.download.DownloadManager, 'download_and_extract', refuse)
  with pytest.raises(
    OSError, match=r'could not download mnist .*no route to host.*config\.data\.source'
  ):
    mnist.mnist(source='tfds', data_dir=tmp_path)
  assert not list(tmp_path.iterdir()), 'no partial files are left'
  assert capsys.readouterr().out == f'mnist is not prepared in {tmp_path}: TFDS downloads it\n'
  with pytest.raises(
    OSError, match=r'could not download kmnist .*: check the network$'
  ):  # not supported by `prepare`
    tfds_arrays._download('kmnist', tmp_path)


def test_auto_falls_back_to_the_bundled_copy(tmp_path):
  assert mnist.mnist(source='auto', data_dir=tmp_path).origin == 'bundled'


def test_bundled_files_decode_as_idx():
  """The image header has the fields that the decoder assumes: 0x803, count, 28, 28."""
  content = lzma.decompress((bundle.FOLDER / 'mnist/t10k-images-idx3-ubyte.xz').read_bytes())
  assert struct.unpack('>4i', content[:16]) == (0x803, 10000, 28, 28)


def test_checksum_depends_only_on_the_examples():
  """It covers values, order, types and names, but not the memory layout or unused splits."""
  columns = {
    'image': np.arange(24, dtype=np.uint8).reshape(6, 2, 2),
    'label': np.arange(6, dtype=np.int32),
  }
  found = checksum.of_columns(columns)
  assert found == checksum.of_columns(dict(reversed(columns.items())))
  assert found == checksum.of_columns({**columns, 'image': np.asfortranarray(columns['image'])})
  for change in (
    {'label': columns['label'][::-1]},
    {'label': columns['label'].astype(np.int64)},
    {'image': columns['image'].reshape(6, 4)},
    {'other': columns['label']},
  ):
    assert checksum.of_columns({**columns, **change}) != found
  splits = {
    'train': columns,
    'test': {name: values[:2] for name, values in columns.items()},
    'unused': columns,
  }
  assert checksum.of_splits(splits, ['train[:50%]', 'test+train[4:]']) == {
    'test': checksum.of_columns(splits['test']),
    'train': found,
  }
  assert checksum.of_columns({'label': np.zeros(0, np.int32)})


@pytest.mark.parametrize('kind', ['u1', 'f4', 'i2'])
@pytest.mark.parametrize('shape', [(3,), (1,), (5, 3), (4, 4, 2)])
def test_identical_examples_of_two_splits_are_found(shape, kind):
  random = np.random.default_rng(0)
  values = random.permutation(2**15)[: 120 * np.prod(shape)].reshape(120, *shape)
  if kind == 'u1':  # examples of one byte are often equal
    values = values % 256
  values = values.astype(kind)
  parts = {'train': values[:80], 'validation': values[80:90], 'test': values[60:].copy()}
  rows = {name: [row.tobytes() for row in part] for name, part in parts.items()}
  for found in duplicates.of_arrays(parts):
    first, second = rows[found.first], rows[found.second]
    assert found.count == sum(row in first for row in second)
    positions = [int(name.partition('[')[2][:-1]) for name in found.pair]
    assert positions == [first.index(second[positions[1]]), positions[1]]
  pairs = {(found.first, found.second): found.count for found in duplicates.of_arrays(parts)}
  assert pairs['train', 'test'] >= 20
  assert pairs['validation', 'test'] >= 10
  if kind != 'u1':
    assert pairs == {('train', 'test'): 20, ('validation', 'test'): 10}


def test_standard_data_sets_have_no_identical_examples():
  data = mnist.mnist(source='bundled', data_dir=None).columns
  seconds = time.perf_counter()
  found = duplicates.of_arrays({split: part['image'] for split, part in data.items()})
  assert found == []
  assert time.perf_counter() - seconds < 1  # 0.05 s on an idle core


def test_split_description_fits_on_one_line():
  many = [f'class {number}' for number in range(1000)]
  sizes = [*range(100, 1100)]
  assert count_lines(
    {'train': 400, 'test': 20, 'validation': 9},
    {'train': [150, 250], 'test': [10, 10]},
    ['cat', 'dog\n'],
  ) == [
    'train: 400 examples, cat 150, dog 250',
    'test: 20 examples, 10 of each of 2 classes',
    'validation: 9 examples',
  ]
  assert count_lines({'train': sum(sizes)}, {'train': sizes}, many) == [
    'train: 599,500 examples, 1,000 classes of 100 (class 0) to 1,099 (class 999)'
  ]
  assert len(count_lines({'train': 3}, {'train': [1, 2]}, ['a' * 500, 'b' * 500])[0]) < 100
  data = DATA_SETS['shakespeare'](
    seed=0, source='bundled', batch_size=4, time_step=9, splits={'train': 'train[:1000]'}
  )
  assert data.counted() == ['train: 996 characters']
