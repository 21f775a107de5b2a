"""Mutation tests: the tests of the analyses must find mutants of the source code.

The mutants are run by `pytest -m slow`.
"""

import ast
import shutil

import forked
import mutants
import pytest
from helpers import ROOT

# Source file → (its files of tests, lowest share of mutants that they must kill, as measured). Some mutants
# are equivalent to the original, so the share may be below 1.
TESTS = {
  'analysis/units.py': ('analysis/test_units.py', 13 / 13),
  'analysis/batches.py': ('analysis/test_statistics.py', 5 / 6),
  'analysis/maps/guided_backprop.py': ('analysis/test_guided_backprop.py', 6 / 6),
  'analysis/attribution.py': ('analysis/test_attribution.py', 3 / 4),
  'analysis/maps/gradients.py': ('analysis/test_guided_backprop.py', 8 / 11),
  'analysis/maps/integrated_gradients.py': ('analysis/test_attribution.py', 2 / 2),
  'analysis/maps/grad_cam.py': ('analysis/test_attribution.py', 8 / 8),
  'analysis/grading/sanity.py': ('analysis/test_attribution.py', 7 / 10),
  'analysis/maps/occlusion.py': ('analysis/test_occlusion.py', 7 / 7),
  'analysis/maps/local_forward.py': ('analysis/test_occlusion.py', 6 / 8),
  'analysis/fields.py': ('analysis/test_receptive_field.py', 5 / 6),
  'analysis/neurons.py': ('analysis/test_neurons.py', 8 / 10),
  'analysis/evolution.py': ('analysis/test_evolution.py', 2 / 2),
  'analysis/activations.py': ('analysis/test_statistics.py', 6 / 7),
  'analysis/errors.py': ('analysis/test_errors.py', 8 / 10),
  'analysis/embeddings.py': ('analysis/test_embeddings.py', 3 / 5),
  'analysis/embedding_quality.py': ('analysis/test_embeddings.py', 8 / 9),
  'analysis/projector.py': ('analysis/test_projector.py', 4 / 4),
  'analysis/filters.py': ('analysis/test_filters.py', 4 / 4),
  'analysis/weights.py': ('analysis/test_weights.py', 5 / 5),
  'analysis/autoencoder.py': ('analysis/test_autoencoder.py', 4 / 4),
  'analysis/maximization.py': ('analysis/test_maximization.py', 11 / 12),
  'analysis/parametrisation.py': ('analysis/test_maximization.py', 6 / 6),
  'analysis/characters.py': ('analysis/test_recurrent.py', 12 / 13),
  'analysis/recurrent.py': ('analysis/test_recurrent.py', 5 / 5),
  'analysis/reference/network.py': ('analysis/test_reference.py', 13 / 14),
  'analysis/reference/recurrence.py': ('analysis/test_reference.py', 10 / 11),
  'analysis/reference/operations.py': ('analysis/test_reference.py', 21 / 23),
  'analysis/methods.py': ('analysis/test_methods.py analysis/test_sequence_methods.py', 10 / 10),
  'analysis/maps/relevance.py': ('analysis/test_relevance.py', 7 / 7),
  'analysis/maps/relevance_rules.py': ('analysis/test_relevance.py', 5 / 5),
  'analysis/maps/canonical.py': ('analysis/test_relevance.py', 6 / 6),
  'analysis/maps/deep_lift.py': ('analysis/test_deep_lift.py', 5 / 6),
  'analysis/maps/expected_gradients.py': ('analysis/test_deep_lift.py', 4 / 4),
  'analysis/maps/class_activation.py': ('analysis/test_class_activation.py', 9 / 9),
  'analysis/maps/rise.py': ('analysis/test_class_activation.py', 3 / 3),
  'analysis/maps/recurrent_lrp.py': ('analysis/test_recurrent_lrp.py', 13 / 14),
  'analysis/maps/last_character.py': ('analysis/test_sequence_methods.py', 4 / 5),
  'analysis/maps/step_occlusion.py': ('analysis/test_sequence_methods.py', 3 / 3),
  'analysis/grading/completeness.py': ('analysis/test_sequence_methods.py', 5 / 6),
  'analysis/grading/localisation.py': ('analysis/test_localisation.py', 7 / 7),
  'analysis/grading/faithfulness.py': ('analysis/test_faithfulness.py', 10 / 11),
  'analysis/grading/removal.py': ('analysis/test_faithfulness.py', 12 / 13),
  'analysis/grading/imputation.py': ('analysis/test_faithfulness.py', 5 / 5),
  'analysis/grading/stability.py': ('analysis/test_stability.py', 8 / 9),
  'analysis/grading/map_metrics.py': ('analysis/test_map_metrics.py', 8 / 8),
  'analysis/ablation.py': ('analysis/test_ablation.py', 9 / 11),
  'analysis/influence.py': ('analysis/test_influence.py', 8 / 11),
  'analysis/adversarial.py': ('analysis/test_adversarial.py', 8 / 8),
  'analysis/loss_landscape.py': ('analysis/test_loss_landscape.py', 7 / 7),
  'analysis/probes.py': ('analysis/test_probes.py', 2 / 2),
  'analysis/layer_features.py': ('analysis/test_probes.py', 2 / 2),
  'analysis/similarity.py': ('analysis/test_similarity.py', 3 / 3),
  'analysis/nearest.py': ('analysis/test_nearest.py', 3 / 3),
  'analysis/concepts.py': ('analysis/test_concepts.py', 11 / 11),
  'analysis/importance.py': ('analysis/test_importance.py', 1 / 1),
  'analysis/labels.py': ('analysis/test_targets.py', 4 / 5),
  'analysis/regression.py': ('analysis/test_targets.py', 1 / 1),
  'analysis/dynamic_evaluation.py': ('analysis/test_dynamic_evaluation.py', 7 / 7),
  'analysis/reference/transformer.py': ('analysis/test_reference.py', 3 / 3),
  'runs/integrity.py': ('runs/test_integrity.py', 8 / 8),
  'data/order.py': ('data/test_data.py', 7 / 10),
  'step/schedules.py': ('step/test_schedules.py', 12 / 12),
  'step/plateau.py': ('step/test_plateau.py', 4 / 4),
  'step/steps.py': ('step/test_steps.py training/test_training_rules.py', 12 / 12),
  'step/metrics.py': ('step/test_metrics.py', 12 / 13),
  'step/optimizers.py': ('step/test_optimizers.py', 19 / 20),
  'step/scores.py': ('step/test_further_tasks.py', 10 / 10),
  'step/watch.py': ('step/test_further_tasks.py', 6 / 6),
  'step/class_weights.py': ('step/test_further_tasks.py', 2 / 2),
  'step/layer_groups.py': ('step/test_optimizers.py step/test_steps.py', 8 / 8),
  'runs/packed.py': ('runs/test_packed.py', 18 / 21),
  'models/geometry.py': ('models/test_geometry.py', 8 / 9),
  'ops/pooling.py': ('ops/test_pooling.py', 10 / 13),
  'ops/winograd.py': ('ops/test_convolution.py', 18 / 19),
}


