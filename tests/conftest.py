"""Shared fixtures: small experiments, type checking and counts of reliability tests."""

import atexit
import copy
import datetime
import functools
import gc
import importlib.metadata
import importlib.util
import os
import pathlib
import shutil
import sys
import tempfile
import types

import helpers

# Compile programs that several tests share only once.
if 'JAX_COMPILATION_CACHE_DIR' not in os.environ:
  os.environ['JAX_COMPILATION_CACHE_DIR'] = cache = tempfile.mkdtemp(prefix='jaxdl-tests-')
  atexit.register(shutil.rmtree, cache, ignore_errors=True)
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0')
# Compilation takes longer than execution.
os.environ['XLA_FLAGS'] = f'{helpers.AS_USERS["XLA_FLAGS"]} --xla_backend_optimization_level=0'
# Locations in the source take a twentieth of the time of lowering.
os.environ.setdefault('JAX_TRACEBACK_IN_LOCATIONS_LIMIT', '0')
# The older emitters compute the same numbers in half the time. Other versions may not have this
# flag, and an unknown flag ends the process.
if importlib.metadata.version('jaxlib').startswith('0.10.'):
  os.environ['XLA_FLAGS'] += ' --xla_cpu_use_fusion_emitters=false'


def check_types():
  """Checks the annotations of jaxdl at every call; `JAXDL_CHECK_TYPES=0` turns this off.

  Functions without annotations and functions inside functions are not decorated, which saves a
  tenth of the processor time of the tests.
  """
  if os.environ.get('JAXDL_CHECK_TYPES', '1') == '0':
    return
  if not (importlib.util.find_spec('jaxtyping') and importlib.util.find_spec('beartype')):
    return
  import jaxtyping

  with_checks = jaxtyping.jaxtyped

  def decorator(*, typechecker):
    def decorate(found):
      if isinstance(found, types.FunctionType) and (
        not found.__annotations__ or '<locals>' in found.__qualname__
      ):
        return found
      return with_checks(found, typechecker=typechecker)

    return decorate

  jaxtyping.jaxtyped = decorator  # the import hook decorates with it
  jaxtyping.install_import_hook('jaxdl', 'helpers.with_checked_types')


check_types()  # before anything imports jaxdl

import fuzzing  # noqa: E402
import numpy as np  # noqa: E402
import PIL.Image  # noqa: E402
import pytest  # noqa: E402
from helpers import BN_CNN, SMALL  # noqa: E402
from reliability import COUNTS  # noqa: E402


def pytest_collection_finish():
  """Collects garbage less often: with JAX's many objects it takes a twelfth of the time."""
  gc.set_threshold(100_000, 50, 100)
  gc.freeze()


@pytest.fixture
def unchecked_types():
  """Disables type checking, for tests in which jaxdl itself must reject values of wrong types."""
  jaxtyping = sys.modules.get('jaxtyping')
  if jaxtyping is None:
    yield
    return
  before = jaxtyping.config.jaxtyping_disable
  jaxtyping.config.update('jaxtyping_disable', True)
  yield
  jaxtyping.config.update('jaxtyping_disable', before)


@pytest.fixture(autouse=True, scope='session')
def checksums_of_large_arrays_are_computed_once():
  """Caches the checksums of large read-only arrays, such as the bundled data."""
  from jaxdl.data import checksum

  known = {}
  of_columns = checksum.of_columns

  def remembered(columns):
    if any(values.flags.writeable and values.nbytes > 1 << 20 for values in columns.values()):
      return of_columns(columns)
    key = tuple(
      (name, values.shape, values.dtype.str, values.ctypes.data)
      if values.nbytes > 1 << 20
      else (name, values.shape, values.dtype.str, values.tobytes())
      for name, values in sorted(columns.items())
    )
    if key not in known:
      known[key] = of_columns(columns), columns  # the arrays keep their memory
    return known[key][0]

  checksum.of_columns = remembered
  yield
  checksum.of_columns = of_columns


@pytest.fixture(autouse=True, scope='session')
def one_device():
  """Starts JAX on one device, before a config with `cpu_devices` changes the number for later tests."""
  import jax

  jax.devices()


