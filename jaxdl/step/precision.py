"""Mixed precision: a network computes in bfloat16, or only its products do.

Parameters, batch statistics and losses stay float32.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxdl import ops

PRECISIONS = ('float32', 'bfloat16', 'bfloat16_products')


def compute_in(apply: Callable, precision: str) -> Callable:
  """Makes a model's `apply` compute in another precision.

  'bfloat16' also stores the values between layers as bfloat16. The parameters of layers with batch
  statistics stay float32, because these layers normalise in float32. 'bfloat16_products' only
  rounds the factors of products (`ops.rounded_products`).

  Args:
    apply: function (variables, inputs, **keywords) → (outputs, updated collections), such as that
      of a linen module.
    precision: one of PRECISIONS; for 'float32', `apply` is returned.

  Returns:
    A function with the same arguments; its outputs and updated collections are float32.

  Source: Micikevicius et al. 2018, Mixed precision training; bfloat16 has float32's range and needs
    no loss scaling.
  """
  if precision == 'float32':
    return apply
  if precision == 'bfloat16_products':
    return ops.rounded_products()(apply)

  def lowered(variables, inputs, **keywords):
    fixed = variables['batch_stats']
    params = {
      layer: values if layer in fixed else _cast(values, jnp.bfloat16)
      for layer, values in variables['params'].items()
    }
    others = {
      name: _cast(values, jnp.bfloat16)
      for name, values in variables.items()
      if name not in ('params', 'batch_stats')
    }
    lower = {**others, 'params': params, 'batch_stats': fixed}
    return _cast(apply(lower, _cast(inputs, jnp.bfloat16), **keywords), jnp.float32)

  return lowered


def _cast(tree, dtype):
  """Converts the floating-point arrays of a tree; integers, such as characters, stay."""

  def cast(leaf):
    return leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

  return jax.tree.map(cast, tree)
