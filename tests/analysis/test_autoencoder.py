"""Tests of the analysis of autoencoders: reconstructions and interpolations between codes."""

import jax
import numpy as np
import pytest

from jaxdl import models
from jaxdl.analysis import autoencoder, units
from jaxdl.analysis.activations import activations

LINEAR = dict(
  name='cnn',
  layers=(
    dict(kind='flatten'),
    dict(kind='dense', features=2, activate=False, name='code'),
    dict(kind='dense', features=4),
    dict(kind='reshape', shape=(2, 2, 1)),
  ),
)


@pytest.fixture
def linear_autoencoder():
  """Returns an autoencoder with hand-set weights.

  Its code is (mean of the pixels, slope = left − right), its image ReLU(mean ± slope / 4).
  """
  encoder = np.array([[1 / 4, 1], [1 / 4, -1], [1 / 4, 1], [1 / 4, -1]], np.float32)
  decoder = np.array([[1, 1, 1, 1], [1 / 4, -1 / 4, 1 / 4, -1 / 4]], np.float32)
  return models.build(LINEAR), {
    'params': {
      'code': {'kernel': encoder, 'bias': np.zeros(2, np.float32)},
      'dense2': {'kernel': decoder, 'bias': np.zeros(4, np.float32)},
    }
  }


def images(*rows):
  return np.array(rows, np.float32).reshape(-1, 2, 2, 1)


def test_autoencoder_reconstructions_equal_hand_values(linear_autoencoder):
  targets = images([1, 0, 1, 0], [1, 1, 0, 0], [0.5, 0.5, 0.5, 0.5])
  inputs = images([1, 0, 1, 0], [0, 1, 0, 1], [0.5, 0.5, 0.5, 0.5])
  found = autoencoder.reconstructions(*linear_autoencoder, inputs, targets, batch_size=2)
  np.testing.assert_allclose(found.images, images([1, 0, 1, 0], [0, 1, 0, 1], [0.5] * 4), atol=1e-6)
  np.testing.assert_allclose(found.mse, [0, 0.5, 0], atol=1e-6)
  np.testing.assert_allclose(found.of_inputs, [0, 0.5, 0])
  mean = targets.mean(0)
  np.testing.assert_allclose(
    found.of_mean, [np.mean((target - mean) ** 2) for target in targets], rtol=1e-6
  )
  np.testing.assert_allclose(
    autoencoder.by_class(found.mse, np.array([1, 1, 0]), 3), [0, 0.25, np.nan], atol=1e-6
  )
  np.testing.assert_allclose(
    autoencoder.by_class([1.0], np.array([0]), ['zero', 'one']), [1, np.nan]
  )


def test_autoencoder_traverse_equals_hand_values(linear_autoencoder):
  """The codes are interpolated linearly, from (1, 0) to (1/2, 2)."""
  walk = autoencoder.traverse(
    *linear_autoencoder, images([1, 1, 1, 1]), images([1, 0, 1, 0]), steps=5
  )
  assert walk.shape == (1, 5, 2, 2, 1)
  means, slopes = np.linspace(1, 0.5, 5), np.linspace(0, 2, 5)
  expected = np.stack(
    [
      images([mean + slope / 4, mean - slope / 4] * 2)[0]
      for mean, slope in zip(means, slopes, strict=True)
    ]
  )
  np.testing.assert_allclose(walk[0], expected, atol=1e-6)


CONVOLUTIONAL = dict(
  name='cnn',
  layers=(
    dict(kind='conv', features=2, kernel=3, strides=2),
    dict(kind='flatten'),
    dict(kind='dense', features=3, activate=False, name='code'),
    dict(kind='dense', features=16),
    dict(kind='reshape', shape=(4, 4, 1)),
    dict(kind='conv_transpose', features=1, kernel=3, activate=False, name='image'),
  ),
)


def test_autoencoder_traverse_starts_and_ends_at_reconstructions():
  model, generator = models.build(CONVOLUTIONAL), np.random.default_rng(0)
  first, second = generator.random((2, 3, 8, 8, 1), np.float32)
  shapes = jax.eval_shape(model.init, jax.random.PRNGKey(0), first)
  variables = jax.tree.map(
    lambda leaf: generator.normal(size=leaf.shape).astype(np.float32) / 3, shapes
  )
  walk = autoencoder.traverse(model, variables, first, second, steps=3)
  ends = np.concatenate([first, second])
  reconstructed = autoencoder.reconstructions(model, variables, ends, ends).images
  np.testing.assert_allclose(np.concatenate([walk[:, 0], walk[:, 2]]), reconstructed, atol=1e-6)
  middle = activations(model, variables, ends, ['code'])['code'].reshape(2, 3, 3).mean(0)
  decode = jax.jit(
    lambda codes: units.outputs_with(model, variables, first, 'code', lambda _: codes)
  )
  np.testing.assert_allclose(walk[:, 1], decode(middle), atol=1e-6)
  assert np.abs(walk[:, 0] - walk[:, 2]).max() > 1e-3


@pytest.mark.parametrize(
  ('call', 'message'),
  [
    (
      lambda net, x: autoencoder.traverse(*net, x, x, steps=1),
      'steps=1 is too few for an interpolation: use at least 2, its ends',
    ),
    (
      lambda net, x: autoencoder.traverse(*net, x, x[:1]),
      r'first has shape \(2, 2, 2, 1\) and second has shape \(1, 2, 2, 1\): give',
    ),
    (
      lambda net, x: autoencoder.traverse(*net, x, x, layer='latent'),
      "layer 'latent' is unknown: use one of flatten1, code",
    ),
    (
      lambda net, x: autoencoder.traverse(*net, x[:, :1], x[:, :1]),
      r'inputs of shape \(2, 1, 2, 1\) do not fit the model',
    ),
    (
      lambda net, x: autoencoder.reconstructions(*net, x, x[:1]),
      r'inputs of shape .* and targets of shape \(1, 2, 2, 1\): give a',
    ),
    (
      lambda net, x: autoencoder.reconstructions(*net, x[:0], x[:0]),
      r'inputs of shape \(0, 2, 2, 1\)',
    ),
    (
      lambda net, x: autoencoder.reconstructions(
        *net, x.reshape(2, 1, 4, 1), x.reshape(2, 1, 4, 1)
      ),
      r"the last layer 'reshape1' gives \(2, 2, 1\), the targets are \(1, 4, 1\)",
    ),
    (
      lambda net, x: autoencoder.by_class(np.ones(2), np.array([0, 3]), 3),
      'labels from 0 to 3: use 0 to 2',
    ),
    (
      lambda net, x: autoencoder.by_class(np.ones(2), np.array([0]), 3),
      r'labels of shape \(1,\) and type int64 for errors',
    ),
  ],
)
def test_autoencoder_errors_name_the_fix(linear_autoencoder, call, message):
  with pytest.raises(ValueError, match=f'^{message}'):
    call(linear_autoencoder, np.ones((2, 2, 2, 1), np.float32))
