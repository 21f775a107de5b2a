"""Imports in several threads: no library may replace `builtins.__import__` during training."""

import numpy as np
import PIL.Image
import pytest
from helpers import WITHOUT_TENSORFLOW, last_json, run_child

from jaxdl.training import experiment, loop

WATCHER = '''
"""Runs a command, then prints as JSON what was imported while another Python thread was running."""
import builtins, importlib, json, sys, threading, types

replaced, concurrent = [], []


def other_threads():
  return sorted(thread.name for thread in threading.enumerate() if thread is not threading.current_thread())


class WatchedModule(types.ModuleType):
  def __setattr__(self, name, value):
    if name == '__import__':
      replaced.append(other_threads())
    super().__setattr__(name, value)


class Finder:
  def find_spec(self, name, path=None, target=None):
    if other_threads():
      concurrent.append((threading.current_thread().name, name.partition('.')[0]))


builtins.__class__ = WatchedModule
sys.meta_path.insert(0, Finder())
command = importlib.import_module(sys.argv[1])
code = command.main(sys.argv[1:])
print(json.dumps({'code': code, 'replaced': replaced, 'concurrent': sorted(set(concurrent))}))
'''


def run_watched(*arguments, **keywords):
  done = run_child('-c', WATCHER, *arguments, **keywords)
  assert done.returncode == 0, done.stderr
  return last_json(done.stdout)


def photographs(folder):
  for number in range(24):
    file = folder / ('train', 'test')[number % 2] / 'abc'[number % 3] / f'{number}.png'
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (20, 18, 3), dtype=np.uint8)
    PIL.Image.fromarray(pixels).save(file)
  return folder


@pytest.mark.parametrize(
  'environment',
  [WITHOUT_TENSORFLOW, pytest.param({}, marks=pytest.mark.slow)],
  ids=['without_tensorflow', 'with_tensorflow'],
)
@pytest.mark.slow
def test_import_function_is_not_replaced_during_training(
  environment, small_cnn, config_file, tmp_path
):
  """Grain replaces the function during its import.

  Training traces the first step in one thread while another compiles the initial state.
  """
  data = dict(
    name='image_folder',
    source='folder',
    folder=str(photographs(tmp_path / 'photos')),
    size=16,
    batch_size=4,
    evaluation_batch_size=4,
    splits=dict(train='train', test='test'),
  )
  small_cnn['model']['layers'][5]['features'] = 3
  config = config_file({**small_cnn, 'data': data, 'train_for': '4 steps'})
  found = run_watched(
    'jaxdl.main', f'--config={config}', f'--workdir={tmp_path / "run"}', environment=environment
  )
  assert found['replaced'], 'Grain replaces builtins.__import__'
  assert not any(found['replaced']), 'only while no other thread is running'
  threads = {thread for thread, library in found['concurrent'] if library == 'tensorflow'}
  assert len(threads - {'MainThread'}) == (not environment), 'only the writer imports TensorFlow'


@pytest.mark.slow
def test_analysis_imports_libraries_before_starting_threads(small_cnn, tmp_path):
  loop.train(experiment.build({**small_cnn, 'train_for': '2 steps'}, 'small'), tmp_path)
  found = run_watched(
    'jaxdl.analyze',
    tmp_path,
    '--only=embedding,errors,filters',
    '--images=40',
    environment=WITHOUT_TENSORFLOW,
  )
  assert found['code'] == 0
  assert not any(found['replaced'])
  libraries = {library for _, library in found['concurrent']}
  assert not libraries & {'matplotlib', 'sklearn', 'threadpoolctl'}
