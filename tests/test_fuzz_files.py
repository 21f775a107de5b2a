"""Fuzz tests of raw files, photographs and caches: read, or rejected with the name of the file."""

import gzip
import io
import struct
import tarfile
import zlib

import numpy as np
import PIL.Image
import pytest
import scipy.io
from fuzzing import cases, counts, more_counts, works_or_is_refused
from hypothesis import given
from hypothesis import strategies as st

from jaxdl.data import array_cache, slicing, tfds_arrays
from jaxdl.data.photographs import decode
from jaxdl.data.photographs.pieces import Pieces
from jaxdl.data.raw import cdb, hoda_mat, idx, sources
from jaxdl.data.sets import hoda

pytestmark = pytest.mark.usefixtures('unchecked_types')
PIXELS = np.random.default_rng(0).integers(0, 256, (3, 28, 28), np.uint8)
INK = np.array([[0, 255, 0], [255, 255, 0]], np.uint8)


def idx_file():
  return struct.pack('>4i', 0x803, *PIXELS.shape) + PIXELS.tobytes()


def cdb_file():
  """Three digits of two rows, as alternating runs of white and black."""
  record = b'\xff\x07\x03\x02' + struct.pack('<H', 6) + bytes([1, 1, 1, 0, 2, 1])
  return struct.pack('<HBBBBI', 2005, 1, 2, 0, 0, 3).ljust(1024, b'\0') + record * 3


def tar_file(kind):
  packed = io.BytesIO()
  with tarfile.open(fileobj=packed, mode=f'w:{kind}') as tar:
    for name in ('a/b.bin', 'a/c.txt'):
      member = tarfile.TarInfo(name)
      member.size = 600
      tar.addfile(member, io.BytesIO(bytes(range(200)) * 3))
  return packed.getvalue()


def picture(kind):
  packed = io.BytesIO()
  PIL.Image.fromarray(np.stack([PIXELS[0]] * 3, -1)).save(packed, kind)
  return packed.getvalue()


def read_photograph(file):
  """Reads a photograph like the worker processes."""
  pieces = Pieces(
    source=[(file.read_bytes(), 0, str(file))],
    indices=lambda step, steps: (np.zeros((1, 1), int), np.ones((1, 1))),
    batches=1,
    size=16,
    fit='crop',
    first=0,
    own=1,
    length=1,
  )
  if faults := pieces[0]['faults']:
    raise ValueError(faults[0])


def read_tar(file):
  sources.unpack(file, file.parent / f'{file.name}-unpacked')


# Without Hoda's .mat file: a damaged file can crash SciPy's parser, so its checksum is verified first
# (see below).
FORMATS = {  # name → (valid content, function that reads the file)
  'a-idx3-ubyte': (idx_file(), lambda file: idx.read(file.parent, 'a-idx3-ubyte', PIXELS.shape)),
  'b-idx3-ubyte.gz': (
    gzip.compress(idx_file(), mtime=0),
    lambda file: idx.read(file.parent, 'b-idx3-ubyte', PIXELS.shape),
  ),
  'a.cdb': (cdb_file(), cdb.read),
  'a.tar': (tar_file(''), read_tar),
  'a.tar.gz': (tar_file('gz'), read_tar),
  'a.tar.xz': (tar_file('xz'), read_tar),
  'input.txt': (
    b'First Citizen:\n' * 40,
    lambda file: sources.text('input.txt')(file, file.parent),
  ),
  'data_batch_1.bin': (bytes(3073), sources._cifar_batch),
  'a.png': (picture('PNG'), read_photograph),
  'a.jpg': (picture('JPEG'), read_photograph),
}


