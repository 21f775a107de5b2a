"""Every command and every piece of Python in README and docs does what it says there."""

import contextlib
import functools
import importlib
import inspect
import io
import json
import re
import shlex
import shutil

import numpy as np
import PIL.Image
import pytest
from helpers import ROOT
from ml_collections import ConfigDict
from test_architecture import MAY_IMPORT

import jaxdl
from jaxdl import analyze, models, views
from jaxdl.config.reading import read_file
from jaxdl.data import DATA_SETS, augment, characters, image_folder, images, tfds_arrays
from jaxdl.data.source import Source
from jaxdl.models import LanguageModel, Recurrent, cnn
from jaxdl.runs import checkpoint
from jaxdl.sweeps import members
from jaxdl.terminal import command as commands
from jaxdl.training import experiment, loop

PAGES = {
  page: page.read_text()
  for page in (
    ROOT / 'README.md',
    *sorted(ROOT.glob('docs/*.md')),
    *sorted(ROOT.glob('docs/gallery/*.md')),
  )
}
README = ''.join(PAGES.values())
PYTHON = re.findall(r'```python\n(.*?)```', README, re.DOTALL)
COMMANDS = [
  command.removeprefix('.venv/bin/')
  for block in re.findall(r'```bash\n(.*?)```', README, re.DOTALL)
  for line in block.splitlines()
  for command in line.split(' && ')
]
COMMANDS += [
  re.sub(r'\s+', ' ', command) for command in re.findall(r'`(python -m jaxdl[^`]*)`', README)
]
(PHOTOGRAPHS,) = (line for line in COMMANDS if '--config.data.folder=photographs' in line)
NOT_RUN_HERE = {  # command → the test that runs it
  'python3 -m venv .venv': '.ci/run',
  ".venv/bin/pip install '.[test]'": '.ci/run',
  'pip install .': '.ci/run',
  "pip install '.[test]'": '.ci/run',
  'python -m pytest': '.ci/run',
  'python -m jaxdl.data prepare cifar10 --from=downloads/cifar-10-batches-bin': 'test_prepare.py',
  'python -m jaxdl': 'test_command_line.py',
  'python -m jaxdl.data prepare image_folder --from=DIR': 'test_image_folder.py',
  PHOTOGRAPHS: 'the test below',
  'python -m launch.reproduction.reproduce --only=rnn_mnist,lstm_mnist --budget-minutes=30': 'test_reproduce.py',
  'python -m launch.reproduction.reproduce --ledger': 'test_reproduce.py',
}
SHORTER = {
  'jaxdl.main': [
    '--config.train_for=2 steps',
    '--config.data.splits.train=train[:600]',
    '--config.data.splits.validation=train[600:700]',
    '--config.data.splits.test=test[:100]',
  ],
  'jaxdl.sweep': [],
  'jaxdl.analyze': [],
  'jaxdl.generate': ['--length=5'],
}
SMALL_CNN = dict(
  name='cnn',
  layers=(
    *(dict(kind='conv', features=22, kernel=3, strides=2) for _ in range(4)),
    dict(kind='flatten'),
    dict(kind='dense', features=10, activate=False, name='logits'),
  ),
)


def block(beginning):
  """The one piece of Python that holds some words."""
  (found,) = (text for text in PYTHON if beginning in text)
  return found


def executed(text, **names):
  """The names that a piece of Python leaves, '{…, ' of a table being what is there already."""
  exec(compile(re.sub(r'(\w+) = \{…, ', r'\1 = {**\1, ', text), 'README.md', 'exec'), names)
  return names


@pytest.fixture
def folder(tmp_path, monkeypatch):
  """An empty folder with the configs, where commands are given."""
  (tmp_path / 'configs').symlink_to(ROOT / 'configs')
  monkeypatch.chdir(tmp_path)
  return tmp_path


def given(line):
  """Gives a command of jaxdl as a user would, in this process; returns what it prints."""
  program, *arguments = shlex.split(line)[2:]
  said = io.StringIO()
  with contextlib.redirect_stdout(said):
    package = program in ('jaxdl.report', 'jaxdl.data')
    assert (
      commands.run(
        importlib.import_module(program + '.__main__' * package).main, [program, *arguments]
      )
      == 0
    ), line
  return said.getvalue()