def mutants_of(file):
  return mutants.of_source((ROOT / 'jaxdl' / file).read_text())


def copy_to(folder):
  """Copies the files that the tests need."""
  for name in ('jaxdl', 'tests', 'launch', 'configs'):
    ignored = shutil.ignore_patterns('bundled', '__pycache__')
    shutil.copytree(ROOT / name, folder / name, ignore=ignored)
  shutil.copy(ROOT / 'pyproject.toml', folder)
  (folder / 'jaxdl/data/bundled').symlink_to(ROOT / 'jaxdl/data/bundled')


def run_tests(folder, tests):
  """Runs tests in another process until the first failure; returns (exit code, end of the output)."""
  files = [f'tests/{name}' for name in tests.split()]
  options = ['-x', '-q', '-n0', '-p', 'no:cacheprovider', *files]
  environment = {
    'JAXDL_CHECK_TYPES': '0',  # a mutant must be found by assertions, not by type checks
    'JAX_COMPILATION_CACHE_DIR': str(folder / 'compiled'),  # most mutants share most programs
  }
  output = folder / 'output'
  process = forked.started(forked.run_pytest, (folder, options, environment), output)
  process.join(timeout=300)
  if process.is_alive():  # such as an endless loop
    process.kill()
    process.join()
    return pytest.ExitCode.TESTS_FAILED, 'timeout'
  return process.exitcode, output.read_text()[-3000:]


