"""Tests of optimizers: each equals its published update rule, written in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.step import optimizers, schedules

GRADIENTS = [
  np.array([0.3, -2.0]),
  np.array([0.1, 0.4]),
  np.array([-1.0, 0.2]),
  np.array([0.5, 0.5]),
]
RATE = 0.1


def run_optimizer(name, gradients, schedule=lambda step: 1.0, start=(0.0, 0.0), **arguments):
  """Returns a parameter [2] after one update per gradient."""
  optimizer = optimizers.OPTIMIZERS[name](schedule, learning_rate=RATE, **arguments)
  params = jnp.array([start], jnp.float32)
  state = optimizer.init(params)
  for gradient in gradients:
    updates, state = optimizer.update(jnp.asarray(gradient, jnp.float32)[None], state, params)
    params = params + updates
  return params[0]


def numpy_adam(gradients, *, start=0.0, decay=0.0, b1=0.9, b2=0.999, eps=1e-8):
  first = second = 0.0
  param = start
  for step, gradient in enumerate(gradients, start=1):
    first, second = b1 * first + (1 - b1) * gradient, b2 * second + (1 - b2) * gradient**2
    param = param - RATE * (
      first / (1 - b1**step) / (np.sqrt(second / (1 - b2**step)) + eps) + decay * param
    )
  return param


def numpy_sgd(gradients, *, start=0.0, decay=0.0, momentum=0.0, nesterov=False):
  param, velocity = start, 0.0
  for gradient in gradients:
    velocity = momentum * velocity + gradient
    param = param - RATE * (
      (gradient + momentum * velocity if nesterov else velocity) + decay * param
    )
  return param


def numpy_adagrad(gradients):
  param, squares = 0.0, 0.1
  for gradient in gradients:
    squares = squares + gradient**2
    param = param - RATE * gradient / np.sqrt(squares + 1e-7)
  return param


def numpy_rmsprop(gradients):
  param, squares = 0.0, 0.0
  for gradient in gradients:
    squares = 0.9 * squares + 0.1 * gradient**2
    param = param - RATE * gradient / np.sqrt(squares + 1e-7)
  return param


START = np.array([2.0, -1.0])
CASES = [
  ('adam', {}, numpy_adam(GRADIENTS)),
  ('adamw', dict(start=START), numpy_adam(GRADIENTS, start=START, decay=0.01)),
  ('sgd', {}, numpy_sgd(GRADIENTS)),
  ('sgd', dict(start=START, weight_decay=0.3), numpy_sgd(GRADIENTS, start=START, decay=0.3)),
  ('momentum', {}, numpy_sgd(GRADIENTS, momentum=0.9)),
  (
    'momentum',
    dict(start=START, weight_decay=0.3, momentum=0.5),
    numpy_sgd(GRADIENTS, start=START, decay=0.3, momentum=0.5),
  ),
  ('nesterov', {}, numpy_sgd(GRADIENTS, momentum=0.9, nesterov=True)),
  (
    'nesterov',
    dict(start=START, weight_decay=0.3),
    numpy_sgd(GRADIENTS, start=START, decay=0.3, momentum=0.9, nesterov=True),
  ),
  ('adagrad', {}, numpy_adagrad(GRADIENTS)),
  ('rmsprop', {}, numpy_rmsprop(GRADIENTS)),
]


@pytest.mark.parametrize(
  ('name', 'arguments', 'expected'),
  CASES,
  ids=lambda value: value if isinstance(value, str) else '',
)
def test_optimizer_equals_its_published_update_rule(name, arguments, expected):
  np.testing.assert_allclose(run_optimizer(name, GRADIENTS, **arguments), expected, rtol=1e-4)


@pytest.mark.parametrize('name', optimizers.OPTIMIZERS)
def test_clipping_scales_gradients_by_their_global_norm(name):
  norms = [np.linalg.norm(gradient) for gradient in GRADIENTS]
  clipped = [gradient * min(1, 0.5 / norm) for gradient, norm in zip(GRADIENTS, norms, strict=True)]
  np.testing.assert_allclose(
    run_optimizer(name, GRADIENTS, clip_norm=0.5), run_optimizer(name, clipped), rtol=1e-5
  )
  assert not np.allclose(
    run_optimizer('sgd', GRADIENTS, clip_norm=0.5), run_optimizer('sgd', GRADIENTS)
  )


@pytest.mark.parametrize('name', optimizers.OPTIMIZERS)
def test_schedule_multiplies_the_learning_rate(name):
  np.testing.assert_array_equal(run_optimizer(name, GRADIENTS, schedule=lambda step: 0.0), 0)
  np.testing.assert_allclose(
    run_optimizer(name, GRADIENTS, schedule=lambda step: jnp.where(step < 2, 1.0, 0.0)),
    run_optimizer(name, GRADIENTS[:2]),
    rtol=1e-6,
  )


@pytest.mark.parametrize('name', ['adamw', 'sgd', 'momentum', 'nesterov'])
def test_weight_decay_excludes_biases_and_batch_normalisation(name):
  """With zero gradients, the update is −rate · decay · parameter, also with gradient clipping."""
  params = {
    'conv1': {'kernel': jnp.ones((3, 3, 1, 2)), 'bias': jnp.ones(2)},
    'batch_norm1': {'scale': jnp.ones(2), 'bias': jnp.ones(2)},
    'lstm': {'recurrent_kernel': jnp.ones((2, 8)), 'bias': jnp.ones(8)},
  }
  for decay_all in (False, True):
    optimizer = optimizers.OPTIMIZERS[name](
      schedules.constant(3, 1),
      learning_rate=RATE,
      weight_decay=0.2,
      decay_all=decay_all,
      clip_norm=1.0,
    )
    gradients = jax.tree.map(jnp.zeros_like, params)
    updates, _ = optimizer.update(gradients, optimizer.init(params), params)
    for path, update in jax.tree_util.tree_leaves_with_path(updates):
      decays = decay_all or 'kernel' in path[-1].key
      np.testing.assert_allclose(update, -0.02 if decays else 0.0, rtol=1e-6, err_msg=str(path))


@pytest.mark.parametrize(
  ('name', 'arguments', 'message'),
  [
    (
      'adam',
      dict(learning_rate=0),
      r'config\.optimizer\.learning_rate=0 is out of range: use a number above 0',
    ),
    (
      'adam',
      dict(learning_rate='fast'),
      r"config\.optimizer\.learning_rate='fast' is not a number: use a number above 0",
    ),
    (
      'adam',
      dict(b1=1.0),
      r'config\.optimizer\.b1=1\.0 is out of range: use a number from 0 to below 1',
    ),
    (
      'sgd',
      dict(clip_norm=-1.0),
      r'config\.optimizer\.clip_norm=-1\.0 is out of range: use a number from 0 on',
    ),
    ('momentum', dict(momentum=1.5), r'config\.optimizer\.momentum=1\.5 is out of range'),
    (
      'adamw',
      dict(weight_decay=float('nan')),
      r'config\.optimizer\.weight_decay=nan is out of range',
    ),
    (
      'sgd',
      dict(decay_all=1),
      r'config\.optimizer\.decay_all=1 is not a boolean: use True or False',
    ),
    ('adagrad', dict(initial=-0.1), r'config\.optimizer\.initial=-0\.1 is out of range'),
    ('rmsprop', dict(decay=True), r'config\.optimizer\.decay=True is not a number'),
  ],
)
def test_out_of_range_error_names_the_valid_range(name, arguments, message):
  with pytest.raises(ValueError, match=f'^{message}'):
    optimizers.OPTIMIZERS[name](schedules.constant(3, 1), **{'learning_rate': 0.1, **arguments})
