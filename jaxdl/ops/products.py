"""Matrix products, with a mode that rounds their factors to bfloat16.

Processors with units for bfloat16 compute such products several times as fast. The sums stay
float32, and so does everything between the products.
"""

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import layout
from jaxtyping import Array, Float

from jaxdl.ops.types import AnyArray

_ROUNDED = contextvars.ContextVar('rounded_products', default=False)


@contextlib.contextmanager
def rounded_products() -> Iterator[None]:
  """Makes the dense, recurrent and convolutional layers round the factors of their products.

  Factors become bfloat16, which has 8 significant bits; products are summed in float32. This holds
  for the products of the gradients, too. On GPUs and TPUs, convolutions keep the precision that the
  device has by default. As in `stock_lowering`, the context affects only tracing.
  """
  token = _ROUNDED.set(True)
  try:
    yield
  finally:
    _ROUNDED.reset(token)


def are_rounded() -> bool:
  """Returns whether the caller is inside `rounded_products`."""
  return _ROUNDED.get()


def product(left: Float[AnyArray, '... K'], right: Float[AnyArray, 'K N']) -> Float[Array, '... N']:
  """left @ right, with rounded factors inside `rounded_products`."""
  return _rounded_product(left, right) if are_rounded() else jnp.matmul(left, right)


@jax.custom_vjp
def _rounded_product(left, right):
  return multiply(rounded(left), rounded(right), left.dtype)


def _forward(left, right):
  return _rounded_product(left, right), (left, right)


def _backward(saved, cotangent):
  left, right = saved
  lines, factor = rounded(left.reshape(-1, left.shape[-1])), rounded(right)
  cotangent = rounded(cotangent.reshape(len(lines), -1))
  if len(lines) * sum(factor.shape) < factor.size:  # two small transposes instead of a large one
    of_left = multiply(factor, rows_of_transpose(cotangent), left.dtype).T
  else:
    of_left = multiply(cotangent, rows_of_transpose(factor), left.dtype)
  of_right = multiply(rows_of_transpose(lines), cotangent, right.dtype)
  return of_left.reshape(left.shape), of_right


_rounded_product.defvjp(_forward, _backward)


def rounded(array: Float[AnyArray, '...']) -> Float[Array, '...']:
  """The array as bfloat16, kept in memory."""
  return jax.lax.optimization_barrier(jnp.asarray(array, jnp.bfloat16))


def multiply(
  left: Float[AnyArray, '... K'], right: Float[AnyArray, 'K N'], dtype: Any
) -> Float[Array, '... N']:
  """A product that is summed in float32 if its factors are bfloat16.

  Args:
    left, right: the factors, of one type.
    dtype: the type of the result.
  """
  if left.dtype != jnp.bfloat16:
    return jnp.matmul(left, right).astype(dtype)
  # The barrier keeps XLA from changing the product into one that its CPU compiler does not have.
  summed = jnp.matmul(left, right, preferred_element_type=jnp.float32)
  return jax.lax.optimization_barrier(summed).astype(dtype)


def rows_of_transpose(matrix: Float[AnyArray, 'M N']) -> Float[Array, 'N M']:
  """The transpose, with its rows one after another in memory.

  XLA's product of bfloat16 on CPUs is fast only if both factors lie in memory like this.
  """
  rows = layout.with_layout_constraint(jnp.asarray(matrix).T, layout.Layout((0, 1)))
  return jax.lax.optimization_barrier(rows)
