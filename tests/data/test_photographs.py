"""Photographs as a stream: batch order, exact resumption, corrupt files, several hosts and worker
processes.
"""

import dataclasses
import pathlib
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import PIL.Image
import pytest
from helpers import ROOT, state_of

from jaxdl.data import image_folder, order
from jaxdl.data.dataset import resident
from jaxdl.data.photographs import decode, reading, stream
from jaxdl.training import experiment, loop

SIZE = 16


def write_noise(path, value):
  """Writes a PNG of random pixels."""
  path.parent.mkdir(parents=True, exist_ok=True)
  pixels = np.random.default_rng(value).integers(0, 256, (20, 18, 3), dtype=np.uint8)
  PIL.Image.fromarray(pixels).save(path)


@pytest.fixture
def folder(tmp_path):
  """A folder of 22 training and 9 test photographs of 3 classes. A training epoch has 5 batches of
  4 and one of 2.
  """
  for number in range(22):
    write_noise(tmp_path / f'photos/train/{"abc"[number % 3]}/{number}.png', number)
  for number in range(30, 39):
    write_noise(tmp_path / f'photos/test/{"abc"[number % 3]}/{number}.png', number)
  return tmp_path / 'photos'


@pytest.fixture
def source(folder):
  return reading.read(folder, source='folder').splits['train']


@dataclasses.dataclass(frozen=True)
class CountingSource:
  """A source that records the positions that are read."""

  source: object
  read: list

  def __len__(self):
    return len(self.source)

  def __getitem__(self, position):
    self.read.append(position)
    return self.source[position]


def split_of(source, **options):
  return stream.streaming(
    source, **{'batch_size': 4, 'size': SIZE, 'seed': 5, 'workers': 0} | options
  )


def assert_equal(feed, expected, rows=slice(None)):
  assert feed.keys() == expected.keys()
  for name, values in feed.items():
    np.testing.assert_array_equal(values, expected[name][rows], err_msg=name)


@pytest.mark.parametrize('seed', [5, None])
def test_stream_order_equals_the_order_of_arrays(source, seed):
  """Three epochs of training, or a complete evaluation, which ends in padding."""
  columns = {
    'image': np.stack([decode.square(source[i][0], SIZE) for i in range(22)]),
    'label': np.array([source[i][1] for i in range(22)], np.int32),
  }
  arrays, found = resident(columns, batch_size=4, seed=seed), split_of(source, seed=seed)
  steps = 18 if seed is not None else 6
  assert (
    (found.count, found.batches, found.arrays) == (arrays.count, arrays.batches, {}) == (22, 6, {})
  )
  index, feed = arrays.feed(0, steps), found.feed(0, steps)
  assert {name: (values.shape, values.dtype.name) for name, values in feed.items()} == {
    'image': ((steps, 4, SIZE, SIZE, 3), 'uint8'),
    'label': ((steps, 4), 'int32'),
    'index': ((steps, 4), 'int32'),
    'mask': ((steps, 4), 'float32'),
  }
  for name in ('index', 'mask'):
    np.testing.assert_array_equal(feed[name], index[name])
  real = feed['mask'] == 1
  np.testing.assert_array_equal(feed['label'][real], columns['label'][index['index'][real]])
  np.testing.assert_array_equal(feed['image'][real], columns['image'][index['index'][real]])
  assert not feed['image'][~real].any()
  assert found.fetch(found.arrays, feed) is feed


def test_feed_depends_only_on_its_steps(source):
  """Ranges of steps that are repeated, skipped, earlier, in the middle of an epoch, and empty."""
  full, fresh = split_of(source).feed(0, 30), split_of(source)
  for first, steps in [
    (7, 5),
    (8, 5),
    (13, 1),
    (13, 0),
    (14, 3),
    (2, 2),
    (25, 5),
    (0, 9),
    (3, 4),
    (7, 1),
  ]:
    assert_equal(fresh.feed(first, steps), full, slice(first, first + steps))


def test_photographs_are_decoded_once_and_not_early(source):
  ahead = 4 * (2 * stream._cores() + 1)
  resumed = CountingSource(source, [])
  split_of(resumed).feed(1000, 1)
  assert len(resumed.read) <= 4 + ahead, 'a resumed run does not decode skipped steps'
  overlapping = CountingSource(source, [])
  split = split_of(overlapping)
  for first in range(20):
    split.feed(first, 4)
  assert len(overlapping.read) <= 4 * 23 + ahead
  idle = CountingSource(source, [])
  assert split_of(idle).feed(0, 0)['image'].shape == (0, 4, SIZE, SIZE, 3)
  assert idle.read == []


def test_evaluation_feed_can_be_repeated(source):
  split = split_of(source, seed=None)
  first = [split.feed(step, 2) for step in (0, 2, 4)]
  for feed, step in zip(first, (0, 2, 4), strict=True):
    assert_equal(split.feed(step, 2), feed)


