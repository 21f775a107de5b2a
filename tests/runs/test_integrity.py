"""Tests of the checksums of checkpoints, and of what happens to damaged ones."""

import hashlib
import zlib

import numpy as np
import pytest

from jaxdl.runs import integrity


def test_checksums_are_the_crc_of_type_shape_and_bytes():
  tree = {'kernel': np.array([[1, 2], [3, 4]], '<u2'), 'step': np.array(7, np.uint8)}
  assert integrity.checksums(tree) == {
    "['kernel']": zlib.crc32(b'uint16(2, 2)' + bytes([1, 0, 2, 0, 3, 0, 4, 0])),
    "['step']": zlib.crc32(b'uint8()' + bytes([7])),
  }


@pytest.mark.parametrize(
  'other',
  [
    np.array([[1, 2], [3, 5]], np.uint16),
    np.array([[1, 2], [3, 4]], np.int16),
    np.array([[1, 2, 3, 4]], np.uint16),
    np.array([[1, 3], [2, 4]], np.uint16),
  ],
  ids=['value', 'type', 'shape', 'order'],
)
def test_checksums_differ_for_another(other):
  array = np.array([[1, 2], [3, 4]], np.uint16)
  assert integrity.checksums([array]) == integrity.checksums([np.asfortranarray(array)])
  assert integrity.checksums([array]) != integrity.checksums([other])


def test_checksum_of_json_does_not_depend_on_the_order_of_keys():
  assert integrity.of_json({'b': 1, 'a': [2]}) == zlib.crc32(b'{"a": [2], "b": 1}')
  assert integrity.of_json({'a': [2], 'b': 1}) == integrity.of_json({'b': 1, 'a': [2]})


def test_checksum_of_a_folder_is_that_of_what_sha256sum_prints(tmp_path):
  (tmp_path / 'state').mkdir()
  (tmp_path / 'state' / 'a').write_bytes(b'first')
  (tmp_path / 'b').write_bytes(b'')
  (tmp_path / 'Z').write_bytes(b'last')
  listed = ''.join(
    f'{hashlib.sha256(content).hexdigest()}  {name}\n'
    for name, content in (('Z', b'last'), ('b', b''), ('state/a', b'first'))
  )
  expected = hashlib.sha256(listed.encode()).hexdigest()
  assert integrity.of_folder(tmp_path) == expected
  (tmp_path / 'state' / integrity.NOTE).write_text(str(tmp_path))
  assert integrity.of_folder(tmp_path) == expected


@pytest.mark.parametrize(
  ('found', 'named'),
  [({'a': 1, 'b': 3}, 'b'), ({'a': 1}, 'b'), ({'a': 1, 'b': 2, 'c': 0}, 'c'), ({}, 'a')],
  ids=['different', 'missing', 'added', 'empty'],
)
def test_check_names_the_first_leaf_that_differs(found, named):
  expected = {'a': 1, 'b': 2}
  integrity.check(dict(expected), expected)
  with pytest.raises(integrity.DamagedError, match=f'the checksum of {named} differs'):
    integrity.check(found, expected)


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('{"loss": 0.5}', ''),
    ('{"loss": NaN}', ''),
    ('{"loss": "small"}', "its validation loss is 'small'"),
    ('{"loss": null}', "its validation loss is 'None'"),
    ('{"accuracy": 1}', "its validation loss cannot be read: 'loss'"),
    ('[1]', 'its validation loss cannot be read: list indices'),
    ('{"loss', 'its validation loss cannot be read: Unterminated string'),
  ],
)
def test_loss_must_be_a_number(text, message, tmp_path):
  integrity.check_loss(tmp_path)  # without a loss
  (tmp_path / 'metrics').mkdir()
  (tmp_path / 'metrics' / 'metrics').write_text(text)
  if not message:
    integrity.check_loss(tmp_path)
    return
  with pytest.raises(integrity.DamagedError, match=message):
    integrity.check_loss(tmp_path)


def test_quarantine_keeps_every_damaged_checkpoint(tmp_path, capsys):
  folder = tmp_path / 'checkpoints'
  for content in ('first', 'second', 'third'):
    (folder / '12').mkdir(parents=True)
    (folder / '12' / 'state').write_text(content)
    integrity.quarantine(folder, 12, 'its files differ')
    assert not (folder / '12').exists()
  kept = {path.parent.name: path.read_text() for path in (tmp_path / 'damaged').glob('*/state')}
  assert kept == {'12': 'first', '12_2': 'second', '12_3': 'third'}
  lines = capsys.readouterr().err.splitlines()
  assert lines[1] == (
    f'checkpoint 12 is damaged (its files differ): moved to {tmp_path / "damaged" / "12_2"}, '
    'continuing without it'
  )
  assert len(lines) == 3


def test_reason_is_the_first_line():
  assert integrity.reason(ValueError('\n wrong data\nat line 3\n')) == 'wrong data'
  assert integrity.reason(OSError('x' * 201)) == 'x' * 200
