"""Which pixels a unit sees, found by trying every pixel."""

import math

import jax
import jax.numpy as jnp
import numpy as np


def lit_units(model, size):
  """Layer name → [H, W, H', W'] bool: units above 0 where one pixel is 1 and all others are 0.

  All weights are positive and all biases 0, so that a unit is above 0 exactly where it sees the
  pixel, through any maximum: no other value competes.
  """
  images = jnp.eye(math.prod(size)).reshape(-1, *size, 1)

  @jax.jit
  def lit(values, images):
    _, state = model.apply(values, images, capture_intermediates=True, mutable=['intermediates'])
    return {
      name: (layer['__call__'][0] > 0).any(-1)
      for name, layer in state['intermediates'].items()
      if name != '__call__'
    }

  units = lit(drawn(model, images[:1], 0.5, 1.5), images)
  return {
    name: np.asarray(values).reshape(*size, *values.shape[1:]) for name, values in units.items()
  }


def drawn(model, images, low, high):
  """Parameters drawn evenly from low to high, biases and running means 0."""
  draw = np.random.default_rng(0)
  shapes = jax.eval_shape(lambda: model.init(jax.random.PRNGKey(0), images))
  return jax.tree_util.tree_map_with_path(
    lambda path, leaf: (
      np.zeros(leaf.shape, np.float32)
      if path[-1].key in ('bias', 'mean')
      else draw.uniform(low if path[-1].key == 'kernel' else 0.5, high, leaf.shape).astype(
        np.float32
      )
    ),
    shapes,
  )
