"""Tests of guided backpropagation, the deconvnet and the gradient: equal to loops in NumPy."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import RECURRENT

from jaxdl import models
from jaxdl.analysis import attribution, units
from jaxdl.analysis.maps import guided_backprop
from jaxdl.analysis.units import Neuron

METHODS = {
  'gradient': attribution.saliency,
  'guided': attribution.guided_backprop,
  'deconvnet': attribution.deconvnet,
}
NETS = {
  'pool of stride 2': (
    dict(kind='conv', features=3, kernel=3),
    dict(kind='max_pool'),
    dict(kind='conv', features=2, kernel=2, padding='VALID'),
    dict(kind='flatten'),
    dict(kind='dense', features=5),
    dict(kind='dense', features=3, activate=False, name='logits'),
  ),
  'pool of stride 1': (
    dict(kind='conv', features=3, kernel=3),
    dict(kind='max_pool', strides=1),
    dict(kind='conv', features=2, kernel=2, padding='VALID'),
    dict(kind='max_pool', strides=1),
    dict(kind='flatten'),
    dict(kind='dense', features=5),
    dict(kind='dense', features=3, activate=False, name='logits'),
  ),
}


def network(name, shape=(6, 6, 2), batch=2, dtype=np.float64):
  model = models.build(dict(name='cnn', layers=NETS[name]))
  generator = np.random.default_rng(0)
  images = generator.normal(size=(batch, *shape)).astype(dtype)
  variables = jax.tree.map(
    lambda leaf: (generator.normal(size=leaf.shape) * 0.6).astype(dtype),
    jax.eval_shape(model.init, jax.random.PRNGKey(0), images),
  )
  return model, variables, images


def relu_backward(mode, inputs, signal):
  """Applies one of the three rules of Springenberg et al. 2015, figure 1."""
  return {
    'gradient': np.where(inputs > 0, signal, 0),
    'deconvnet': np.where(signal > 0, signal, 0),
    'guided': np.where((inputs > 0) & (signal > 0), signal, 0),
  }[mode]


def map_by_loops(layers, params, image, label, mode):
  """Computes a map with loops: an image forward, then a signal of 1 from the logit to the pixels."""
  value, steps, counts = image, [], {}
  for layer in layers:
    kind = layer['kind']
    counts[kind] = counts.get(kind, 0) + 1
    layer_params = params.get(layer.get('name', f'{kind}{counts[kind]}'), {})
    linear, backward = FORWARD[kind](value, layer, layer_params)
    active = kind in ('conv', 'dense') and layer.get('activate', True)
    steps.append((linear, active, backward))
    value = np.maximum(linear, 0) if active else linear
  signal = np.eye(len(value))[label]
  for linear, active, backward in reversed(steps):
    if active:
      signal = relu_backward(mode, linear, signal)
    signal = backward(signal)
  return signal


def conv_by_loops(value, layer, layer_params):
  """Returns the outputs before the activation and the function for the backward pass."""
  kernel, size = layer_params['kernel'], layer['kernel']
  pad = (size - 1) // 2 if layer.get('padding', 'SAME') == 'SAME' else 0
  height, width, channels = value.shape
  padded = np.pad(value, ((pad, pad), (pad, pad), (0, 0)))
  linear = np.zeros((padded.shape[0] - size + 1, padded.shape[1] - size + 1, layer['features']))
  for i, j in np.ndindex(linear.shape[:2]):
    linear[i, j] = (
      np.tensordot(padded[i : i + size, j : j + size], kernel, 3) + layer_params['bias']
    )

  def backward(signal):
    padded = np.zeros((height + 2 * pad, width + 2 * pad, channels))
    for i, j in np.ndindex(signal.shape[:2]):
      padded[i : i + size, j : j + size] += kernel @ signal[i, j]
    return padded[pad : pad + height, pad : pad + width]

  return linear, backward


def max_pool_by_loops(value, layer, layer_params):
  """Returns the same for max pooling of 2 × 2; the first of equal values is the switch."""
  step = layer.get('strides', 2)
  rows, columns = ((size - 2) // step + 1 for size in value.shape[:2])
  linear, switches = np.zeros((rows, columns, value.shape[2])), {}
  for i, j, c in np.ndindex(linear.shape):
    window = value[i * step : i * step + 2, j * step : j * step + 2, c]
    row, column = np.unravel_index(window.argmax(), (2, 2))
    switches[i, j, c] = i * step + row, j * step + column, c
    linear[i, j, c] = window.max()

  def backward(signal):
    unpooled = np.zeros(value.shape)
    for output, switch in switches.items():
      unpooled[switch] += signal[output]  # signals of overlapping windows are added
    return unpooled

  return linear, backward


def flatten_by_loops(value, layer, layer_params):
  return value.ravel(), lambda signal: signal.reshape(value.shape)


def dense_by_loops(value, layer, layer_params):
  kernel = layer_params['kernel']
  return value @ kernel + layer_params['bias'], lambda signal: kernel @ signal


FORWARD = {
  'conv': conv_by_loops,
  'max_pool': max_pool_by_loops,
  'flatten': flatten_by_loops,
  'dense': dense_by_loops,
}


@pytest.mark.parametrize('name', NETS)
def test_methods_equal_the_loops_in_float64(name):
  with jax.enable_x64(True):
    model, variables, images = network(name)
    labels = np.array([2, 0])
    for mode, method in METHODS.items():
      found = method(model, variables, images, labels)
      assert found.dtype == np.float64
      expected = [
        map_by_loops(NETS[name], variables['params'], image, label, mode)
        for image, label in zip(images, labels, strict=True)
      ]
      np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13, err_msg=mode)


def hand_set_network():
  """Returns a network with hand-set weights and an image with the centre pixels 3, 1, 0, 5.

  Logit 0 is 2·r(x₁₁ − 2) + 5·r(x₁₂ − 2) + 4·r(x₂₁ − 2) − r(x₂₂ − 2), where r is the ReLU and x are
  the centre pixels.
  """
  model = models.build(
    dict(
      name='cnn',
      layers=(
        dict(kind='conv', features=1, kernel=3, padding='VALID'),
        dict(kind='flatten'),
        dict(kind='dense', features=2, activate=False, name='logits'),
      ),
    )
  )
  kernel = np.zeros((3, 3, 1, 1), np.float32)
  kernel[1, 1] = 1
  weights = np.array([[2, 0], [5, 0], [4, 0], [-1, 1]], np.float32)
  variables = {
    'params': {
      'conv1': {'kernel': kernel, 'bias': np.float32([-2])},
      'logits': {'kernel': weights, 'bias': np.zeros(2, np.float32)},
    }
  }
  image = np.full((1, 4, 4, 1), 7, np.float32)
  image[0, 1:3, 1:3, 0] = [[3, 1], [0, 5]]
  return model, variables, image


@pytest.mark.parametrize(
  ('mode', 'expected'),
  [('gradient', [[2, 0], [0, -1]]), ('guided', [[2, 0], [0, 0]]), ('deconvnet', [[2, 5], [4, 0]])],
)
def test_methods_equal_hand_values(mode, expected):
  found = METHODS[mode](*hand_set_network(), np.array([0]))
  np.testing.assert_array_equal(found[0, 1:3, 1:3, 0], expected)
  assert np.count_nonzero(found) == np.count_nonzero(expected)


def test_first_of_equal_values_is_the_switch():
  model = models.build(
    dict(
      name='cnn',
      layers=(
        dict(kind='max_pool'),
        dict(kind='activation'),
        dict(kind='flatten'),
        dict(kind='dense', features=1, activate=False, name='logits'),
      ),
    )
  )
  variables = {
    'params': {'logits': {'kernel': np.ones((4, 1), np.float32), 'bias': np.zeros(1, np.float32)}}
  }
  found = attribution.deconvnet(model, variables, np.zeros((1, 4, 4, 1), np.float32), np.array([0]))
  np.testing.assert_array_equal(found[0, ..., 0], np.kron(np.ones((2, 2)), [[1, 0], [0, 0]]))


def test_map_of_a_neuron_lies_inside_its_receptive_field():
  model, variables, images = network('pool of stride 2', dtype=np.float32)
  variables['params']['conv2']['bias'] += 9  # the unit is active
  for method in METHODS.values():
    found = method(model, variables, images, Neuron('conv2', 1, (0, 0)))
    assert found[:, :5, :5].any()
    assert not found[:, 5:].any()
    assert not found[:, :, 5:].any()
  np.testing.assert_array_equal(
    attribution.saliency(model, variables, images, Neuron('conv2', 1, [0, 0])),
    attribution.saliency(model, variables, images, Neuron('conv2', 1, (0, 0))),
  )


@pytest.mark.parametrize('mode', METHODS)
def test_map_of_a_dead_unit_is_zero_and_warns(mode):
  model, variables, images = network('pool of stride 2', dtype=np.float32)
  variables['params']['conv2']['bias'] -= 100
  with pytest.warns(UserWarning, match='2 of 2 maps are zero everywhere: Neuron.* is dead'):
    found = METHODS[mode](model, variables, images, Neuron('conv2', 0))
  assert not found.any()
  assert attribution.silent(found).all()


def test_maps_do_not_depend_on_the_batch_size():
  model, variables, images = network('pool of stride 1', batch=5, dtype=np.float32)
  labels = np.array([0, 1, 2, 1, 0])
  expected = attribution.deconvnet(model, variables, images, labels)
  np.testing.assert_allclose(
    attribution.deconvnet(model, variables, images, labels, batch_size=2),
    expected,
    rtol=1e-5,
    atol=1e-6,
  )
  np.testing.assert_allclose(
    attribution.deconvnet(model, variables, images[3:4], labels[3:4])[0],
    expected[3],
    rtol=1e-5,
    atol=1e-6,
  )


class ExtraReLU(nn.Module):
  """A model with the field `activation` and another ReLU."""

  extra: callable
  activation: callable = nn.relu

  @nn.compact
  def __call__(self, inputs):
    hidden = self.activation(nn.Dense(4, name='hidden')(inputs.reshape(len(inputs), -1)))
    return nn.Dense(2, name='logits')(self.extra(hidden - 0.1))


@pytest.mark.parametrize(
  'extra',
  [
    nn.relu,
    lambda x: jnp.maximum(x, 0),
    lambda x: jnp.maximum(x, jnp.zeros_like(x)),
    lambda x: jnp.clip(x, 0),
    jax.jit(lambda x: jnp.maximum(0.0, x)),
    nn.relu6,
  ],
)
def test_relu_outside_the_activation_field_raises(extra):
  images = np.ones((1, 2, 2, 1), np.float32)
  model = ExtraReLU(extra)
  variables = model.init(jax.random.PRNGKey(0), images)
  for method in (attribution.guided_backprop, attribution.deconvnet):
    with pytest.raises(
      ValueError, match='cannot reach 1 ReLUs of ExtraReLU, which are not its field `activation`'
    ):
      method(model, variables, images, np.array([0]))


def test_models_without_relus_raise():
  images, labels = np.ones((1, 6, 4), np.float32), np.array([0])
  recurrent = models.build(RECURRENT)
  variables = recurrent.init(jax.random.PRNGKey(0), images)
  assert attribution.saliency(recurrent, variables, images, labels).shape == images.shape
  with pytest.raises(
    ValueError, match='^deconvnet needs ReLUs and Recurrent has no field `activation`'
  ):
    attribution.deconvnet(recurrent, variables, images, labels)
  tanh = models.build(dict(name='cnn', activation='tanh', layers=NETS['pool of stride 2']))
  _, variables, images = network('pool of stride 2', dtype=np.float32)
  with pytest.raises(
    ValueError, match="^guided_backprop is defined for ReLUs and the activation of CNN is 'tanh'"
  ):
    attribution.guided_backprop(tanh, variables, images, np.array([0, 1]))


def test_max_pooling_does_not_count_as_relu():
  model, variables, images = network('pool of stride 1', dtype=np.float32)
  program = jax.make_jaxpr(model.apply)(variables, images)
  assert guided_backprop.thresholds(program.jaxpr) == 3
  assert units.shapes(model, variables, images)['logits'] == (3,)