def test_readme_every_command_is_run_by_a_test():
  ours = [line for line in COMMANDS if line.startswith('python -m jaxdl.')]
  assert len(ours) > 8
  assert [line for line in COMMANDS if line not in ours and line not in NOT_RUN_HERE] == []
  for line in NOT_RUN_HERE:
    assert line.removeprefix('.venv/bin/') in COMMANDS, f'README no longer has {line}'


def test_readme_trains_on_a_folder_of_photographs(folder):
  for name in ('train/bread', 'train/egg', 'test/bread', 'test/egg'):
    (folder / 'photographs' / name).mkdir(parents=True)
    for number in range(7):
      image = np.full((70, 90, 3), (number * 30, 200 * name.endswith('egg'), 90), np.uint8)
      PIL.Image.fromarray(image).save(folder / f'photographs/{name}/{number}.png')
  given(f"{PHOTOGRAPHS} --config.train_for='2 steps' --config.data.batch_size=4")
  summary = json.loads((folder / 'runs/photographs/summary.json').read_text())
  assert (summary['step'], summary['validation_examples'], summary['test_examples']) == (2, 2, 14)


def test_readme_and_its_pages_name_every_key(small):
  """Of a config, of the layers of a CNN, and of data; those of schedules and optimizers are tried
  above.
  """

  def keys(function, *, but=()):
    return [key for key in inspect.signature(function).parameters if key not in but]

  training, data = PAGES[ROOT / 'docs/configs.md'], PAGES[ROOT / 'docs/data.md']
  of_linen = ('parent', 'name', 'axis_name', 'operation')
  wanted = [(training, key) for key in keys(experiment.Config, but=('format',))]
  for kind, layer in cnn.KINDS.items():
    row = next(
      line for line in training.splitlines() if line.startswith('|') and f'`{kind}`' in line
    )
    same = training if kind == 'conv_transpose' else row  # whose row says that it has those of conv
    wanted += [(same, key) for key in keys(layer, but=(*of_linen, 'activation', 'kernel_init'))]
  for model in (cnn.CNN, Recurrent, LanguageModel):
    wanted += [(training, key) for key in keys(model, but=of_linen)]
  for load in (images.load, characters.load, image_folder.load):
    wanted += [(data, key) for key in keys(load, but=('read', 'seed'))]
  wanted += [
    (data, key) for change in augment.KINDS.values() for key in keys(change, but=('key', 'image'))
  ]
  assert [key for text, key in wanted if not re.search(rf'`{key}[`=]', text)] == []


@pytest.mark.slow
def test_readme_commands_do_what_they_say(folder, small, small_text, config_file, monkeypatch):
  """In their order, on a few examples and for two steps."""
  monkeypatch.setenv('XDG_CACHE_HOME', str(folder / 'cache'))
  shutil.copytree(ROOT / 'docs/gallery/runs', folder / 'docs/gallery/runs')
  small_cnn = {**small, 'data': {**small['data'], 'layout': 'image'}, 'model': SMALL_CNN}
  for name, config in (
    ('gru_mnist', {**small, 'model': {**small['model'], 'cell': 'gru'}}),
    ('cnn_cifar10', small_cnn),
    ('char_lstm_shakespeare', small_text),
  ):
    loop.train(experiment.build({**config, 'train_for': '2 steps'}, name), f'runs/{name}')
  for line in COMMANDS:
    program = line.split()[2]
    if (
      not line.startswith('python -m jaxdl.') or line in NOT_RUN_HERE or line.endswith(program)
    ):  # its name alone
      continue
    if program == 'jaxdl.sweep':
      sweep = config_file(
        {
          'base': str(folder / 'small.py'),
          'seeds': (0,),
          'axes': [
            dict(
              name='rate',
              choices=[dict(name='low'), dict(name='high', optimizer=dict(learning_rate=0.1))],
            )
          ],
        },
        'sweep',
      )
      config_file(small)
      line = f'python -m jaxdl.sweep --config={sweep}'
    shorter = SHORTER.get(program, [])
    if program == 'jaxdl.analyze' and '.zip' in line:
      shorter = ['--only=errors,weights', '--images=50']
    printed = given(shlex.join([*shlex.split(line), *shorter]))
    assert printed, line
  assert (folder / 'runs/lstm_mnist/report.html').is_file()
  assert (folder / 'runs/gru_64/summary.json').is_file()
  assert (folder / 'compare.html').is_file()
  assert (folder / 'runs/cnn_cifar10/analysis/neurons.png').is_file()
  assert not list(folder.rglob('maximised.png')), '--only chooses'
  assert executed(block("jaxdl.load('hand_in.zip')"))['run'].summary['step'] == 2
  assert (folder / 'docs/gallery/runs/lstm_mnist.results/card.md').is_file()


