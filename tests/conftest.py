"""Small experiments that tests share."""

import atexit
import copy
import importlib.metadata
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

if 'JAX_COMPILATION_CACHE_DIR' not in os.environ:  # what many tests share is compiled once, by whichever comes first
  os.environ['JAX_COMPILATION_CACHE_DIR'] = cache = tempfile.mkdtemp(prefix='jaxdl-tests-')
  atexit.register(shutil.rmtree, cache, ignore_errors=True)
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0')
AS_USERS = {'XLA_FLAGS': os.environ.get('XLA_FLAGS', '')}  # the environment of children that compile as a user's commands do
os.environ['XLA_FLAGS'] = f'{AS_USERS["XLA_FLAGS"]} --xla_backend_optimization_level=0'  # compiling takes longer than computing
if importlib.metadata.version('jaxlib').startswith('0.10.'):  # a flag that another version does not know would end the process
  os.environ['XLA_FLAGS'] += ' --xla_cpu_use_fusion_emitters=false'  # the older emitters make the same numbers in half the time

import fuzzing  # noqa: E402
import pytest  # noqa: E402
from reliability import record  # noqa: E402

ROOT = pathlib.Path(__file__).parents[1]
# The environment of children that have no TensorFlow: its import takes 6.5 s of a core, and all but the board works without
WITHOUT_TENSORFLOW = {'PYTHONPATH': f'{ROOT / "tests/without_tensorflow"}{os.pathsep}{ROOT}'}

RECURRENT = dict(name='recurrent', cell='lstm', features=8, classes=10)
BN_CNN = dict(name='cnn', layers=(
    dict(kind='conv', features=4, kernel=5, strides=2),
    dict(kind='batch_norm'),
    dict(kind='max_pool', window=2),
    dict(kind='dropout', rate=0.3),
    dict(kind='flatten'),
    dict(kind='dense', features=10, activate=False),
    dict(kind='batch_norm', name='logits')))
SMALL = dict(
    seed=0, task='classify', train_for='8 steps', log_every='4 steps', evaluate_every='4 steps', checkpoint_every='4 steps',
    data=dict(name='mnist', source='bundled', layout='rows', batch_size=16, evaluation_batch_size=48,
              splits=dict(train='train[:61]', validation='train[100:150]', test='test[:50]')),
    model=RECURRENT, optimizer=dict(name='adam', learning_rate=1e-2))


@pytest.fixture
def small():
  """Config of a tiny LSTM on 61 digits: an epoch of three full batches and one of 13 real examples."""
  return copy.deepcopy(SMALL)


@pytest.fixture
def small_cnn(small):
  """The same for a CNN with batch normalisation, also on the logits, dropout and augmentation."""
  return {**small, 'model': copy.deepcopy(BN_CNN), 'data': {
      **small['data'], 'layout': 'image', 'augment': [dict(kind='flip'), dict(kind='shift', pixels=2)]}}


@pytest.fixture
def small_text(small):
  """The same for a language model on 16 streams of a text; an epoch has 7 steps, the last one partly padding."""
  return {**small, 'task': 'next_char', 'model': dict(
      name='language_model', cell='lstm', features=12, layers=2, embedding=6, classes=84, dropout=0.2,
      recurrent_dropout=0.1), 'data': dict(
          name='shakespeare', source='bundled', batch_size=16, time_step=9,
          splits=dict(train='train[:1000]', validation='validation[:300]', test='test[:300]'))}


@pytest.fixture
def small_autoencoder(small):
  """The same for an autoencoder that turns digits upright; its layer 'code' has 6 numbers."""
  return {**small, 'task': 'reconstruct', 'data': {
      **small['data'], 'layout': 'image', 'distort': [dict(kind='rotate', degrees=90)]}, 'model': dict(name='cnn', layers=(
          dict(kind='conv', features=4, kernel=3, strides=2), dict(kind='flatten'),
          dict(kind='dense', features=6, activate=False, name='code'), dict(kind='dense', features=196),
          dict(kind='reshape', shape=(14, 14, 1)), dict(kind='conv_transpose', features=4, kernel=3),
          dict(kind='conv', features=1, kernel=3, activate=False, name='image')))}


@pytest.fixture
def config_file(tmp_path):
  """Returns a function that writes a config dict as a config file."""
  def write(config, name='small'):
    file = tmp_path / f'{name}.py'
    file.write_text(f'import ml_collections\n\ndef get_config():\n  return ml_collections.ConfigDict({config!r})\n')
    return file

  return write


def run_child(*arguments, devices=1, environment=None, timeout=600, folder=ROOT):
  """Runs Python on the arguments in a process of its own, on virtual devices; returns the CompletedProcess."""
  flags = os.environ['XLA_FLAGS'] + (f' --xla_force_host_platform_device_count={devices}' if devices > 1 else '')
  return subprocess.run([sys.executable, *map(str, arguments)], cwd=folder, capture_output=True, text=True, timeout=timeout,
                        env={**os.environ, 'XLA_FLAGS': flags, 'PYTHONPATH': str(folder), **(environment or {})})


def state_of(built, workdir, step=None):
  """The State of a run's checkpoint, the last one or that of a step."""
  from jaxdl import checkpoint
  with checkpoint.manager(workdir) as checkpoints:
    return checkpoint.restore(checkpoints, built.initial_state(), step=step or checkpoints.latest_step())


def with_steady_adam(config):
  """A bias before batch normalisation has gradient 0 but for rounding, which Adam would blow up to a full step."""
  return {**config, 'optimizer': {**config['optimizer'], 'eps': 1e-4}}


def last_json(text):
  """The last line of an output, as JSON."""
  return json.loads(text.strip().splitlines()[-1])


def pytest_addoption(parser):
  parser.addoption('--record', action='store_true', help='write what reliability tests count into docs/reliability.md (with -n0)')


def pytest_configure(config):
  config.counted = {}  # row of docs/reliability.md → (tried, kept)


def pytest_sessionfinish(session):
  if session.config.getoption('--record'):
    for what, counts in session.config.counted.items():
      record(what, *counts)


@pytest.fixture
def reliability(request):
  """Function (what, tried, kept): adds to a row of docs/reliability.md."""
  def count(what, tried, kept):
    before = request.config.counted.get(what, (0, 0))
    request.config.counted[what] = before[0] + tried, before[1] + kept

  return count


@pytest.fixture
def counted_as(reliability):
  """Function (what), for the end of a test: every case of `fuzzing` that it tried was worked with or refused."""
  before = fuzzing.tried
  return lambda what: reliability(what, *[fuzzing.tried - before] * 2)
