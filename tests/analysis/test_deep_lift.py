"""Tests of DeepLIFT and expected gradients: hand-worked networks, completeness, loops in NumPy."""

import jax
import numpy as np
import pytest
from analysis_networks import BRANCHES, LAYERS, network

from jaxdl import models
from jaxdl.analysis import attribution, units
from jaxdl.analysis.maps import expected_gradients
from jaxdl.analysis.units import Neuron


@pytest.fixture(autouse=True)
def in_float64():
  with jax.enable_x64(True):
    yield


def dense(*features):
  """Layers that flatten, then dense layers without names; the last one is linear."""
  layers = [dict(kind='flatten'), *(dict(kind='dense', features=count) for count in features)]
  layers[-1] |= {'activate': False, 'name': 'logits'}
  return tuple(layers)


def test_the_rescale_rule_equals_numbers_worked_by_hand():
  """h = relu(x₁ + x₂ − 1), relu(x₁ − x₂ + 0.5); the logit is 2 h₁ − 3 h₂ + 1.

  From (0, 0) to (1, 2), h₁ changes from 0 to 2 and its input from −1 to 2: the multiplier is 2 / 3.
  h₂ changes from 0.5 to 0 and its input from 0.5 to −0.5: 1 / 2.
  """
  model = models.build(dict(name='cnn', layers=dense(2, 1)))
  params = {
    'dense1': {'kernel': np.array([[1.0, 1.0], [1.0, -1.0]]), 'bias': np.array([-1.0, 0.5])},
    'logits': {'kernel': np.array([[2.0], [-3.0]]), 'bias': np.ones(1)},
  }
  image = np.array([1.0, 2.0]).reshape(1, 1, 2, 1)
  found = attribution.deep_lift(model, {'params': params}, image, np.array([0]))
  np.testing.assert_allclose(found.maps.ravel(), [4 / 3 - 3 / 2, 2 * (4 / 3 + 3 / 2)])
  np.testing.assert_allclose(found.maps.sum(), 5 - -0.5)
  np.testing.assert_allclose(found.gap, 0, atol=1e-12)


def pooled(pooling, weights=(1.0,)):
  """A network that pools [1, N] values of one channel and adds the results with weights."""
  layers = (pooling, *dense(1))
  model = models.build(dict(name='cnn', layers=layers))
  kernel = np.array(weights)[:, None]
  return model, {'params': {'logits': {'kernel': kernel, 'bias': np.zeros(1)}}}


@pytest.mark.parametrize(
  ('image', 'baseline', 'expected'),
  [
    ((4.0, 1.0), (0.0, 3.0), (1, 0)),  # from the maximum 3 to 4
    ((1.0, 2.0), (0.0, 5.0), (0, -3)),  # the maximum falls at the same place
    ((2.0, 1.0), (0.0, 5.0), (0, -3)),  # the place of the baseline's maximum explains the fall
  ],
)
def test_max_pooling_equals_numbers_worked_by_hand(image, baseline, expected):
  for pooling in (dict(kind='max_pool', window=(1, 2)), dict(kind='global_max_pool')):
    given = pooled(pooling)
    images, baselines = (np.array(values).reshape(1, 1, 2, 1) for values in (image, baseline))
    found = attribution.deep_lift(*given, images, np.array([0]), baseline=baselines)
    np.testing.assert_allclose(found.maps.ravel(), expected)


def test_max_pooling_of_a_relu_equals_numbers_worked_by_hand():
  """From (−1, 1.5) to (2, 1), the maximum changes by 0.5, and only the first pixel explains it.

  Captum 0.9 gives (2, 0), which does not add up to 0.5: its ReLU ignores the multiplier of the
  max-pooling that reads it.
  """
  pooling = dict(kind='max_pool', window=(1, 2))
  model = models.build(dict(name='cnn', layers=(dict(kind='activation'), pooling, *dense(1))))
  variables = pooled(pooling)[1]
  images, baselines = (np.array(v).reshape(1, 1, 2, 1) for v in ((2.0, 1.0), (-1.0, 1.5)))
  found = attribution.deep_lift(model, variables, images, np.array([0]), baseline=baselines)
  np.testing.assert_allclose(found.maps.ravel(), [0.5, 0])


