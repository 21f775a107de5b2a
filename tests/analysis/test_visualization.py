"""Tests of feature visualisation: it exceeds the data, and reaches known optima."""

import functools

import jax
import numpy as np
import optax
import pytest

from jaxdl import models
from jaxdl.analysis import maximization, neurons, units, visualization
from jaxdl.analysis.units import Neuron

LINEAR = (dict(kind='conv', features=2, kernel=3, activate=False),)
LAYERS = (
  dict(kind='conv', features=4, kernel=3),
  dict(kind='max_pool'),
  dict(kind='conv', features=6, kernel=3),
  dict(kind='flatten'),
  dict(kind='dense', features=3, activate=False, name='logits'),
)


@functools.cache
def trained_on_bars():
  """A small network that tells horizontal, vertical and no bars; (model, variables, images)."""
  random, model = np.random.default_rng(0), models.build(dict(name='cnn', layers=LAYERS))
  labels = random.integers(0, 3, 150)
  images = 0.3 * random.random((150, 12, 12, 1), np.float32)
  for image, label, place in zip(images, labels, random.integers(2, 10, 150), strict=True):
    if label == 0:
      image[place] += 0.6
    elif label == 1:
      image[:, place] += 0.6
  variables = model.init(jax.random.PRNGKey(0), images[:1])
  optimizer = optax.adam(1e-2)

  @jax.jit
  def step(state, _):
    variables, moments = state

    def loss(variables):
      logits = model.apply(variables, images)
      return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    updates, moments = optimizer.update(jax.grad(loss)(variables), moments)
    return (optax.apply_updates(variables, updates), moments), None

  state = variables, optimizer.init(variables)
  variables = jax.lax.scan(step, state, length=60)[0][0]
  assert (model.apply(variables, images).argmax(-1) == labels).mean() > 0.9
  return model, variables, images


def test_made_images_exceed_every_patch_of_a_trained_network():
  model, variables, images = trained_on_bars()
  low, high = images.min(), images.max()
  top = neurons.top_patches(model, variables, images, 'conv2', k=1)
  living = np.flatnonzero(~top.dead)
  assert len(living) >= 3
  places, pictures = top.places[living, 0], images[top.images[living, 0]]
  found = visualization.visualize(
    model, variables, 'conv2', living, places, pictures, low=low, high=high, steps=64
  )
  np.testing.assert_allclose(found.real, top.values[living, 0], rtol=1e-5)
  assert (found.strongest_value > found.real).all()
  assert found.smooth.shape == (len(living), visualization.STARTS + 1, 12, 12, 1)
  for made in (found.smooth, found.strongest):
    assert low <= made.min() <= made.max() <= high
  target = Neuron('conv2', living, places)
  measured = units.scores(model, variables, found.strongest, target)
  np.testing.assert_allclose(measured, found.strongest_value, rtol=1e-5)
  inside = visualization.seen_by(model, (12, 12, 1), 'conv2', places)
  outside = found.strongest[..., 0][~inside]
  np.testing.assert_allclose(outside, (low + high) / 2, rtol=1e-6)

  def roughness(images):
    return np.abs(np.diff(images, axis=-2)).mean()

  assert roughness(found.smooth) < roughness(found.strongest)


def test_linear_filter_reaches_the_bounds_from_the_best_picture():
  """The optimum is the upper bound where the weight is positive and the lower bound elsewhere."""
  model = models.build(dict(name='cnn', layers=LINEAR))
  kernel = np.random.default_rng(1).normal(size=(3, 3, 1, 2)).astype(np.float32)
  variables = {'params': {'conv1': {'kernel': kernel, 'bias': np.float32([0.5, -0.5])}}}
  best = np.where(kernel[..., 0, 0] > 0, 1, -1)
  nearly = np.zeros((1, 5, 5, 1), np.float32)
  nearly[0, 1:4, 1:4, 0] = 0.9999 * best  # such a good patch is exceeded only at the bounds
  channels, places = np.array([0]), np.array([[2, 2]])
  found = visualization.visualize(
    model, variables, 'conv1', channels, places, nearly, low=-1, high=1
  )
  np.testing.assert_allclose(found.strongest[0, 1:4, 1:4, 0], best, atol=1e-6)
  optimum = np.abs(kernel[..., 0, 0]).sum() + 0.5
  assert found.real[0] < found.strongest_value[0] <= optimum * (1 + 1e-6)
  perfect = np.zeros((1, 5, 5, 1), np.float32)
  perfect[0, 1:4, 1:4, 0] = best
  found = visualization.visualize(
    model, variables, 'conv1', channels, places, perfect, low=-1, high=1, steps=128
  )
  np.testing.assert_allclose(found.strongest_value, found.real, rtol=1e-6)
  np.testing.assert_allclose(found.strongest[0, 1:4, 1:4], perfect[0, 1:4, 1:4], atol=1e-5)


def test_receptive_field_mask_is_what_the_unit_depends_on():
  model, variables, images = trained_on_bars()
  places = np.array([[2, 2], [0, 0]])
  target = Neuron('conv2', np.array([1, 1]), places)
  gradient = jax.grad(
    lambda images: units.scores(
      model.clone(activation=lambda x: x), variables, images, target
    ).sum()
  )(images[:2])
  inside = visualization.seen_by(model, (12, 12, 1), 'conv2', places)
  assert not np.asarray(gradient)[~inside].any()
  assert inside[0].sum() == 8 * 8
  assert inside[1].sum() == 5 * 5, 'the field of a corner is cut'


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (dict(turn=-1), 'turn=-1 is negative'),
    (dict(zoom=1.0), 'zoom=1.0 is too great: use less than 1'),
    (dict(diversity=0.1, target=0), 'diversity=0.1 compares the images of a unit: give a Neuron'),
    (
      dict(start=np.zeros((1, 3, 3, 1))),
      r'start has the shape \(1, 3, 3, 1\): give \(1, 5, 5, 1\)',
    ),
    (dict(inside=np.ones((5, 5))), r'inside has the shape \(5, 5\): give \(1, 5, 5\)'),
  ],
)
def test_visualization_errors_name_the_fix(arguments, message):
  model = models.build(dict(name='cnn', layers=LINEAR))
  variables = model.init(jax.random.PRNGKey(0), np.zeros((1, 5, 5, 1), np.float32))
  target = Neuron('conv1', 0)
  with pytest.raises(ValueError, match=f'^{message}'):
    maximization.maximize(
      model, variables, **{'target': target, 'shape': (5, 5, 1), 'steps': 2, **arguments}
    )
  empty = np.zeros((0, 5, 5, 1), np.float32)
  with pytest.raises(ValueError, match='^there is no channel of conv1 to visualise'):
    visualization.visualize(
      model, variables, 'conv1', np.zeros(0, int), np.zeros((0, 2), int), empty, low=0, high=1
    )
