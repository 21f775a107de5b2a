"""Mixed precision: a network computes in bfloat16 while parameters, batch statistics and losses
stay float32.
"""

import jax
import jax.numpy as jnp

PRECISIONS = {'float32': jnp.float32, 'bfloat16': jnp.bfloat16}


def compute_in(apply, precision):
  """Lets a model's `apply` compute in another type; what goes in and what comes out keeps its own.

  The parameters of layers with batch statistics stay float32, for these layers normalise in
  float32.

  Args:
    apply: function (variables, inputs, **keywords) → (outputs, updated collections), as a linen
      module's.
    precision: a key of PRECISIONS; 'float32' is `apply` itself.

  Returns:
    function of the same form: outputs and updated collections are float32.

  Source: Micikevicius et al. 2018, Mixed precision training; bfloat16 has float32's range and needs
    no loss scaling.
  """
  if precision == 'float32':
    return apply

  def lowered(variables, inputs, **keywords):
    fixed = variables['batch_stats']
    params = {
      layer: values if layer in fixed else _cast(values, PRECISIONS[precision])
      for layer, values in variables['params'].items()
    }
    others = {
      name: _cast(values, PRECISIONS[precision])
      for name, values in variables.items()
      if name not in ('params', 'batch_stats')
    }
    lower = {**others, 'params': params, 'batch_stats': fixed}
    return _cast(apply(lower, _cast(inputs, PRECISIONS[precision]), **keywords), jnp.float32)

  return lowered


def _cast(tree, dtype):
  """The same tree with its floating arrays in another type; integers, such as characters, stay."""
  return jax.tree.map(
    lambda x: x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree
  )
