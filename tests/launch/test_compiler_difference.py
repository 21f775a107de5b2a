"""The comparison of results with and without the fusions of XLA's CPU compiler."""

import math

import numpy as np
import pytest
from helpers import AS_USERS, ROOT

from jaxdl.devices import compiler
from jaxdl.views import VIEWS
from launch.benchmarks import compiler_cases, compiler_difference, compiler_programs

AFFECTED = compiler.is_affected(compiler.importlib.metadata.version('jaxlib'))


def test_random_programs_are_compiled_correctly_and_one_wrong_number_is_found():
  changed = 0
  for seed in range(40):
    program = compiler_programs.random_program(seed)
    found = program.compiled()
    assert program.excess(found) <= 1, program
    if program.values[program.results[0]].whole:
      wrong = [values.copy() for values in found]
      wrong[0][tuple(size - 1 for size in wrong[0].shape)] += 1
      assert program.excess(wrong) > 1, program
      changed += 1
  assert changed > 10


def test_the_wrong_row_of_the_public_reproducer_is_found():
  program = compiler_programs.wrong_numbers()
  rows = np.arange(32_769, dtype=np.float32) ** 2
  assert program.excess([rows]) <= 1
  rows[-1] = rows[-33]  # jaxlib 0.10.2 reads another row, too
  assert program.excess([rows]) > 1000


def test_random_programs_contain_every_operation_and_size():
  programs = [compiler_programs.random_program(seed) for seed in range(300)]
  used = {step.name for program in programs for step in program.steps}
  assert used == compiler_programs.EXACTLY.keys()
  shapes = [values.shape for program in programs for values in program.inputs]
  assert set(compiler_programs.ROWS) <= {shape[0] for shape in shapes if shape}
  assert max(map(len, shapes)) >= compiler_programs.RANK
  whole = [program.values[-1].whole for program in programs]
  assert sum(whole) > 100
  assert not all(whole)


def test_bounds_of_errors_are_those_of_rounding():
  """Values worked by hand: u = 2⁻²⁴ is one rounding."""
  unit = compiler_programs.UNIT
  third = compiler_programs.given(np.float32([1 / 3, 2.5]))
  assert not third.whole
  total = compiler_programs.EXACTLY['sum'](third, axes=(0,), keep=False)
  size = float(np.float32(1 / 3)) + 2.5
  assert total.value == pytest.approx(size, abs=1e-15)
  assert total.error == pytest.approx(2 * 2 * unit * size, rel=1e-9)
  square = compiler_programs.EXACTLY['square'](total)
  assert square.error == pytest.approx(2 * size * total.error + 2 * unit * size**2, rel=1e-5)
  whole = compiler_programs.given(np.float32([3, 4]))
  product = compiler_programs.EXACTLY['einsum'](whole, whole, spec='a,a->')
  assert (product.value, product.error, product.whole) == (25, 0, True)
  images = compiler_programs.given(np.arange(4, dtype=np.float32).reshape(1, 4, 1))
  kernel = compiler_programs.given(np.float32([[[1]], [[10]]]))
  found = compiler_programs.EXACTLY['conv'](images, kernel, padding='SAME')
  assert found.value.ravel().tolist() == [10, 21, 32, 3]


@pytest.mark.parametrize('fusions', ['default', 'individual_dot'])
def test_reproducers_are_found_where_the_compiler_is_faulty(fusions, tmp_path, monkeypatch):
  """One gives wrong numbers and the other ends the process, in which the next case must still run."""
  monkeypatch.setenv('XLA_FLAGS', AS_USERS['XLA_FLAGS'])
  cases = [f'program/{name}' for name in ('jax#39257', 'jax#39103', '4')]
  failed = compiler_difference.run(cases, tmp_path / fusions, fusions)
  wrong = [
    case
    for case in cases
    if case not in failed and compiler_difference.judged(case, tmp_path, fusions).wrong
  ]
  if AFFECTED and fusions == 'default':
    assert failed.keys() == {'program/jax#39257'}
    assert failed['program/jax#39257'].startswith('ended by signal')
    assert wrong == (['program/jax#39103'] if '0.10.2' in compiler_version() else [])
  else:
    assert (failed, wrong) == ({}, [])


