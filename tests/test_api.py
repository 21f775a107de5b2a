"""Tests of the public functions of `jaxdl`, and of the cost of importing it."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from helpers import ROOT, run_child

import jaxdl
from jaxdl.training import experiment


def test_importing_the_package_imports_no_libraries():
  code = (
    'import sys, jaxdl; from jaxdl import __all__ as names; '
    'print(sorted({name.partition(".")[0] for name in sys.modules} & '
    "{'jax', 'numpy', 'flax', 'ml_collections', 'absl', 'orbax', 'tensorflow', 'matplotlib'})); "
    'print(set(names) <= set(dir(jaxdl)), [name for name in dir(jaxdl) if name not in names])'
  )
  run = run_child('-c', code)
  assert run.stdout.splitlines() == [
    '[]',
    "True ['__doc__', '__name__', '__path__', '__version__']",
  ]


def test_importing_the_package_takes_less_than_200_ms():
  """Processor time is measured, because it does not depend on other processes."""

  def seconds(code):
    began = os.times()
    subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=True)
    ended = os.times()
    return (
      ended.children_user + ended.children_system - (began.children_user + began.children_system)
    )

  assert min(seconds('import jaxdl') - seconds('pass') for _ in range(3)) < 0.2


def test_every_public_name_exists_and_is_documented():
  for name in jaxdl.__all__:
    assert getattr(jaxdl, name).__doc__
  assert jaxdl.__version__.startswith('0.')
  with pytest.raises(AttributeError, match="module 'jaxdl' has no attribute 'trian'"):
    _ = jaxdl.trian


def test_importing_the_package_keeps_the_sigint_handler():
  code = (
    'import signal; before = signal.getsignal(signal.SIGINT); import jaxdl, jaxdl.main; '
    'print(signal.getsignal(signal.SIGINT) is before)'
  )
  assert run_child('-c', code).stdout == 'True\n'


def test_read_config_applies_overrides():
  config = jaxdl.read_config(
    'lstm_mnist',
    'optimizer.b1=0.8',
    '--config.model.features=9',
    seed=1,
    optimizer={'learning_rate': 3e-4},
    plateau={'patience': '2 epochs'},
    **{'data.batch_size': 32, 'data.splits.train': 'train[:100]'},
  )
  plain = config.to_dict()
  assert plain['optimizer'] == {'name': 'adam', 'learning_rate': 3e-4, 'b1': 0.8}
  assert (plain['seed'], plain['model']['features'], plain['data']['batch_size']) == (1, 9, 32)
  assert plain['data']['splits']['train'] == 'train[:100]'
  assert plain['plateau'] == {'patience': '2 epochs'}
  layers = jaxdl.read_config('cnn_mnist', **{'model.layers[0].features': 7}).model.layers
  assert layers[0]['features'] == 7
  default = jaxdl.read_config(ROOT / 'configs/lstm_mnist.py')
  assert default.optimizer.learning_rate == 1e-3


@pytest.mark.parametrize(
  ('texts', 'overrides', 'message'),
  [
    (['seed'], {}, "'seed' is not an override: write KEY=VALUE"),
    (['seed=x'], {}, '--config.seed=x is not an integer: write one such as 5'),
    ([], {'seed.first': 1}, 'config.seed of .* has no key .first.; it has no keys below it'),
  ],
)
def test_invalid_override_is_a_value_error(texts, overrides, message):
  with pytest.raises(ValueError, match=message):
    jaxdl.read_config('lstm_mnist', *texts, **overrides)


def test_build_rejects_an_unknown_key(small):
  with pytest.raises(ValueError, match=r'config\.epochs is not a key .*; did you mean train_for\?'):
    jaxdl.build({**small, 'epochs': 3})


@pytest.mark.slow
def test_train_writes_the_same_files_as_the_command(small, config_file, tmp_path, capsys):
  """Trains an Experiment and a config file, and reads the runs like those of the command."""
  built = jaxdl.build(small, 'small')
  assert isinstance(built, experiment.Experiment)
  summary = jaxdl.train(built, tmp_path / 'a')
  assert not any(line.startswith('{') for line in capsys.readouterr().out.splitlines())
  assert summary == json.loads((tmp_path / 'a/summary.json').read_text())
  for name in ('report.html', 'weights.jsonl', 'analysis/samples.png', 'examples.npz'):
    assert (tmp_path / 'a' / name).is_file()
  assert not (tmp_path / 'a/command.txt').exists(), 'it was not trained by a command'
  run = jaxdl.load(tmp_path / 'a')
  assert run.summary == summary
  rows = np.float32(built.data.splits['test'].arrays['image'][:2, :, :, 0]) / 255
  logits = run.model.apply(run.variables, rows)
  assert logits.shape == (2, 10)
  file = config_file(small)
  again = jaxdl.train(file, tmp_path / 'b')
  assert again['test_loss'] == summary['test_loss']
  assert (tmp_path / 'b/command.txt').read_text() == (
    f'python -m jaxdl.main --config={file} --workdir={tmp_path}/b\n'
  )
  resumed = jaxdl.train({**small, 'train_for': '12 steps'}, tmp_path / 'b')
  assert resumed['steps'] == 12
  with pytest.raises(ValueError, match='holds a run of another config'):
    jaxdl.train({**small, 'l2': 1e-3}, tmp_path / 'b')
