"""Tests of activation maximization: known optima, regularisation and parametrisations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import models
from jaxdl.analysis import maximization, parametrisation, units
from jaxdl.analysis.units import Neuron

SHAPE = (8, 7, 2)
LAYERS = (
  dict(kind='conv', features=3, kernel=3),
  dict(kind='max_pool'),
  dict(kind='flatten'),
  dict(kind='dense', features=4),
  dict(kind='dense', features=3, activate=False, name='logits'),
)


def network(activation='relu'):
  model = models.build(dict(name='cnn', activation=activation, layers=LAYERS))
  generator = np.random.default_rng(0)
  variables = jax.tree.map(
    lambda leaf: np.asarray(generator.normal(size=leaf.shape) * 0.5, np.float32),
    jax.eval_shape(model.init, jax.random.PRNGKey(0), np.zeros((1, *SHAPE), np.float32)),
  )
  return model, variables


@pytest.mark.parametrize(
  'parametrised_by', ['fourier', pytest.param('pixels', marks=pytest.mark.slow)]
)
def test_first_layer_unit_reaches_its_known_optimum(parametrised_by):
  """The optimum is the upper bound where the weight is positive and the lower bound elsewhere."""
  model, variables = network()
  low, high = np.float32([-1, 0]), np.float32([1, 0.5])
  found = maximization.maximize(
    model,
    variables,
    Neuron('conv1', 1, (4, 3)),
    shape=SHAPE,
    n=2,
    parametrised_by=parametrised_by,
    jitter=0,
    low=low,
    high=high,
    steps=400,
  )
  kernel = variables['params']['conv1']['kernel'][..., 1]
  bias = variables['params']['conv1']['bias'][1]
  best = np.where(kernel > 0, high, low)
  assert found.shape == (2, *SHAPE)
  assert found.dtype == np.float32
  assert (found >= low).all()
  assert (found <= high).all()
  values = units.scores(model, variables, found, Neuron('conv1', 1, (4, 3)))
  assert (values >= 0.99 * ((kernel * best).sum() + bias)).all()
  if parametrised_by == 'pixels':  # pixels outside the receptive field have no gradient
    outside = np.ones(SHAPE, bool)
    outside[3:6, 2:5] = False
    np.testing.assert_allclose(
      found[:, outside], np.broadcast_to((low + high) / 2, found.shape)[:, outside], atol=0.03
    )


def test_jitter_rolls_both_ways_and_ends_without_jitter():
  model, variables = network()
  neuron, kernel = Neuron('conv1', 1, (4, 3)), variables['params']['conv1']['kernel'][..., 1]
  found = maximization.maximize(
    model, variables, neuron, shape=SHAPE, n=2, parametrised_by='pixels', jitter=1
  )
  seen = np.zeros(SHAPE[:2], bool)
  seen[2:7, 1:6] = True  # the 3 × 3 pixels around (4, 3), and one more on each side
  np.testing.assert_array_equal(np.abs(found - 0.5).max(-1) > 0.15, [seen, seen])
  best = np.maximum(kernel, 0).sum() + variables['params']['conv1']['bias'][1]
  # With jitter until the end, the scores would be 0.6 of the best one.
  assert (units.scores(model, variables, found, neuron) > 0.85 * best).all()


@pytest.mark.slow
def test_logit_exceeds_random_images_and_seeds_differ():
  model, variables = network()
  random = np.random.default_rng(0).random((2000, *SHAPE), np.float32)
  found = maximization.maximize(model, variables, np.array([0, 1, 2]), shape=SHAPE, n=3)
  values = units.scores(model, variables, found, np.arange(3))
  assert (np.asarray(values) > np.asarray(model.apply(variables, random)).max(0)).all()
  assert found.min() >= 0
  assert found.max() <= 1
  np.testing.assert_array_equal(
    maximization.maximize(model, variables, np.array([0, 1, 2]), shape=SHAPE, n=3), found
  )
  other_seed = maximization.maximize(model, variables, 0, shape=SHAPE, n=3, seed=1)
  assert not np.array_equal(other_seed[0], other_seed[1])
  assert not np.array_equal(other_seed[0], found[0])
  assert (
    np.asarray(units.scores(model, variables, other_seed, np.zeros(3, int))).min()
    > np.asarray(model.apply(variables, random))[:, 0].max()
  )


@pytest.mark.slow
def test_inactive_unit_becomes_active():
  model, variables = network()
  neuron = Neuron('conv1', 0, (4, 3))
  kernel = variables['params']['conv1']['kernel'][..., 0]
  # Inactive for all images except the best ones.
  variables['params']['conv1']['bias'][0] = -0.95 * np.maximum(kernel, 0).sum()
  gray = np.full((1, *SHAPE), 0.5, np.float32)
  assert units.scores(model, variables, gray, neuron)[0] == 0
  found = maximization.maximize(model, variables, neuron, shape=SHAPE, jitter=0)
  assert units.scores(model, variables, found, neuron)[0] > 0
  tanh, variables = network('tanh')
  found = maximization.maximize(tanh, variables, 1, shape=SHAPE)
  assert units.scores(tanh, variables, found, np.array([1]))[0] > 0


def test_redirected_relu_has_a_gradient_for_inactive_examples():
  inputs, signal = jnp.float32([[-1, 2, 0], [-1, -2, -3]]), jnp.float32([[-5, 7, 8], [-5, 0, 8]])
  _, pullback = jax.vjp(maximization.redirected_relu, inputs)
  np.testing.assert_array_equal(pullback(signal)[0], [[0, 7, 0], [-5, 0, 0]])
  np.testing.assert_array_equal(maximization.redirected_relu(inputs), np.maximum(inputs, 0))


def test_total_variation_and_blur_smooth_the_images():
  model, variables = network()
  smoothed = {
    name: maximization.maximize(
      model, variables, 1, shape=SHAPE, parametrised_by='pixels', **{name: 1.0}
    )
    for name in ('total_variation', 'blur')
  }
  unregularised = maximization.maximize(model, variables, 1, shape=SHAPE, parametrised_by='pixels')

  def variation(images):
    return sum(np.abs(np.diff(images, axis=axis)).sum() for axis in (1, 2))

  assert all(variation(images) < 0.7 * variation(unregularised) for images in smoothed.values())


def test_roughness_terms_have_separate_weights(monkeypatch):
  model, variables = network()
  monkeypatch.setattr(
    maximization,
    '_roughness',
    lambda images: jnp.stack([images.sum((1, 2, 3)), -images.sum((1, 2, 3))], -1),
  )
  dark, bright = (
    maximization.maximize(
      model, variables, 1, shape=SHAPE, parametrised_by='pixels', steps=50, **{name: 1e3}
    )
    for name in ('total_variation', 'blur')
  )
  assert dark.max() < 0.2
  assert bright.min() > 0.8


def test_roughness_equals_hand_values():
  image = jnp.zeros((1, 3, 3, 1)).at[0, 1, 1, 0].set(16.0)
  blurred = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]])
  expected = [4 * 16, (np.square(blurred).sum() - 16 + 12**2) / 2]
  np.testing.assert_allclose(maximization._roughness(image), [expected])
  assert not maximization._roughness(jnp.ones((2, 4, 5, 3))).any()


def test_roughness_at_the_edges_by_hand():
  """Rows [0, 4, 8] and [16, 8, 0] blur to [4, 5, 6] and [12, 7, 2], where the image is continued
  by its edges; their columns blur to [4.25, 5, 5.75] and [10.75, 7, 3.25]. The second channel is
  constant.
  """
  rows = np.float32([[0, 4, 8], [16, 8, 0]])
  images = jnp.stack([rows, np.full((2, 3), 5, np.float32)], -1)[None]
  variation = (16 + 4 + 8) + (4 + 4) + (8 + 8)
  squares = 4.25**2 + 1**2 + 2.25**2 + 5.25**2 + 1**2 + 3.25**2
  np.testing.assert_allclose(maximization._roughness(images), [[variation, squares / 2]])
  both = jnp.concatenate([images, 2 * images])
  np.testing.assert_allclose(
    maximization._roughness(both),
    [[variation, squares / 2], [2 * variation, 2 * squares]],
    rtol=1e-6,
  )


def test_defaults_of_maximize_are_those_of_its_signature():
  model, variables = network()
  found = maximization.maximize(model, variables, 1, shape=SHAPE)
  again = maximization.maximize(
    model,
    variables,
    1,
    shape=SHAPE,
    n=1,
    steps=256,
    rate=0.05,
    parametrised_by='fourier',
    low=0.0,
    high=1.0,
    jitter=1,
    turn=0.0,
    zoom=0.0,
    total_variation=0.0,
    blur=0.0,
    diversity=0.0,
    start=None,
    inside=None,
    seed=0,
  )
  np.testing.assert_array_equal(found, again)


def test_maximize_inactive_unit_equals_hand_values():
  """The unit is its pixel minus 0.9, so the ReLU is 0 for the gray image. Only its pixel changes."""
  layers = (dict(kind='conv', features=1, kernel=1),)
  model = models.build(dict(name='cnn', activation='relu', layers=layers))
  kernel, bias = np.ones((1, 1, 1, 1), np.float32), np.float32([-0.9])
  found = maximization.maximize(
    model,
    {'params': {'conv1': {'kernel': kernel, 'bias': bias}}},
    Neuron('conv1', 0, (1, 2)),
    shape=(3, 4, 1),
    parametrised_by='pixels',
    jitter=0,
    steps=100,
  )
  assert found.shape == (1, 3, 4, 1)
  assert found[0, 1, 2, 0] > 0.95
  assert np.abs(np.delete(found.ravel(), 6) - 0.5).max() < 0.02


@pytest.mark.parametrize('shape', [(6, 8, 1), (5, 7, 2)])
def test_fourier_parametrisation_is_real_and_scaled_by_wavelength(shape):
  decode, initialise, encode = parametrisation.named('fourier', shape)
  start = jnp.asarray(initialise(np.random.default_rng(0)))
  assert decode(start).shape == shape
  power = {}
  for row, column in ((0, 1), (2, 2)):
    image = np.asarray(decode(jnp.zeros_like(start).at[0, row, column].set(1.0)))
    angle = (
      2
      * np.pi
      * (row * np.arange(shape[0])[:, None] / shape[0] + column * np.arange(shape[1]) / shape[1])
    )
    amplitude = image[0, 0, 0]
    np.testing.assert_allclose(image[..., 0], amplitude * np.cos(angle), atol=1e-6)
    power[row, column] = amplitude * np.hypot(row / shape[0], column / shape[1])
  np.testing.assert_allclose(power[0, 1], power[2, 2], rtol=1e-5)
  assert parametrisation.named('fourier', list(shape))[0] is decode
  image = np.random.default_rng(1).normal(size=shape)
  assert encode(image).shape == start.shape
  np.testing.assert_allclose(decode(encode(image)), image, atol=1e-5)


def test_a_start_keeps_its_score_and_pixels_outside_stay_in_the_middle():
  """One step hardly changes the pictures; the best of the second half is never below them."""
  model, variables = network()
  pictures = np.random.default_rng(0).random((2, *SHAPE), np.float32)
  start = np.concatenate([pictures, np.full((1, *SHAPE), np.nan, np.float32)])
  inside = np.ones((3, *SHAPE[:2]), bool)
  inside[:, 0] = False
  target = Neuron('conv1', np.array([0, 1, 1]), np.array([[4, 3], [5, 2], [5, 2]]))
  found = maximization.maximize(
    model, variables, target, shape=SHAPE, n=3, steps=1, start=start, inside=inside
  )
  np.testing.assert_allclose(found[:, 0], 0.5)
  np.testing.assert_allclose(found[:2, 1:], pictures[:, 1:], atol=0.1)
  np.testing.assert_allclose(found[2, 1:], 0.5, atol=0.1)
  before = units.scores(
    model,
    variables,
    np.where(inside[..., None], start, 0.5)[:2],
    Neuron('conv1', target.channel[:2], target.position[:2]),
  )
  after = units.scores(model, variables, found, target)[:2]
  assert (after >= before).all()


def test_weights_of_each_image_smooth_that_image():
  model, variables = network()
  arguments = dict(shape=SHAPE, n=2, parametrised_by='pixels', steps=60, start=None)
  found = maximization.maximize(
    model, variables, 1, total_variation=np.array([0, 2.0]), **arguments
  )
  rough, smooth = (np.abs(np.diff(image, axis=0)).sum() for image in found)
  assert smooth < 0.7 * rough


def test_transformations_move_images_about_their_middle():
  image = np.zeros((1, 9, 9, 1), np.float32)
  image[0, 4, 4] = 1
  keys = jax.random.split(jax.random.PRNGKey(0), 1)
  same = maximization._moved(image, keys, 0, (0, 0.0, 0.0))
  np.testing.assert_array_equal(same, image)
  turned = np.asarray(maximization._moved(image, keys, 0, (0, 20.0, 0.0)))
  np.testing.assert_allclose(turned[0, 4, 4], 1, atol=1e-5)
  image[0, 4, 8] = 1  # far from the middle
  turned = np.asarray(maximization._moved(image, keys, 0, (0, 20.0, 0.0)))
  assert turned[0, 4, 8, 0] < 0.95
  np.testing.assert_allclose(turned[0, 4, 4], 1, atol=1e-5)
  constant = np.full((1, 9, 9, 2), 0.3, np.float32)
  moved = maximization._moved(constant, keys, 3, (2, 10.0, 0.1))
  np.testing.assert_allclose(moved, constant, rtol=1e-6)


def test_likeness_by_hand():
  """Grams of the features (1, 0), (0, 1) and (1, 1): cosines 0 and 1 / 2; another unit is alone."""
  features = np.float32([[1, 0], [0, 1], [1, 1], [5, 5]])[:, None, None]
  target = Neuron('any', np.array([2, 2, 2, 3]), np.zeros((4, 2), int))
  found = maximization._likeness(features, target)
  np.testing.assert_allclose(found, [0.25, 0.25, 0.5, 0], atol=1e-6)


def test_diversity_moves_images_of_a_unit_apart():
  model, variables = network()
  target = Neuron('conv1', np.full(3, 1), np.full((3, 2), 3))
  likeness = {}
  for diversity in (1e-6, 5.0):
    made = maximization.maximize(
      model, variables, target, shape=SHAPE, n=3, steps=40, diversity=diversity
    )
    output = units.outputs(model, variables, made, ['conv1'])[1]['conv1']
    likeness[diversity] = float(maximization._likeness(output, target).mean())
  assert likeness[5.0] < likeness[1e-6]


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (dict(shape=(8, 7)), r'shape=\(8, 7\) is not the shape of an image'),
    (dict(n=0), 'n=0 and steps=256: use at least one'),
    (dict(low=1.0), 'low=1.0 is not below high=1.0'),
    (dict(jitter=-1), 'jitter=-1 is negative'),
    (dict(total_variation=-2), 'total_variation=-2 is negative'),
    (dict(blur=-0.5), 'blur=-0.5 is negative'),
    (
      dict(parametrised_by='wavelets'),
      "parametrised_by='wavelets' is unknown: use one of fourier, pixels",
    ),
    (dict(target=3), 'target has labels from 3 to 3: use 0 to 2'),
    (dict(target=Neuron('conv2', 0)), "layer 'conv2' is unknown"),
    (dict(shape=(3, 3, 2)), r'inputs of shape \(1, 3, 3, 2\) do not fit the model'),
  ],
)
def test_maximize_errors_name_the_fix(arguments, message):
  with pytest.raises(ValueError, match=f'^{message}'):
    maximization.maximize(*network(), **{'target': 0, 'shape': SHAPE, **arguments})
