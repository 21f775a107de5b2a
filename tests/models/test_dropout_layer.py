"""Tests of dropout of whole channels and of locked dropout in recurrent networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import models
from jaxdl.models import layers


@pytest.mark.parametrize('shape', [(40, 7, 30), (40, 3, 5, 30)], ids=['sequences', 'images'])
def test_whole_channels_are_dropped(shape):
  """A channel is 0 at all places or at none, independently for each example, at the given rate."""
  layer = layers.Dropout(0.3, whole_channels=True)
  context = layers.Context(train=True, index=jnp.arange(shape[0]))
  inputs = jax.random.uniform(jax.random.key(0), shape, minval=1.0)
  found = layer.apply({}, inputs, context, rngs={'dropout': jax.random.key(1)})
  kept = np.asarray(found != 0).reshape(shape[0], -1, shape[-1])
  np.testing.assert_array_equal(kept.all(1), kept.any(1))
  assert abs(kept.mean() - 0.7) < 4 * np.sqrt(0.3 * 0.7 / (shape[0] * shape[-1]))
  assert len(np.unique(kept[:, 0], axis=0)) == shape[0]
  expected = np.where(found != 0, inputs / 0.7, 0)
  np.testing.assert_allclose(found, expected, rtol=1e-6)
  part = layer.apply(
    {},
    inputs[30:],
    layers.Context(train=True, index=jnp.arange(30, 40)),
    rngs={'dropout': jax.random.key(1)},
  )
  np.testing.assert_array_equal(part, found[30:])  # it follows the example, not the batch


@pytest.mark.parametrize(
  ('model', 'inputs'),
  [
    (
      dict(name='language_model', cell='gru', features=6, classes=5, embedding=4, layers=2),
      np.zeros((3, 8), np.int32),
    ),
    (
      dict(name='recurrent', cell='lstm', features=6, classes=5, layers=2),
      np.ones((3, 8, 2), np.float32),
    ),
  ],
  ids=['language_model', 'recurrent'],
)
def test_locked_dropout_drops_the_same_units_at_all_steps(model, inputs):
  """The number of different masks over the steps is 1 with locked dropout, and more without."""
  for locked in (True, False):
    built = models.build({**model, 'dropout': 0.5, 'locked_dropout': locked})
    rngs = {'params': jax.random.key(0), 'dropout': jax.random.key(2)}
    index = jnp.arange(3)
    variables = built.init(rngs, inputs, index=index)
    _, kept = built.apply(
      variables,
      inputs,
      train=True,
      index=index,
      rngs={'dropout': jax.random.key(2)},
      capture_intermediates=lambda module, name: isinstance(module, layers.Dropout),
      mutable=['intermediates'],
    )
    outputs = jax.tree.leaves(kept['intermediates'])
    assert len(outputs) == (3 if model['name'] == 'language_model' else 1)
    for output in outputs:
      masks = [np.unique(one != 0, axis=0) for one in np.asarray(output)]
      assert all((len(mask) == 1) == locked for mask in masks)
