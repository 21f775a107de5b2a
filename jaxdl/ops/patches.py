"""Patches of images: the pixels of every window side by side, and the sum that adds them back."""

from collections.abc import Sequence

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Shaped

from jaxdl.ops.types import AnyArray, Pads, Size

FEW_CHANNELS = 8  # below this, the pixels of a row are joined first: joining short runs is slow


def shifted(
  padded: Shaped[Array, 'B H W C'], window: Size, strides: Size
) -> list[Shaped[Array, 'B h w C']]:
  """The pixels at each position of a window.

  Args:
    padded: padded images.
    window: (rows, columns) of the window.
    strides: (rows, columns) from one window to the next.

  Returns:
    One array for each position of the window, in row-major order.
  """
  batch, height, width, channels = padded.shape
  last = [
    (size - window[axis]) // strides[axis] * strides[axis]
    for axis, size in enumerate((height, width))
  ]
  return [
    lax.slice(
      padded,
      (0, row, column, 0),
      (batch, row + last[0] + 1, column + last[1] + 1, channels),
      (1, *strides, 1),
    )
    for row in range(window[0])
    for column in range(window[1])
  ]


def cut_patches(
  inputs: Shaped[AnyArray, 'B H W C'], window: Size, strides: Size, pads: Pads
) -> Shaped[Array, 'B h w N']:
  """Cuts images into patches, one for each position of the window.

  Args:
    inputs: images.
    window: (kh, kw) pixels.
    strides: (rows, columns) from one window to the next.
    pads: ((top, bottom), (left, right)) pixels; negative values crop.

  Returns:
    Patches of N = kh · kw · C numbers.
  """
  if inputs.dtype == jnp.bfloat16:  # XLA copies integers faster on CPUs
    integers = cut_patches(lax.bitcast_convert_type(inputs, jnp.uint16), window, strides, pads)
    return lax.bitcast_convert_type(integers, jnp.bfloat16)
  padded = pad(inputs, pads)
  if inputs.dtype == jnp.uint16:
    padded = lax.optimization_barrier(padded)
  if inputs.shape[-1] < FEW_CHANNELS:
    padded = lax.optimization_barrier(
      jnp.concatenate(shifted(padded, (1, window[1]), (1, strides[1])), axis=-1)
    )
    joined = jnp.concatenate(shifted(padded, (window[0], 1), (strides[0], 1)), axis=-1)
  else:
    joined = jnp.concatenate(shifted(padded, window, strides), axis=-1)
  # Without the barrier, XLA computes the patches again in each of their users.
  return lax.optimization_barrier(joined)


def sum_patches(
  patches: Shaped[AnyArray, 'B h w N'],
  shape: tuple[int, int, int],
  window: Size,
  strides: Size,
  pads: Pads,
) -> Shaped[Array, 'B H W C']:
  """Adds every patch to the pixels that it was cut from: the transpose of `cut_patches`.

  The sums are computed in place, row offsets first. XLA would fuse a sum of padded arrays into each
  of its users and compute it again there, which took half of a LeNet's training step.

  Args:
    patches: patches of N = kh · kw · C numbers.
    shape: (H, W, C) of the images.
    window: (kh, kw) pixels.
    strides: (rows, columns) from one window to the next.
    pads: ((top, bottom), (left, right)) pixels, as in `cut_patches`.

  Returns:
    Images of the given shape.
  """
  batch, (height, width, channels) = patches.shape[0], shape
  height, width = height + sum(pads[0]), width + sum(pads[1])
  rows = jnp.zeros((batch, height, patches.shape[2], window[1] * channels), patches.dtype)
  for row, part in enumerate(jnp.split(patches, window[0], axis=-1)):
    rows = _add_at(rows, part, row, strides[0], axis=1)
  padded = jnp.zeros((batch, height, width, channels), patches.dtype)
  for column, part in enumerate(jnp.split(rows, window[1], axis=-1)):
    padded = _add_at(padded, part, column, strides[1], axis=2)
  return pad(padded, [(-low, -high) for low, high in pads])


def pad(
  inputs: Shaped[AnyArray, 'B H W C'], pads: Sequence[tuple[int, int]]
) -> Shaped[Array, 'B h w C']:
  """Adds zeros around images; negative numbers crop.

  Args:
    inputs: images.
    pads: ((top, bottom), (left, right)) pixels.

  Returns:
    The padded images.
  """
  return lax.pad(
    inputs, jnp.zeros((), inputs.dtype), ((0, 0, 0), *((*pad, 0) for pad in pads), (0, 0, 0))
  )


def _add_at(total, part, start, stride, axis):
  """total[start::stride] += part along an axis."""
  stop = start + (part.shape[axis] - 1) * stride + 1
  if stride > 1:
    gaps = [(0, 0, stride - 1 if dimension == axis else 0) for dimension in range(part.ndim)]
    part = lax.pad(part, jnp.zeros((), part.dtype), gaps)
  here = lax.slice_in_dim(total, start, stop, axis=axis)
  return lax.dynamic_update_slice_in_dim(total, here + part, start, axis=axis)
