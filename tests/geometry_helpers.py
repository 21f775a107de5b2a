"""Finds the receptive fields of units by trying every pixel."""

import math

import jax
import jax.numpy as jnp
import numpy as np


def lit_units(model, size):
  """Finds the units that are above 0 if one pixel is 1 and all others are 0.

  All weights are positive and all biases are 0. A unit is therefore above 0 exactly if the pixel is
  in its receptive field, also through max-pooling, because all other values are 0.

  Args:
    model: the model.
    size: (height, width) of the images.

  Returns:
    Layer name → [H, W, H', W'] bool.
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
  """Returns random parameters, uniform from `low` to `high`; biases and running means are 0."""
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
