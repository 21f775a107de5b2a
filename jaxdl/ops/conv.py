"""Convolution: the platform's own on GPU and TPU, a matrix product over patches on CPU."""

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


def by_patches(inputs, kernel, strides, pads):
  """The same as one matrix product over all patches.

  XLA's CPU convolution runs on one thread inside a loop, and training runs inside one; a product runs on all of them.
  Its gradient by the chain rule is two more products, faster than convolving the cotangent, which has more channels.
  """
  height, width, channels, features = kernel.shape
  patches = jnp.concatenate(shifted(jnp.pad(inputs, ((0, 0), *pads, (0, 0))), (height, width), strides), axis=-1)
  return patches @ kernel.reshape(height * width * channels, features)  # [B, H', W', F]


def shifted(padded, window, strides):
  """The pixel at every place of a window: kh · kw arrays [B, H', W', C] in row-major order of the window."""
  batch, height, width, channels = padded.shape
  last = [(size - window[axis]) // strides[axis] * strides[axis] for axis, size in enumerate((height, width))]
  return [lax.slice(padded, (0, row, column, 0), (batch, row + last[0] + 1, column + last[1] + 1, channels),
                    (1, *strides, 1)) for row in range(window[0]) for column in range(window[1])]
