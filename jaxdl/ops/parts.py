"""A batch in equal parts, one after another, so that what is computed in between stays in the
cache.
"""

import jax
import jax.numpy as jnp
from jax import lax


def count(batch, size, most):
  """The fewest equal parts of a batch with at most `most` bytes each, where an example takes
  `size`.
  """
  return next(
    parts
    for parts in range(1, batch + 1)
    if batch % parts == 0 and (batch // parts * size <= most or parts == batch)
  )


def each(function, parts, array):
  """function(array [B, …]) → [B, …], part by part."""
  if parts == 1:
    return function(array)
  results = lax.map(function, _split(parts, array))
  return results.reshape(-1, *results.shape[2:])


def total(function, parts, *arrays):
  """function(*arrays [B, …]), a sum over examples, as the sum over the parts."""
  if parts == 1:
    return function(*arrays)
  zeros = jnp.zeros_like(jax.eval_shape(function, *arrays))
  return lax.scan(
    lambda sums, part: (sums + function(*part), None),
    zeros,
    [_split(parts, array) for array in arrays],
  )[0]


def _split(parts, array):
  return array.reshape(parts, -1, *array.shape[1:])
