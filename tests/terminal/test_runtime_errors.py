"""Exhausted memory and missing devices: one-line errors with a fix, and a traceback on request."""

import jax.numpy as jnp
import numpy as np
import pytest
from helpers import WITHOUT_TENSORFLOW, run_child, slow_after

from jaxdl import analyze
from jaxdl.terminal import command
from jaxdl.training import experiment, loop


def allocate_in_jax(arguments):
  jnp.zeros(2**44, jnp.float32).block_until_ready()


def allocate_in_numpy(arguments):
  return np.zeros(2**46) + 1


@pytest.mark.parametrize('main', [allocate_in_jax, allocate_in_numpy])
def test_runtime_exhausted_memory_is_a_one_line_error(main, capsys, monkeypatch):
  assert command.run(main, ['jaxdl'], less_memory='use a smaller size') == 1
  shown = capsys.readouterr().err
  assert shown.startswith('jaxdl: memory is exhausted (')
  assert shown.endswith('): use a smaller size; JAXDL_TRACEBACK=1 shows the traceback\n')
  assert shown.count('\n') == 1
  monkeypatch.setenv('JAXDL_TRACEBACK', '1')
  with pytest.raises((RuntimeError, MemoryError)):
    command.run(main, ['jaxdl'])


@pytest.mark.parametrize('error', [RuntimeError, AssertionError])
def test_runtime_unexpected_errors_keep_their_traceback(error):
  def main(arguments):
    raise error('of the code')

  with pytest.raises(error, match='^of the code$'):
    command.run(main, ['jaxdl'])


def test_runtime_exhausted_memory_in_an_analysis_suggests_fewer_images(
  small, tmp_path, monkeypatch, capsys
):
  loop.train(experiment.build({**small, 'train_for': '2 steps'}, 'small'), tmp_path)
  monkeypatch.setattr(analyze, '_make', lambda *arguments: allocate_in_jax(arguments))
  assert command.run(analyze.main, ['analyze', str(tmp_path)], less_memory=analyze.LESS_MEMORY) == 1
  assert '): look at fewer --images' in capsys.readouterr().err


@pytest.mark.parametrize(
  'name', slow_after(1, ['main', 'sweep', 'analyze', 'generate', 'export', 'report.__main__'])
)
def test_runtime_exhausted_memory_error_names_the_fix_of_each_command(name, monkeypatch):
  """Runs the module of the command with a main function that exhausts the memory."""
  code = (
    'import runpy, sys; from jaxdl.terminal import command; run = command.run; '
    'full = lambda arguments: bytearray(2**60); '
    'command.run = lambda main, *rest, **keywords: run(full, *rest, **keywords); '
    f'sys.argv = ["jaxdl"]; runpy.run_module("jaxdl.{name}", run_name="__main__")'
  )
  child = run_child('-c', code, environment=WITHOUT_TENSORFLOW)
  assert child.returncode == 1
  last = child.stderr.strip().splitlines()[-1]
  assert last.startswith('jaxdl: memory is exhausted (MemoryError): ')
  assert 'give it less to do' not in last


@pytest.mark.parametrize('traceback', slow_after(1, ['', '1']))
def test_runtime_missing_device_is_a_one_line_error(traceback, config_file, small, tmp_path):
  environment = {
    **WITHOUT_TENSORFLOW,
    'JAX_PLATFORMS': 'cuda',
    'JAXDL_TRACEBACK': traceback,
  }
  child = run_child(
    '-m',
    'jaxdl.main',
    f'--config={config_file(small)}',
    f'--workdir={tmp_path / "run"}',
    environment=environment,
  )
  if child.returncode == 0:
    pytest.skip('this machine has a GPU')
  shown = child.stderr.strip().splitlines()
  assert child.returncode == 1
  if traceback:
    assert 'Traceback (most recent call last):' in shown
  else:
    assert shown == [
      'jaxdl: JAX_PLATFORMS=cuda is not available here: unset JAX_PLATFORMS, or install JAX for the '
      "device, such as pip install 'jax[cuda13]'; JAXDL_TRACEBACK=1 shows the traceback"
    ]
