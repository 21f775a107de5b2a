"""Attention of the positions of a sequence to earlier ones, and rotary positions.

It has one lowering: the products of small networks are fast as XLA compiles them.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxdl.ops.types import AnyArray


def attention(
  queries: Float[AnyArray, 'B T H D'],
  keys: Float[AnyArray, 'B S H D'],
  values: Float[AnyArray, 'B S H D'],
  allowed: Bool[AnyArray, 'B T S'],
) -> tuple[Float[Array, 'B T H D'], Float[Array, 'B H T S']]:
  """Means of the values, weighted by softmax(queries · keys / √D).

  Args:
    queries: H vectors of D numbers for each of T positions.
    keys: the same for each of S positions.
    values: the same.
    allowed: the positions that each query may see, at least one.

  Returns:
    (means, weights). The softmax is computed in float32 or a wider type.

  Source: Vaswani et al. 2017, Attention is all you need, section 3.2.
  """
  wide = jnp.promote_types(queries.dtype, jnp.float32)
  products = jnp.einsum('bthd,bshd->bhts', queries, keys).astype(wide) * queries.shape[-1] ** -0.5
  weights = jax.nn.softmax(jnp.where(allowed[:, None], products, -jnp.inf), axis=-1)
  means = jnp.einsum('bhts,bshd->bthd', weights.astype(values.dtype), values)
  return means, weights


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
