"""The examples of docs/adding.md, executed in an empty folder with the package installed."""

import json
import re
import shutil
import zipfile

import numpy as np
import pytest
from helpers import ROOT, WITHOUT_TENSORFLOW, run_child

from jaxdl.config import reading
from jaxdl.training import experiment
from jaxdl.views import own

PAGE = (ROOT / 'docs/adding.md').read_text(encoding='utf-8')
FILES = dict(re.findall(r'`(\w+\.py)`:\n\n```python\n(.*?)```', PAGE, re.DOTALL))
FEWER = [
  '--config.data.splits.train=train[:600]',
  '--config.data.splits.validation=train[600:700]',
  '--config.data.splits.test=test[:100]',
]
SHORT = ['--config.train_for=2 steps', '--config.data.batch_size=32']
COMMANDS = [  # (module, arguments); one process executes all
  ['main', '--config=mean_state.py', *FEWER, *SHORT],
  ['analyze', 'runs/mean_state', '--view=views.py:certainty'],
  ['main', '--config=with_gain.py', *FEWER, *SHORT],
  ['analyze', 'runs/with_gain', '--only=neurons', '--images=20'],
  ['main', '--config=hinge_mnist.py', *FEWER, *SHORT],
  ['main', '--config=cnn_digits.py', '--config.train_for=200 steps'],
]
RUN = """
import importlib, json, sys
import jaxdl
print(jaxdl.__file__)
from jaxdl.terminal import command
for module, *arguments in json.loads(sys.argv[1]):
  main = importlib.import_module(f'jaxdl.{module}').main
  assert command.run(main, [module, *arguments]) == 0, (module, arguments)
"""


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """An empty folder with the files of the page, in which the commands were executed."""
  base = tmp_path_factory.mktemp('adding')
  source, place = base / 'source', base / 'place'
  for name in ('jaxdl', 'configs'):
    shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns('__pycache__'))
  for name in ('pyproject.toml', 'README.md', 'LICENSE'):
    shutil.copy(ROOT / name, source)
  wheel = ('-m', 'pip', 'wheel', '--no-deps', '--no-build-isolation', '-q', '-w', base, source)
  built = run_child(*wheel)
  if built.returncode and 'setuptools' in built.stderr:
    pytest.skip('setuptools is not installed')
  assert built.returncode == 0, built.stderr
  zipfile.ZipFile(next(base.glob('*.whl'))).extractall(base / 'installed')
  place.mkdir()
  for name, text in FILES.items():
    (place / name).write_text(text, encoding='utf-8')
  without = WITHOUT_TENSORFLOW['PYTHONPATH'].split(':')[0]
  environment = {
    'PYTHONPATH': f'{base / "installed"}:{without}',
    'XDG_CACHE_HOME': str(base / 'cache'),
    'TFDS_DATA_DIR': str(base / 'none'),
  }
  done = run_child('-c', RUN, json.dumps(COMMANDS), folder=place, environment=environment)
  assert done.returncode == 0, done.stdout + done.stderr
  assert done.stdout.startswith(str(base / 'installed'))
  return place


@pytest.mark.parametrize('name', ['mean_state', 'with_gain', 'hinge_mnist', 'cnn_digits'])
def test_the_examples_are_built(tmp_path, monkeypatch, name):
  """As the tests below, without training and installation."""
  for file, text in FILES.items():
    (tmp_path / file).write_text(text, encoding='utf-8')
  monkeypatch.chdir(tmp_path.parent)
  built = experiment.build(reading.read_file(tmp_path / f'{name}.py'))
  assert built.config['code']['path'].keys() <= FILES.keys()
  assert built.layers[-1]['output'] == [10]


def test_the_analysis_is_found(tmp_path):
  (tmp_path / 'views.py').write_text(FILES['views.py'], encoding='utf-8')
  name, view = own.view(f'{tmp_path / "views.py"}:certainty')
  assert (name, view.section, view.fits('autoencoder')) == ('certainty', 'Errors', False)
  name, view = own.view(f'{tmp_path / "views.py"}:probabilities')
  assert view.title == 'The probability of the predicted class of every example, in order'
  assert view.fits('autoencoder')
  with pytest.raises(ValueError, match=r'views\.py has no certain; .*did you mean certainty'):
    own.view(f'{tmp_path / "views.py"}:certain')
  with pytest.raises(ValueError, match='is a module: name a function'):
    own.view(f'{tmp_path / "views.py"}:jax')


def config_of(folder, name):
  return json.loads((folder / 'runs' / name / 'config.json').read_text())


def summary_of(folder, name):
  return json.loads((folder / 'runs' / name / 'summary.json').read_text())


def test_the_page_has_these_files():
  names = {'nets.py', 'gain.py', 'tasks.py', 'digits.py', 'views.py'}
  assert {*FILES} == names | {'mean_state.py', 'with_gain.py', 'hinge_mnist.py', 'cnn_digits.py'}


@pytest.mark.slow
def test_a_model(folder):
  config = config_of(folder, 'mean_state')
  assert config['model'] == {'name': 'nets.py:MeanState', 'features': 128, 'classes': 10}
  assert (folder / 'runs/mean_state/code/nets.py').read_text() == FILES['nets.py']
  assert summary_of(folder, 'mean_state')['parameters'] == 3 * 128 * (28 + 128 + 2) + 1290


@pytest.mark.slow
def test_a_layer(folder):
  layers = config_of(folder, 'with_gain')['model']['layers']
  assert [layer['kind'] for layer in layers] == ['conv', 'gain.py:Gain', 'flatten', 'dense']
  assert '>gain1<' in (folder / 'runs/with_gain/report.html').read_text()
  assert (folder / 'runs/with_gain/analysis/neurons.png').is_file()


@pytest.mark.slow
def test_a_task_and_an_optimizer(folder):
  config, summary = config_of(folder, 'hinge_mnist'), summary_of(folder, 'hinge_mnist')
  assert config['task'] == {'name': 'tasks.py:hinge', 'margin': 0.5}
  assert config['optimizer']['name'] == 'optax:lion'
  assert 0 < summary['test_loss'] < 2
  assert 0 <= summary['test_accuracy'] <= 1


@pytest.mark.slow
def test_a_data_set(folder):
  summary = summary_of(folder, 'cnn_digits')
  assert (summary['data'], summary['test_examples']) == ('scikit-learn', 297)
  assert summary['test_accuracy'] > 0.6, 'the labels must match the images'


@pytest.mark.slow
def test_an_analysis(folder):
  with np.load(folder / 'runs/mean_state/analysis/certainty.npz') as arrays:
    assert arrays['probability'].shape == (100,)
  html = (folder / 'runs/mean_state/report.html').read_text()
  assert '<h3>The probability of the predicted class of every example</h3>' in html
  errors = html[html.index('Errors</h2>') :]
  assert 'class of every example</h3>' in errors
  assert '--view=views.py:certainty' in html