@st.composite
def damaged(draw, content):
  """A file with one to three faults.

  A fault truncates the file, flips a bit, inserts, removes, repeats or overwrites bytes.
  """
  data = bytearray(content)
  for _ in range(draw(st.integers(1, 3))):
    fault = draw(
      st.sampled_from(
        ['cut', 'flip', 'flip', 'insert', 'remove', 'zero', 'full', 'huge', 'empty', 'repeat']
      )
    )
    head = draw(st.booleans())  # half of the faults are in the header
    at = draw(st.integers(0, max(0, min(64 if head else len(data), len(data)) - 1)))
    length = draw(st.integers(1, 16))
    if fault == 'cut':
      del data[at:]
    elif fault == 'flip' and data:
      data[at] ^= 1 << draw(st.integers(0, 7))
    elif fault == 'insert':
      data[at:at] = draw(st.binary(max_size=16))
    elif fault == 'remove':
      del data[at : at + length]
    elif fault in ('zero', 'full'):
      data[at : at + length] = (b'\0' if fault == 'zero' else b'\xff') * len(data[at : at + length])
    elif fault == 'huge':
      data[at : at + 4] = draw(
        st.sampled_from([b'\x7f\xff\xff\xff', b'\xff\xff\xff\x7f', b'\0\0\0\x80'])
      )
    elif fault == 'empty':
      data.clear()
    else:
      data += data[at : at + length]
  return bytes(data)


def fuzz(name, folder, count):
  content, read = FORMATS[name]

  @cases(count)
  @given(damaged(content))
  def read_case(data):
    (folder / name).write_bytes(data)
    with works_or_is_refused(naming=name):
      read(folder / name)

  read_case()


@pytest.mark.parametrize(
  'name', [name for name in FORMATS if name not in ('input.txt', 'data_batch_1.bin')]
)
def test_fuzz_undamaged_files_are_valid(name, tmp_path):
  (tmp_path / name).write_bytes(FORMATS[name][0])
  FORMATS[name][1](tmp_path / name)


@pytest.mark.parametrize('name', FORMATS)
def test_fuzz_files(name, tmp_path):
  fuzz(name, tmp_path, 20)


@pytest.mark.parametrize('count', more_counts(250, 2500))
@pytest.mark.parametrize('name', FORMATS)
def test_fuzz_many_files(name, count, tmp_path, counted_as):
  fuzz(name, tmp_path, count)
  counted_as(
    'raw files damaged at random, 10 formats: read, or refused in one line that names the file'
  )


@pytest.mark.parametrize('count', counts(25, 250, 2500))
def test_fuzz_damaged_array_cache_is_rebuilt(count, tmp_path, capsys, counted_as):
  """The arrays are always those that were decoded."""
  arrays = {'train': {'image': PIXELS, 'label': np.arange(3, dtype=np.int32)}}
  array_cache.cached(tmp_path, lambda: (arrays, ('a', 'b', 'c')))
  valid = {
    name: (tmp_path / array_cache.FOLDER / name).read_bytes()
    for name in ('train.image.npy', 'train.label.npy')
  }

  @cases(count)
  @given(
    st.one_of(*(st.tuples(st.just(name), damaged(content)) for name, content in valid.items()))
  )
  def read_case(damage):
    name, content = damage
    (tmp_path / array_cache.FOLDER / name).write_bytes(content)
    with works_or_is_refused():
      found, _ = array_cache.cached(tmp_path, lambda: (arrays, ('a', 'b', 'c')))
      np.testing.assert_array_equal(found['train']['image'], PIXELS)
      np.testing.assert_array_equal(found['train']['label'], np.arange(3))

  read_case()
  counted_as('decoded arrays damaged on disk: decoded again')


@pytest.mark.parametrize('count', counts(30, 500, 5000))
def test_fuzz_slices(count):
  @cases(count)
  @given(
    st.text('train[]:%-+0123456789 tes', max_size=24)
    | st.builds(
      'train[{}{}:{}{}]'.format, *[st.integers(-(10**20), 10**20), st.sampled_from(['', '%'])] * 2
    )
  )
  def parse_case(expression):
    with works_or_is_refused(naming='split'):
      assert (
        sum(
          stop - start
          for _, start, stop in slicing.intervals(expression, {'train': 60, 'test': 10})
        )
        > 0
      )

  parse_case()