def memory_maps():
  """Number of memory maps of this process, 0 where the system does not say."""
  maps = pathlib.Path('/proc/self/maps')
  return len(maps.read_bytes().splitlines()) if maps.exists() else 0


@pytest.fixture(autouse=True, scope='module')
def few_memory_maps():
  """Drops compiled programs before they reach Linux's limit of 65,530 memory maps.

  Each program takes about eight. The process ends without a message where a map is refused.
  """
  yield
  if memory_maps() > 40_000:
    import jax

    jax.clear_caches()
    gc.collect()


@pytest.fixture(autouse=True, scope='session')
def small_pictures():
  """Writes pictures with fewer pixels, which takes half the time."""
  from jaxdl.figures import output

  resolution, output.RESOLUTION = output.RESOLUTION, 60
  yield
  output.RESOLUTION = resolution


@pytest.fixture
def small():
  """Config of a tiny LSTM on 61 digits: each epoch has three full batches and one of 13 examples."""
  return copy.deepcopy(SMALL)


@pytest.fixture
def small_cnn(small):
  """Config of a small CNN with batch normalisation (also of the logits), dropout and augmentation."""
  return {
    **small,
    'model': copy.deepcopy(BN_CNN),
    'data': {
      **small['data'],
      'layout': 'image',
      'augment': [dict(kind='flip'), dict(kind='shift', pixels=2)],
    },
  }


@pytest.fixture
def all_rules(small_cnn):
  """Config of a tiny CNN that uses pairs of images, the epoch, and every addition to an optimizer."""
  augment = [
    dict(kind='random_resized_crop', area=(0.5, 1.0)),
    dict(kind='flip', alternating=True),
    dict(kind='cutmix'),
  ]
  layers = (
    dict(kind='batch_norm'),
    dict(kind='conv', features=4, kernel=3, strides=2),
    dict(kind='batch_norm'),
    dict(kind='flatten'),
    dict(kind='dense', features=10, activate=False),
  )
  optimizer = dict(
    name='adamw',
    learning_rate=1e-2,
    weight_decay=1e-3,
    clip_norm=5.0,
    groups=(dict(layers='conv*', rate=0.5, weight_decay=0.0),),
    frozen=('batch_norm2',),
    lookahead=dict(every=3),
  )
  return {
    **small_cnn,
    'accumulate': 2,
    'test_augment': ('flip',),
    'optimizer': optimizer,
    'model': dict(name='cnn', layers=layers),
    'data': {**small_cnn['data'], 'size': 12, 'augment': augment},
  }


@pytest.fixture
def small_text(small):
  """Config of a small language model on 16 streams of a text.

  An epoch has 7 steps; the last one is partly padding.
  """
  return {
    **small,
    'task': 'next_char',
    'model': dict(
      name='language_model',
      cell='lstm',
      features=12,
      layers=2,
      embedding=6,
      classes=84,
      dropout=0.2,
      recurrent_dropout=0.1,
    ),
    'data': dict(
      name='shakespeare',
      source='bundled',
      batch_size=16,
      time_step=9,
      splits=dict(train='train[:1000]', validation='validation[:300]', test='test[:300]'),
    ),
  }


@pytest.fixture
def random_text(small_text):
  """Config of `small_text` with steps of random length, locked dropout and tied vectors.

  An epoch has 62 characters of each stream in 6 steps.
  """
  return {
    **small_text,
    'model': {**small_text['model'], 'embedding': 12, 'tie': True, 'locked_dropout': True},
    'data': {**small_text['data'], 'time_step': 12, 'random_length': True},
  }


@pytest.fixture
def small_autoencoder(small):
  """Config of a small autoencoder of rotated digits; its layer 'code' has 6 features."""
  return {
    **small,
    'task': 'reconstruct',
    'data': {**small['data'], 'layout': 'image', 'distort': [dict(kind='rotate', degrees=90)]},
    'model': dict(
      name='cnn',
      layers=(
        dict(kind='conv', features=4, kernel=3, strides=2),
        dict(kind='flatten'),
        dict(kind='dense', features=6, activate=False, name='code'),
        dict(kind='dense', features=196),
        dict(kind='reshape', shape=(14, 14, 1)),
        dict(kind='conv_transpose', features=4, kernel=3),
        dict(kind='conv', features=1, kernel=3, activate=False, name='image'),
      ),
    ),
  }