def test_readme_keys_of_training_are_those_that_there_are(small):
  config = executed(block("name='nesterov'"), config=ConfigDict())['config'].to_dict()
  built = experiment.build({**small, **config, 'train_for': '20 epochs'}, 'small')
  assert built.observe
  assert built.early_stopping == 40


def test_readme_keys_of_data_are_those_that_there_are(monkeypatch, small):
  def read(*, source, data_dir):
    few = np.random.default_rng(0).integers(0, 256, (100, 32, 32, 3), np.uint8)
    part = {'image': np.tile(few, (500, 1, 1, 1)), 'label': np.arange(50_000, dtype=np.int32) % 10}
    return Source(
      origin='random', classes=tuple('0123456789'), columns={'train': part, 'test': part}
    )

  monkeypatch.setitem(DATA_SETS, 'cifar10', functools.partial(images.load, read))
  config = executed(block("scale='standardized',"), config=ConfigDict(small))['config'].to_dict()
  built = experiment.build({**config, 'model': SMALL_CNN}, 'small')
  assert built.data.input_shape() == (32, 32, 3)
  assert built.data.splits['train'].count == 45_000


def test_readme_a_sweep_has_every_combination(small, config_file, tmp_path):
  config_file(small, 'lstm_mnist')
  (tmp_path / 'sweeps').mkdir()
  config = executed(block('config.base ='))['get_config']()
  found = members.read(config.to_dict(), tmp_path / 'sweeps/here.py')
  assert {member.config['train_for'] for member in found} == {'10 epochs'}
  assert len(found) == 2 * 2 * 3
  assert {
    (member.config['model']['cell'], member.config['optimizer']['learning_rate'])
    for member in found
  } == {('rnn', 0.01), ('rnn', 3e-3), ('lstm', 0.01), ('lstm', 3e-3)}


@pytest.mark.slow
def test_readme_a_function_of_the_analysis_needs_a_model_and_images(folder, small):
  small.update(model=SMALL_CNN, train_for='1 steps')
  small['data']['layout'] = 'image'
  loop.train(experiment.build(small, 'small'), folder / 'runs/cnn_mnist')
  assert executed(block('guided_backprop'))['maps'].shape == (8, 28, 28, 1)


@pytest.mark.skipif(
  not hasattr(jaxdl, 'read_config'), reason='this jaxdl has no public functions at its root'
)
def test_readme_trains_and_loads_a_run_from_python(folder, monkeypatch, small, capsys):
  """As it is written there, but on fewer images."""
  read_config = jaxdl.read_config
  fewer = {key: small['data'][key] for key in ('source', 'batch_size', 'splits')}
  monkeypatch.setattr(
    jaxdl, 'read_config', lambda path, **overrides: read_config(path, data=fewer, **overrides)
  )
  names = executed(block("jaxdl.read_config('lstm_mnist'"))
  summary = json.loads((folder / 'runs/short/summary.json').read_text())
  assert summary['steps'] == 2 * 4  # 61 images in batches of 16
  assert str(summary['test_accuracy']) in capsys.readouterr().out
  assert names['histograms']['logits/kernel'].counts.sum() == 128 * 10


def test_readme_training_in_a_notebook(folder, monkeypatch, small):
  monkeypatch.setattr('jaxdl.config.reading.read_file', lambda path: ConfigDict(small))
  figures = executed(block('slower.optimizer'))['figures']
  assert f'{figures["steps"]} steps' == small['train_for']
  assert (
    json.loads((folder / 'runs/slower/config.json').read_text())['optimizer']['learning_rate']
    == 3e-4
  )
  assert given('python -m jaxdl.report runs/slower').startswith('runs/slower/report.html: ')


