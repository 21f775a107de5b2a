"""Computes on a batch in equal parts, one after another; intermediate results stay in the cache."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Shaped

from jaxdl.ops.types import AnyArray


def count(batch: int, size: int, most: int) -> int:
  """The smallest number of equal parts of a batch whose parts have at most `most` bytes.

  Args:
    batch: examples.
    size: bytes of one example.
    most: bytes that a part should have at most.

  Returns:
    A divisor of `batch`; `batch` itself where a single example is larger than `most`.
  """
  return next(
    parts
    for parts in range(1, batch + 1)
    if batch % parts == 0 and (batch // parts * size <= most or parts == batch)
  )


def each(function: Callable, parts: int, *arrays: Shaped[AnyArray, 'B ...']) -> Any:
  """Applies a function to each part of a batch and concatenates the results.

  Args:
    function: arrays [b, …] → an array [b, …], or a tuple of them.
    parts: number of parts.
    *arrays: the batch.

  Returns:
    The results for the batch.
  """
  if parts == 1:
    return function(*arrays)
  results = lax.map(lambda part: function(*part), [_split(parts, array) for array in arrays])
  return jax.tree.map(lambda result: result.reshape(-1, *result.shape[2:]), results)


def total(function: Callable, parts: int, *arrays: Shaped[AnyArray, 'B ...']) -> Any:
  """Computes a sum over the examples of a batch as the sum over its parts.

  Args:
    function: arrays [b, …] → their sum over the examples, or a tuple of sums.
    parts: number of parts.
    *arrays: the batch.

  Returns:
    The sum, of the shape that `function` returns.
  """
  if parts == 1:
    return function(*arrays)
  zeros = jax.tree.map(jnp.zeros_like, jax.eval_shape(function, *arrays))

  def add(sums, part):
    return jax.tree.map(jnp.add, sums, function(*part)), None

  sums, _ = lax.scan(add, zeros, [_split(parts, array) for array in arrays])
  return sums


def _split(parts, array):
  return array.reshape(parts, -1, *array.shape[1:])
