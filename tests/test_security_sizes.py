"""Security tests of sizes: a small file that unpacks to, or states, more than the memory is refused in
one line that names it, before the memory is taken.
"""

import gzip
import io
import json
import struct
import tarfile
import zipfile
import zlib

import fuzzing
import numpy as np
import PIL.Image
import PIL.PngImagePlugin
import psutil
import pytest
from fuzzing import works_or_is_refused

from jaxdl.config import memory
from jaxdl.data import array_cache, array_files
from jaxdl.data.photographs import decode
from jaxdl.data.raw import idx, sources
from jaxdl.data.tables import reading as tables
from jaxdl.exams import grades
from jaxdl.prediction import inputs
from jaxdl.report import examples, page
from jaxdl.runs import files, packed, record, summary
from jaxdl.weights import reading as weights

pytestmark = pytest.mark.usefixtures('unchecked_types')
FREE = 100_000_000  # bytes of memory that the machine seems to have free
CLAIMED = 10**13  # bytes that a header states
CONFIG = {'model': {'name': 'cnn'}, 'data': {'name': 'mnist', 'batch_size': 4}, 'task': 'classify'}
SUMMARY = {
  'config': 'small',
  'step': 8,
  'parameters': 34,
  'seed': 0,
  'seconds': 1.0,
  'device': '1 x cpu',
  'data': 'bundled',
}


@pytest.fixture(autouse=True)
def little_memory(monkeypatch):
  """A machine with 100 MB of free memory, on which a case may take 80 MB."""
  free = psutil.virtual_memory()._replace(available=FREE)
  monkeypatch.setattr(psutil, 'virtual_memory', lambda: free)
  monkeypatch.setattr(fuzzing, 'MEMORY', 80_000_000)


def refused(reader, file, match=''):
  """Checks that a reader refuses a file in one line that names it, within the limits."""
  with (
    works_or_is_refused(naming=file.name),
    pytest.raises(ValueError, match=match or '.') as raised,
  ):
    reader(file)
  assert file.name in str(raised.value)
  assert len(str(raised.value).splitlines()) == 1


