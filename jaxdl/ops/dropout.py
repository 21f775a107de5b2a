"""Dropout whose mask depends on the example.

The mask is the same on any number of devices and at any position in the batch.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped, UInt32

from jaxdl.ops.types import AnyArray


def dropout(
  key: Array,
  inputs: Float[AnyArray, '...'],
  *,
  rate: float | int | Float[Array, ''],
  index: Int[AnyArray, '...'],
) -> Float[AnyArray, '...']:
  """Sets elements to 0 with probability `rate` and divides the others by 1 − rate.

  Whether an element is dropped is a hash of the key, the index of the example and the element's
  position in the example. This takes a few integer operations for each element. Drawing threefry
  numbers for three million elements would cost as much as the rest of a training step.

  Args:
    key: a key of `jax.random`, of the old or the new style.
    inputs: [B, …].
    rate: probability in [0, 1); a traced rate is rounded to float32.
    index: [B] int32, the global index of each example.

  Returns:
    [B, …].

  Raises:
    ValueError: the rate is outside [0, 1), or the number of indices is not the number of examples.

  Source: Srivastava et al. 2014.
  """
  if not isinstance(rate, jax.Array):
    if not 0 <= rate < 1:
      raise ValueError(f'dropout rate={rate} is outside [0, 1): give the share of elements to zero')
    if rate == 0:
      return inputs
  if jnp.shape(index) != inputs.shape[:1]:
    raise ValueError(
      f'dropout index of shape {jnp.shape(index)} for inputs {inputs.shape}: give the global index '
      f'of each of the {inputs.shape[0]} examples'
    )
  bits = random_bits(key, index, math.prod(inputs.shape[1:])).reshape(inputs.shape)
  dropped = rate * 2.0**32 if isinstance(rate, jax.Array) else min(round(rate * 2**32), 2**32 - 1)
  keep = bits >= jnp.uint32(dropped)
  # A product, because XLA rounds a quotient differently in different programs.
  return jnp.where(keep, inputs * (1 / (1 - rate)), 0)


def random_bits(key: Array, index: Shaped[AnyArray, ' B'], count: int) -> UInt32[Array, 'B N']:
  """Uniform random bits, each a function of the key, its row's index and its column.

  Args:
    key: a key of `jax.random`, of the old or the new style.
    index: integers, one for each row.
    count: number N of columns.

  Returns:
    32 random bits for each row and column.
  """
  words = jax.random.key_data(key)
  rows = _mix(index.astype(jnp.uint32) ^ words[0])  # [B]
  rows = _mix(rows + words[1])
  places = jnp.arange(count, dtype=jnp.uint32) * jnp.uint32(0x9E3779B9)  # [N], Weyl's sequence
  # Rows with close start values would be shifted copies of each other. Therefore each row enters
  # twice, the second time mixed again.
  return _mix(_mix(rows[:, None] + places) ^ _mix(~rows)[:, None])


def _mix(bits):
  """A bijection of 32 bits: each input bit flips each output bit with a probability close to 1/2.

  Source: Wellons 2018, hash prospector, 'lowbias32'.
  """
  bits = (bits ^ (bits >> 16)) * jnp.uint32(0x7FEB352D)
  bits = (bits ^ (bits >> 15)) * jnp.uint32(0x846CA68B)
  return bits ^ (bits >> 16)
