"""Tests of activations, scores and targets, which all analyses use."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import BN_CNN, RECURRENT

from jaxdl import models
from jaxdl.analysis import units
from jaxdl.analysis.activations import activations
from jaxdl.analysis.units import Neuron


@pytest.fixture
def net():
  """Returns a small CNN with batch normalisation, random variables and five images."""
  model = models.build(BN_CNN)
  generator = np.random.default_rng(0)
  images = generator.random((5, 12, 12, 1), np.float32)
  variables = jax.tree.map(
    lambda leaf: jnp.asarray(generator.random(leaf.shape), leaf.dtype) - 0.3,
    jax.jit(model.init)(jax.random.PRNGKey(0), images),
  )
  variables['batch_stats'] = jax.tree.map(
    lambda leaf: jnp.abs(leaf) + 0.5, variables['batch_stats']
  )
  return model, variables, images


def test_activations_equal_layers_computed_by_hand(net):
  model, variables, images = net
  found = activations(model, variables, images, batch_size=2)
  params, running = variables['params'], variables['batch_stats']
  assert list(found) == [
    'conv1',
    'batch_norm1',
    'max_pool1',
    'dropout1',
    'flatten1',
    'dense1',
    'logits',
  ]
  conv = jax.nn.relu(
    jax.lax.conv_general_dilated(
      images, params['conv1']['kernel'], (2, 2), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
    )
    + params['conv1']['bias']
  )
  np.testing.assert_allclose(found['conv1'], conv, rtol=1e-5, atol=1e-6)
  norm = (conv - running['batch_norm1']['mean']) / jnp.sqrt(running['batch_norm1']['var'] + 1e-3)
  norm = norm * params['batch_norm1']['scale'] + params['batch_norm1']['bias']
  np.testing.assert_allclose(found['batch_norm1'], norm, rtol=1e-5, atol=1e-5)
  pooled = norm.reshape(5, 3, 2, 3, 2, 4).max((2, 4))
  np.testing.assert_allclose(found['max_pool1'], pooled, rtol=1e-5, atol=1e-5)
  np.testing.assert_allclose(found['dropout1'], pooled, rtol=1e-5, atol=1e-5)
  np.testing.assert_allclose(found['logits'], model.apply(variables, images), rtol=1e-5, atol=1e-5)


def test_activations_of_a_recurrent_layer_are_the_states():
  model = models.build(RECURRENT)
  rows = np.random.default_rng(0).random((3, 6, 4), np.float32)
  variables = model.init(jax.random.PRNGKey(0), rows)
  found = activations(model, variables, rows, ['lstm'])
  assert found['lstm'].shape == (3, 6, 8)
  dense = variables['params']['logits']
  np.testing.assert_allclose(
    found['lstm'][:, -1] @ dense['kernel'] + dense['bias'], model.apply(variables, rows), atol=1e-6
  )


def test_scores_equal_logits_and_unit_outputs(net):
  model, variables, images = net
  logits = model.apply(variables, images)
  labels = np.array([1, 0, 9, 3, 3])
  np.testing.assert_array_equal(
    units.scores(model, variables, images, labels), logits[np.arange(5), labels]
  )
  conv = activations(model, variables, images, ['conv1'])['conv1']
  found = units.scores(model, variables, images, Neuron('conv1', 2, (4, 5)))
  np.testing.assert_allclose(found, conv[:, 4, 5, 2], rtol=1e-6)
  np.testing.assert_allclose(
    units.scores(model, variables, images, Neuron('conv1', 2)), conv[..., 2].max((1, 2)), rtol=1e-6
  )
  np.testing.assert_allclose(
    units.scores(model, variables, images, Neuron('dense1', 7)),
    activations(model, variables, images, ['dense1'])['dense1'][:, 7],
    rtol=1e-6,
  )


def test_outputs_with_a_changed_layer_are_recomputed(net):
  model, variables, images = net
  unchanged = units.outputs_with(model, variables, images, 'conv1', lambda outputs: outputs)
  np.testing.assert_array_equal(unchanged, model.apply(variables, images))
  zeroed = units.outputs_with(model, variables, images, 'dense1', jnp.zeros_like)
  logits, running = variables['params']['logits'], variables['batch_stats']['logits']
  expected = -running['mean'] / jnp.sqrt(running['var'] + 1e-3) * logits['scale'] + logits['bias']
  np.testing.assert_allclose(zeroed, jnp.tile(expected, (5, 1)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
  ('layers', 'images', 'message'),
  [
    (
      ['conv2'],
      np.zeros((2, 12, 12, 1), np.float32),
      r"layer 'conv2' is unknown: use one of conv1, batch_norm1, max_pool1",
    ),
    (
      None,
      np.zeros((2, 12, 12, 3), np.float32),
      r'inputs of shape \(2, 12, 12, 3\) do not fit the model: \w',
    ),
    (
      None,
      np.zeros((2, 30, 12, 1), np.float32),
      r'inputs of shape \(2, 30, 12, 1\) do not fit the model: \w',
    ),
  ],
)
def test_activations_errors_name_the_fix(net, layers, images, message):
  model, variables, _ = net
  with pytest.raises(ValueError, match=f'^{message}'):
    activations(model, variables, images, layers)


@pytest.mark.parametrize(
  ('target', 'message'),
  [
    (Neuron('conv9', 0), r"layer 'conv9' is unknown"),
    (Neuron('conv1', 4), r"channel 4 of layer 'conv1' is out of range: use 0 to 3"),
    (
      Neuron('conv1', 0, (6, 0)),
      r"position \(6, 0\) of layer 'conv1' is out of range: its output is \(6, 6, 4\)",
    ),
    (Neuron('conv1', 0, (1, 2, 3)), r"position \(1, 2, 3\) of layer 'conv1' is out of range"),
    (Neuron('dense1', 0, (0, 0)), r"position \(0, 0\) of layer 'dense1' is out of range"),
    (
      np.array([0, 1]),
      r'target of shape \(2,\) and type int64 for 5 inputs: give one integer label each',
    ),
    (np.array([0, 1, 2, 3, 10]), r'target has labels from 0 to 10: use 0 to 9'),
  ],
)
def test_invalid_target_error_names_the_fix(net, target, message):
  with pytest.raises(ValueError, match=f'^{message}'):
    units.check_target(*net, target)


def test_scores_of_a_different_unit_per_image(net):
  model, variables, images = net
  conv = activations(model, variables, images, ['conv1'])['conv1']
  channels = np.array([0, 3, 1, 1, 2])
  positions = np.array([[0, 0], [5, 5], [2, 3], [3, 2], [4, 1]])
  found = units.scores(model, variables, images, Neuron('conv1', channels, positions))
  np.testing.assert_allclose(
    found, conv[np.arange(5), positions[:, 0], positions[:, 1], channels], rtol=1e-6
  )
  strongest = units.scores(model, variables, images, Neuron('conv1', channels))
  np.testing.assert_allclose(strongest, conv.max((1, 2))[np.arange(5), channels], rtol=1e-6)
  with pytest.raises(
    ValueError,
    match=r'^channel of shape \(2,\) and type int64 for 5 inputs: give one integer, or one each',
  ):
    units.check_target(model, variables, images, Neuron('conv1', np.array([0, 1])))


def test_tiled_targets_follow_copies_of_the_batch(net):
  """The scores of two copies of the images, one after the other, are the scores twice."""
  model, variables, images = net
  copies = np.concatenate([images, images])
  positions = np.array([[0, 0], [5, 5], [2, 3], [3, 2], [4, 1]])
  for target in (
    np.array([1, 0, 9, 3, 4]),
    Neuron('conv1', np.array([0, 3, 1, 1, 2])),
    Neuron('conv1', np.array([0, 3, 1, 1, 2]), positions),
  ):
    found = units.scores(model, variables, copies, units.tiled(target, 2))
    once = units.scores(model, variables, images, target)
    np.testing.assert_allclose(found, np.concatenate([once, once]), rtol=1e-6)
  assert units.tiled(np.array([1, 0]), 3).tolist() == [1, 0, 1, 0, 1, 0]


def test_keys_depend_on_the_index_alone():
  key = jax.random.PRNGKey(3)
  found = np.asarray(units.keys_of(key, 4))
  np.testing.assert_array_equal(found[:2], units.keys_of(key, 2))
  assert len({tuple(one) for one in found.tolist()}) == 4
  assert (found != units.keys_of(jax.random.PRNGKey(4), 4)).any()
