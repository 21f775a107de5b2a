"""Patches of images: every window's pixels side by side, and the sum that puts them back."""

import jax.numpy as jnp
from jax import lax


def shifted(padded, window, strides):
  """The pixel at every place of a window: kh · kw arrays [B, H', W', C] in row-major order of the
  window.
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


def cut_patches(inputs, window, strides, pads):
  """[B, H, W, C] → [B, H', W', kh · kw · C]."""
  padded = pad(inputs, pads)
  if (
    inputs.shape[-1] < 8
  ):  # to join many short runs is slow: join those of a row first, then the rows
    padded = lax.optimization_barrier(
      jnp.concatenate(shifted(padded, (1, window[1]), (1, strides[1])), axis=-1)
    )
    joined = jnp.concatenate(shifted(padded, (window[0], 1), (strides[0], 1)), axis=-1)
  else:
    joined = jnp.concatenate(shifted(padded, window, strides), axis=-1)
  return lax.optimization_barrier(
    joined
  )  # else XLA computes the patches anew in each of their users


def sum_patches(patches, shape, window, strides, pads):
  """The transpose of `cut_patches`: every patch is added back to where it was cut from; shape (H,
  W, C).

  The sums are made in place, row offsets first: as a sum of padded arrays XLA would fuse it into
  each of its users and compute it again there, which took half of a LeNet's step.
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


def pad(inputs, pads):
  """Zeros around the image, or pixels off it where negative."""
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
