"""Convolution: the platform's own on GPU and TPU, a matrix product over patches on CPU."""

import functools

import jax
import jax.numpy as jnp
from jax import lax

_LAYOUT = ('NHWC', 'HWIO', 'NHWC')


def conv(inputs, kernel, *, strides=(1, 1), padding='SAME'):
  """Cross-correlation, as every deep-learning library calls convolution.

  Args:
    inputs: [B, H, W, C].
    kernel: [kh, kw, C, F], of the inputs' type.
    strides: (rows, columns).
    padding: 'SAME' | 'VALID' | ((top, bottom), (left, right)).

  Returns:
    [B, H', W', F].

  Raises:
    ValueError: an unknown padding.
  """
  pads = tuple(explicit_padding(inputs.shape[1 + axis], kernel.shape[axis], strides[axis],
                                padding if isinstance(padding, str) else padding[axis]) for axis in (0, 1))
  return lax.platform_dependent(inputs, kernel, cpu=lambda *args: by_patches(*args, strides, pads),
                                default=lambda *args: stock(*args, strides, pads))


def explicit_padding(size, window, stride, padding):
  """Pixels before and after one axis: 'SAME' keeps ceil(size / stride) outputs, the odd pixel comes after.

  Args:
    size, window, stride: int.
    padding: 'SAME' | 'VALID' | (before, after).

  Returns:
    (before, after).

  Raises:
    ValueError: an unknown padding.
  """
  if padding == 'SAME':
    total = max((-(-size // stride) - 1) * stride + window - size, 0)
    return total // 2, total - total // 2
  if padding == 'VALID':
    return 0, 0
  if isinstance(padding, str):
    raise ValueError(f"padding={padding!r} is unknown: use 'SAME', 'VALID' or ((top, bottom), (left, right))")
  return tuple(padding)


def stock(inputs, kernel, strides, pads):
  """The platform's own convolution."""
  return lax.conv_general_dilated(inputs, kernel, strides, pads, dimension_numbers=_LAYOUT)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def by_patches(inputs, kernel, strides, pads):
  """The same as one matrix product over all patches.

  XLA's CPU convolution runs on one thread inside a loop, and training runs inside one; a product runs on all of them.
  """
  return _patches(inputs, kernel.shape[:2], strides, pads) @ _flat(kernel)  # [B, H', W', F]


def _by_patches_forward(inputs, kernel, strides, pads):
  return by_patches(inputs, kernel, strides, pads), (inputs, kernel)


def _by_patches_backward(strides, pads, saved, cotangent):
  inputs, kernel = saved
  patches = _patches(inputs, kernel.shape[:2], strides, pads)
  rows, columns = cotangent.reshape(-1, kernel.shape[-1]), patches.reshape(-1, _flat(kernel).shape[0])
  of_kernel = (rows.T @ columns).T.reshape(kernel.shape)  # twice as fast as columns.T @ rows: few rows, many columns
  return _sum_patches(cotangent @ _flat(kernel).T, inputs.shape, kernel.shape[:2], strides, pads), of_kernel


by_patches.defvjp(_by_patches_forward, _by_patches_backward)


def _patches(inputs, window, strides, pads):
  """[B, H, W, C] → [B, H', W', kh · kw · C]."""
  return jnp.concatenate(shifted(jnp.pad(inputs, ((0, 0), *pads, (0, 0))), window, strides), axis=-1)


def _sum_patches(patches, shape, window, strides, pads):
  """The transpose of `_patches`: every patch is added back to where it was cut from.

  The sums are made in place, row offsets first: as a sum of padded arrays XLA would fuse it into each of its users and
  compute it again there, which took half of a LeNet's step.
  """
  batch, height, width, channels = shape
  height, width = height + sum(pads[0]), width + sum(pads[1])
  rows = jnp.zeros((batch, height, patches.shape[2], window[1] * channels), patches.dtype)
  for row, part in enumerate(jnp.split(patches, window[0], axis=-1)):
    rows = _add_at(rows, part, row, strides[0], axis=1)
  padded = jnp.zeros((batch, height, width, channels), patches.dtype)
  for column, part in enumerate(jnp.split(rows, window[1], axis=-1)):
    padded = _add_at(padded, part, column, strides[1], axis=2)
  return padded[:, pads[0][0]:height - pads[0][1], pads[1][0]:width - pads[1][1]]


def _add_at(total, part, start, stride, axis):
  """total[start::stride] += part along an axis."""
  stop = start + (part.shape[axis] - 1) * stride + 1
  if stride > 1:
    gaps = [(0, 0, stride - 1 if dimension == axis else 0) for dimension in range(part.ndim)]
    part = lax.pad(part, jnp.zeros((), part.dtype), gaps)
  here = lax.slice_in_dim(total, start, stop, axis=axis)
  return lax.dynamic_update_slice_in_dim(total, here + part, start, axis=axis)


def _flat(kernel):
  return kernel.reshape(-1, kernel.shape[-1])  # [kh · kw · C, F]


def shifted(padded, window, strides):
  """The pixel at every place of a window: kh · kw arrays [B, H', W', C] in row-major order of the window."""
  batch, height, width, channels = padded.shape
  last = [(size - window[axis]) // strides[axis] * strides[axis] for axis, size in enumerate((height, width))]
  return [lax.slice(padded, (0, row, column, 0), (batch, row + last[0] + 1, column + last[1] + 1, channels),
                    (1, *strides, 1)) for row in range(window[0]) for column in range(window[1])]
