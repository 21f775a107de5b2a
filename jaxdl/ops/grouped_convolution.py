"""Grouped convolution for CPUs, where XLA's is slow inside a loop, in which training runs.

A depthwise convolution has few products for each output, so it is a sum over the positions of the
window. Other groups are matrix products over patches, one batch of products for all groups. Value
and gradients of 3 × 3 kernels on 16 images of 16 × 16 pixels, in a loop on 2 busy cores of an Intel
Xeon (2026-11-30): depthwise with 32 channels 6 ms instead of 317 ms, 64 channels in 4 groups 36 ms
instead of 315 ms, in 16 groups 61 ms instead of 122 ms.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxdl.ops.patch_convolution import by_patches
from jaxdl.ops.patches import pad, shifted
from jaxdl.ops.types import AnyArray, Pads, Size


def in_groups(
  inputs: Float[AnyArray, 'B H W _'],
  kernel: Float[AnyArray, 'kh kw _ F'],
  strides: Size,
  pads: Pads,
  groups: int,
) -> Float[Array, 'B h w F']:
  """`convolution.stock` with groups.

  Args:
    inputs: images of C channels.
    kernel: [kh, kw, C / groups, F], of the same type.
    strides: (rows, columns).
    pads: ((top, bottom), (left, right)); negative values crop.
    groups: number of groups; it divides C and F.

  Returns:
    The outputs.
  """
  if kernel.shape[2] == 1:
    return _depthwise(inputs, kernel, strides, pads)
  parts = inputs.reshape(*inputs.shape[:-1], groups, -1)  # [B, H, W, G, c]
  kernels = kernel.reshape(*kernel.shape[:-1], groups, -1)  # [kh, kw, c, G, f]

  def convolve(part, kernel):
    return by_patches(part, kernel, strides, pads)

  outputs = jax.vmap(convolve, in_axes=3, out_axes=3)(parts, kernels)  # [B, h, w, G, f]
  return outputs.reshape(*outputs.shape[:3], -1)


def _depthwise(inputs, kernel, strides, pads):
  channels, features = inputs.shape[-1], kernel.shape[-1]
  window = (kernel.shape[0], kernel.shape[1])
  factors = kernel.reshape(-1, channels, features // channels)  # [kh · kw, C, multiplier]
  places = shifted(pad(inputs, pads), window, strides)
  sums = sum(place[..., None] * factor for place, factor in zip(places, factors, strict=True))
  return jnp.asarray(sums).reshape(*places[0].shape[:3], features)
