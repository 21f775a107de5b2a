"""Tests of the stability of maps on networks of 1 × 3 pixels."""

import itertools

import numpy as np
import pytest

from jaxdl.analysis import attribution
from jaxdl.analysis.grading import stability
from jaxdl.analysis.maps.last_character import LastCharacter
from jaxdl.models import CNN, LanguageModel, Recurrent

WEIGHTS = np.array([[1.0, 3.0], [-0.5, 1.0], [2.0, 2.0]], np.float32)  # [pixels, classes]
IMAGES = np.array([[1.0, 0.8, 0.5], [0.2, 0.4, 0.9]], np.float32).reshape(2, 1, 3, 1)
CLASSES = np.zeros(2, int)


@pytest.fixture(scope='module')
def linear():
  model = CNN(layers=(dict(kind='flatten'), dict(kind='dense', features=2, activate=False)))
  return model, {'params': {'dense1': {'kernel': WEIGHTS, 'bias': np.zeros(2, np.float32)}}}


def identity(model, variables, inputs, target):
  return inputs


def test_max_sensitivity_is_zero_for_the_gradient_of_a_linear_network(linear):
  found = stability.max_sensitivity(attribution.saliency, *linear, IMAGES, CLASSES)
  assert found.tolist() == [0, 0]


def test_max_sensitivity_approaches_the_enumerated_greatest_change(linear):
  few, many = (
    stability.max_sensitivity(identity, *linear, IMAGES, CLASSES, radius=0.1, samples=samples)
    for samples in (4, 256)
  )
  corners = np.array(list(itertools.product((-1, 1), repeat=3)))
  for number, image in enumerate(IMAGES.reshape(2, 3)):
    changes = np.linalg.norm(corners * 0.1 * np.ptp(image), axis=1) / np.linalg.norm(image)
    assert 0.75 * changes.max() < many[number] <= changes.max()
    assert few[number] <= many[number]


def test_noise_is_uniform_around_each_input(linear):
  """The noise takes the numbers in ±radius × range of the input, with a mean of 0."""
  noises = []

  def recorded(model, variables, inputs, target):
    noises.append(inputs - IMAGES)
    return inputs

  given = dict(radius=0.1, samples=256, maps=IMAGES)
  changes = stability.max_sensitivity(recorded, *linear, IMAGES, CLASSES, **given)
  noise = np.array(noises).reshape(256, 2, 3)
  limits = 0.1 * np.array([0.5, 0.7])  # of 0.5..1 and of 0.2..0.9
  for number, limit in enumerate(limits):
    values = noise[:, number] / limit
    assert -1.001 < values.min() < -0.95
    assert 0.95 < values.max() < 1.001
    # Standard deviation 1 / √3, of the mean of 768 numbers 0.021
    assert abs(values.mean()) < 0.1
    assert abs(values.std() - 3**-0.5) < 0.05
    assert len(np.unique(values)) > 700, 'pixels and copies have noise of their own'
  lengths = np.linalg.norm(noise, axis=2) / np.linalg.norm(IMAGES.reshape(2, 3), axis=1)
  np.testing.assert_allclose(changes, lengths.max(0), rtol=1e-5)
  one = stability.max_sensitivity(identity, *linear, IMAGES, CLASSES, radius=0.1, samples=1)
  np.testing.assert_allclose(one, lengths[0], rtol=1e-5)


def test_noise_does_not_depend_on_the_other_inputs(linear):
  both = stability.max_sensitivity(identity, *linear, IMAGES, CLASSES)
  first = stability.max_sensitivity(identity, *linear, IMAGES[:1], CLASSES[:1])
  assert both[0] == first[0]
  with pytest.raises(ValueError, match='samples=0 and radius=0.05: use at least one sample'):
    stability.max_sensitivity(identity, *linear, IMAGES, CLASSES, samples=0)


def test_input_invariance_by_hand(linear):
  found = stability.input_invariance_error(attribution.saliency, *linear, IMAGES, CLASSES)
  np.testing.assert_allclose(found, 0, atol=1e-6)
  # The map w · x becomes w · (x − 1): it changes by w.
  found = stability.input_invariance_error(attribution.input_x_gradient, *linear, IMAGES, CLASSES)
  weights = WEIGHTS[:, 0]
  expected = np.linalg.norm(weights) / np.linalg.norm(weights * IMAGES.reshape(2, 3), axis=1)
  np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(
  ('model', 'inputs'),
  [
    (
      CNN(
        layers=(
          dict(kind='conv', features=2, kernel=3, padding='SAME'),
          dict(kind='flatten'),
          dict(kind='dense', features=2, activate=False),
        )
      ),
      IMAGES,
    ),
    (Recurrent(cell='gru', features=3, classes=2), IMAGES[..., 0]),
    (LastCharacter(LanguageModel(cell='gru', features=3, classes=3)), IMAGES[..., 0]),
  ],
  ids=['cnn', 'recurrent', 'character model'],
)
def test_shifted_network_computes_the_same(model, inputs):
  import jax

  variables = model.init(jax.random.PRNGKey(0), inputs)
  moved = stability.shifted(model, 0.5)
  np.testing.assert_allclose(
    moved.apply(variables, inputs + np.float32(0.5)), model.apply(variables, inputs), rtol=1e-5
  )
  assert np.abs(moved.apply(variables, inputs) - model.apply(variables, inputs)).max() > 1e-3


def test_random_logit_by_hand(linear):
  found = stability.random_logit(attribution.saliency, *linear, IMAGES, CLASSES)
  # |w| of class 0 is 1, 0.5, 2 and of class 1 is 3, 1, 2: ranks 1, 0, 2 and 2, 0, 1.
  np.testing.assert_allclose(found, [0.5, 0.5])
  assert stability.random_logit(identity, *linear, IMAGES, CLASSES).tolist() == [1, 1]
  one = CNN(layers=(dict(kind='flatten'), dict(kind='dense', features=1, activate=False)))
  variables = {'params': {'dense1': {'kernel': WEIGHTS[:, :1], 'bias': np.zeros(1, np.float32)}}}
  with pytest.raises(ValueError, match='the network has one class'):
    stability.random_logit(identity, one, variables, IMAGES, CLASSES)