def test_readme_a_model_and_an_analysis_of_ones_own(folder, monkeypatch, small):
  """The new model trains, is analysed as any classifier is, and the new analysis is one of them."""
  own = executed(block('class MeanState'), MODELS=models.MODELS)['MODELS']
  monkeypatch.setitem(models.MODELS, 'mean_state', own['mean_state'])
  small.update(model=dict(name='mean_state', features=8, classes=10), train_for='2 steps')
  loop.train(experiment.build(small, 'small'), folder / 'run')
  view = executed(block('def certainty'))['VIEWS']['certainty']
  monkeypatch.setitem(analyze.VIEWS, 'certainty', view)
  printed = given(
    'python -m jaxdl.analyze --workdir=run --only=errors,statistics,weights,certainty'
  )
  assert 'certainty: how sure the network is' in printed
  assert (folder / 'run/analysis/certainty.png').is_file()
  caption = 'The probability of the predicted class of every example</figcaption>'
  assert caption in (folder / 'run/report.html').read_text()
  with np.load(folder / 'run/analysis/certainty.npz') as arrays:
    assert arrays['probability'].shape == (50,)


def test_readme_a_layer_of_ones_own(folder, monkeypatch, small):
  """The new layer trains as any of the kinds does, and its network's neurons are found."""
  kinds = executed(block('class Gain'), KINDS=cnn.KINDS)['KINDS']
  monkeypatch.setitem(cnn.KINDS, 'gain', kinds['gain'])
  layers = (
    dict(kind='conv', features=4, kernel=3),
    dict(kind='gain', initial=0.5),
    *SMALL_CNN['layers'][3:],
  )
  small.update(model=dict(name='cnn', layers=layers), train_for='2 steps')
  small['data']['layout'] = 'image'
  loop.train(experiment.build(small, 'small'), folder / 'run')
  _, variables, _ = checkpoint.load_model('run')
  gain = variables['params']['gain1']['gain']
  assert gain.shape == (4,)
  assert (gain != 0.5).all()
  given('python -m jaxdl.analyze run --only=neurons --images=20')
  assert json.loads((folder / 'run/analysis/neurons.json').read_text())['layer'] == 'conv2'


def test_readme_a_data_set_of_ones_own(monkeypatch):
  """Read through TFDS: here its builder is taken out of the function's hands."""

  class Given:
    kmnist = None

  def read(name, *, data_dir, required, decode):
    assert decode is tfds_arrays.images
    part = {
      'image': np.zeros((20, 28, 28, 1), np.uint8),
      'label': np.arange(20, dtype=np.int32) % 10,
    }
    return Source(
      origin=f'tfds {name}', classes=tuple('0123456789'), columns={'train': part, 'test': part}
    )

  monkeypatch.setattr(tfds_arrays, 'read', read)
  text, table = block('KMNIST').split('DATA_SETS = ')
  Given.kmnist = staticmethod(executed(text)['kmnist'])
  found = executed(
    f'DATA_SETS = {table}', DATA_SETS=DATA_SETS, kmnist=Given, functools=functools, images=images
  )['DATA_SETS']
  data = found['kmnist'](
    seed=0, splits=dict(train='train', test='test'), batch_size=4, evaluation_batch_size=4
  )
  assert (data.origin, data.input_shape()) == ('tfds kmnist', (28, 28, 1))


def test_readme_a_data_set_of_arrays_of_ones_own(folder, monkeypatch, small):
  class Given:
    digits = None

  text, table = block('scikit-learn carries').split('DATA_SETS = ')
  Given.digits = staticmethod(executed(text)['digits'])
  found = executed(
    f'DATA_SETS = {table}', DATA_SETS=DATA_SETS, digits=Given, functools=functools, images=images
  )['DATA_SETS']
  monkeypatch.setitem(DATA_SETS, 'digits', found['digits'])
  layers = (
    dict(kind='flatten'),
    dict(kind='dense', features=32),
    dict(kind='dense', features=10, activate=False, name='logits'),
  )
  small.update(
    data=dict(name='digits', batch_size=32, splits=dict(train='train', test='test')),
    train_for='100 steps',
    model=dict(name='cnn', layers=layers),
    optimizer=dict(name='adam', learning_rate=3e-3),
  )
  summary = loop.train(experiment.build(small, 'small'), folder / 'run')
  assert (summary['data'], summary['test_examples']) == ('scikit-learn', 297)
  assert summary['test_accuracy'] > 0.6, 'images and labels belong together'


