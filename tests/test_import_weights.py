"""Tests of the command that makes a run from weights of other tools."""

import json
import pathlib
import re

import jax
import numpy as np
import pytest
from helpers import last_json, state_of

import jaxdl
from jaxdl import analyze, export, import_weights, main, pack, status
from jaxdl.report import __main__ as report
from jaxdl.runs import checkpoint, files
from jaxdl.runs.folder import format_of
from jaxdl.terminal import command
from jaxdl.training import experiment, loop

PAGE = (pathlib.Path(__file__).parents[1] / 'docs/importing.md').read_text()
MODEL = dict(
  name='cnn',
  layers=(
    dict(kind='conv', features=4, kernel=5, strides=2),
    dict(kind='batch_norm', epsilon=1e-5, momentum=0.9),
    dict(kind='flatten'),
    dict(kind='dense', features=10, activate=False, name='logits'),
  ),
)


def state_dict():
  draw = np.random.default_rng(0)
  return {
    'conv.weight': draw.normal(0, 0.2, (4, 1, 5, 5)),
    'bn.weight': np.ones(4),
    'bn.bias': np.zeros(4),
    'bn.running_mean': draw.normal(0, 0.2, 4),
    'bn.running_var': np.full(4, 0.5),
    'bn.num_batches_tracked': np.asarray(9),
    'fc.weight': draw.normal(0, 0.1, (10, 4 * 14 * 14)),
    'fc.bias': np.zeros(10),
  }


@pytest.fixture
def config(small):
  return {**small, 'model': MODEL, 'data': {**small['data'], 'layout': 'image'}}


def run(capsys, module, *arguments):
  capsys.readouterr()
  code = command.run(module.main, ['jaxdl', *map(str, arguments)])
  shown = capsys.readouterr()
  return code, shown.out, shown.err


def given(config_file, config, tmp_path, **changes):
  """(flags of the command, the run's folder)."""
  np.savez(tmp_path / 'weights.npz', **{**state_dict(), **changes})
  flags = f'--config={config_file(config)}', f'--from={tmp_path / "weights.npz"}'
  return [*flags, f'--workdir={tmp_path / "run"}'], tmp_path / 'run'


@pytest.mark.slow
def test_every_command_works_on_an_imported_run(config, config_file, tmp_path, capsys):
  flags, folder = given(config_file, config, tmp_path)
  code, printed, error = run(capsys, import_weights, *flags)
  assert (code, error) == (0, '')
  assert re.search(r'fc\.weight +10 × 784 +logits +kernel +784 × 10 +transposed, C·H·W', printed)
  found = last_json(printed)
  assert (found['layout'], found['step'], found['test_examples']) == ('torch', 0, 50)
  summary = files.read_summary(folder / 'summary.json')
  assert summary['test_loss'] == found['test_loss']
  kept = json.loads((folder / 'config.json').read_text())['origin']
  assert kept['imported'] == 'weights.npz'
  assert len(kept['sha256']) == 64
  _, variables, _ = checkpoint.load_model(folder)
  np.testing.assert_allclose(variables['batch_stats']['batch_norm1']['var'], 0.5)
  code, printed, _ = run(capsys, status, folder)
  assert (code, last_json(printed)[0]['state']) == (0, 'stopped')
  for module, *arguments in (
    (analyze, '--only=filters,errors'),
    (report,),
    (export, '--format=stablehlo'),
    (pack,),
  ):
    assert run(capsys, module, folder, *arguments)[0] == 0, module
  card, html = ((folder / file).read_text() for file in ('card.md', 'report.html'))
  assert 'imported weights' in card
  assert 'The figures are from step 0, the weights imported from weights.npz.' in card
  assert 'The figures are from step 0, the weights imported from weights.npz.' in html
  assert 'figures are from the weights imported from weights.npz.</p></footer>' in html
  for text in (card, html):
    assert 'lowest' not in text
    assert 'was selected on' not in text
  images = np.zeros((2, 28, 28, 1), np.uint8)
  assert jaxdl.load(folder).predict(images).probabilities.shape == (2, 10)
  assert jaxdl.load(tmp_path / 'run.zip').summary == summary


