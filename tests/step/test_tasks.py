"""Tests of losses, the L2 penalty, mixed precision and initializers, alone and in training."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import BN_CNN, RECURRENT
from jax.flatten_util import ravel_pytree
from training_helpers import run_steps

from jaxdl import models
from jaxdl.step import precision, tasks
from jaxdl.training import experiment

TEXT = dict(name='language_model', cell='gru', features=5, classes=7, layers=2)
PROBABILITIES = np.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7], [0.9, 0.05, 0.05]])
BATCH = {'label': jnp.array([0, 1, 0]), 'mask': jnp.array([1.0, 1.0, 0.0])}


def test_label_smoothing_equals_hand_computed_loss():
  """Cross entropy with targets (1 − 0.3) · one-hot + 0.3 / 3; the third example is padding."""
  sums = tasks.classify(jnp.log(PROBABILITIES), BATCH, label_smoothing=0.3)
  targets = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]])
  np.testing.assert_allclose(sums['loss'], -(targets * np.log(PROBABILITIES[:2])).sum(), rtol=1e-6)
  assert (float(sums['correct']), float(sums['count'])) == (1, 2)


def test_label_smoothing_of_next_char_does_not_change_bits():
  logits = jnp.log(PROBABILITIES)[None]
  batch = {name: values[None] for name, values in BATCH.items()}
  smoothed = tasks.next_char(logits, batch, label_smoothing=0.3)
  plain = tasks.next_char(logits, batch)
  targets = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]])
  np.testing.assert_allclose(
    smoothed['loss'], -(targets * np.log(PROBABILITIES[:2])).sum(), rtol=1e-6
  )
  np.testing.assert_allclose(smoothed['bits'], -np.log2(0.5) - np.log2(0.2), rtol=1e-6)
  assert smoothed['bits'] == plain['bits']
  assert tasks.build(dict(name='next_char', label_smoothing=0.3))[1] is tasks.next_char


def test_squared_error_equals_hand_computed_loss():
  sums = tasks.classify_by_squared_error(jnp.log(PROBABILITIES), BATCH)
  np.testing.assert_allclose(
    sums['loss'], (0.25 + 0.0625 + 0.0625) + (0.01 + 0.64 + 0.49), rtol=1e-6
  )
  assert (float(sums['correct']), float(sums['count'])) == (1, 2)


def test_evaluation_uses_the_task_without_its_options(small):
  built = experiment.build({**small, 'task': dict(name='classify', label_smoothing=0.3)}, 'small')
  logits = jnp.log(PROBABILITIES)
  assert (
    built.recipe.task(logits, BATCH)['loss']
    == tasks.classify(logits, BATCH, label_smoothing=0.3)['loss']
  )
  assert built.evaluation_task(logits, BATCH)['loss'] == tasks.classify(logits, BATCH)['loss']
  for form in ('classify_by_squared_error', dict(name='classify_by_squared_error')):
    built = experiment.build({**small, 'task': form}, 'small')
    assert (
      built.recipe.task(logits, BATCH)['loss']
      == built.evaluation_task(logits, BATCH)['loss']
      < 2 * 2
    )


TREE = {
  'conv1': {'kernel': jnp.array([[1.0, -2.0]]), 'bias': jnp.array([3.0])},
  'batch_norm1': {'scale': jnp.array([4.0])},
}


def test_l2_penalty_and_gradients_equal_hand_values():
  """λ Σ w² has the gradient 2 λ w. Biases and batch normalisation need everything=True."""
  value, gradients = jax.value_and_grad(lambda tree: tasks.l2(tree, strength=0.5))(TREE)
  assert float(value) == 2.5
  jax.tree.map(
    np.testing.assert_array_equal,
    gradients,
    {'conv1': {'kernel': [[1.0, -2.0]], 'bias': [0.0]}, 'batch_norm1': {'scale': [0.0]}},
    is_leaf=lambda leaf: isinstance(leaf, list),
  )
  value, gradients = jax.value_and_grad(lambda tree: tasks.l2(tree, strength=0.5, everything=True))(
    TREE
  )
  assert float(value) == 0.5 * (1 + 4 + 9 + 16)
  jax.tree.map(np.testing.assert_array_equal, gradients, TREE)


def test_l2_changes_the_update_but_not_the_loss(small):
  """After one step of SGD with and without L2, kernels differ by rate · 2 λ w, biases do not."""
  small['optimizer'] = dict(name='sgd', learning_rate=0.5)
  built = experiment.build(small, 'small')
  start = built.initial_state().params
  plain, plain_history = run_steps(small, 1)
  regularised, history = run_steps({**small, 'l2': 0.01}, 1)
  assert 'penalty' not in plain_history
  np.testing.assert_array_equal(history['loss'], plain_history['loss'])
  expected = 0.01 * sum(float((leaf**2).sum()) for leaf in jax.tree.leaves(start) if leaf.ndim >= 2)
  # The penalty is summed over the 16 examples.
  assert float(history['penalty'][0]) == pytest.approx(expected * 16, rel=1e-5)
  found = tasks.metrics({name: values[0] for name, values in history.items()})
  assert found['penalty'] == pytest.approx(expected, rel=1e-5)
  for without, found, initial in zip(
    *map(jax.tree.leaves, (plain.params, regularised.params, start)), strict=True
  ):
    shrinkage = 0.5 * 0.02 * initial if initial.ndim >= 2 else 0
    np.testing.assert_allclose(found, without - shrinkage, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
  'section',
  [pytest.param(BN_CNN, marks=pytest.mark.slow), {**RECURRENT, 'cell': 'gru'}],
  ids=['cnn', 'gru'],
)
@pytest.mark.parametrize('low_precision', ['bfloat16', 'bfloat16_products'])
def test_low_precision_computes_products_and_returns_float32(section, low_precision):
  """Outputs, batch statistics and gradients are float32 and close to those computed in float32.

  Every product is computed in bfloat16.
  """
  model = models.build(section)
  generator = np.random.default_rng(0)
  inputs = jnp.asarray(
    generator.random((16, 12, 12, 1) if section['name'] == 'cnn' else (16, 6, 4)), jnp.float32
  )
  weights = jnp.asarray(generator.normal(size=(16, 10)), jnp.float32)
  variables = {'batch_stats': {}, **model.init(jax.random.PRNGKey(0), inputs)}

  def compute(params, kind):
    outputs, updated = precision.compute_in(model.apply, kind)(
      {**variables, 'params': params},
      inputs,
      train=True,
      mask=jnp.ones(16),
      index=jnp.arange(16),
      mutable=['batch_stats'],
      rngs={'dropout': jax.random.PRNGKey(1)},
    )
    return (outputs * weights).sum(), (outputs, updated.get('batch_stats', {}))

  step = jax.jit(jax.grad(compute, has_aux=True), static_argnums=1)
  exact, low = (step(variables['params'], kind) for kind in ('float32', low_precision))
  assert {str(leaf.dtype) for leaf in jax.tree.leaves(low)} == {'float32'}
  # The three pairs are gradients, outputs and statistics.
  for found, expected in zip((low[0], *low[1]), (exact[0], *exact[1]), strict=True):
    found, expected = ravel_pytree(found)[0], ravel_pytree(expected)[0]
    assert jnp.linalg.norm(found - expected) <= 0.05 * jnp.linalg.norm(expected)
  traced = jax.make_jaxpr(lambda params: compute(params, low_precision)[1][0])(variables['params'])
  factors = list(factors_of_products(traced.jaxpr))
  assert factors
  assert {str(dtype) for dtype in factors} == {'bfloat16'}


def factors_of_products(program):
  """Yields the types of the factors of all matrix products of a traced program."""
  for equation in program.eqns:
    if equation.primitive.name == 'dot_general':
      yield from (factor.aval.dtype for factor in equation.invars)
    for value in jax.tree.leaves(
      list(equation.params.values()), is_leaf=lambda leaf: hasattr(leaf, 'eqns')
    ):
      inner = getattr(value, 'jaxpr', value)
      if hasattr(inner, 'eqns'):
        yield from factors_of_products(inner)


@pytest.mark.slow
def test_bfloat16_training_can_overfit_a_batch(small_cnn):
  config = {**small_cnn, 'precision': 'bfloat16', 'task': dict(name='classify')}
  config['data']['splits'] = dict(train='train[:16]')
  config['optimizer']['learning_rate'] = 3e-2
  after, history = run_steps(config, 150)
  assert {leaf.dtype for leaf in jax.tree.leaves((after.params, after.batch_stats))} == {
    jnp.dtype('float32')
  }
  assert {str(leaf.dtype) for leaf in jax.tree.leaves(after.opt_state)} == {'float32', 'int32'}
  first, last = (float(history['loss'][i] / history['count'][i]) for i in (0, -1))
  assert last < 0.25 < 1.5 < first


@pytest.mark.parametrize(
  ('section', 'layer', 'kernel'),
  [
    pytest.param(
      {**RECURRENT, 'recurrent_initializer': 'he_normal'},
      'lstm',
      'recurrent_kernel',
      marks=pytest.mark.slow,
    ),
    ({**RECURRENT, 'initializer': 'orthogonal'}, 'lstm', 'input_kernel'),
    ({**BN_CNN, 'initializer': 'orthogonal'}, 'conv1', 'kernel'),
    ({**TEXT, 'recurrent_initializer': 'he_normal'}, 'gru2', 'recurrent_kernel'),
    pytest.param({**TEXT, 'initializer': 'orthogonal'}, 'logits', 'kernel', marks=pytest.mark.slow),
  ],
  ids=lambda value: value if isinstance(value, str) else '',
)
def test_initializer_key_changes_its_kernels(section, layer, kernel):
  inputs = {
    'cnn': jnp.zeros((1, 28, 28, 1)),
    'recurrent': jnp.zeros((1, 28, 28)),
    'language_model': jnp.zeros((1, 3), int),
  }
  plain = {key: value for key, value in section.items() if 'initializer' not in key}
  chosen, default = (
    jax.jit(models.build(each).init)(jax.random.PRNGKey(0), inputs[section['name']])['params'][
      layer
    ][kernel]
    for each in (section, plain)
  )
  assert not np.array_equal(chosen, default)
  if 'orthogonal' in section.values():
    flat = np.asarray(chosen).reshape(-1, chosen.shape[-1])
    product = flat @ flat.T if flat.shape[0] < flat.shape[1] else flat.T @ flat
    np.testing.assert_allclose(product, np.eye(min(flat.shape)), atol=1e-5)


@pytest.mark.parametrize(
  ('keys', 'message'),
  [
    (dict(task='clasify'), r"config\.task='clasify' is unknown: use one of classify, "),
    (
      dict(task=dict(name='clasify')),
      r"config\.task\.name='clasify' is unknown: use one of classify, ",
    ),
    (
      dict(task=dict(name='classify', smoothing=0.1)),
      r'config\.task\.smoothing is not a key of this section: its keys are label_smoothing',
    ),
    (
      dict(task=dict(name='classify', label_smoothing=1.0)),
      r'config\.task\.label_smoothing=1\.0 is out of range: use a number from 0 to below 1',
    ),
    (dict(l2=-0.1), r'config\.l2=-0\.1 is out of range: use a number from 0 on'),
    (dict(l2_all='no'), r"config\.l2_all='no' is not a boolean: use True or False"),
    (
      dict(precision='float16'),
      r"config\.precision='float16' is unknown: use one of float32, bfloat16, bfloat16_products",
    ),
    (
      dict(model={**RECURRENT, 'recurrent_initializer': 'zeros'}),
      r"config\.model\.recurrent_initializer='zeros' is unknown: use one of glorot_uniform",
    ),
  ],
)
def test_invalid_key_error_names_the_fix(keys, message, small):
  with pytest.raises(ValueError, match=f'^{message}'):
    experiment.build({**small, **keys}, 'small')
