"""Convolution over patches that are a few pixels wider than the window.

A product over patches with few features is slow: it reads a patch for a few numbers. A patch that
is `outputs` − 1 pixels wider than the window holds the windows of `outputs` neighbours in a row.
One product with shifted copies of the kernel side by side gives the outputs of all of them. It
copies fewer pixels and has more features at a time, but multiplies some pixels by zeros.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxdl.ops.patch_convolution import by_patches
from jaxdl.ops.types import AnyArray, Pads, Size

MOST_FEATURES = 128  # of a product; measured from 32 to 512
MOST_WORK = 1.6  # times the multiplications of the direct sum


def outputs_of_patch(kernel: Float[AnyArray, 'kh kw C F'], strides: Size) -> int:
  """The number of neighbouring outputs, 4, 2 or 1, for which patches were measured to be fastest.

  Args:
    kernel: of the convolution.
    strides: (rows, columns).
  """
  window, features = kernel.shape[1], kernel.shape[3]
  if strides[1] > 1:
    return 1
  return next(
    outputs
    for outputs in (4, 2, 1)
    if outputs == 1
    or (outputs * features <= MOST_FEATURES and window + outputs - 1 <= MOST_WORK * window)
  )


def by_wide_patches(
  inputs: Float[AnyArray, 'B H W C'],
  kernel: Float[AnyArray, 'kh kw C F'],
  strides: Size,
  pads: Pads,
  in_bfloat16: bool = False,
) -> Float[Array, 'B h w F']:
  """`by_patches`, with patches for as many outputs as `outputs_of_patch` says.

  Args:
    inputs, kernel, strides, pads, in_bfloat16: as in `by_patches`.

  Returns:
    The outputs.
  """
  outputs = outputs_of_patch(kernel, strides)
  if outputs == 1:
    return by_patches(inputs, kernel, strides, pads, in_bfloat16)
  rows, window, channels, features = kernel.shape
  shifted = [
    jnp.pad(kernel, ((0, 0), (before, outputs - 1 - before), (0, 0), (0, 0)))
    for before in range(outputs)
  ]
  wide = jnp.stack(shifted, axis=3).reshape(rows, -1, channels, outputs * features)
  columns = inputs.shape[2] + sum(pads[1]) - window + 1
  around = (pads[0], (pads[1][0], pads[1][1] + -columns % outputs))
  wide = lax.optimization_barrier(wide)
  joined = jnp.asarray(by_patches(inputs, wide, (strides[0], outputs), around, in_bfloat16))
  return joined.reshape(*joined.shape[:2], -1, features)[:, :, :columns]
