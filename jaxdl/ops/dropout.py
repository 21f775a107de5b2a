"""Dropout whose mask follows the example: the same on any number of devices and at any place in the
batch.
"""

import math

import jax
import jax.numpy as jnp


def dropout(key, inputs, *, rate, index):
  """Zeroes elements with probability `rate` and divides the others by 1 − rate.

  An element's fate is a hash of (key, example index, place in the example): a few integer
  operations, where drawing threefry numbers for three million elements costs as much as the rest of
  a training step.

  Args:
    key: a key of jax.random, old or new style.
    inputs: [B, …].
    rate: float in [0, 1), perhaps traced, which rounds it to float32.
    index: [B] int32, global example index.

  Returns:
    [B, …].

  Raises:
    ValueError: the rate is outside [0, 1), or there is not one index an example.

  Source: Srivastava et al. 2014.
  """
  if not isinstance(rate, jax.Array):
    if not 0 <= rate < 1:
      raise ValueError(f'dropout rate={rate} is outside [0, 1): give the share of elements to zero')
    if rate == 0:
      return inputs
  if jnp.shape(index) != inputs.shape[:1]:
    raise ValueError(
      f'dropout index of shape {jnp.shape(index)} for inputs {inputs.shape}: give the global index of '
      f'each of the {inputs.shape[0]} examples'
    )
  bits = random_bits(key, index, math.prod(inputs.shape[1:])).reshape(inputs.shape)
  dropped = rate * 2.0**32 if isinstance(rate, jax.Array) else min(round(rate * 2**32), 2**32 - 1)
  keep = bits >= jnp.uint32(dropped)
  return jnp.where(
    keep, inputs * (1 / (1 - rate)), 0
  )  # a product: XLA rounds a quotient in one way or another


def random_bits(key, index, count):
  """Uniform random bits: [B, count] uint32, each a function of (key, its row's index, its column)."""
  words = jax.random.key_data(key)
  rows = _mix(index.astype(jnp.uint32) ^ words[0])  # [B]
  rows = _mix(rows + words[1])
  places = jnp.arange(count, dtype=jnp.uint32) * jnp.uint32(0x9E3779B9)  # [N], Weyl's sequence
  # Two rows that begin near each other would be shifted copies; so each row enters twice, the
  # second time mixed again.
  return _mix(_mix(rows[:, None] + places) ^ _mix(~rows)[:, None])


def _mix(bits):
  """Bijection of 32 bits in which each input bit flips each output bit with a probability near one
  half.

  Source: Wellons 2018, hash prospector, 'lowbias32'.
  """
  bits = (bits ^ (bits >> 16)) * jnp.uint32(0x7FEB352D)
  bits = (bits ^ (bits >> 15)) * jnp.uint32(0x846CA68B)
  return bits ^ (bits >> 16)
