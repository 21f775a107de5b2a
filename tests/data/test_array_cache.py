"""The array cache of a prepared data set: reuse, rebuilding when corrupt or stale, and the fallback
to memory.
"""

import gc
import json
import os
import pathlib
import sys
import warnings

import numpy as np
import pytest

from jaxdl.data import array_cache

COLUMNS = {
  'train': {
    'image': np.arange(48, dtype=np.uint8).reshape(3, 4, 4, 1),
    'label': np.array([2, 0, 1], np.int32),
  },
  'test': {'image': np.ones((1, 4, 4, 1), np.uint8), 'label': np.array([1], np.int32)},
}
CLASSES = ('a', 'b', 'c')


@pytest.fixture
def prepared(tmp_path):
  """A folder that looks like a version prepared by TFDS."""
  (tmp_path / 'digits-train.array_record-00000-of-00001').write_bytes(b'records' * 100)
  (tmp_path / 'dataset_info.json').write_text('{}')
  return tmp_path


class Decoder:
  """Counts how often the records are decoded."""

  def __init__(self):
    self.calls = 0

  def __call__(self):
    self.calls += 1
    return COLUMNS, CLASSES


def assert_equals_columns(found):
  columns, classes = found
  assert classes == CLASSES
  for split, part in COLUMNS.items():
    for name, values in part.items():
      assert columns[split][name].dtype == values.dtype
      np.testing.assert_array_equal(columns[split][name], values)


def test_cache_is_reused_without_decoding_again(prepared):
  decode = Decoder()
  assert_equals_columns(array_cache.cached(prepared, decode))
  again = array_cache.cached(prepared, decode)
  assert_equals_columns(again)
  assert decode.calls == 1
  image = again[0]['train']['image']
  assert isinstance(image, np.memmap)
  with pytest.raises(ValueError, match='read-only'):
    image[0] = 0
  assert array_cache.counts(prepared) == {'train': 3, 'test': 1}


def flip_a_byte(file):
  content = bytearray(file.read_bytes())
  content[-1] ^= 1
  file.write_bytes(content)


RECORDS = 'digits-train.array_record-00000-of-00001'


@pytest.mark.parametrize('change', ['middle', 'labels'])
def test_cache_fingerprint_covers_all_bytes_and_class_names(prepared, change, capsys):
  """A change in the middle of a large file is detected although its size, start and end are the
  same.
  """
  content = bytearray(4 * array_cache.EDGE)
  (prepared / RECORDS).write_bytes(content)
  (prepared / 'label.labels.txt').write_text('a\nb\nc\n')
  decode = Decoder()
  array_cache.cached(prepared, decode)
  if change == 'middle':
    content[2 * array_cache.EDGE] = 1
    (prepared / RECORDS).write_bytes(content)
  else:
    (prepared / 'label.labels.txt').write_text('a\nb\nd\n')
  array_cache.cached(prepared, decode)
  assert decode.calls == 2
  assert capsys.readouterr().err.endswith('arrays: the prepared files have changed\n')


def test_cache_of_an_older_version_is_reused(prepared, capsys):
  """Its fingerprint covers only the start and end of each file. It stays valid, because the machine
  may be unable to decode the records.
  """
  decode = Decoder()
  array_cache.cached(prepared, decode)
  file = prepared / 'arrays/manifest.json'
  manifest = json.loads(file.read_text())
  assert manifest.pop('whole') is True
  file.write_text(json.dumps({**manifest, 'source': array_cache.fingerprint(prepared, edges=True)}))
  assert_equals_columns(array_cache.cached(prepared, decode))
  assert (decode.calls, capsys.readouterr().err) == (1, '')
  (prepared / RECORDS).write_bytes(b'others' * 100)
  assert_equals_columns(array_cache.cached(prepared, decode))
  assert decode.calls == 2


