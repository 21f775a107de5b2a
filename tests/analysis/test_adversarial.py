"""Tests of attacks: closed forms of linear networks, and bounds."""

import jax
import numpy as np
import optax
import pytest

from jaxdl import models
from jaxdl.analysis import adversarial

LINEAR = (dict(kind='flatten'), dict(kind='dense', features=2, activate=False, name='logits'))
DEEP = (
  dict(kind='conv', features=3, kernel=3),
  dict(kind='flatten'),
  dict(kind='dense', features=4, activate=False, name='logits'),
)
UNIT = adversarial.Range(0.0, 1.0, 1.0)


def network(layers, shape, seed=0):
  model = models.build(dict(name='cnn', layers=layers))
  random = np.random.default_rng(seed)
  shapes = jax.eval_shape(model.init, jax.random.PRNGKey(0), np.zeros((1, *shape), np.float32))
  return model, jax.tree.map(
    lambda leaf: random.normal(size=leaf.shape).astype(np.float32), dict(shapes)
  )


def test_fgsm_of_a_linear_network_is_the_closed_form():
  """The loss falls with the margin, whose gradient is w₀ − w₁ for label 0."""
  model, variables = network(LINEAR, (2, 3, 1))
  inputs = np.random.default_rng(1).uniform(0.2, 0.8, (5, 2, 3, 1)).astype(np.float32)
  labels = np.array([0, 1, 0, 1, 1])
  weights = variables['params']['logits']['kernel']
  toward = np.where(labels[:, None] == 0, 1, -1) * (weights[:, 1] - weights[:, 0])
  expected = inputs + 0.1 * np.sign(toward).reshape(inputs.shape)
  found = adversarial.fgsm(model, variables, inputs, labels, 0.1, UNIT)
  np.testing.assert_allclose(found, expected, atol=1e-6)
  # For a linear network, no change within ε is worse: PGD reaches the same loss.
  many = adversarial.pgd(model, variables, inputs, labels, 0.1, UNIT)
  np.testing.assert_allclose(many, expected, atol=1e-6)


def test_bounds_may_differ_between_pixels():
  """Each pixel moves by 0.1 times its unit, within its own range."""
  model, variables = network(LINEAR, (2, 3, 1))
  inputs, labels = np.full((2, 2, 3, 1), 0.5, np.float32), np.array([0, 1])
  weights = variables['params']['logits']['kernel'].reshape(2, 3, 1, 2)
  toward = np.sign(weights[..., 1] - weights[..., 0]) * np.array([1, -1]).reshape(2, 1, 1, 1)
  unit = np.arange(1.0, 7).reshape(2, 3, 1)
  low, high = 0.5 - unit[::-1] / 20, 0.5 + unit / 20
  expected = np.clip(0.5 + 0.1 * unit * toward, low, high)
  bounds = adversarial.Range(low, high, unit)
  found = adversarial.fgsm(model, variables, inputs, labels, 0.1, bounds)
  np.testing.assert_allclose(found, expected, atol=1e-6)


def test_epsilon_is_in_pixels_and_images_stay_in_the_range():
  """Inputs are (pixel − 0.5) / deviation."""
  model, variables = network(DEEP, (6, 6, 2))
  deviation = np.float32([0.25, 0.5])
  bounds = adversarial.Range(-0.5 / deviation, 0.5 / deviation, 1 / deviation)
  pixels = np.random.default_rng(1).random((7, 6, 6, 2), np.float32)
  inputs, labels = (pixels - 0.5) / deviation, np.arange(7) % 4
  for attack in (adversarial.fgsm, adversarial.pgd):
    for epsilon in (0.02, 0.3):
      found = attack(model, variables, inputs, labels, epsilon, bounds) * deviation + 0.5
      assert np.abs(found - pixels).max() <= epsilon * (1 + 1e-5)
      assert -1e-6 <= found.min() <= found.max() <= 1 + 1e-6
      assert np.abs(found - pixels).max() > 0.9 * epsilon
  same = adversarial.pgd(model, variables, inputs, labels, 0.0, bounds)
  np.testing.assert_allclose(same, inputs, atol=1e-6)


