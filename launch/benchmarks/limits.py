"""Limits of the device: the measured speed of matrix products and copies."""

import time

import jax
import jax.numpy as jnp

SIZE = 4096  # rows and columns of the matrices
NUMBERS = 1 << 27  # float32 of a copy


def measure(rounds: int = 5, bfloat16: bool = False) -> tuple[float, float]:
  """The highest (floating-point operations, bytes) per second in a number of rounds.

  Args:
    rounds: products and copies of which the fastest counts.
    bfloat16: whether the factors of the products are bfloat16.
  """
  matrix = jax.random.normal(jax.random.PRNGKey(0), (SIZE, SIZE))
  dtype = jnp.bfloat16 if bfloat16 else jnp.float32
  product = jax.jit(
    lambda before: jnp.dot(
      matrix.astype(dtype), before.astype(dtype), preferred_element_type=jnp.float32
    ),
    donate_argnums=0,
  )
  # In place: the memory of a new array costs as much again
  copied = jax.jit(lambda before: before + 1, donate_argnums=0)
  return (
    2 * SIZE**3 / _fastest(product, jnp.eye(SIZE), rounds),
    8 * NUMBERS / _fastest(copied, jnp.zeros(NUMBERS), rounds),
  )  # read and written


def _fastest(function, array, rounds):
  """Returns the seconds of the fastest call. Each call is on the result of the previous one."""
  array, times = function(array).block_until_ready(), []
  for _ in range(rounds):
    began = time.perf_counter()
    array = function(array).block_until_ready()
    times.append(time.perf_counter() - began)
  return min(times)
