"""The XLA flag that prevents wrong results of faulty jaxlib versions."""

import os
import sys

import pytest
from helpers import AS_USERS, run_child

from jaxdl.devices import compiler

WRONG_NUMBERS = """
import numpy as np
import jaxdl
import jax
import jax.numpy as jnp

rows = np.zeros((32_769, 3), np.float32)
rows[:, 0] = np.arange(len(rows))
found = jax.jit(jax.vmap(lambda row: jnp.sum((jnp.eye(3) @ row) ** 2)))(rows)
np.testing.assert_allclose(found, rows[:, 0].astype(np.float64) ** 2, rtol=1e-6)
"""
CRASH = """
import numpy as np
import jaxdl
import jax
import jax.numpy as jnp

values = np.random.default_rng(0).normal(size=(3, 1, 2, 2, 8, 8, 8)).astype(np.float32)
found = jax.jit(lambda a, b: jnp.sum(a * b, axis=3))(values, values)
np.testing.assert_allclose(found, (values * values).sum(3), rtol=1e-5)
"""
LATE = """
import jax
jax.devices()
import jaxdl
import jaxdl.terminal.command
"""


@pytest.mark.parametrize('code', [WRONG_NUMBERS, CRASH], ids=['jax#39103', 'jax#39257'])
def test_compiler_is_correct_after_importing_jaxdl(code):
  """Runs in its own process: the second fault is a segmentation fault."""
  child = run_child('-c', code, environment=AS_USERS)
  assert child.returncode == 0, child.stderr[-2000:] or child.returncode


@pytest.mark.parametrize(
  ('version', 'affected'),
  [
    ('0.9.2', False),
    ('0.10.0', False),
    ('0.10.1', False),
    ('0.10.2', True),
    ('0.10.2.dev20260601', True),
    ('0.11', True),
    ('0.11.2', True),
    ('0.12.0', False),
    ('0.12.0.1', False),
    ('1.0.0', False),
    ('unknown', False),
  ],
)
def test_compiler_flag_is_set_only_for_affected_versions(version, affected, monkeypatch):
  assert compiler.is_affected(version) is affected
  monkeypatch.setattr(compiler.importlib.metadata, 'version', lambda name: version)
  monkeypatch.setattr(compiler, 'backend_started', lambda: False)
  monkeypatch.delenv('XLA_FLAGS', raising=False)
  compiler.set_flags()
  assert os.environ.get('XLA_FLAGS') == (compiler.SAFE if affected else None)


@pytest.mark.parametrize(
  ('before', 'after'),
  [
    ('', compiler.SAFE),
    ('--xla_cpu_enable_fast_math=false', f'--xla_cpu_enable_fast_math=false {compiler.SAFE}'),
    (f'{compiler.FLAG}=dot', f'{compiler.FLAG}=dot'),
    (f'{compiler.FLAG}=', f'{compiler.FLAG}='),
  ],
)
def test_compiler_keeps_user_flags(before, after, monkeypatch):
  monkeypatch.setattr(compiler.importlib.metadata, 'version', lambda name: '0.10.2')
  monkeypatch.setattr(compiler, 'backend_started', lambda: False)
  monkeypatch.setenv('XLA_FLAGS', before)
  compiler.set_flags()
  assert os.environ['XLA_FLAGS'] == after


def test_compiler_keeps_the_name_of_a_flags_file(monkeypatch):
  monkeypatch.setattr(compiler.importlib.metadata, 'version', lambda name: '0.10.2')
  monkeypatch.setenv('XLA_FLAGS', 'flags.txt')
  with pytest.warns(RuntimeWarning, match='flags.txt'):
    compiler.set_flags()
  assert os.environ['XLA_FLAGS'] == 'flags.txt'


def test_compiler_warns_once_if_jax_has_started(monkeypatch):
  child = run_child('-c', LATE, environment=AS_USERS)
  affected = compiler.is_affected(compiler.importlib.metadata.version('jaxlib'))
  warnings = child.stderr.count('RuntimeWarning: import jaxdl before JAX is first used')
  assert warnings == int(affected), child.stderr
  assert child.returncode == 0
  monkeypatch.setitem(sys.modules, 'jax._src.xla_bridge', None)  # jax is not imported
  assert not compiler.backend_started()