def damaged(content, damage):
  return {
    'truncated': content[: len(content) // 2],
    'empty': b'',
    'text': b'<html>404</html>',
    'flipped': content[:60] + bytes(255 - byte for byte in content[60:]),
  }[damage]


@pytest.mark.parametrize('damage', ['truncated', 'empty', 'text', 'flipped'])
@pytest.mark.parametrize('kind', ['png', 'jpg'])
def test_corrupt_photograph_is_rejected_or_skipped(folder, damage, kind, capsys):
  valid, corrupt = folder / 'train/a/3.png', folder / f'train/a/3.{kind}'
  if kind == 'jpg':
    PIL.Image.open(valid).save(corrupt)
    valid.unlink()
  expected = split_of(reading.read(folder, source='folder').splits['train']).feed(0, 12)
  corrupt.write_bytes(damaged(corrupt.read_bytes(), damage))
  source = reading.read(folder, source='folder').splits['train']
  with pytest.raises(
    ValueError, match=rf'3\.{kind} is not a valid image file \(.*\): replace or delete it'
  ) as raised:
    split_of(source).feed(0, 6)
  assert '\n' not in str(raised.value)
  found = split_of(source, corrupt='skip').feed(0, 12)
  messages = capsys.readouterr().err
  assert messages.count(f'3.{kind} is not a valid') == messages.count('\n') == 1, (
    'one warning, although two epochs read the file'
  )
  skipped = (found['mask'] == 0) & (expected['mask'] == 1)
  assert skipped.sum() == 2
  assert not found['image'][skipped].any()
  np.testing.assert_array_equal(found['index'], expected['index'])
  for name in ('image', 'label', 'mask'):
    np.testing.assert_array_equal(found[name][~skipped], expected[name][~skipped])


def test_balanced_batches_are_those_of_arrays_and_split_over_hosts(source):
  """22 photographs of 3 classes (8, 7 and 7): 7 or 8 of each in an epoch."""
  labels = np.array([source[position][1] for position in range(22)], np.int32)
  classes, options = order.Classes(labels), {'batch_size': 6}
  full = split_of(source, classes=classes, **options).feed(0, 8)
  expected = resident({'label': labels}, seed=5, sampling='balanced', **options).feed(0, 8)
  for name in ('index', 'mask'):
    np.testing.assert_array_equal(full[name], expected[name])
  real = full['mask'] == 1
  np.testing.assert_array_equal(full['label'][real], labels[full['index'][real]])
  assert sorted(np.bincount(full['label'][:4][real[:4]])) == [7, 7, 8]
  parts = [
    split_of(source, classes=classes, process_index=host, process_count=3, **options).feed(5, 3)
    for host in range(3)
  ]
  joined = {name: np.concatenate([part[name] for part in parts], axis=1) for name in full}
  assert_equal(joined, full, slice(5, 8))


@pytest.mark.parametrize('seed', [5, None])
def test_hosts_split_batches_and_cover_every_photograph_once(source, seed):
  full = split_of(source, batch_size=6, seed=seed).feed(0, 4)
  counted = [CountingSource(source, []) for _ in range(3)]
  parts = [
    split_of(counter, batch_size=6, seed=seed, process_index=host, process_count=3).feed(0, 4)
    for host, counter in enumerate(counted)
  ]
  joined = {name: np.concatenate([part[name] for part in parts], axis=1) for name in full}
  assert_equal(joined, full)
  assert sorted(joined['index'][joined['mask'] == 1]) == list(range(22))
  for part, counter in zip(parts, counted, strict=True):
    assert set(part['index'][part['mask'] == 1]) <= set(counter.read)
  with pytest.raises(
    ValueError, match='a batch of 4 does not divide over 3 processes: use a multiple of 3'
  ):
    split_of(source, process_index=0, process_count=3)


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'size': 0}, 'config.data.size=0 '),
    ({'workers': -1}, 'config.data.workers=-1 '),
    ({'corrupt': 'ignore'}, "config.data.corrupt='ignore' is unknown: use refuse or skip"),
  ],
)
def test_invalid_settings_are_named_in_the_error(source, options, message):
  with pytest.raises(ValueError, match=message):
    split_of(source, **options)


@pytest.mark.parametrize(
  ('keys', 'message'),
  [
    (
      {'fit': 'are'},
      r"config\.data\.fit='are' is unknown: use crop .*, area .*, pad .* or stretch",
    ),
    ({'color': 'grey'}, r"config\.data\.color='grey' is unknown: use one of 'original', 'gray'"),
    ({'layout': 'columns'}, r"config\.data\.layout='columns' is unknown: use one of image, rows"),
    ({'scale': 'standardized'}, r"scale='standardized' needs every photograph in memory"),
  ],
)
def test_invalid_keys_are_rejected_before_reading_files(keys, message):
  with pytest.raises(ValueError, match=message):
    image_folder.load(seed=0, splits={'train': 'train'}, batch_size=4, folder='nowhere', **keys)