@pytest.mark.parametrize(
  ('damage', 'reason'),
  [
    (lambda cache: flip_a_byte(cache / 'train.image.npy'), 'train.image.npy is corrupt'),
    (lambda cache: (cache / 'train.image.npy').write_bytes(b'\x93NUMPY'), ''),
    (lambda cache: (cache / 'test.label.npy').unlink(), ''),
    (lambda cache: (cache / 'manifest.json').write_text('{"source"'), ''),
    (lambda cache: np.save(cache / 'test.label.npy', np.array([{'a': 1}]), allow_pickle=True), ''),
    (
      lambda cache: (cache.parent / 'digits-train.array_record-00000-of-00001').write_bytes(
        b'others' * 100
      ),
      'the prepared files have changed',
    ),
  ],
)
def test_cache_is_rebuilt_when_corrupt_or_stale(prepared, capsys, damage, reason):
  """The rebuild prints one line."""
  decode = Decoder()
  array_cache.cached(prepared, decode)
  damage(prepared / 'arrays')
  assert_equals_columns(array_cache.cached(prepared, decode))
  assert decode.calls == 2
  messages = capsys.readouterr().err.splitlines()
  assert len(messages) == 1
  assert messages[0].startswith(f'jaxdl: rebuilding the array cache {prepared / "arrays"}')
  assert reason in messages[0]
  assert_equals_columns(array_cache.cached(prepared, decode))  # the rebuilt cache is valid
  assert decode.calls == 2


@pytest.mark.parametrize(
  'content', [b'', b'PK\x03\x04', b'\x93NUMPY', b'\x93NUMPY\x01\x00v\x00{', b'arrays']
)
def test_no_damaged_file_stays_open(prepared, content):
  """'PK' is the beginning of an archive of arrays."""
  array_cache.cached(prepared, Decoder())
  (prepared / 'arrays/train.image.npy').write_bytes(content)
  with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter('always')
    assert_equals_columns(array_cache.cached(prepared, Decoder()))
    gc.collect()
  assert [one.message for one in caught if one.category is ResourceWarning] == []


def test_cache_is_sufficient_without_the_records(prepared):
  """A cache may be copied without the records to a machine without TensorFlow."""
  array_cache.cached(prepared, Decoder())
  (prepared / 'digits-train.array_record-00000-of-00001').unlink()
  decode = Decoder()
  assert_equals_columns(array_cache.cached(prepared, decode))
  assert decode.calls == 0


def test_cache_write_failure_keeps_arrays_in_memory(prepared, capsys, monkeypatch):
  def raise_disk_full(*args, **kwargs):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(np, 'save', raise_disk_full)
  assert_equals_columns(array_cache.cached(prepared, Decoder()))
  assert (
    capsys.readouterr().err
    == f'jaxdl: no array cache in {prepared} (No space left on device): keeping the arrays in memory\n'
  )
  assert [
    path.name for path in prepared.iterdir() if 'arrays' in path.name
  ] == []  # no partial file is left


@pytest.mark.skipif(
  sys.platform == 'win32' or os.getuid() == 0, reason='root may write into a read-only folder'
)
def test_cache_in_read_only_folder_stays_in_memory(prepared, capsys):
  prepared.chmod(0o555)
  try:
    assert_equals_columns(array_cache.cached(prepared, Decoder()))
  finally:
    prepared.chmod(0o755)
  assert 'keeping the arrays in memory' in capsys.readouterr().err


def test_cache_concurrent_writers_leave_one_valid_cache(prepared):
  """A second writer finishes while the first one decodes."""

  def decode_slowly():
    array_cache.cached(prepared, Decoder())
    return COLUMNS, CLASSES

  assert_equals_columns(array_cache.cached(prepared, decode_slowly))
  manifest = json.loads((prepared / 'arrays/manifest.json').read_text())
  assert {pathlib.Path(entry['file']).stem for entry in manifest['arrays']} == {
    'train.image',
    'train.label',
    'test.image',
    'test.label',
  }
  assert [path.name for path in prepared.iterdir() if path.name.startswith('.')] == []