@pytest.mark.slow
def test_training_in_the_folder_starts_from_the_weights(config, config_file, tmp_path, capsys):
  flags, folder = given(config_file, config, tmp_path)
  assert run(capsys, import_weights, *flags)[0] == 0
  built = experiment.build(config, 'small')
  start = state_of(built, folder, 0)
  fresh = {**config, 'train_for': '2 steps', 'optimizer': dict(name='sgd', learning_rate=1e-9)}
  with pytest.raises(ValueError, match='another config .differing in optimizer'):
    main.train(fresh, folder)
  built = experiment.build(config, 'small', format=format_of(folder))
  summary = loop.train(built, folder)
  assert (summary['steps'], summary['stopped']) == (8, None)
  after = state_of(built, folder)
  assert int(after.step) == 8
  kernels = [state.params['conv1']['kernel'] for state in (start, after)]
  assert 0 < np.abs(np.subtract(*kernels)).max() < 0.1  # 8 steps of Adam at 0.01
  assert 'imported' in json.loads((folder / 'config.json').read_text())['origin']
  _, _, kept = checkpoint.load_model(folder, 'last')
  assert 'imported' in kept['origin']


def test_nothing_is_written_after_an_error(config, config_file, tmp_path, capsys):
  flags, folder = given(config_file, config, tmp_path, **{'fc.bias': np.zeros(9)})
  code, printed, error = run(capsys, import_weights, *flags)
  assert (code, printed) == (1, '')
  assert 'the layer logits needs weight [10, 784], bias [10], but the file has fc: ' in error
  assert len(error.splitlines()) == 1
  assert not folder.exists()


def test_wrong_commands_are_one_line(config, config_file, tmp_path, capsys):
  flags, folder = given(config_file, config, tmp_path)
  folder.mkdir()
  (folder / 'config.json').write_text('{}')
  for arguments, message in (
    (flags, 'run already contains a run: give another --workdir'),
    (flags[:1], 'missing: --from: see'),
    ([flags[0], f'--from={tmp_path}', f'--workdir={tmp_path / "new"}'], 'is a folder: give a file'),
    ([*flags, '--layout=flax'], '--layout=flax is unknown: use torch, keras, jaxdl'),
    (
      [*flags[:2], f'--workdir={tmp_path / "new"}', '--order=a,b'],
      '--order=a,b names other layers',
    ),
    (
      [*flags[:2], f'--workdir={tmp_path / "new"}', "--config.start_from='runs/x'"],
      'config.start_from',
    ),
  ):
    code, printed, error = run(capsys, import_weights, *arguments)
    assert (code, printed) == (1, ''), arguments
    assert message in error
    assert len(error.splitlines()) == 1
  assert not (tmp_path / 'new').exists()


def test_an_average_of_parameters_is_the_imported_ones(config, tmp_path):
  np.savez(tmp_path / 'weights.npz', **state_dict())
  config = {**config, 'ema_decay': 0.9}
  import_weights.import_weights(config, tmp_path / 'weights.npz', tmp_path / 'run')
  found = state_of(experiment.build(config, 'small'), tmp_path / 'run', 0)
  jax.tree.map(np.testing.assert_array_equal, found.params, found.average)


@pytest.mark.slow
def test_the_page_imports_in_python(small, tmp_path, monkeypatch):
  source = PAGE.partition('```python\n')[2].partition('```')[0]
  monkeypatch.chdir(tmp_path)
  splits = small['data']['splits']
  data = f"'cnn_mnist', data={{'splits': {splits!r}, 'source': 'bundled'}},"
  assert source.count("'cnn_mnist',") == 1
  names: dict = {}
  exec(compile(source.replace("'cnn_mnist',", data), 'page', 'exec'), names)
  assert names['summary']['test_examples'] == 50
  assert jaxdl.load('runs/small').variables['params']['logits']['kernel'].shape == (1568, 10)


@pytest.mark.slow
def test_the_commands_of_the_page(config, config_file, tmp_path, monkeypatch, capsys):
  """On a small config of the same name, with weights in a .npz file."""
  monkeypatch.chdir(tmp_path)
  np.savez('weights.npz', **state_dict())
  file = config_file(config, 'cnn_mnist')
  lines = [
    line
    for block in re.findall(r'```bash\n(.*?)```', PAGE, re.DOTALL)
    for line in block.splitlines()
  ]
  assert len(lines) == 4
  modules = {'import_weights': import_weights, 'analyze': analyze, 'main': main}
  for line in lines:
    _, _, name, *arguments = line.split()
    changed = [
      word.replace('--config=cnn_mnist', f'--config={file}').replace('model.pt', 'weights.npz')
      for word in arguments
    ]
    if name == 'jaxdl.analyze':
      changed.append('--only=filters')
    assert run(capsys, modules[name.partition('.')[2]], *changed)[0] == 0, line
  assert json.loads(pathlib.Path('runs/tuned/config.json').read_text())['origin']['step'] > 0
