"""Losses, the L2 penalty and mixed precision: by hand, and as a run has them."""

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


def test_label_smoothing_by_hand():
  """Cross entropy with the target (1 − 0.3) one-hot + 0.3 / 3 everywhere; the third example is
  padding.
  """
  sums = tasks.classify(jnp.log(PROBABILITIES), BATCH, label_smoothing=0.3)
  targets = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]])
  np.testing.assert_allclose(sums['loss'], -(targets * np.log(PROBABILITIES[:2])).sum(), rtol=1e-6)
  assert (float(sums['correct']), float(sums['count'])) == (1, 2)


def test_label_smoothing_of_next_char_leaves_its_bits_plain():
  logits, batch = (
    jnp.log(PROBABILITIES)[None],
    {name: values[None] for name, values in BATCH.items()},
  )
  smoothed, plain = (
    tasks.next_char(logits, batch, label_smoothing=0.3),
    tasks.next_char(logits, batch),
  )
  targets = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]])
  np.testing.assert_allclose(
    smoothed['loss'], -(targets * np.log(PROBABILITIES[:2])).sum(), rtol=1e-6
  )
  np.testing.assert_allclose(smoothed['bits'], -np.log2(0.5) - np.log2(0.2), rtol=1e-6)
  assert smoothed['bits'] == plain['bits']
  assert tasks.build(dict(name='next_char', label_smoothing=0.3))[1] is tasks.next_char


def test_squared_error_by_hand():
  sums = tasks.classify_by_squared_error(jnp.log(PROBABILITIES), BATCH)
  np.testing.assert_allclose(
    sums['loss'], (0.25 + 0.0625 + 0.0625) + (0.01 + 0.64 + 0.49), rtol=1e-6
  )
  assert (float(sums['correct']), float(sums['count'])) == (1, 2)


def test_a_task_changes_what_is_trained_and_evaluation_stays_plain(small):
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


def test_penalty_and_its_gradients_by_hand():
  """λ Σ w² has the gradient 2 λ w; biases and batch normalisation count only where everything does."""
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


def test_l2_moves_a_step_by_its_gradient_and_leaves_the_loss_alone(small):
  """One step of gradient descent with and without: kernels differ by rate · 2 λ w, biases not at
  all.
  """
  small['optimizer'] = dict(name='sgd', learning_rate=0.5)
  built = experiment.build(small, 'small')
  start = built.initial_state().params
  (plain, history), (shrunk, penalised) = run_steps(small, 1), run_steps({**small, 'l2': 0.01}, 1)
  assert 'penalty' not in history
  np.testing.assert_array_equal(penalised['loss'], history['loss'])
  expected = 0.01 * sum(float((leaf**2).sum()) for leaf in jax.tree.leaves(start) if leaf.ndim >= 2)
  assert float(penalised['penalty'][0]) == pytest.approx(
    expected * 16, rel=1e-5
  )  # counted once an example
  assert tasks.metrics({name: values[0] for name, values in penalised.items()})[
    'penalty'
  ] == pytest.approx(expected, rel=1e-5)
  for without, found, first in zip(
    *map(jax.tree.leaves, (plain.params, shrunk.params, start)), strict=True
  ):
    np.testing.assert_allclose(
      found, without - (0.5 * 0.02 * first if first.ndim >= 2 else 0), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize(
  'section',
  [pytest.param(BN_CNN, marks=pytest.mark.slow), {**RECURRENT, 'cell': 'gru'}],
  ids=['cnn', 'gru'],
)
def test_bfloat16_computes_low_and_gives_back_float32(section):
  """Outputs, batch statistics and gradients are float32 and near the float32 ones; every product is
  of bfloat16.
  """
  model = models.build(section)
  generator = np.random.default_rng(0)
  inputs = jnp.asarray(
    generator.random((16, 12, 12, 1) if section['name'] == 'cnn' else (16, 6, 4)), jnp.float32
  )
  weights = jnp.asarray(generator.normal(size=(16, 10)), jnp.float32)
  variables = {'batch_stats': {}, **model.init(jax.random.PRNGKey(0), inputs)}

  def outcome(params, kind):
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

  step = jax.jit(jax.grad(outcome, has_aux=True), static_argnums=1)
  exact, low = (step(variables['params'], kind) for kind in ('float32', 'bfloat16'))
  assert {str(leaf.dtype) for leaf in jax.tree.leaves(low)} == {'float32'}
  for found, expected in zip(
    (low[0], *low[1]), (exact[0], *exact[1]), strict=True
  ):  # gradients, outputs, statistics
    (found, _), (expected, _) = map(ravel_pytree, (found, expected))
    assert jnp.linalg.norm(found - expected) <= 0.05 * jnp.linalg.norm(expected)
  text = str(jax.make_jaxpr(lambda params: outcome(params, 'bfloat16')[1][0])(variables['params']))
  products = [
    line for line in text.splitlines() if 'dot_general[' in line or 'conv_general_dilated[' in line
  ]
  assert products
  assert all(':bf16[' in line for line in products), products


@pytest.mark.slow
def test_a_batch_can_be_overfitted_in_bfloat16(small_cnn):
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
def test_an_initializer_changes_its_kernels(section, layer, kernel):
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
      r"config\.precision='float16' is unknown: use one of float32, bfloat16",
    ),
    (
      dict(model={**RECURRENT, 'recurrent_initializer': 'zeros'}),
      r"config\.model\.recurrent_initializer='zeros' is unknown: use one of glorot_uniform",
    ),
  ],
)
def test_a_wrong_key_names_the_mend(keys, message, small):
  with pytest.raises(ValueError, match=f'^{message}'):
    experiment.build({**small, **keys}, 'small')
