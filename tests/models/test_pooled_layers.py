"""Tests of networks whose training steps compute a convolution and its max-pooling at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import models, ops
from jaxdl.models import layers

CONV = dict(kind='conv', features=4, kernel=3)
POOL = dict(kind='max_pool', window=2)
END = (dict(kind='flatten'), dict(kind='dense', features=3, activate=False))
NETWORKS = {  # layers, activation, convolutions that are pooled at once
  'two blocks': ((CONV, POOL, CONV, POOL, *END), 'relu', 2),
  'another layer between': ((CONV, dict(kind='batch_norm'), POOL, *END), 'relu', 0),
  'another activation': ((CONV, POOL, *END), 'tanh', 0),
  'no activation': ((CONV | dict(activate=False), POOL, *END), 'relu', 0),
  'strides': ((CONV | dict(strides=2), POOL, *END), 'relu', 0),
  'windows that overlap': ((CONV, POOL | dict(strides=1), *END), 'relu', 0),
  'padded windows': ((CONV, POOL | dict(padding='SAME'), *END), 'relu', 0),
  'the last layer': ((CONV,), 'relu', 0),
  'inside a branch': (
    (CONV, dict(kind='parallel', branches=((CONV, POOL), (POOL,))), *END),
    'relu',
    1,
  ),
  'images made sequences': (
    (dict(kind='reshape', shape=(28, 4)), CONV, POOL, *END),
    'relu',
    0,
  ),
  'read twice': ((CONV, dict(kind='parallel', branches=((POOL,), (POOL,))), *END), 'relu', 0),
}


@pytest.mark.parametrize(('layers_', 'activation', 'pooled'), NETWORKS.values(), ids=NETWORKS)
def test_training_equals_the_layers_one_after_another(layers_, activation, pooled, monkeypatch):
  """Outputs and gradients; the number of calls shows which layers are computed at once."""
  calls = []
  operation = ops.conv_relu_max_pool
  monkeypatch.setattr(
    ops, 'conv_relu_max_pool', lambda *a, **k: calls.append(1) or operation(*a, **k)
  )
  model = models.build(dict(name='cnn', activation=activation, layers=layers_))
  inputs = jax.random.normal(jax.random.key(0), (2, 8, 7, 2))
  variables = model.init(jax.random.key(1), inputs)

  def loss(parameters):
    outputs, _ = model.apply(
      variables | {'params': parameters}, inputs, train=True, mutable=['batch_stats']
    )
    return jnp.sum(jnp.sin(outputs))

  found = jax.value_and_grad(loss)(variables['params'])
  assert len(calls) == pooled
  monkeypatch.setattr(layers.Conv, 'pooling', lambda self, following: None)
  expected = jax.value_and_grad(loss)(variables['params'])
  assert len(calls) == pooled
  for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_sequences_are_not_pooled_at_once():
  layers_ = (CONV, POOL, dict(kind='global_average_pool'), END[1])
  model = models.build(dict(name='cnn', layers=layers_))
  inputs = jax.random.normal(jax.random.key(0), (2, 9, 2))
  variables = model.init(jax.random.key(1), inputs)
  found = model.apply(variables, inputs, train=True)
  np.testing.assert_allclose(found, model.apply(variables, inputs), rtol=1e-5, atol=1e-6)
