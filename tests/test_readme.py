"""Tests that the commands and the Python code of README and docs work as described."""

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
from jaxdl import models, views
from jaxdl.config.reading import read_file
from jaxdl.data import (
  DATA_SETS,
  augment,
  characters,
  image_folder,
  images,
  loading,
  mixing,
)
from jaxdl.data.source import Source
from jaxdl.models import LanguageModel, Recurrent, Transformer, cnn, table
from jaxdl.sweeps import members, search
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
(PHOTOGRAPHS,) = {line for line in COMMANDS if '--config.data.folder=photos' in line}
TESTED_ELSEWHERE = {  # command → the test that runs it
  'python3 -m venv .venv': '.ci/run',
  ".venv/bin/pip install '.[test]'": '.ci/run',
  'pip install .': '.ci/run',
  "pip install '.[test]'": '.ci/run',
  'python -m pytest': '.ci/run',
  'python -m jaxdl.data prepare cifar10 --from=downloads/cifar-10-batches-bin': 'test_prepare.py',
  'python -m jaxdl': 'test_command_line.py',
  'python -m jaxdl.analyze runs/from_python --folder=arrays.npz': 'test_own_data.py',
  'python -c "import jax; print(jax.default_backend(), jax.devices())"': 'JAX alone',
  'python -m jaxdl.data prepare image_folder --from=DIR': 'test_image_folder.py',
  PHOTOGRAPHS: 'the test below',
  "pip install 'jaxdl[cloud]'": 'test_commands.py',
  'python -m jaxdl.main --config=cnn_mnist --workdir=s3://BUCKET/runs/cnn_mnist': 'test_commands.py',
  'python -m jaxdl.status s3://BUCKET/runs': 'test_commands.py',
  'python -m jaxdl.analyze s3://BUCKET/runs/cnn_mnist': 'test_commands.py',
  'python -m jaxdl.sweep --config=sweeps/hidden_units_mnist --workdir=gs://BUCKET/sweeps/hidden_units': 'test_commands.py',
  "pip install 'jaxdl[export]'": 'test_formats.py',
  'python -m jaxdl.export runs/cnn_cifar10 --format=onnx': 'test_export.py',
  'python -m jaxdl.import_weights --config=cnn_mnist --from=model.pt --workdir=runs/imported': 'test_import_weights.py',
  'python -m jaxdl.analyze runs/imported': 'test_import_weights.py',
  'python -m jaxdl.main --config=cnn_mnist --workdir=runs/imported': 'test_import_weights.py',
  'python -m jaxdl.main --config=cnn_mnist --config.start_from=runs/imported --workdir=runs/tuned': 'test_import_weights.py',
  'python -m launch.reproduction.reproduce --only=rnn_mnist,lstm_mnist --budget-minutes=30': 'test_reproduce.py',
  'python -m launch.reproduction.reproduce --ledger': 'test_reproduce.py',
  'python -m jaxdl.exam exam/planted_mark': 'test_exam.py',
  'python -m jaxdl.exam exam/planted_row --seeds=3 --images=50': 'test_exam.py',
  'python -m jaxdl.analyze runs/cnn_cifar10 --only=faithfulness': 'test_faithfulness_view.py',
  'python -m jaxdl.main --config=mean_state.py': 'test_adding.py',
  'python -m jaxdl.analyze runs/mean_state': 'test_adding.py',
  'python -m jaxdl.analyze runs/mean_state --view=views.py:certainty': 'test_adding.py',
  'python -m jaxdl.analyze runs/cnn_mnist --only=probes,similarity,nearest --images=1000': 'test_layers_compared.py',
  'python -m jaxdl.analyze runs/cnn_mnist --only=similarity,loss_line --against=runs/cnn_mnist_seed1': 'test_layers_compared.py',
  'python -m jaxdl.analyze runs/cnn_mnist --only=concepts --concepts=concepts --layer=conv2': 'test_layers_compared.py',
}
SHORTENING_FLAGS = {  # module → flags that shorten its commands
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


def find_block(words):
  """Returns the only block of Python code that contains some words."""
  (found,) = (text for text in PYTHON if words in text)
  return found


def execute(text, **names):
  """Executes Python code and returns its variables."""
  exec(compile(text, 'README.md', 'exec'), names)
  return names


@pytest.fixture
def folder(tmp_path, monkeypatch):
  """The current folder: empty except for the configs."""
  (tmp_path / 'configs').symlink_to(ROOT / 'configs')
  monkeypatch.chdir(tmp_path)
  return tmp_path


def run_command(line):
  """Runs a command of jaxdl in this process; returns its standard output."""
  program, *arguments = shlex.split(line)[2:]
  name = program
  if program in ('jaxdl.report', 'jaxdl.data'):
    name = f'{program}.__main__'
  module = importlib.import_module(name)
  printed = io.StringIO()
  with contextlib.redirect_stdout(printed):
    assert commands.run(module.main, [program, *arguments]) == 0, line
  return printed.getvalue()


def test_readme_every_command_is_tested():
  ours = [line for line in COMMANDS if line.startswith('python -m jaxdl.')]
  assert len(ours) > 8
  assert [line for line in COMMANDS if line not in ours and line not in TESTED_ELSEWHERE] == []
  for line in TESTED_ELSEWHERE:
    assert line.removeprefix('.venv/bin/') in COMMANDS, f'README no longer has {line}'


@pytest.mark.slow
@pytest.mark.parametrize(
  ('splits', 'examples'),
  [(('',), (16, 2, 2)), (('train/', 'test/'), (18, 2, 20))],
  ids=['class folders', 'no validation folder'],
)
def test_readme_command_trains_on_a_folder_of_photographs(folder, splits, examples):
  for name in (f'{split}{kind}' for split in splits for kind in ('bread', 'egg')):
    (folder / 'photos' / name).mkdir(parents=True)
    for number in range(10):
      image = np.full((70, 90, 3), (number * 20, 200 * name.endswith('egg'), 90), np.uint8)
      PIL.Image.fromarray(image).save(folder / f'photos/{name}/{number}.png')
  printed = run_command(
    f"{PHOTOGRAPHS} --config.train_for='2 steps' --config.data.batch_size=4 --config.data.size=64"
  )
  (line,) = (line for line in printed.splitlines() if line.startswith('  splits: '))
  assert '10 % validation' in line
  assert 'with seed 0' in line
  run = jaxdl.load('runs/cnn_food11')
  assert tuple(run.config['dataset']['examples'].values()) == examples
  assert (run.summary['step'], run.summary['validation_examples']) == (2, examples[1])
  assert f'1 analysis of {examples[2]} test examples' in run_command(
    'python -m jaxdl.analyze runs/cnn_food11 --only=errors'
  )


def test_readme_and_docs_name_every_key(small):
  """Checks the keys of configs, models, layers, data and changes of images."""

  def keys(function, *, excluded=()):
    return [key for key in inspect.signature(function).parameters if key not in excluded]

  training, data = PAGES[ROOT / 'docs/configs.md'], PAGES[ROOT / 'docs/data.md']
  of_linen = ('parent', 'name', 'axis_name', 'operation')
  wanted = [(training, key) for key in keys(experiment.Config, excluded=('format',))]
  for kind, layer in cnn.KINDS.items():
    row = next(
      line for line in training.splitlines() if line.startswith('|') and f'`{kind}`' in line
    )
    # The row of conv_transpose refers to the keys of conv.
    text = training if kind == 'conv_transpose' else row
    wanted += [
      (text, key) for key in keys(layer, excluded=(*of_linen, 'activation', 'kernel_init'))
    ]
  for model in (cnn.CNN, Recurrent, LanguageModel, Transformer):
    wanted += [(training, key) for key in keys(model, excluded=of_linen)]
  for load in (images.load, characters.load, image_folder.load):
    wanted += [(data, key) for key in keys(load, excluded=('read', 'seed'))]
  for name in ('arrays', 'table', 'text', 'tfds', 'huggingface'):
    load = DATA_SETS[name]
    wanted += [(data, key) for key in keys(load, excluded=('seed', 'task', 'given'))]
  wanted += [
    (data, key)
    for change in (*augment.KINDS.values(), *mixing.KINDS.values())
    for key in keys(change, excluded=('key', 'image', 'odd', 'size'))
  ]
  assert [key for text, key in wanted if not re.search(rf'`{key}[`=]', text)] == []


def write_inputs(folder):
  """Writes the images and the text that the documentation names."""
  for name in ('digits', 'pictures'):
    (folder / name).mkdir()
    for number in range(3):
      image = np.full((28, 28), 40 * number, np.uint8)
      PIL.Image.fromarray(image).save(folder / name / f'{number}.png')
  (folder / 'letter.txt').write_text('To be, or not to be.')


@pytest.mark.slow
def test_readme_commands_work(folder, small, small_text, config_file, monkeypatch):
  """Runs the commands in order, on a few examples and for two steps."""
  monkeypatch.setenv('XDG_CACHE_HOME', str(folder / 'cache'))
  shutil.copytree(ROOT / 'docs/gallery/runs', folder / 'docs/gallery/runs')
  small_cnn = {**small, 'data': {**small['data'], 'layout': 'image'}, 'model': SMALL_CNN}
  for name, config in (
    ('gru_mnist', {**small, 'model': {**small['model'], 'cell': 'gru'}}),
    ('cnn_cifar10', small_cnn),
    ('char_lstm_shakespeare', small_text),
  ):
    loop.train(experiment.build({**config, 'train_for': '2 steps'}, name), f'runs/{name}')
  write_inputs(folder)
  for line in COMMANDS:
    program = line.split()[2]
    if not line.startswith('python -m jaxdl.') or line in TESTED_ELSEWHERE:
      continue
    if line.endswith(program):  # the name of the command without arguments
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
    shorter = SHORTENING_FLAGS.get(program, [])
    if program == 'jaxdl.analyze' and '.zip' in line:
      shorter = ['--only=errors,weights', '--images=50']
    printed = run_command(shlex.join([*shlex.split(line), *shorter]))
    assert printed, line
  assert (folder / 'runs/lstm_mnist/report.html').is_file()
  assert (folder / 'runs/gru_64/summary.json').is_file()
  assert (folder / 'compare.html').is_file()
  assert (folder / 'runs/cnn_cifar10/analysis/neurons.png').is_file()
  assert not list(folder.rglob('maximised.png')), '--only must limit the analyses'
  assert execute(find_block("jaxdl.load('hand_in.zip')"))['run'].summary['step'] == 2
  assert (folder / 'docs/gallery/runs/lstm_mnist.results/card.md').is_file()
  assert len((folder / 'digits.jsonl').read_text().splitlines()) == 3
  assert (folder / 'runs/cnn_cifar10/predictions/page.html').is_file()


def test_readme_training_keys_are_valid(small):
  config = execute(find_block("name='nesterov'"), config=ConfigDict())['config'].to_dict()
  built = experiment.build({**small, **config, 'train_for': '20 epochs'}, 'small')
  assert built.observe
  assert built.early_stopping == 40


def test_readme_metric_keys_are_valid(small):
  config = execute(find_block("class_weights='balanced'"), config=ConfigDict())['config'].to_dict()
  built = experiment.build({**small, **config}, 'small')
  assert built.watch.best == 'the highest validation F1'
  assert len(built.config['task']['class_weights']) == 10


def test_readme_optimizer_keys_are_valid(all_rules):
  config = execute(find_block("name='muon'"), config=ConfigDict())['config'].to_dict()
  all_rules['model'] = dict(
    name='cnn',
    layers=(
      dict(kind='conv', features=4, kernel=3),
      dict(kind='batch_norm'),
      dict(kind='flatten'),
      dict(kind='dense', features=10, activate=False, name='logits'),
    ),
  )
  built = experiment.build({**all_rules, **config}, 'small')
  assert len(built.views) == 6
  assert [row['trainable'] > 0 for row in built.layers] == [True, False, False, True]
  block = find_block("dict(kind='mixup'),")
  augment = execute(block, config=ConfigDict(dict(data={})))['config'].to_dict()['data']['augment']
  all_rules['data']['augment'] = augment
  all_rules['optimizer'] = dict(name='adam', learning_rate=1e-3)
  assert experiment.build(all_rules, 'small').steps > 0


def test_readme_finds_a_learning_rate(folder, monkeypatch, small):
  monkeypatch.setattr(jaxdl, 'read_config', lambda name: small)
  assert 1e-6 <= execute(find_block('jaxdl.find_rate'))['found'].suggestion <= 1
  assert (folder / 'rates.png').is_file()


def test_docs_networks_are_valid():
  section = execute(find_block('bidirectional=True, pool'), config=ConfigDict())['config'].model
  rows = table.layers(models.build({**section.to_dict(), 'masked': False}), (28, 28))
  assert [row['name'] for row in rows[::4]] == ['gru1_forward', 'gru2_backward']
  section = execute(find_block("dict(kind='residual', layers=block"), config=ConfigDict())[
    'config'
  ].model
  rows = {row['name']: row for row in table.layers(models.build(section.to_dict()), (28, 28, 1))}
  assert rows['residual1_project']['output'] == rows['residual1']['output'] == [14, 14, 32]
  assert list(rows)[-1] == 'dense1'


def test_readme_data_keys_are_valid(monkeypatch, small):
  def read(*, source, data_dir):
    few = np.random.default_rng(0).integers(0, 256, (100, 32, 32, 3), np.uint8)
    part = {'image': np.tile(few, (500, 1, 1, 1)), 'label': np.arange(50_000, dtype=np.int32) % 10}
    return Source(
      origin='random', classes=tuple('0123456789'), columns={'train': part, 'test': part}
    )

  monkeypatch.setitem(DATA_SETS, 'cifar10', functools.partial(images.load, read))
  config = execute(find_block("scale='standardized',"), config=ConfigDict(small))[
    'config'
  ].to_dict()
  built = experiment.build({**config, 'model': SMALL_CNN}, 'small')
  assert built.data.input_shape() == (32, 32, 3)
  assert built.data.splits['train'].count == 45_000


@pytest.mark.slow
def test_readme_trains_on_own_arrays(folder):
  found = execute(find_block('animals.npz'), np=np, jaxdl=jaxdl)
  assert found['summary']['test_examples'] == 20
  assert found['run'].classes == ('cat', 'dog')
  known = {name: found[name] for name in ('config', 'x', 'y')}
  execute(find_block('runs/from_python'), jaxdl=jaxdl, **known)
  assert (folder / 'runs/from_python/report.html').is_file()


@pytest.mark.slow
def test_readme_trains_on_a_table(folder):
  found = execute(find_block('wine.csv'), jaxdl=jaxdl)
  assert found['run'].classes == ('class_0', 'class_1', 'class_2')
  assert found['summary']['test_accuracy'] > 0.8
  assert len(found['found']) == 178


@pytest.mark.slow
def test_readme_trains_an_lstm_on_own_digits(folder):
  random = np.random.default_rng(0)
  for number in range(60):
    digit = folder / f'digits/{number % 2}/{number}.png'
    digit.parent.mkdir(parents=True, exist_ok=True)
    image = random.integers(0, 80, (12, 7), dtype=np.uint8)
    image[:, 3] += np.uint8(170 * (number % 2))
    PIL.Image.fromarray(image).save(digit)
  found = execute(find_block("'layout': 'rows'"), jaxdl=jaxdl)
  assert found['summary']['test_examples'] == 6
  assert found['found'].probabilities.shape == (60, 2)
  assert jaxdl.load('runs/own_digits').config['dataset']['input_shape'] == [8, 8]


def test_readme_sections_of_other_data_sets_are_valid(folder):
  for words in ("name='text'", "dataset='kmnist'", "name='huggingface'"):
    config = execute(find_block(words), config=ConfigDict())['config'].data.to_dict()
    assert loading.bind(config, seed=0).keywords['batch_size'] == config['batch_size']


def test_readme_sweep_has_every_combination(small, config_file, tmp_path):
  config_file(small, 'lstm_mnist')
  (tmp_path / 'sweeps').mkdir()
  config = execute(find_block('config.axes ='))['get_config']()
  found = members.read(config.to_dict(), tmp_path / 'sweeps/here.py')
  assert {member.config['train_for'] for member in found} == {'10 epochs'}
  assert len(found) == 2 * 2 * 3
  assert {
    (member.config['model']['cell'], member.config['optimizer']['learning_rate'])
    for member in found
  } == {('rnn', 0.01), ('rnn', 3e-3), ('lstm', 0.01), ('lstm', 3e-3)}


def test_docs_search_is_valid(small, config_file, tmp_path):
  config_file(small, 'lstm_mnist')
  (tmp_path / 'sweeps').mkdir()
  config = execute(find_block('config.search ='))['get_config']()
  found = search.read(config, tmp_path / 'sweeps/here.py')
  assert (found.trials, found.sampler, found.pruner) == (30, 'tpe', 'median')
  assert search.check(found).steps == 1000
  page = PAGES[ROOT / 'docs/sweeps.md']
  for name in (*search.SAMPLERS, *search.PRUNERS, *search.KINDS):
    assert re.search(rf'`{name}[`(]', page), name


@pytest.mark.slow
def test_readme_calls_an_analysis_from_python(folder, small):
  small.update(model=SMALL_CNN, train_for='1 steps')
  small['data']['layout'] = 'image'
  loop.train(experiment.build(small, 'small'), folder / 'runs/cnn_mnist')
  assert execute(find_block('guided_backprop'))['maps'].shape == (8, 28, 28, 1)


def test_docs_relevance_of_steps_sums_to_the_logits():
  names = execute(find_block('recurrent_lrp'))
  logits = names['model'].apply(names['variables'], names['steps'])
  np.testing.assert_allclose(names['total'], logits[[0, 1], [0, 2]], rtol=1e-4)
  assert names['name'] == 'LRP'
  np.testing.assert_array_equal(names['maps'], names['found'].maps)


@pytest.mark.skipif(not hasattr(jaxdl, 'read_config'), reason='jaxdl has no public functions')
@pytest.mark.slow
def test_readme_trains_and_loads_a_run_from_python(folder, monkeypatch, small, capsys):
  """Runs the code of the docs on fewer images."""
  read_config = jaxdl.read_config
  fewer = {key: small['data'][key] for key in ('source', 'batch_size', 'splits')}
  monkeypatch.setattr(
    jaxdl, 'read_config', lambda path, **overrides: read_config(path, data=fewer, **overrides)
  )
  names = execute(find_block("jaxdl.read_config('lstm_mnist', train_for"))
  summary = json.loads((folder / 'runs/short/summary.json').read_text())
  assert summary['steps'] == 2 * 4  # 61 images in batches of 16
  assert str(summary['test_accuracy']) in capsys.readouterr().out
  assert names['histograms']['logits/kernel'].counts.sum() == 128 * 10


def test_readme_predicts_from_python(folder, small, capsys):
  loop.train(experiment.build({**small, 'train_for': '2 steps'}, 'small'), 'runs/lstm_mnist')
  write_inputs(folder)
  names = execute(find_block("run.predict('digits')"))
  assert 'digits/1.png' in capsys.readouterr().out
  assert names['found'].probabilities.shape == (3, 10)
  assert names['features'].shape == (5, 10)


def test_readme_trains_in_a_notebook(folder, monkeypatch, small):
  monkeypatch.setattr('jaxdl.config.reading.read_file', lambda path: ConfigDict(small))
  figures = execute(find_block('slower.optimizer'))['figures']
  assert f'{figures["steps"]} steps' == small['train_for']
  assert (
    json.loads((folder / 'runs/slower/config.json').read_text())['optimizer']['learning_rate']
    == 3e-4
  )
  assert run_command('python -m jaxdl.report runs/slower').startswith('runs/slower/report.html: ')


def anchors(text):
  """Returns the anchors of the headings of a page, as in GitHub and MkDocs."""
  return [
    re.sub(r'[^a-z0-9_ -]', '', line.lower()).replace(' ', '-')
    for line in re.findall(r'^#+ (.*)$', text, re.MULTILINE)
  ]


def test_readme_links_have_targets():
  """Checks that the files and headings of all local links exist."""
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


def test_readme_has_at_most_200_lines():
  assert len(PAGES[ROOT / 'README.md'].splitlines()) <= 200


def test_docs_navigation_and_reference_are_complete():
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


def test_docs_architecture_table_equals_the_allowed_imports():
  """The table of packages must equal MAY_IMPORT."""
  rows = re.findall(
    r'^\| `(\w+)/` \| [^|]* \| (.*) \|$', PAGES[ROOT / 'docs/architecture.md'], re.M
  )
  table = {package: set(re.findall(r'`(\w+)`', others)) for package, others in rows}
  assert table == MAY_IMPORT


def test_readme_names_every_config():
  for file in ROOT.glob('configs/*.py'):
    config = read_file(file)
    page = README if 'reported' in config else PAGES[ROOT / 'docs/configs.md']
    assert f'`{file.stem}`' in page
    assert config.train_for


TARGETS = ('regressor', 'multi_label')
APPLIES_TO = {  # kinds of models of an analysis → the last column of its row
  ('cnn', 'recurrent', 'classifier', 'language_model', 'autoencoder', *TARGETS): 'all',
  ('cnn', 'recurrent', 'classifier', 'autoencoder', *TARGETS): 'all except language models',
  ('cnn', 'recurrent', 'language_model', 'autoencoder', *TARGETS): 'all except custom models',
  ('cnn', 'recurrent', 'classifier'): 'classifiers',
  ('cnn', 'recurrent', 'classifier', 'autoencoder'): 'classifiers, autoencoder',
  ('cnn', 'recurrent', 'classifier', *TARGETS): 'classifiers, regression, labels',
  ('cnn', 'autoencoder', *TARGETS): 'CNN, autoencoder, regression, labels',
  ('cnn', *TARGETS): 'CNN, regression, labels',
  ('cnn',): 'CNN',
  ('autoencoder',): 'autoencoder',
  ('cnn', 'recurrent', 'language_model'): 'CNN, recurrent, language models',
  ('recurrent', 'language_model'): 'recurrent, language models',
  ('recurrent',): 'recurrent',
  ('language_model',): 'language models',
}


def test_readme_describes_every_analysis():
  """The table of analyses must have the order of the report and the kinds of models."""
  table = re.search(r'\| analysis \|.*?\n\n', README, re.DOTALL)[0]
  rows = re.findall(r'^\| `(\w+)` \| (.+) \| (.+) \|$', table, re.MULTILINE)
  assert [(name, kinds) for name, _, kinds in rows] == [
    (name, APPLIES_TO[view.kinds]) for name, view in views.VIEWS.items()
  ]
