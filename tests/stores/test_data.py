"""Data in object stores: photographs that are fetched when they are read, and copied files."""

import collections
import pickle
import shutil

import numpy as np
import PIL.Image
import pytest
from helpers import SMALL

from jaxdl.data import array_cache, arrays, image_folder, table, text
from jaxdl.data.photographs import reading
from jaxdl.data.sets import mnist
from jaxdl.stores import folder as store_folder
from jaxdl.stores import local
from jaxdl.stores.store import Store, StoreError
from jaxdl.training import experiment, loop

ADDRESS = 'memory://bucket/photos'


@pytest.fixture(autouse=True)
def memory(monkeypatch, tmp_path):
  """An empty store in memory; returns the folder of the local copies."""
  import fsspec

  fsspec.filesystem('memory').store.clear()
  store_folder._store.cache_clear()
  monkeypatch.setenv(local.PLACE, str(tmp_path / 'copies'))
  monkeypatch.setattr(store_folder, 'WAITS', (0.01, 0.01))
  return tmp_path / 'copies'


def sent(folder, address=ADDRESS):
  """Copies the files of a folder to an address."""
  store = Store(address)
  for file in folder.rglob('*'):
    if file.is_file():
      store.write(file.relative_to(folder).as_posix(), file.read_bytes())
  return store


@pytest.fixture
def photos(tmp_path):
  """A folder of photographs that is at ADDRESS, too."""
  folder = tmp_path / 'photos'
  for number in range(30):
    split = 'train' if number < 20 else 'test'
    file = folder / split / 'abc'[number % 3] / f'{number}.{"png" if number % 4 else "unknown"}'
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (20, 18, 3), dtype=np.uint8)
    PIL.Image.fromarray(pixels).save(file, format='png')
  (folder / 'train/a/notes.txt').write_text('no image')
  (folder / 'train/a/.hidden').write_text('')
  sent(folder)
  return folder


def loaded(folder, **changes):
  return image_folder.load(
    seed=0,
    splits={'train': 'train', 'test': 'test'},
    batch_size=4,
    evaluation_batch_size=4,
    folder=folder,
    source='folder',
    size=16,
    **{'workers': 0, **changes},
  )


def test_photographs_at_an_address_equal_those_of_a_folder(photos):
  here, there = loaded(str(photos)), loaded(ADDRESS)
  assert there.classes == here.classes
  assert there.checksums == here.checksums
  assert there.per_class == here.per_class
  assert there.place == {'folder': ADDRESS}
  assert there.left_out == tuple(line.replace(str(photos), ADDRESS) for line in here.left_out)
  for split in ('train', 'test'):
    names = [[entry.name for entry in data.files[split]] for data in (here, there)]
    assert names[0] == names[1]
    one, two = (data.splits[split].feed(0, 5) for data in (here, there))
    for key, values in one.items():
      np.testing.assert_array_equal(values, two[key])


def test_photographs_are_fetched_once(photos, memory, monkeypatch):
  there = loaded(ADDRESS)
  feed = there.splits['test'].feed(0, 2)
  assert sum(path.is_file() for path in memory.rglob('files/*/*')) >= 10
  monkeypatch.setattr(Store, 'read', lambda *arguments: pytest.fail('fetched again'))
  again = loaded(ADDRESS).splits['test'].feed(0, 2)
  np.testing.assert_array_equal(feed['image'], again['image'])


def test_a_changed_photograph_is_fetched_again(photos):
  before = loaded(ADDRESS).checksums
  PIL.Image.fromarray(np.zeros((20, 18, 3), np.uint8)).save(photos / 'train/a/3.png')
  sent(photos)
  assert loaded(ADDRESS).checksums == loaded(str(photos)).checksums != before


@pytest.mark.parametrize('damage', [b'', b'0' * 10])
def test_a_truncated_local_copy_is_fetched_again(photos, memory, damage):
  expected = loaded(ADDRESS)
  for path in memory.rglob('files/*/*'):
    path.write_bytes(damage)
  assert loaded(ADDRESS).checksums == expected.checksums


def test_reads_that_fail_are_repeated(photos, monkeypatch):
  real, calls = Store.read, collections.Counter()

  def failing(self, name):
    calls[name] += 1
    if calls[name] <= 2:
      raise StoreError(f'{ADDRESS} cannot be read')
    return real(self, name)

  monkeypatch.setattr(Store, 'read', failing)
  assert loaded(ADDRESS).checksums == loaded(str(photos)).checksums
  source = reading.read(ADDRESS, source='folder').splits['train']
  monkeypatch.setattr(Store, 'read', real)
  store = Store(ADDRESS)
  shutil.rmtree(store_folder.listed(ADDRESS).cache)
  store.delete(store.find())
  with pytest.raises(FileNotFoundError, match='memory://bucket/photos/train/.* was deleted'):
    source[0]