def test_fuzz_found_cdb_header_with_four_billion_records(tmp_path):
  content = bytearray(cdb_file())
  content[6:10] = b'\xff' * 4
  (tmp_path / 'a.cdb').write_bytes(content)
  with (
    works_or_is_refused(),
    pytest.raises(ValueError, match=r'a\.cdb is too short for the 4,294,967,295 records'),
  ):
    cdb.read(tmp_path / 'a.cdb')


def test_fuzz_found_idx_file_that_unpacks_to_a_huge_size(tmp_path):
  """A small file may unpack to any size. It is read only up to one byte more than expected."""
  with gzip.open(tmp_path / 'a-idx3-ubyte.gz', 'wb', 1) as file:
    file.write(idx_file() + bytes(1 << 24))
  with pytest.raises(
    ValueError, match=r'a-idx3-ubyte\.gz has 2,369 bytes or more, expected 2,368: fetch it again'
  ):
    idx.read(tmp_path, 'a-idx3-ubyte', PIXELS.shape)


def test_fuzz_found_labels_that_are_not_integers(tmp_path):
  images = np.empty(2, object)
  images[:] = [INK] * 2
  scipy.io.savemat(tmp_path / 'a.mat', {'Data': images, 'labels': np.array([1, np.nan])})
  with pytest.raises(ValueError, match=r'a\.mat is not Hoda'):
    hoda_mat.read(tmp_path / 'a.mat')


def test_fuzz_found_hoda_parsed_before_its_checksum(tmp_path, monkeypatch):
  for name, _, _ in hoda.FILES.values():
    (tmp_path / name).write_bytes(b'x')
  monkeypatch.setattr(
    hoda_mat, 'read', lambda path: pytest.fail('parsed before the checksum was verified')
  )
  monkeypatch.setattr(
    cdb, 'read', lambda path: pytest.fail('parsed before the checksum was verified')
  )
  with pytest.raises(ValueError, match=r'has another checksum'):
    sources.farsi_digits(tmp_path, tmp_path)


def test_fuzz_found_class_names_that_are_not_text(tmp_path):
  for name in [*sources.CIFAR10, 'test_batch.bin']:
    (tmp_path / name).touch()
  (tmp_path / 'batches.meta.txt').write_bytes(b'\xff\xfe')
  with pytest.raises(ValueError, match=r'batches\.meta\.txt names 1 classes'):
    sources.cifar10(tmp_path, tmp_path)


def test_fuzz_found_image_header_with_a_huge_size():
  """The header of a small file claims 30,000 × 30,000 pixels, which would take 2.7 GB."""
  content = picture('PNG')
  header = content[12:16] + struct.pack('>II', 30000, 30000) + content[24:29]
  huge = content[:12] + header + struct.pack('>I', zlib.crc32(header)) + content[33:]
  with works_or_is_refused(), pytest.raises((ValueError, PIL.Image.DecompressionBombError)):
    decode.square(huge, 16)


@pytest.mark.parametrize('content', [b'', b'PK\3\4', b'\x93NUMPY\1\0\x02\0{('])
def test_fuzz_found_cache_with_an_invalid_array(content, tmp_path, capsys):
  arrays = {'train': {'label': np.arange(3, dtype=np.int32)}}
  array_cache.cached(tmp_path, lambda: (arrays, ()))
  (tmp_path / array_cache.FOLDER / 'train.label.npy').write_bytes(content)
  found, _ = array_cache.cached(tmp_path, lambda: (arrays, ()))
  np.testing.assert_array_equal(found['train']['label'], np.arange(3))
  printed = capsys.readouterr().err
  assert 'train.label.npy cannot be read' in printed
  assert 'pickle' not in printed, "NumPy's message advises to allow pickles"


def test_fuzz_found_damaged_provenance_file(tmp_path):
  (tmp_path / tfds_arrays.NOTE).write_text('[3')
  assert tfds_arrays._note(tmp_path) == ', provenance.json is damaged'
