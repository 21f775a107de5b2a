"""Every operation, model and task against finite differences in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import BN_CNN
from jax.test_util import check_grads

from jaxdl import models, ops, tasks
from jaxdl.ops import convolution, pooling

GENERATOR = np.random.default_rng(0)
WINDOWS = [((3, 3), (1, 1), ((1, 1), (1, 1))), ((2, 3), (2, 1), ((0, 0), (0, 0))), ((5, 5), (2, 3), ((2, 1), (0, 3)))]


def normal(*shape):
  return jnp.asarray(GENERATOR.normal(size=shape))


def check(function, *arguments):
  check_grads(function, arguments, order=1, modes=('rev',), atol=1e-6, rtol=1e-6)


@pytest.fixture(autouse=True)
def _float64():
  with jax.enable_x64(True):
    yield


@pytest.mark.parametrize('lowering', [convolution.by_patches, convolution.stock])
@pytest.mark.parametrize(('window', 'strides', 'pads'), WINDOWS)
def test_gradients_of_conv(lowering, window, strides, pads):
  check(lambda x, kernel: lowering(x, kernel, strides, pads), normal(2, 7, 8, 3), normal(*window, 3, 4))


@pytest.mark.parametrize('lowering', [pooling.max_by_slices, pooling.max_stock])
@pytest.mark.parametrize(('window', 'strides', 'pads'), WINDOWS)
def test_gradients_of_max_pool(lowering, window, strides, pads):
  distinct = jnp.asarray(GENERATOR.permutation(2 * 7 * 8 * 3).reshape(2, 7, 8, 3) / 10)  # no kinks within a difference
  check(lambda x: lowering(x, window, strides, pads), distinct)


def test_gradients_of_avg_pool():
  check(lambda x: ops.avg_pool(x, window=(3, 2), strides=(2, 1), padding='SAME'), normal(2, 5, 6, 3))


def test_gradients_of_dropout():
  key, index = jax.random.PRNGKey(3), jnp.arange(4)
  check(lambda x: ops.dropout(key, x, rate=0.4, index=index), normal(4, 5))


def test_gradients_of_simple_rnn():
  def function(inputs, hidden, *kernels):
    return ops.simple_rnn(inputs, hidden, **dict(zip(('input_kernel', 'recurrent_kernel', 'bias'), kernels, strict=True)))
  check(function, normal(2, 4, 3), normal(2, 5), normal(3, 5), normal(5, 5), normal(5))


def test_gradients_of_lstm():
  def function(inputs, cell, hidden, *kernels):
    named = dict(zip(('input_kernel', 'recurrent_kernel', 'bias'), kernels, strict=True))
    return ops.lstm(inputs, (cell, hidden), **named)
  check(function, normal(2, 4, 3), normal(2, 5), normal(2, 5), normal(3, 20), normal(5, 20), normal(20))


def test_gradients_of_gru():
  def function(inputs, hidden, *kernels):
    named = dict(zip(('input_kernel', 'recurrent_kernel', 'bias', 'recurrent_bias'), kernels, strict=True))
    return ops.gru(inputs, hidden, **named)
  check(function, normal(2, 4, 3), normal(2, 5), normal(3, 15), normal(5, 15), normal(15), normal(15))


@pytest.mark.parametrize('section', [
    *(dict(name='recurrent', cell=cell, features=5, classes=10) for cell in ('rnn', 'lstm', 'gru')),
    BN_CNN,
    {**BN_CNN, 'activation': 'tanh', 'layers': BN_CNN['layers'][:1] + (dict(kind='average_pool'),) + BN_CNN['layers'][4:]},
], ids=['rnn', 'lstm', 'gru', 'bn_cnn', 'tanh_cnn'])
@pytest.mark.parametrize('train', [True, False])
def test_gradients_of_model_and_task(section, train):
  """The summed loss by every parameter, with batch statistics, dropout and a padded example."""
  model = models.build(section)
  inputs = normal(3, 12, 12, 1) if section['name'] == 'cnn' else normal(3, 6, 4)
  mask, index = jnp.array([1.0, 1.0, 0.0]), jnp.array([7, 3, 0])
  variables = jax.tree.map(lambda leaf: normal(*leaf.shape) * 0.5 + 0.8, model.init(jax.random.PRNGKey(0), inputs))
  fixed = {name: tree for name, tree in variables.items() if name != 'params'}

  def loss(params):
    outputs, _ = model.apply({'params': params, **fixed}, inputs, train=train, mask=mask, index=index,
                             mutable=['batch_stats'], rngs={'dropout': jax.random.PRNGKey(1)})
    return tasks.classify(outputs, {'label': jnp.array([1, 2, 3]), 'mask': mask})['loss']

  check_grads(loss, (variables['params'],), order=1, modes=('rev',), atol=1e-5, rtol=1e-5, eps=1e-5)


def test_gradients_of_classify():
  batch = {'label': jnp.array([0, 2, 1]), 'mask': jnp.array([1.0, 1.0, 0.0])}
  check(lambda logits: tasks.classify(logits, batch)['loss'], normal(3, 4))