def test_a_relu_of_max_pooling_equals_numbers_worked_by_hand():
  """From (−1, −2) to (2, 1), the maximum changes from −1 to 2 and the ReLU from 0 to 2.

  Captum 0.9 gives (3, 0), which does not add up to 2: the max-pooling ignores the multiplier of the
  ReLU that reads it.
  """
  pooling = dict(kind='max_pool', window=(1, 2))
  model = models.build(dict(name='cnn', layers=(pooling, dict(kind='activation'), *dense(1))))
  variables = pooled(pooling)[1]
  images, baselines = (np.array(v).reshape(1, 1, 2, 1) for v in ((2.0, 1.0), (-1.0, -2.0)))
  found = attribution.deep_lift(model, variables, images, np.array([0]), baseline=baselines)
  np.testing.assert_allclose(found.maps.ravel(), [2, 0])


def test_windows_that_overlap_add_their_contributions():
  """Both windows have their maximum at the pixel in the middle: 5 + 5.

  Captum 0.9 gives 5, because PyTorch's max_unpool2d keeps one of equal indices.
  """
  given = pooled(dict(kind='max_pool', window=(1, 2), strides=1), weights=(1.0, 1.0))
  image = np.array([0.0, 5.0, 0.0]).reshape(1, 1, 3, 1)
  found = attribution.deep_lift(*given, image, np.array([0]))
  np.testing.assert_allclose(found.maps.ravel(), [0, 10, 0])


def test_an_image_does_not_depend_on_the_others():
  """h = (x₁ − x₂, x₁) is pooled. For x = (1, 1), h₁ does not change and is not the maximum.

  Its multiplier is its gradient, 0, so that x has the contributions (1, 0). Captum 0.9 takes the
  gradient of the first image of the batch instead: (2, −1) after (1, −1), whose maximum is h₁.
  """
  model = models.build(
    dict(
      name='cnn',
      layers=(
        dict(kind='conv', features=2, kernel=(1, 2), padding='VALID', activate=False),
        dict(kind='reshape', shape=(1, 2, 1)),
        dict(kind='max_pool', window=(1, 2)),
        *dense(1),
      ),
    )
  )
  params = {
    'conv1': {
      'kernel': np.array([[1.0, 1.0], [-1.0, 0.0]]).reshape(1, 2, 1, 2),
      'bias': np.zeros(2),
    },
    'logits': {'kernel': np.ones((1, 1)), 'bias': np.zeros(1)},
  }
  images = np.array([[1.0, -1.0], [1.0, 1.0]]).reshape(2, 1, 2, 1)
  found = attribution.deep_lift(model, {'params': params}, images, np.zeros(2, int))
  np.testing.assert_allclose(found.maps.reshape(2, 2), [[1, 1], [1, 0]])


@pytest.mark.parametrize('activation', ['relu', 'tanh', 'gelu'])
@pytest.mark.parametrize('layers', [LAYERS, BRANCHES], ids=['chain', 'branches'])
def test_deep_lift_is_complete(layers, activation):
  given = network(layers, shape=(8, 8, 2), activation=activation)
  model, variables, images, labels = given
  baseline = np.random.default_rng(1).random(images.shape)
  for target in (labels, Neuron('conv1', 1)):
    found = attribution.deep_lift(model, variables, images, target, baseline=baseline, batch_size=2)
    np.testing.assert_allclose(found.gap, 0, atol=1e-9)
  found = attribution.deep_lift(*given, baseline=baseline)
  scores = [np.asarray(units.scores(model, variables, x, labels)) for x in (images, baseline)]
  np.testing.assert_allclose(found.maps.sum((1, 2, 3)), scores[0] - scores[1], atol=1e-9)
  np.testing.assert_allclose(
    attribution.deep_lift(*given, baseline=baseline, batch_size=2).maps, found.maps, atol=1e-12
  )