@pytest.fixture
def config_file(tmp_path):
  """Returns a function that writes a config dict as a config file."""

  def write(config, name='small'):
    file = tmp_path / f'{name}.py'
    file.write_text(
      f'import ml_collections\n\ndef get_config():\n  return ml_collections.ConfigDict({config!r})\n'
    )
    return file

  return write


def pytest_addoption(parser):
  parser.addoption(
    '--record',
    action='store_true',
    help='write the counts of the reliability tests to docs/reliability.md (with -n0)',
  )
  parser.addoption(
    '--fuzz-seed',
    type=int,
    default=datetime.date.today().toordinal(),
    help='seed of the random cases of nightly tests; the default changes every day',
  )


def pytest_configure(config):
  config.counted = {}  # row of docs/reliability.md → (tried, kept)


def pytest_report_header(config):
  return f'random cases of nightly tests: --fuzz-seed={config.getoption("--fuzz-seed")}'


def pytest_sessionfinish(session):
  if session.config.getoption('--record'):
    for what, counts in session.config.counted.items():
      COUNTS.record(what, *counts)


@pytest.fixture(autouse=True)
def seed_of_random_cases(request):
  """Gives nightly tests new random cases every day, and all other tests the same in every run."""
  nightly = request.node.get_closest_marker('nightly')
  fuzzing.seed = request.config.getoption('--fuzz-seed') if nightly else None


@pytest.fixture
def reliability(request):
  """Returns a function (what, tried, kept) that adds counts to a row of docs/reliability.md."""

  def count(what, tried, kept):
    before = request.config.counted.get(what, (0, 0))
    request.config.counted[what] = before[0] + tried, before[1] + kept

  return count


@pytest.fixture
def counted_as(reliability):
  """Returns a function (what) that counts all fuzzing cases of the test as passed.

  Call it at the end of the test.
  """
  before = fuzzing.tried
  return lambda what: reliability(what, *[fuzzing.tried - before] * 2)


@pytest.fixture
def any_data(monkeypatch, tmp_path):
  """Replaces the data sets that are not in the package by random examples.

  Food-11 is replaced by eleven tiny photographs per split.
  """
  from jaxdl.data import DATA_SETS, characters, images
  from jaxdl.data.source import Source

  for name, size, count in (
    ('cifar10', (32, 32, 3), 50000),
    ('fashion_mnist', (28, 28, 1), 60000),
    ('hoda', (32, 32, 1), 60000),
  ):

    def read(*, source, data_dir, size=size, count=count):
      few = np.random.default_rng(0).integers(0, 256, (200, *size), np.uint8)
      columns = {
        split: {
          'image': np.tile(few, (number // 200, 1, 1, 1)),
          'label': np.arange(number, dtype=np.int32) % 10,
        }
        for split, number in (('train', count), ('test', 1000))
      }
      return Source(origin='random', classes=tuple('0123456789'), columns=columns)

    monkeypatch.setitem(DATA_SETS, name, functools.partial(images.load, read))

  def read_text(*, source, data_dir):
    part = {'character': np.random.default_rng(0).integers(0, 65, 20000, np.uint8)}
    return Source(
      origin='random',
      classes=tuple(map(chr, range(65))),
      columns=dict.fromkeys(('train', 'validation', 'test'), part),
    )

  monkeypatch.setitem(DATA_SETS, 'tiny_shakespeare', functools.partial(characters.load, read_text))
  for split in ('training', 'validation', 'evaluation'):
    (tmp_path / 'food-11' / split).mkdir(parents=True)
    for label in range(11):
      photograph = np.random.default_rng(label).integers(0, 256, (8, 8, 3), np.uint8)
      PIL.Image.fromarray(photograph).save(tmp_path / 'food-11' / split / f'{label}_0.jpg')
  monkeypatch.chdir(tmp_path)