def npz_bomb(file):
  """200 MB of zeros as an .npz file of 200 kB."""
  with zipfile.ZipFile(file, 'w', zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
    for name in ('x.npy', 'label.npy'):
      with archive.open(name, 'w') as member:
        np.lib.format.write_array_header_1_0(
          member, {'descr': '|u1', 'fortran_order': False, 'shape': (FREE,)}
        )
        for _ in range(10):
          member.write(bytes(FREE // 10))


def npz_claim(file):
  """An .npz file whose array claims 10 TB."""
  with zipfile.ZipFile(file, 'w') as archive, archive.open('x.npy', 'w') as member:
    header = {'descr': '<f8', 'fortran_order': False, 'shape': (CLAIMED // 8,)}
    np.lib.format.write_array_header_1_0(member, header)
    member.write(bytes(64))


READERS = {  # of .npz files
  'data': array_files.read,
  'predict': lambda file: inputs.images([file], ['cat', 'dog']),
  'weights': weights.read,
  'run': memory.load_arrays,
}


@pytest.mark.parametrize('name', READERS)
def test_security_small_npz_files_with_much_content_are_refused(name, tmp_path):
  npz_bomb(tmp_path / 'bomb.npz')
  assert (tmp_path / 'bomb.npz').stat().st_size < 2_000_000
  refused(READERS[name], tmp_path / 'bomb.npz', 'needs 0 GB and the machine has free 0')
  npz_claim(tmp_path / 'claim.npz')
  refused(READERS[name], tmp_path / 'claim.npz', 'Unable to allocate')


def test_security_npy_file_that_claims_terabytes_is_refused(tmp_path):
  with (tmp_path / 'x.npy').open('wb') as file:
    header = {'descr': '<f8', 'fortran_order': False, 'shape': (CLAIMED // 8,)}
    np.lib.format.write_array_header_1_0(file, header)
    file.write(bytes(64))
  refused(array_files.read, tmp_path / 'x.npy', 'cannot be read as arrays')
  refused(lambda file: inputs.images([file], ['a']), tmp_path / 'x.npy', 'is not a readable array')


def test_security_no_arrays_are_loaded_without_a_check():
  """`memory.load_arrays` is the only reader of .npz files, except where the size was checked before."""
  from test_security import SOURCES

  known = {'config/memory.py', 'prediction/inputs.py', 'data/array_files.py'}
  for file in SOURCES:
    if (
      'jaxdl' in file.parts and not str(file).endswith(tuple(known)) and 'launch' not in file.parts
    ):
      assert 'np.load(' not in file.read_text(), file


@pytest.mark.parametrize(
  'name', ['examples.npz', 'analysis/embedding_tsne.npz', 'analysis/predictions.npz']
)
def test_security_bombs_among_the_files_of_a_run_are_refused(name, tmp_path):
  from test_security import write_run

  folder = write_run(tmp_path / 'run', 'harmless')
  (folder / 'analysis/predictions.json').write_text('{}')
  npz_bomb(folder / name)
  if name == examples.NAME:
    refused(lambda file: examples.of_run(record.load(folder)), folder / name)
  else:
    refused(lambda file: page.write([folder], folder / 'report.html'), folder / name)


def tar_of(members, kind='gz'):
  made = io.BytesIO()
  with tarfile.open(fileobj=made, mode=f'w:{kind}', format=tarfile.PAX_FORMAT) as tar:
    for member, content in members:
      tar.addfile(member, content)
  return made.getvalue()


class Zeros(io.RawIOBase):
  """As many zeros as are read."""

  def read(self, size=-1):
    return bytes(size)


def member(name, size=0):
  made = tarfile.TarInfo(name)
  made.size = size
  return made


@pytest.mark.parametrize('kind', ['gz', 'xz', 'bz2'])
def test_security_tar_with_a_large_member_is_refused(kind, tmp_path, monkeypatch):
  monkeypatch.setattr(sources, 'LARGEST', 50_000_000)
  (tmp_path / 'x.tar').write_bytes(tar_of([(member('a', 60_000_000), Zeros())], kind))
  assert (tmp_path / 'x.tar').stat().st_size < 100_000
  refused(
    lambda file: sources.unpack(file, tmp_path), tmp_path / 'x.tar', 'more than 50,000,000 bytes'
  )
  assert not list((tmp_path / 'unpacked').iterdir())


def test_security_tar_with_many_members_is_refused(tmp_path, monkeypatch):
  monkeypatch.setattr(sources, 'MOST_MEMBERS', 20)
  (tmp_path / 'x.tar').write_bytes(tar_of((member(str(number)), None) for number in range(21)))
  refused(lambda file: sources.unpack(file, tmp_path), tmp_path / 'x.tar', 'more than 20 files')


@pytest.mark.parametrize('first', [True, False])
@pytest.mark.parametrize('kind', [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_security_tar_with_a_large_header_is_refused(kind, first, tmp_path):
  """`tarfile` reads the attributes of a member completely before it returns the member."""
  header = member('header', 100_000_000)
  header.type = kind
  before = b'' if first else member('a').tobuf()
  with gzip.open(tmp_path / 'x.tar.gz', 'wb', 1) as file:
    file.write(before + header.tobuf())
    for _ in range(101):
      file.write(bytes(1_000_000))
  refused(
    lambda file: sources.unpack(file, tmp_path), tmp_path / 'x.tar.gz', 'a header of 100,000,000 b'
  )


def test_security_gzip_file_is_unpacked_up_to_its_expected_size(tmp_path):
  with gzip.open(tmp_path / 'a-idx1-ubyte.gz', 'wb', 1) as file:
    file.write(b'\0\0\x08\x01' + struct.pack('>I', 5))
    for _ in range(100):
      file.write(bytes(1_000_000))
  refused(lambda file: idx.read(tmp_path, 'a-idx1-ubyte', (5,)), tmp_path / 'a-idx1-ubyte.gz')


@pytest.mark.parametrize('size', [CLAIMED, 120_000_000])
def test_security_packed_run_with_a_large_member_is_refused(size, tmp_path, monkeypatch):
  """The size is that of the content, or stated by the file's directory alone."""
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  content = {
    'config.json': json.dumps(CONFIG).encode(),
    'summary.json': json.dumps(SUMMARY).encode(),
  }
  packed.write(tmp_path / 'run.zip', content, '1')
  with zipfile.ZipFile(tmp_path / 'run.zip', 'a', zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
    with archive.open('metrics.jsonl', 'w') as plain:
      for _ in range(12 if size < CLAIMED else 1):
        plain.write(bytes(10_000_000))
    archive.getinfo('metrics.jsonl').file_size = size
  refused(record.load, tmp_path / 'run.zip', f'would unpack to 4 files of {size:,}'[:34])
  assert not (tmp_path / 'cache').exists() or not list((tmp_path / 'cache').rglob('metrics.jsonl'))


def png(width, height, *chunks):
  def chunk(kind, content):
    checksum = struct.pack('>I', zlib.crc32(kind + content))
    return struct.pack('>I', len(content)) + kind + content + checksum

  header = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
  pixels = zlib.compress(bytes(3 * width * height + height) if width * height < 1000 else b'', 1)
  body = [(b'IHDR', header), *chunks, (b'IDAT', pixels), (b'IEND', b'')]
  return decode.PNG + b''.join(chunk(*one) for one in body)


def bomb_of_text(kind):
  text = zlib.compress(bytes(200_000_000), 1)
  if kind == b'iTXt':
    return kind, b'key\0\1\0\0\0' + text
  return kind, b'key\0\0' + text


def tiff(width, height):
  """A TIFF header of one uncompressed strip that is not there."""
  tags = [
    (256, width),
    (257, height),
    (258, 8),
    (259, 1),
    (262, 1),
    (273, 8),
    (278, height),
    (279, 8),
  ]
  entries = b''.join(struct.pack('<HHII', tag, 4, 1, value) for tag, value in tags)
  return b'II*\0' + struct.pack('<IH', 8, len(tags)) + entries + bytes(4)


IMAGES = {  # name → content
  'text.png': lambda: png(2, 2, bomb_of_text(b'zTXt')),
  'international.png': lambda: png(2, 2, bomb_of_text(b'iTXt')),
  'profile.png': lambda: png(2, 2, (b'iCCP', b'key\0\0' + zlib.compress(bytes(200_000_000), 1))),
  'huge.png': lambda: png(2**31 - 1, 2**31 - 1),
  'long.png': lambda: png(1, 2**31 - 1),
  'huge.tiff': lambda: tiff(2**31 - 1, 2**31 - 1),
  'wide.tiff': lambda: tiff(2**31 - 1, 1),
}


HARMLESS = ()


@pytest.mark.parametrize('name', IMAGES)
def test_security_images_that_unpack_to_much_are_refused_or_harmless(name, tmp_path):
  content = IMAGES[name]()
  assert len(content) < 1_000_000
  (tmp_path / name).write_bytes(content)
  with fuzzing._in_time(), fuzzing._in_memory():
    if name in HARMLESS:
      assert decode.square(content, 8).shape == (8, 8, 3)
    else:
      with pytest.raises(
        (ValueError, OSError, PIL.Image.DecompressionBombError)
      ):  # the callers name the file
        decode.square(content, 8)
  assert decode.is_photograph(tmp_path / name) in (True, False)


def test_security_gif_with_many_frames_is_read_in_time():
  """Only the first frame is decoded; the others are counted."""
  made = io.BytesIO()
  PIL.Image.new('P', (2, 2), 1).save(made, 'GIF')
  content = made.getvalue()
  colors = 3 << ((content[10] & 7) + 1) if content[10] & 0x80 else 0
  start = 13 + colors
  frame = content[start:-1]
  with fuzzing._in_time(), fuzzing._in_memory():
    pixels, count = decode.with_frames(content[:start] + frame * 100_001 + b'\x3b', 2)
  assert pixels.shape == (2, 2, 3)
  assert count == decode.MOST_FRAMES


def test_security_tiff_with_many_pages_is_read_in_time(monkeypatch):
  """The time in which Pillow counts pages grows with the square of their number."""
  monkeypatch.setattr(fuzzing, 'SECONDS', 10)
  page = [(256, 2), (257, 2), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 2), (279, 4)]
  entries = struct.pack('<H', len(page)) + b''.join(
    struct.pack('<HHII', tag, 4, 1, value) for tag, value in page
  )
  size = len(entries) + 4
  places = [12 + size * number for number in range(1, 100_000)]
  pages = b''.join(entries + struct.pack('<I', place) for place in [*places, 0])
  with fuzzing._in_time(), fuzzing._in_memory():
    pixels, count = decode.with_frames(b'II*\0' + struct.pack('<I', 12) + b'abcd' + pages, 2)
  assert pixels.shape == (2, 2, 3)
  assert count == decode.MOST_FRAMES


@pytest.fixture
def memory_of_threads(monkeypatch):
  """Address space for the threads of pyarrow, which waits for ever without it."""
  monkeypatch.setattr(fuzzing, 'MEMORY', 2 << 30)


@pytest.mark.usefixtures('memory_of_threads')
def test_security_parquet_with_many_rows_is_refused(tmp_path):
  """Equal numbers take a few bytes for a million rows."""
  import pyarrow
  import pyarrow.parquet

  table = pyarrow.table({f'c{number}': np.zeros(1_000_000) for number in range(20)})
  pyarrow.parquet.write_table(table, tmp_path / 'x.parquet', compression='zstd')
  assert (tmp_path / 'x.parquet').stat().st_size < 100_000
  refused(lambda file: tables.read(file, tables.Form()), tmp_path / 'x.parquet', 'needs 0 GB')


@pytest.mark.usefixtures('memory_of_threads')
def test_security_parquet_that_repeats_a_long_text_is_read_in_little_memory(tmp_path):
  import pyarrow
  import pyarrow.parquet

  text = 'x' * 100_000
  indices = pyarrow.array([*np.zeros(49_999, np.int32), None], pyarrow.int32())
  column = pyarrow.DictionaryArray.from_arrays(indices, [text])  # 5 GB of text
  pyarrow.parquet.write_table(
    pyarrow.table({'a': column}), tmp_path / 'x.parquet', compression='zstd'
  )
  with works_or_is_refused():
    found = tables.read(tmp_path / 'x.parquet', tables.Form())
    assert len(found.columns['a']) == 50_000
    assert set(found.columns['a'][:-1]) == {text}
    assert found.columns['a'][-1] is None


def test_security_hdf5_that_claims_terabytes_or_other_files_is_refused(tmp_path):
  h5py = pytest.importorskip('h5py')
  with h5py.File(tmp_path / 'claim.h5', 'w') as file:
    file.create_dataset('layers/dense/vars/0', (CLAIMED // 4,), 'f4', chunks=(1000,))
  refused(weights.read, tmp_path / 'claim.h5', 'claim.h5: /layers/dense/vars/0 needs 10,000 GB')
  (tmp_path / 'secret').write_bytes(bytes(range(40)))
  with h5py.File(tmp_path / 'outside.h5', 'w') as file:
    place = [(str(tmp_path / 'secret'), 0, 40)]
    file.create_dataset('layers/dense/vars/0', (10,), 'f4', external=place)
  refused(weights.read, tmp_path / 'outside.h5', 'is stored in another file')
  with h5py.File(tmp_path / 'other.h5', 'w') as file:
    file['dense/kernel'] = np.ones((2, 2))
    file['dense'].attrs['weight_names'] = ['kernel']
  with h5py.File(tmp_path / 'link.h5', 'w') as file:
    file.attrs['layer_names'] = ['dense']
    file['dense'] = h5py.ExternalLink('other.h5', 'dense')
  refused(weights.read, tmp_path / 'link.h5', 'is stored in another file')
  (tmp_path / 'other.h5').unlink()
  refused(weights.read, tmp_path / 'link.h5', 'is not an HDF5 file of Keras')


def test_security_hdf5_of_another_structure_is_refused_in_one_line(tmp_path):
  h5py = pytest.importorskip('h5py')
  with h5py.File(tmp_path / 'missing.h5', 'w') as file:
    file.attrs['layer_names'] = ['dense']
  with h5py.File(tmp_path / 'named.h5', 'w') as file:
    file['layers/dense/vars/first'] = np.ones(3)
  with h5py.File(tmp_path / 'group.h5', 'w') as file:
    file.attrs['layer_names'] = ['dense']
    file['dense/kernel/x'] = np.ones(3)
    file['dense'].attrs['weight_names'] = ['kernel']
  for name in ('missing.h5', 'named.h5', 'group.h5'):
    refused(weights.read, tmp_path / name, 'is not an HDF5 file of Keras')


def test_security_keras_archive_with_a_bomb_is_refused(tmp_path):
  pytest.importorskip('h5py')
  with zipfile.ZipFile(tmp_path / 'x.keras', 'w', zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
    archive.writestr('config.json', '{}')
    with archive.open('model.weights.h5', 'w') as plain:
      for _ in range(12):
        plain.write(bytes(10_000_000))
  refused(weights.read, tmp_path / 'x.keras', 'needs 0 GB')


@pytest.mark.parametrize(
  'config', ['[1]', '{"config": 3}', '{"config": {"layers": [3]}}', '[' * 100_000]
)
def test_security_keras_archive_with_another_config_is_refused_in_one_line(config, tmp_path):
  pytest.importorskip('h5py')
  with zipfile.ZipFile(tmp_path / 'x.keras', 'w') as archive:
    archive.writestr('config.json', config)
    archive.writestr('model.weights.h5', b'')
  refused(weights.read, tmp_path / 'x.keras', r'is not a \.keras file')


@pytest.mark.parametrize(
  'header',
  [
    {'a': {'dtype': 'F32', 'shape': [CLAIMED], 'data_offsets': [0, 4 * CLAIMED]}},
    {'a': {'dtype': 'F32', 'shape': [2**62, 4], 'data_offsets': [0, 8]}},
    None,
    '[' * 100_000,
  ],
  ids=['claim', 'overflow', 'length', 'deep'],
)
def test_security_safetensors_headers_are_checked(header, tmp_path):
  pytest.importorskip('safetensors')
  text = (header if isinstance(header, str) else json.dumps(header)).encode()
  length = 2**62 if header is None else len(text)
  (tmp_path / 'x.safetensors').write_bytes(struct.pack('<Q', length) + text + bytes(8))
  refused(weights.read, tmp_path / 'x.safetensors', 'is not a file of safetensors')


DEEP = '[' * 100_000


@pytest.mark.parametrize(
  'name',
  [
    'config.json',
    'summary.json',
    'metrics.jsonl',
    'weights.jsonl',
    'lock',
    'analysis/statistics.json',
    'analysis/generated.json',
    'analysis/embedding_tsne.json',
    'checkpoints/8/_CHECKPOINT_METADATA',
    'checkpoints/8/config/metadata',
    'checkpoints/8/checksums/metadata',
    'checkpoints/8/metrics/metrics',
    'exam.json',
  ],
)
def test_security_deeply_nested_json_is_refused_or_left_out(name, tmp_path):
  from test_security import write_run

  from jaxdl import status
  from jaxdl.runs import checkpoint
  from jaxdl.views import view

  folder = write_run(tmp_path / 'run', 'harmless')
  (folder / name).parent.mkdir(parents=True, exist_ok=True)
  (folder / name).write_text(DEEP)
  for action in (
    lambda: page.write([folder], folder / 'report.html'),
    lambda: status.text(status.read(folder)),
    lambda: files.journal(folder),
    lambda: files.weights(folder),
    lambda: files.saved_on(folder, 8),
    lambda: checkpoint.load_model(folder),
    lambda: grades._kept(folder / name, {}),
    lambda: view.remove_older(folder / 'analysis', 'x', []),
    lambda: summary.record(folder, {'step': 8}, seconds=1.0, resumed=True),
  ):
    with works_or_is_refused(naming=folder.name):
      action()


def test_security_deeply_nested_json_of_a_cache_is_decoded_again(tmp_path, capsys):
  arrays = {'train': {'label': np.arange(3, dtype=np.int32)}}
  array_cache.cached(tmp_path, lambda: (arrays, ()))
  (tmp_path / array_cache.FOLDER / array_cache.MANIFEST).write_text(DEEP)
  found, _ = array_cache.cached(tmp_path, lambda: (arrays, ()))
  np.testing.assert_array_equal(found['train']['label'], np.arange(3))
