"""Optimizers against their published recursions, written out in NumPy."""

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


def moved(name, gradients, schedule=lambda step: 1.0, start=(0.0, 0.0), **arguments):
  """Where a parameter [1, 2] stands after the gradients."""
  rule = optimizers.OPTIMIZERS[name](schedule, learning_rate=RATE, **arguments)
  params = jnp.array([start], jnp.float32)
  state = rule.init(params)
  for gradient in gradients:
    updates, state = rule.update(jnp.asarray(gradient, jnp.float32)[None], state, params)
    params = params + updates
  return params[0]


def numpy_adam(gradients, *, start=0.0, decay=0.0, b1=0.9, b2=0.999, eps=1e-8):
  first = second = 0.0
  place = start
  for step, gradient in enumerate(gradients, start=1):
    first, second = b1 * first + (1 - b1) * gradient, b2 * second + (1 - b2) * gradient**2
    place = place - RATE * (
      first / (1 - b1**step) / (np.sqrt(second / (1 - b2**step)) + eps) + decay * place
    )
  return place


def numpy_sgd(gradients, *, start=0.0, decay=0.0, momentum=0.0, nesterov=False):
  place, velocity = start, 0.0
  for gradient in gradients:
    velocity = momentum * velocity + gradient
    place = place - RATE * (
      (gradient + momentum * velocity if nesterov else velocity) + decay * place
    )
  return place


def numpy_adagrad(gradients):
  place, squares = 0.0, 0.1
  for gradient in gradients:
    squares = squares + gradient**2
    place = place - RATE * gradient / np.sqrt(squares + 1e-7)
  return place


def numpy_rmsprop(gradients):
  place, squares = 0.0, 0.0
  for gradient in gradients:
    squares = 0.9 * squares + 0.1 * gradient**2
    place = place - RATE * gradient / np.sqrt(squares + 1e-7)
  return place


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
def test_optimizer_equals_its_recursion(name, arguments, expected):
  np.testing.assert_allclose(moved(name, GRADIENTS, **arguments), expected, rtol=1e-4)


@pytest.mark.parametrize('name', optimizers.OPTIMIZERS)
def test_clipping_scales_all_gradients_together(name):
  norms = [np.linalg.norm(gradient) for gradient in GRADIENTS]
  clipped = [gradient * min(1, 0.5 / norm) for gradient, norm in zip(GRADIENTS, norms, strict=True)]
  np.testing.assert_allclose(moved(name, GRADIENTS, clip_norm=0.5), moved(name, clipped), rtol=1e-5)
  assert not np.allclose(moved('sgd', GRADIENTS, clip_norm=0.5), moved('sgd', GRADIENTS))


@pytest.mark.parametrize('name', optimizers.OPTIMIZERS)
def test_the_schedule_is_a_factor_on_the_rate(name):
  np.testing.assert_array_equal(moved(name, GRADIENTS, schedule=lambda step: 0.0), 0)
  np.testing.assert_allclose(
    moved(name, GRADIENTS, schedule=lambda step: jnp.where(step < 2, 1.0, 0.0)),
    moved(name, GRADIENTS[:2]),
    rtol=1e-6,
  )


@pytest.mark.parametrize('name', ['adamw', 'sgd', 'momentum', 'nesterov'])
def test_decay_leaves_out_biases_and_batch_normalisation(name):
  """With gradients of 0 only decay moves anything: by rate · decay · parameter, also under a
  clipped norm.
  """
  params = {
    'conv1': {'kernel': jnp.ones((3, 3, 1, 2)), 'bias': jnp.ones(2)},
    'batch_norm1': {'scale': jnp.ones(2), 'bias': jnp.ones(2)},
    'lstm': {'recurrent_kernel': jnp.ones((2, 8)), 'bias': jnp.ones(8)},
  }
  for everything in (False, True):
    rule = optimizers.OPTIMIZERS[name](
      schedules.constant(3, 1),
      learning_rate=RATE,
      weight_decay=0.2,
      decay_all=everything,
      clip_norm=1.0,
    )
    updates, _ = rule.update(jax.tree.map(jnp.zeros_like, params), rule.init(params), params)
    for path, update in jax.tree_util.tree_leaves_with_path(updates):
      decays = everything or 'kernel' in path[-1].key
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
def test_a_number_out_of_its_range_names_the_valid_one(name, arguments, message):
  with pytest.raises(ValueError, match=f'^{message}'):
    optimizers.OPTIMIZERS[name](schedules.constant(3, 1), **{'learning_rate': 0.1, **arguments})
