"""Attention of the positions of a sequence to earlier ones, and rotary positions.

A GPU or TPU computes all examples at once. A CPU computes one example after another, whose weights
fit into its cache, and computes them again for the gradient instead of storing them.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jaxdl.ops.lowering import is_stock
from jaxdl.ops.types import AnyArray


def attention(
  queries: Float[AnyArray, 'B T H D'],
  keys: Float[AnyArray, 'B S H D'],
  values: Float[AnyArray, 'B S H D'],
  allowed: Bool[AnyArray, 'B T S'],
) -> Float[Array, 'B T H D']:
  """Means of the values, weighted by `attention_weights`.

  Args:
    queries: H vectors of D numbers for each of T positions.
    keys: the same for each of S positions.
    values: the same.
    allowed: the positions that each query may see, at least one.

  Returns:
    The means.

  Source: Vaswani et al. 2017, Attention is all you need, section 3.2.
  """
  if is_stock():
    return _all_at_once(queries, keys, values, allowed)
  return lax.platform_dependent(
    queries, keys, values, allowed, cpu=_one_by_one, default=_all_at_once
  )


def attention_weights(
  queries: Float[AnyArray, 'B T H D'],
  keys: Float[AnyArray, 'B S H D'],
  allowed: Bool[AnyArray, 'B T S'],
) -> Float[Array, 'B H T S']:
  """softmax(queries · keys / √D), in float32 or a wider type; arguments as in `attention`."""
  return jax.vmap(_weights)(queries, keys, allowed)


def _all_at_once(queries, keys, values, allowed):
  return jax.vmap(_means)(queries, keys, values, allowed)


def _one_by_one(queries, keys, values, allowed):
  means = jax.checkpoint(_means)
  return lax.map(lambda example: means(*example), (queries, keys, values, allowed))


def _means(queries, keys, values, allowed):
  """The means of one example."""
  weights = _weights(queries, keys, allowed)
  return jnp.einsum('hts,shd->thd', weights.astype(values.dtype), values)


def _weights(queries, keys, allowed):
  """The weights [H, T, S] of one example."""
  wide = jnp.promote_types(queries.dtype, jnp.float32)
  products = jnp.einsum('thd,shd->hts', queries, keys).astype(wide) * queries.shape[-1] ** -0.5
  return jax.nn.softmax(jnp.where(allowed, products, -jnp.inf), axis=-1)


def rotate(
  vectors: Float[AnyArray, 'B T H D'], positions: Int[AnyArray, ' T']
) -> Float[Array, 'B T H D']:
  """Rotates pairs of numbers by angles proportional to the position.

  The product of a rotated query and a rotated key depends on their distance only. Pair p, of the
  numbers p and p + D / 2, turns by 10000^(−2p / D) radians for each position.

  Args:
    vectors: queries or keys; D is even.
    positions: position of each vector.

  Returns:
    The rotated vectors.

  Source: Su et al. 2021, RoFormer, section 3.2; the pairs are those of GPT-NeoX.
  """
  half = vectors.shape[-1] // 2
  wide = jnp.promote_types(vectors.dtype, jnp.float32)
  speeds = 10000.0 ** (-jnp.arange(half, dtype=wide) / half)  # radians per position
  angles = jnp.asarray(positions, wide)[:, None, None] * speeds  # [T, 1, D / 2]
  first, second = vectors[..., :half], vectors[..., half:]
  cosine, sine = jnp.cos(angles), jnp.sin(angles)
  rotated = [first * cosine - second * sine, second * cosine + first * sine]
  return jnp.concatenate(rotated, axis=-1).astype(vectors.dtype)