def test_deep_lift_of_a_linear_network_is_gradient_times_difference():
  given = network(dense(3), biases=0.5)
  found = attribution.deep_lift(*given, baseline=0.25)
  np.testing.assert_allclose(found.maps, attribution.saliency(*given) * (given[2] - 0.25))


def test_expected_gradients_equal_a_loop_over_their_samples():
  model, variables, images, labels = network()
  background = np.random.default_rng(1).random((5, *images.shape[1:]))
  found = attribution.expected_gradients(
    model, variables, images, labels, background, samples=6, seed=3
  )
  for number in range(3):
    key = jax.random.fold_in(jax.random.PRNGKey(3), number)
    total, change = 0, 0
    for sample in range(6):
      index, position = map(np.asarray, expected_gradients.drawn(key, sample, 6, 5))
      assert sample / 6 <= position < (sample + 1) / 6
      baseline = background[index]
      point = baseline + position * (images[number] - baseline)
      slope = attribution.saliency(model, variables, point[None], labels[number : number + 1])[0]
      total = total + (images[number] - baseline) * slope / 6
      ends = np.asarray(
        units.scores(model, variables, np.stack([images[number], baseline]), labels[[number] * 2])
      )
      change += (ends[0] - ends[1]) / 6
    np.testing.assert_allclose(found.maps[number], total, atol=1e-10)
    np.testing.assert_allclose(found.gap[number], total.sum() - change, atol=1e-10)
  again = attribution.expected_gradients(
    model, variables, images, labels, background, samples=6, seed=3, batch_size=2
  )
  np.testing.assert_allclose(again.maps, found.maps, atol=1e-12)


def test_expected_gradients_are_complete():
  """Exactly for a linear network; with many samples, the gap shrinks."""
  given = network(dense(3), biases=0.5)
  found = attribution.expected_gradients(*given, given[2][1:], samples=3)
  np.testing.assert_allclose(found.gap, 0, atol=1e-12)
  few, many = (
    np.abs(attribution.expected_gradients(*network(), network()[2][::-1] ** 2, samples=count).gap)
    for count in (8, 4096)
  )
  assert many.mean() < few.mean() / 4
  assert many.max() < 0.02


@pytest.mark.parametrize('fixed', [0, 1, 2])
def test_fixed_channels_keep_the_values_of_the_image(fixed):
  """With one background image b, a linear network has w · (x − b), and 0 in fixed channels."""
  model, variables, images, labels = network(dense(3), biases=0.5, shape=(2, 2, 3))
  background = np.random.default_rng(1).random((1, 2, 2, 3))
  given = model, variables, images, labels, background
  found = attribution.expected_gradients(*given, samples=2, fixed_channels=fixed)
  moved = images - background
  moved[..., 3 - fixed :] = 0
  expected = attribution.saliency(model, variables, images, labels) * moved
  np.testing.assert_allclose(found.maps, expected, atol=1e-12)
  np.testing.assert_allclose(found.gap, 0, atol=1e-12)
  assert (found.maps != 0).any((0, 1, 2)).sum() == 3 - fixed


def test_errors_name_the_argument():
  given = network()
  for arguments, message in (
    (dict(background=given[2][:, 1:]), r'background of shape \(3, 6, 6, 2\) does not fit'),
    (dict(background=given[2][:0]), 'give at least one image of shape'),
    (dict(background=given[2], samples=0), 'samples=0 is not a number of samples'),
  ):
    with pytest.raises(ValueError, match=message):
      attribution.expected_gradients(*given, **arguments)
  with pytest.raises(ValueError, match=r'baseline of shape \(3,\) does not fit'):
    attribution.deep_lift(*given, baseline=np.zeros(3))
  layers = (dict(kind='layer_norm'), *dense(3))
  with pytest.raises(ValueError, match="DeepLIFT has no rule for layer 'layer_norm1' of kind"):
    attribution.deep_lift(*network(layers))
