"""`jaxdl.export` and `Run.export`."""

import json
import pathlib

import jax
import numpy as np
import pytest
from helpers import last_json

import jaxdl
from jaxdl import export
from jaxdl.data import recorded
from jaxdl.exports import of_run, safetensors_weights, write
from jaxdl.runs import checkpoint
from jaxdl.terminal import command
from jaxdl.training import experiment, loop


def train(config, folder):
  loop.train(experiment.build({**config, 'train_for': '2 steps'}, 'tiny'), folder)


def run_command(capsys, *arguments):
  capsys.readouterr()
  code = command.run(export.main, ['jaxdl export', *map(str, arguments)])
  shown = capsys.readouterr()
  return code, shown.out, shown.err


@pytest.fixture(scope='module')
def run(tmp_path_factory, request):
  """The folder of a CNN trained for two steps on standardized MNIST images."""
  from helpers import BN_CNN, SMALL

  folder = tmp_path_factory.mktemp('runs') / 'digits'
  data = {**SMALL['data'], 'layout': 'image', 'scale': 'standardized'}
  train({**SMALL, 'model': BN_CNN, 'data': data}, folder)
  return folder


def test_export_compares_on_test_images(run, capsys):
  """With --raw, the program takes uint8 images."""
  code, printed, _ = run_command(capsys, run, '--format=stablehlo', '--raw')
  assert code == 0
  assert 'compared on 50 test images of mnist: the largest difference from' in printed
  assert f'written: {run}/export/model.stablehlo (' in printed
  found = last_json(printed)
  assert found['files'] == [f'{run}/export/model.stablehlo']
  assert found['difference'] < 1e-5
  program = jax.export.deserialize(bytearray((run / 'export/model.stablehlo').read_bytes()))
  model, variables, config = checkpoint.load_model(run)
  images = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1), np.uint8)
  expected = model.apply(variables, recorded.image_inputs(config)(images))
  np.testing.assert_allclose(program.call(images)[0], expected, atol=1e-5)


def test_export_method_returns_the_file(run):
  assert jaxdl.load(run).export('stablehlo') == run / 'export/model.stablehlo'
  program = jax.export.deserialize(bytearray((run / 'export/model.stablehlo').read_bytes()))
  assert str(program.in_avals[0]) == 'float32[batch,28,28,1]'


@pytest.mark.parametrize('format', write.FORMATS)
def test_export_writes_every_format(format, run):
  for library in write.FORMATS[format].libraries:
    pytest.importorskip(library)
  file = jaxdl.load(run).export(format)
  assert file.is_file()
  assert f'## {format}\n' in (run / 'export/README.md').read_text()


@pytest.mark.slow
def test_export_without_data_compares_on_random_characters(
  small_text, tmp_path, capsys, monkeypatch
):
  train(small_text, tmp_path / 'text')
  code, printed, _ = run_command(capsys, tmp_path / 'text', '--format=stablehlo')
  assert code == 0
  assert 'compared on 288 test characters of shakespeare' in printed

  def with_examples(*arguments, **keywords):
    raise OSError('the text is gone')

  monkeypatch.setattr(of_run.subject, 'with_examples', with_examples)
  code, printed, _ = run_command(capsys, tmp_path / 'text', '--format=stablehlo')
  assert code == 0
  assert 'compared on 2,048 random characters, because the text is gone' in printed
  code, printed, error = run_command(
    capsys, tmp_path / 'text', '--format=stablehlo', f'--data_dir={tmp_path}'
  )
  assert (code, error) == (1, 'jaxdl: the text is gone\n')


def test_export_errors_name_the_fix_in_one_line(run, tmp_path, capsys, monkeypatch):
  monkeypatch.setattr(write.importlib.util, 'find_spec', lambda name: None)
  for arguments, message in (
    ([run], 'missing: --format: see jaxdl export --help'),
    ([run, '--format=onyx'], '--format=onyx is unknown: did you mean onnx?'),
    (
      [run, '--format=onnx'],
      "onnx needs onnx, which is not installed: pip install 'jaxdl[export]'",
    ),
    ([run, '--format=safetensors', '--raw'], '--format=safetensors contains only weights'),
    ([run, '--format=stablehlo', '--step=5'], 'has no checkpoint 5: it has [2]'),
    ([tmp_path / 'none', '--format=onnx'], 'does not exist'),
    ([tmp_path, '--format=onnx'], 'has no checkpoints: give the folder of a run'),
  ):
    code, printed, error = run_command(capsys, *arguments)
    assert (code, printed) == (1, '')
    assert message in error
    assert len(error.splitlines()) == 1


def test_docs_example_exports_in_python(run, tmp_path, monkeypatch):
  page = (pathlib.Path(__file__).parents[1] / 'docs/export.md').read_text()
  source = page.partition('```python\n')[2].partition('```')[0]
  (tmp_path / 'runs').mkdir()
  (tmp_path / 'runs/cnn_cifar10').symlink_to(run)
  monkeypatch.chdir(tmp_path)
  names: dict = {}
  exec(compile(source, 'export.md', 'exec'), names)
  assert names['file'].is_file()


def test_names_of_weights_are_unique(run):
  """Layer names may contain dots."""
  _, variables, config = checkpoint.load_model(run)
  leaves = jax.tree.leaves(variables)
  network = write.Network('digits', 2, jaxdl.load(run).model, variables, config)
  assert len(safetensors_weights.tensors(network)) == len(leaves)
  doubled = {'params': {'a': {'b.c': leaves[0]}, 'a.b': {'c': leaves[0]}}}
  with pytest.raises(ValueError, match=r'two weights have the name a\.b\.c'):
    safetensors_weights.tensors(write.Network('x', 1, network.model, doubled, config))


def test_export_quiet_prints_json_and_readme_describes_images(run, capsys):
  code, printed, _ = run_command(capsys, run, '--format=stablehlo', '--quiet')
  assert code == 0
  (line,) = printed.splitlines()
  assert json.loads(line)['compared_on'] == '50 test images of mnist'
  readme = (run / 'export/README.md').read_text()
  assert 'An image has 28 × 28 pixels and 1 channel (gray), from 0 to 255.' in readme