def test_pgd_is_at_least_as_strong_as_one_step_and_depends_on_the_seed_only():
  model, variables = network(DEEP, (6, 6, 1))
  inputs = np.random.default_rng(1).random((20, 6, 6, 1), np.float32)
  labels = np.asarray(model.apply(variables, inputs)).argmax(-1)

  def loss(images):
    return np.asarray(
      optax.softmax_cross_entropy_with_integer_labels(model.apply(variables, images), labels)
    )

  one = adversarial.fgsm(model, variables, inputs, labels, 0.1, UNIT)
  many = adversarial.pgd(model, variables, inputs, labels, 0.1, UNIT)
  assert (loss(many) >= loss(inputs) - 1e-6).all()
  assert loss(many).mean() >= loss(one).mean()
  again = adversarial.pgd(model, variables, inputs, labels, 0.1, UNIT)
  np.testing.assert_array_equal(again, many)


def test_robustness_of_a_linear_network_equals_the_margin():
  """A linear network is wrong as soon as ε |w₀ − w₁|₁ exceeds the margin."""
  model, variables = network(LINEAR, (2, 3, 1))
  random = np.random.default_rng(1)
  inputs = random.uniform(0.4, 0.6, (40, 2, 3, 1)).astype(np.float32)
  logits = np.asarray(model.apply(variables, inputs))
  labels = np.where(random.random(40) < 0.8, logits.argmax(-1), logits.argmin(-1))
  margin = (logits[:, 0] - logits[:, 1]) * np.where(labels == 0, 1, -1)
  weights = variables['params']['logits']['kernel']
  needed = margin / np.abs(weights[:, 0] - weights[:, 1]).sum()
  epsilons = [0.01, 0.05, 0.1, 0.3]
  found = adversarial.robustness(model, variables, inputs, labels, epsilons, UNIT)
  expected = [np.mean(needed > epsilon) for epsilon in (0, *epsilons)]
  np.testing.assert_allclose(found.fgsm, expected)
  np.testing.assert_allclose(found.pgd, expected)
  assert (np.diff(found.pgd) <= 0).all()
  flipped = np.isfinite(found.distance) & (found.distance > 0)
  assert flipped.any()
  assert (found.distance[flipped] >= needed[flipped]).all()
  predicted = np.asarray(model.apply(variables, found.examples)).argmax(-1)
  np.testing.assert_array_equal(predicted != labels, np.isfinite(found.distance))
  changed = np.abs(found.examples - inputs).max((1, 2, 3))
  assert (changed[flipped] <= found.distance[flipped] * (1 + 1e-5)).all()
  assert not changed[~flipped].any()


@pytest.mark.parametrize(
  ('call', 'message'),
  [
    (lambda *net: adversarial.fgsm(*net, -0.1, UNIT), 'epsilon=-0.1 is negative'),
    (lambda *net: adversarial.pgd(*net, 0.1, UNIT, steps=0), 'steps=0 is too few: use at least 1'),
    (
      lambda *net: adversarial.fgsm(*net[:3], np.zeros(3, int), 0.1, UNIT),
      r'2 inputs and labels of shape \(3,\): give one label each',
    ),
    (
      lambda *net: adversarial.robustness(*net, [0.2, 0.1], UNIT),
      r'epsilons=\[0.2, 0.1\] are not above 0 and ascending: sort them',
    ),
  ],
)
def test_attack_errors_name_the_fix(call, message, unchecked_types):
  model, variables = network(LINEAR, (2, 3, 1))
  with pytest.raises(ValueError, match=f'^{message}'):
    call(model, variables, np.zeros((2, 2, 3, 1), np.float32), np.zeros(2, int))