def test_a_source_can_be_sent_to_worker_processes(photos):
  source = pickle.loads(pickle.dumps(reading.read(ADDRESS, source='folder').splits['train']))
  content, label, name = source[0]
  assert name.startswith(f'{ADDRESS}/train/')
  assert (photos / name.removeprefix(f'{ADDRESS}/')).read_bytes() == content
  assert label in (0, 1, 2)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'folder': 'memory://bucket/none'}, 'does not exist: give a folder in the bucket'),
    ({'source': 'tfds'}, r'is an address: leave config\.data\.source out'),
  ],
)
def test_invalid_folders_are_refused(photos, change, message):
  options = {'folder': ADDRESS, 'source': 'auto', **change}
  with pytest.raises((ValueError, OSError), match=message):
    reading.read(options.pop('folder'), **options)


def test_messages_name_the_address(photos, capsys):
  from jaxdl import main
  from jaxdl.terminal import command

  Store(ADDRESS).write('train/d/1.png', b'')
  Store(ADDRESS).write('test/e/1.png', b'')
  arguments = ['main', '--config=cnn_food11', f'--config.data.folder={ADDRESS}']
  assert command.run(main.main, arguments) == 1
  (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith('jaxdl: ')]
  assert f'({ADDRESS}/test/e/1.png) is not in train' in line


def test_a_run_on_photographs_at_an_address_resumes_on_those_of_a_folder(photos, tmp_path):
  def config(folder, steps):
    data = dict(
      name='image_folder',
      folder=folder,
      source='folder',
      size=16,
      batch_size=4,
      workers=0,
      splits=dict(train='train', test='test'),
    )
    layers = (dict(kind='flatten'), dict(kind='dense', features=3, activate=False))
    return {
      **{key: SMALL[key] for key in ('seed', 'task', 'log_every', 'optimizer')},
      'train_for': f'{steps} steps',
      'data': data,
      'model': dict(name='cnn', layers=layers),
    }

  loop.train(experiment.build(config(ADDRESS, 4), 'small'), tmp_path / 'run')
  found = loop.train(experiment.build(config(str(photos), 8), 'small'), tmp_path / 'run')
  local_run = experiment.build(config(str(photos), 8), 'small')
  expected = loop.train(local_run, tmp_path / 'local')
  assert found['test_loss'] == expected['test_loss']


def test_arrays_tables_and_texts_at_an_address(tmp_path):
  x = np.random.default_rng(0).random((12, 3), np.float32)
  np.savez(tmp_path / 'numbers.npz', x=x, y=np.arange(12) % 2)
  lines = [
    'a,b,target',
    *(f'{one},{two},{number % 2}' for number, (one, two, _) in enumerate(x.tolist())),
  ]
  (tmp_path / 'table.csv').write_text('\n'.join(lines) + '\n')
  (tmp_path / 'texts').mkdir()
  for name in 'ab':
    (tmp_path / f'texts/{name}.txt').write_text(f'text {name} ' * 100)
  sent(tmp_path, 'memory://bucket/own')
  for load, file in ((_arrays, 'numbers.npz'), (_table, 'table.csv'), (_text, 'texts')):
    here, there = load(tmp_path / file), load(f'memory://bucket/own/{file}')
    assert there.checksums == here.checksums
    assert there.place == {'file': f'memory://bucket/own/{file}'}
    with pytest.raises(OSError, match='memory://bucket/own/no'):
      load('memory://bucket/own/no.csv')


SPLITS = dict(train='train[:50%]', test='train[50%:]')


def _arrays(file):
  return arrays.load(file=file, seed=0, batch_size=4, splits=SPLITS)


def _table(file):
  return table.load(file=file, target='target', seed=0, batch_size=4, splits=SPLITS)


def _text(file):
  return text.load(file=file, seed=0, batch_size=4, time_step=5)


def test_a_prepared_data_set_at_an_address(tmp_path):
  version = tmp_path / 'prepared/mnist/3.0.1'
  version.mkdir(parents=True)
  (version / 'dataset_info.json').write_text('{}')
  images = np.random.default_rng(0).integers(0, 256, (8, 28, 28, 1), dtype=np.uint8)
  columns = {'train': {'image': images, 'label': np.arange(8, dtype=np.int32)}}
  array_cache._write(version / 'arrays', None, columns, tuple('0123456789'))
  sent(tmp_path / 'prepared', 'memory://bucket/prepared')
  found = mnist.mnist(source='tfds', data_dir='memory://bucket/prepared')
  np.testing.assert_array_equal(found.columns['train']['image'], images)
  assert found.data_dir == 'memory://bucket/prepared'