@pytest.mark.parametrize(
  ('expression', 'expected'),
  [
    ('a < b', {'a <= b'}),
    ('a == b', {'a != b'}),
    ('a + b', {'a - b'}),
    ('a * b', {'a / b'}),
    ('a and b', {'a or b'}),
    ('not a', {'a'}),
    ('-a', {'a'}),
    ('a if b else c', {'c if b else a'}),
    ('3', {'4', '2'}),
    ('0.5', {'0.25'}),
    ('True', {'False'}),
    ("'text'", set()),
    ('f(a, b)', {'f(b, a)'}),
    ('f(a, axis=x, keepdims=y)', {'f(a, keepdims=y)', 'f(a, axis=x)'}),
    ('f(*a, b, **c)', set()),
    ('np.argsort(a)', {'np.argsort(a)[::-1]'}),
  ],
)
def test_mutation_operators(expression, expected):
  node = ast.parse(expression, mode='eval').body
  assert {ast.unparse(mistake) for mistake in mutants.mistakes(node)} == expected


def test_mutation_of_a_slice_removes_a_bound():
  slices = mutants.mistakes(ast.parse('a[i:j]', mode='eval').body.slice)
  assert {ast.unparse(bounds) for bounds in slices} == {':j', 'i:', 'i:j'}


def test_mutants_do_not_depend_on_formatting():
  """The formatting of the source and the code around a function do not change its mutant."""
  source = 'def f(a: int, b):\n  """Sum."""\n  return a + b  # both\n'
  reworded = 'x = 1\n\n\ndef f(a, b):\n    return (\n        a + b\n    )\n'
  (mutant,), (again,) = mutants.of_source(source), mutants.of_source(reworded)
  assert 'return a - b' in mutant.source
  assert 'return a - b' in again.source
  assert mutants.of_source('def f(a):\n  raise ValueError(1 + a)\n') == []


@pytest.mark.parametrize('file', TESTS)
@pytest.mark.slow
def test_mutants_compile_and_differ_from_the_source(file):
  source = (ROOT / 'jaxdl' / file).read_text()
  found = mutants_of(file)
  assert found, 'the file has no function that can be mutated'
  assert found == mutants_of(file)
  assert ast.unparse(ast.parse(source)) not in [mutant.source for mutant in found]
  for mutant in found:
    compile(mutant.source, mutant.name, 'exec')
  tests, _ = TESTS[file]
  for name in tests.split():
    assert 'def test_' in (ROOT / 'tests' / name).read_text()


@pytest.mark.slow
@pytest.mark.parametrize('file', TESTS)
def test_mutants_are_killed(file, tmp_path):
  tests, lowest_share = TESTS[file]
  copy_to(tmp_path)
  code, output = run_tests(tmp_path, tests)
  assert code == pytest.ExitCode.OK, f'the tests fail without a mutation: {output}'
  found = mutants_of(file)
  survivors = []
  for mutant in found:
    (tmp_path / 'jaxdl' / file).write_text(mutant.source)
    code, output = run_tests(tmp_path, tests)
    if code == pytest.ExitCode.OK:
      survivors.append(mutant.name)
  killed = len(found) - len(survivors)
  summary = '\n'.join([f'{file}: {killed} of {len(found)} mutants killed; survivors:', *survivors])
  print(summary)
  assert killed / len(found) >= lowest_share, summary