def anchors(text):
  """The headings of a page, as GitHub and MkDocs write them in links."""
  return [
    re.sub(r'[^a-z0-9 -]', '', line.lower()).replace(' ', '-')
    for line in re.findall(r'^#+ (.*)$', text, re.MULTILINE)
  ]


def test_readme_links_lead_somewhere():
  """To a file beside the page, and to a heading of the page or of the other page."""
  count = 0
  for page, text in PAGES.items():
    for link in re.findall(r'\]\((?!http)([^)]*)\)', text):
      file, _, heading = link.partition('#')
      target = (page.parent / file).resolve() if file else page
      assert target.is_file(), f'{page.name}: {link}'
      if heading:
        assert heading in anchors(PAGES[target]), f'{page.name}: {link}'
      count += 1
  assert count > 20


def test_readme_fits_on_a_front_page():
  assert len(PAGES[ROOT / 'README.md'].splitlines()) <= 200


def test_docs_every_page_is_in_the_navigation_and_every_package_in_the_reference():
  docs = ROOT / 'docs'
  listed = re.findall(r'([\w/]+\.md)$', (ROOT / 'mkdocs.yml').read_text(), re.MULTILINE)
  pages = [page.relative_to(docs) for page in docs.rglob('*.md') if '.results/' not in str(page)]
  assert sorted(listed) == sorted(map(str, pages))
  packages = {file.parent.name for file in (ROOT / 'jaxdl').glob('*/__init__.py')}
  referenced = {page.stem for page in docs.glob('api/*.md')} - {'index', 'jaxdl'}
  assert referenced == packages
  for name in packages:
    assert f'::: jaxdl.{name}\n' in (docs / f'api/{name}.md').read_text()
    assert f'({name}.md)' in (docs / 'api/index.md').read_text()


def test_docs_architecture_has_the_imports_that_the_test_allows():
  """The table of packages and MAY_IMPORT are the same."""
  rows = re.findall(
    r'^\| `(\w+)/` \| [^|]* \| (.*) \|$', PAGES[ROOT / 'docs/architecture.md'], re.M
  )
  table = {package: set(re.findall(r'`(\w+)`', others)) for package, others in rows}
  assert table == MAY_IMPORT


def test_readme_names_every_config():
  for file in ROOT.glob('configs/*.py'):
    assert f'`{file.stem}`' in README
    assert read_file(file).train_for


WORDS = {  # kinds of models that an analysis applies to → the last column of its row
  ('cnn', 'recurrent', 'classifier', 'language_model', 'autoencoder'): 'all',
  ('cnn', 'recurrent', 'classifier', 'autoencoder'): 'all but language models',
  ('cnn', 'recurrent', 'language_model', 'autoencoder'): 'all but models of your own',
  ('cnn', 'recurrent', 'classifier'): 'classifiers',
  ('cnn', 'autoencoder'): 'CNN, autoencoder',
  ('cnn',): 'CNN',
  ('autoencoder',): 'autoencoder',
  ('recurrent', 'language_model'): 'recurrent, language models',
  ('recurrent',): 'recurrent',
  ('language_model',): 'language models',
}


def test_readme_describes_every_analysis():
  """The table of analyses: each in the order of the report, with the kinds of models it is for."""
  table = re.search(r'\| analysis \|.*?\n\n', README, re.DOTALL)[0]
  rows = re.findall(r'^\| `(\w+)` \| (.+) \| (.+) \|$', table, re.MULTILINE)
  assert [(name, kinds) for name, _, kinds in rows] == [
    (name, WORDS[view.kinds]) for name, view in views.VIEWS.items()
  ]