def build(folder, monkeypatch, steps, **keys):
  """A small CNN on the folder. Feeds have two steps, so that training and evaluation need
  several.
  """
  monkeypatch.setattr(stream, 'FEED_BYTES', 2 * 4 * SIZE * SIZE * 3)
  layers = (
    dict(kind='conv', features=4, kernel=5, strides=2),
    dict(kind='batch_norm'),
    dict(kind='flatten'),
    dict(kind='dense', features=3, activate=False),
  )
  return experiment.build(
    dict(
      seed=0,
      task='classify',
      train_for=f'{steps} steps',
      log_every='3 steps',
      evaluate_every='6 steps',
      checkpoint_every='12 steps',
      data=dict(
        name='image_folder',
        folder=str(folder),
        source='folder',
        size=SIZE,
        workers=0,
        batch_size=4,
        evaluation_batch_size=4,
        splits=dict(train='train', validation='test', test='test'),
        augment=[dict(kind='flip')],
        **keys,
      ),
      model=dict(name='cnn', layers=layers),
      optimizer=dict(name='adam', learning_rate=1e-2),
    ),
    'photographs',
  )


@pytest.mark.parametrize(
  ('stop', 'keys'),
  [
    (4, dict(sampling='balanced', color='gray', fit='pad')),
    pytest.param(4, {}, marks=pytest.mark.slow),
    pytest.param(7, {}, marks=pytest.mark.slow),
  ],
)
@pytest.mark.slow
def test_resumed_run_equals_uninterrupted_bit_for_bit(folder, monkeypatch, tmp_path, stop, keys):
  """Two epochs of 6 steps, stopped in the middle of the first or of the second."""
  built = build(folder, monkeypatch, 12, **keys)
  assert built.data.splits['train'].capacity == (6 if keys else 2)  # gray: a third of the bytes
  uninterrupted = loop.train(built, tmp_path / 'uninterrupted')
  loop.train(build(folder, monkeypatch, stop, **keys), tmp_path / 'resumed')
  loop.train(build(folder, monkeypatch, 12, **keys), tmp_path / 'resumed')
  jax.tree.map(
    np.testing.assert_array_equal,
    *(state_of(built, tmp_path / run) for run in ('resumed', 'uninterrupted')),
  )
  assert uninterrupted['test_examples'] == 9


def test_batch_of_only_corrupt_photographs_is_rejected(folder):
  """Skipping all of them would leave a step without examples, whose mean loss is 0 / 0."""
  for file in (folder / 'train').rglob('*.png'):
    file.write_bytes(b'nothing')
  split = split_of(reading.read(folder, source='folder').splits['train'], corrupt='skip')
  with pytest.raises(
    ValueError, match=r'every photograph of batch 0 is corrupt, the last one .*\.png is not a valid'
  ):
    split.feed(0, 1)


@dataclasses.dataclass(frozen=True)
class ImportReportingSource:
  """A source whose labels report the worker's imports: 1 for TensorFlow, 2 for a JAX backend."""

  source: object

  def __len__(self):
    return len(self.source)

  def __getitem__(self, position):
    loaded = sys.modules
    backends = loaded['jax._src.xla_bridge']._backends if 'jax._src.xla_bridge' in loaded else {}
    return self.source[position][0], ('tensorflow' in loaded) + 2 * bool(backends), ''


def test_worker_processes_give_identical_batches(source):
  options = {'classes': order.Classes(np.arange(22, dtype=np.int32) % 2), 'color': 'gray'}
  expected = split_of(source, **options).feed(3, 9)
  split = split_of(ImportReportingSource(source), workers=2, **options)
  found = split.feed(3, 9)
  assert not found['label'].any(), 'workers load neither TensorFlow nor a JAX backend'
  assert_equal(found, expected | {'label': found['label']})


PROGRAM = """
import multiprocessing, sys, time
from jaxdl.data.photographs import reading, stream
if __name__ == '__main__':
  source = reading.read(sys.argv[1], source='folder').splits['train']
  split = stream.streaming(source, batch_size=4, size=16, seed=0, workers=1)
  split.feed(0, 2)
  print(*(child.pid for child in multiprocessing.active_children()), flush=True)
  if sys.argv[2] == 'raise':
    raise KeyError('fault')
  time.sleep(60)
"""


@pytest.mark.parametrize(
  'end', ['SIGKILL', *(pytest.param(end, marks=pytest.mark.slow) for end in ('raise', 'SIGTERM'))]
)
def test_workers_exit_with_their_parent(folder, tmp_path, end):
  program = tmp_path / 'program.py'
  program.write_text(PROGRAM)
  with subprocess.Popen(
    [sys.executable, program, folder, end],
    env={'PYTHONPATH': str(ROOT)},
    text=True,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
  ) as run:
    workers = [int(pid) for pid in run.stdout.readline().split()]
    assert len(workers) == 1
    if end != 'raise':
      run.send_signal(signal.Signals[end])
    assert run.wait(20) != 0
    if end == 'raise':
      errors = run.stderr.read()
      assert errors.strip().endswith("KeyError: 'fault'"), errors
      assert errors.count('Traceback') == 1, errors
  deadline = time.monotonic() + 10
  while any(alive(pid) for pid in workers):
    assert time.monotonic() < deadline, 'a worker is still running'
    time.sleep(0.1)


def alive(pid):
  try:
    return ') Z' not in pathlib.Path(f'/proc/{pid}/stat').read_text()
  except (FileNotFoundError, ProcessLookupError):
    return False
