"""Initializers of single layers: 'dirac' and 'whitening'."""

import dataclasses
import itertools

import jax
import numpy as np
import pytest
from helpers import state_of

from jaxdl.models import layers
from jaxdl.training import experiment, loop, whitening


def config(small, *, features=6, kernel=2, **first):
  first = dict(
    kind='conv', features=features, kernel=kernel, padding='VALID', initializer='whitening'
  ) | dict(first)
  model = dict(
    name='cnn',
    layers=(
      first,
      dict(kind='conv', features=8, kernel=3, initializer='dirac'),
      dict(kind='flatten'),
      dict(kind='dense', features=10, activate=False, name='logits'),
    ),
  )
  return {**small, 'model': model, 'data': {**small['data'], 'layout': 'image'}}


def first_kernel(built):
  return np.asarray(built.initial_state().params['conv1']['kernel'])


def test_kernel_of_hand_worked_images():
  """Patches of one row and two columns that are (2, 1), (−2, −1), (1, −2), (−1, 2) · (1 or 4).

  Their covariance has the eigenvectors (2, 1) / √5 and (1, −2) / √5.
  """
  a, b = np.array([2.0, 1.0]), np.array([1.0, -2.0])
  patches = np.stack([4 * a, -4 * a, b, -b])  # variance along a: 16 · 5 · 2 / 4, along b: 5 · 2 / 4
  images = patches.astype(np.float32)[:, None, :, None]
  found = whitening.kernel(images, (1, 2), 4)
  assert found.shape == (1, 2, 1, 4)
  along_a, along_b = 40.0, 2.5
  expected = np.stack(
    [
      a / np.sqrt(5) / np.sqrt(along_a * 1.0001),
      -a / np.sqrt(5) / np.sqrt(along_a * 1.0001),
      b / np.sqrt(5) / np.sqrt(along_b + along_a * 1e-4),  # its first large entry is positive
      -b / np.sqrt(5) / np.sqrt(along_b + along_a * 1e-4),
    ]
  ).T
  np.testing.assert_allclose(found[0, :, 0], expected, rtol=1e-6)
  np.testing.assert_array_equal(whitening.kernel(images, (1, 2), 3), found[..., :3])


def test_outputs_are_uncorrelated_with_variance_one():
  draw = np.random.default_rng(0)
  images = draw.normal(size=(250, 6, 5, 3)).astype(np.float32) @ draw.normal(size=(3, 3))
  images[:, 1:] += images[:, :-1]
  kernel = whitening.kernel(images.astype(np.float32), (2, 3), 36)
  outputs = np.zeros((250, 5, 3, 36))
  for row, column in itertools.product(range(2), range(3)):
    outputs += images[:, row : row + 5, column : column + 3] @ kernel[row, column]
  covariance = np.cov(outputs.reshape(-1, 36)[:, ::2].T)
  np.testing.assert_allclose(covariance, np.eye(18), atol=0.05)
  np.testing.assert_array_equal(kernel[..., 1::2], -kernel[..., ::2])


def test_whitening_uses_the_training_images(small):
  """The kernel is that of the scaled images, and does not depend on the seed or on augmentation."""
  given = config(small)
  given['data']['scale'] = 'standardized'
  built = experiment.build(given)
  pixels = built.data.splits['train'].arrays['image'] / np.float32(255)
  mean, deviation = pixels.mean(), pixels.std()
  expected = whitening.kernel(((pixels - mean) / deviation).astype(np.float32), (2, 2), 6)
  np.testing.assert_allclose(first_kernel(built), expected, rtol=2e-4, atol=2e-6)
  given['data']['augment'] = [dict(kind='shift', pixels=2)]
  other = experiment.build({**given, 'seed': 3})
  np.testing.assert_array_equal(first_kernel(other), first_kernel(built))
  state = other.initial_state()
  assert np.any(
    state.params['logits']['kernel'] != built.initial_state().params['logits']['kernel']
  )
  average = experiment.build({**given, 'ema_decay': 0.9}).initial_state().average
  np.testing.assert_array_equal(average['conv1']['kernel'], first_kernel(built))


def test_constant_images_are_refused():
  with pytest.raises(ValueError, match='every patch of the training images is the same'):
    whitening.kernel(np.full((3, 4, 4, 1), 0.25, np.float32), (2, 2), 4)


def test_dirac_copies_the_channels():
  kernel = layers.dirac(jax.random.key(0), (3, 4, 2, 5))
  images = np.random.default_rng(0).normal(size=(2, 6, 7, 2)).astype(np.float32)
  layer = layers.Conv(features=5, kernel=(3, 4))
  variables = {'params': {'kernel': kernel, 'bias': np.zeros(5, np.float32)}}
  outputs = layer.apply(variables, images, layers.Context())
  np.testing.assert_array_equal(outputs[..., :2], images)
  drawn = layers.INITIALIZERS['glorot_uniform'](jax.random.key(0), (3, 4, 2, 5))
  np.testing.assert_array_equal(kernel[..., 2:], drawn[..., 2:])
  np.testing.assert_array_equal(layers.dirac(jax.random.key(0), (4, 2)), np.eye(4)[:, :2])


def test_a_layers_initializer_changes_only_its_kernel(small):
  given = config(small)
  given['model']['layers'][0].pop('initializer')
  plain = {
    **given,
    'model': {**given['model'], 'layers': [dict(one) for one in given['model']['layers']]},
  }
  plain['model']['layers'][1].pop('initializer')
  ours, others = (experiment.build(one).initial_state().params for one in (given, plain))
  assert np.any(ours['conv2']['kernel'] != others['conv2']['kernel'])
  for name in ('conv1', 'logits'):
    np.testing.assert_array_equal(ours[name]['kernel'], others[name]['kernel'])


def test_resumed_equals_uninterrupted(small, tmp_path):
  built = experiment.build(config(small))
  loop.train(built, tmp_path / 'uninterrupted')
  loop.train(dataclasses.replace(built, steps=3), tmp_path / 'resumed')
  loop.train(built, tmp_path / 'resumed')
  expected, found = (state_of(built, tmp_path / name) for name in ('uninterrupted', 'resumed'))
  jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (dict(features=9), r'layers\[0\].*gives at most 8 features, .* and the layer has 9'),
    (dict(kernel=(2, 29), padding='SAME'), 'window larger than the images'),
    (dict(kind='dense'), r"layers\[0\]\.initializer='whitening' is for layers of kind conv"),
    (dict(initializer='dirac', groups=2), "'dirac' is for layers of kind conv or dense without"),
    (
      dict(initializer='zeros'),
      "'zeros' is unknown: use one of glorot_uniform, .*dirac, whitening",
    ),
    (dict(initializer=3), 'is not a name'),
  ],
)
def test_invalid_initializers_are_refused(change, message, small):
  given = config(small, **change)
  if change.get('kind') == 'dense':
    for key in ('kernel', 'padding'):
      given['model']['layers'][0].pop(key)
  with pytest.raises(ValueError, match=message):
    experiment.build(given)


def test_whitening_is_refused_behind_the_first_layer_and_for_the_whole_model(small):
  given = config(small, initializer='dirac')
  given['model']['layers'][1]['initializer'] = 'whitening'
  with pytest.raises(ValueError, match=r'layers\[1\].*is for a first layer that reads images'):
    experiment.build(given)
  given['model']['layers'][1].pop('initializer')
  given['model']['initializer'] = 'whitening'
  with pytest.raises(ValueError, match='it is an initializer of single layers'):
    experiment.build(given)