def compiler_version():
  return compiler.importlib.metadata.version('jaxlib')


def test_processes_without_a_result_are_ended(tmp_path):
  failed = compiler_difference.run(['program/1'], tmp_path / 'off', 'off', seconds=0.05)
  assert failed == {'program/1': 'no result after 0.05 s'}


def test_errors_of_a_case_are_reported(tmp_path):
  failed = compiler_difference.run(['program/none'], tmp_path / 'off', 'off')
  assert failed['program/none'].startswith('ValueError: ')


def test_differences_beyond_rounding_are_found():
  draw = np.random.default_rng(0)
  expected = {'a': draw.normal(size=(32_769, 3)), 'b': np.arange(5.0), 'c': np.array('text')}
  expected['control/a'] = expected['a'] * (1 + 1e-7)

  def greatest(**changes):
    kept = {name: values for name, values in expected.items() if '/' not in name}
    return compiler_difference.differences({**kept, **changes}, expected)

  assert greatest() == {'a': 0, 'b': 0, 'c': 0}
  assert 0 < greatest(a=expected['a'] * (1 + 1e-6))['a'] < 1
  wrong = expected['a'].copy()
  wrong[-1] = wrong[-32]  # as in jax#39103
  assert greatest(a=wrong)['a'] > 100
  assert greatest(b=np.arange(5) + 1e-2)['b'] > 1
  assert greatest(c=np.array('other'))['c'] == math.inf
  assert greatest(b=np.zeros(4))['b'] == math.inf
  assert greatest(b=np.full(5, np.nan))['b'] == math.inf
  assert greatest(d=np.zeros(1))['d'] == math.inf
  expected['d'] = np.array(1e-7)  # a figure that measures rounding
  assert math.isnan(greatest(d=np.array(2e-7))['d'])
  assert greatest(d=np.array(1e-2))['d'] > 100
  expected['control/b'] = np.arange(6.0)
  assert math.isnan(greatest(b=np.zeros(4))['b'])
  found = {'x': np.ones(3), 'reference/x': np.array([1, 1, 1.01])}
  assert compiler_difference.against_reference(found)['reference/x'] > 1
  found['reference/x'] = np.ones(3) + 1e-6
  assert compiler_difference.against_reference(found)['reference/x'] < 1


def test_cases_are_all_configs_and_all_analyses():
  names = {case.split('/')[1] for case in compiler_cases.config_cases()}
  assert names == {'dense', *(file.stem for file in (ROOT / 'configs').glob('*.py'))}
  assert {case.split('/')[2] for case in compiler_cases.analysis_cases()} == set(VIEWS)


QUICK = ['config/dense/13', 'config/rnn_mnist/1']


def test_a_few_configs_are_equal_with_and_without_the_fusions(tmp_path, monkeypatch):
  monkeypatch.setenv('XLA_FLAGS', AS_USERS['XLA_FLAGS'])
  rows = []
  found = compiler_difference.compare(QUICK, tmp_path, ['default'], rows.append)
  assert found == {'off': {}, 'default': {}}
  assert [row.split(' | ')[:4] for row in rows[2:]] == [
    ['| default', 'config `dense`', '1', '0'],
    ['| default', 'config `rnn_mnist`', '1', '0'],
  ]
  compared = compiler_difference.read(
    compiler_difference.file_of('config/dense/13', tmp_path / 'default')
  )
  assert {'outputs', 'reference/some outputs', 'sums["loss"]'} <= {
    name.replace("'", '"') for name in compared
  }


@pytest.mark.slow
def test_everything_is_equal_with_and_without_the_fusions(capsys, monkeypatch):
  """The figure of docs/reliability.md. On affected versions, only the reproducers are wrong."""
  monkeypatch.setenv('XLA_FLAGS', AS_USERS['XLA_FLAGS'])
  assert compiler_difference.main(['--fusions=individual_dot']) == 0, capsys.readouterr().err
