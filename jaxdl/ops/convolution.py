"""Convolution and its transpose: the platform's own on GPU and TPU, Winograd's or matrix products
over patches on CPU.
"""

import jax.numpy as jnp
from jax import lax

from jaxdl.ops.patch_convolution import by_patches, transposed_by_patches
from jaxdl.ops.winograd import pays, winograd

_LAYOUT = ('NHWC', 'HWIO', 'NHWC')


def conv(inputs, kernel, *, strides=(1, 1), padding='SAME', training=False):
  """Cross-correlation, as every deep-learning library calls convolution.

  Args:
    inputs: [B, H, W, C].
    kernel: [kh, kw, C, F].
    strides: (rows, columns).
    padding: 'SAME' | 'VALID' | ((top, bottom), (left, right)).
    training: whether errors of up to 1e-5 of the greatest output are as good as those of a sum over
      the window, up to 2e-6. Maps of what a network looks at are not: a unit that is nearly off may
      turn on.

  Returns:
    [B, H', W', F], of the wider of both types; differentiable in reverse mode.

  Raises:
    ValueError: an unknown padding, a kernel larger than the padded image, or one for other
      channels.
  """
  inputs, kernel = _matching(inputs, kernel)
  pads = tuple(
    explicit_padding(
      inputs.shape[1 + axis], kernel.shape[axis], strides[axis], _of_axis(padding, axis)
    )
    for axis in (0, 1)
  )
  return lax.platform_dependent(
    inputs,
    kernel,
    cpu=lambda *args: as_products(*args, strides, pads, training),
    default=lambda *args: stock(*args, strides, pads),
  )


def stock(inputs, kernel, strides, pads):
  """The platform's own convolution."""
  return lax.conv_general_dilated(inputs, kernel, strides, pads, dimension_numbers=_LAYOUT)


def as_products(inputs, kernel, strides, pads, training):
  """The same by Winograd's filtering in training, where that was measured to be faster, else as
  products over patches.
  """
  fast = training and pays(inputs, kernel, strides, pads)
  return winograd(inputs, kernel, pads) if fast else by_patches(inputs, kernel, strides, pads)


def explicit_padding(size, window, stride, padding):
  """Pixels before and after one axis: 'SAME' keeps ceil(size / stride) outputs, the odd pixel comes
  after.

  Args:
    size, window, stride: int.
    padding: 'SAME' | 'VALID' | (before, after).

  Returns:
    (before, after).

  Raises:
    ValueError: an unknown padding, or a window larger than the padded axis.
  """
  if padding == 'SAME':
    total = max((-(-size // stride) - 1) * stride + window - size, 0)
    return total // 2, total - total // 2
  before, after = _named(padding, VALID=(0, 0))
  if size + before + after < window:
    raise ValueError(
      f'a window of {window} pixels is larger than the axis of {size} with padding={padding!r}: '
      "take a smaller one or padding='SAME'"
    )
  return before, after


def conv_transpose(inputs, kernel, *, strides=(1, 1), padding='SAME', training=False):
  """Convolution of the image with strides − 1 zeros between its pixels, as
  `jax.lax.conv_transpose`: it enlarges.

  Args:
    inputs: [B, H, W, C].
    kernel: [kh, kw, C, F], not flipped.
    strides: (rows, columns), the enlargement.
    padding: 'SAME' for [H · rows, W · columns] | 'VALID' | ((top, bottom), (left, right)) around
      the spread image.
    training: as in `conv`.

  Returns:
    [B, H', W', F], of the wider of both types; differentiable in reverse mode.

  Raises:
    ValueError: an unknown padding, or a kernel for other channels.

  Source: Dumoulin & Visin 2016, A guide to convolution arithmetic, section 4.
  """
  inputs, kernel = _matching(inputs, kernel)
  pads = tuple(
    transposed_padding(kernel.shape[axis], strides[axis], _of_axis(padding, axis))
    for axis in (0, 1)
  )
  return lax.platform_dependent(
    inputs,
    kernel,
    cpu=lambda *args: transposed_as_products(*args, strides, pads, training),
    default=lambda *args: transposed_stock(*args, strides, pads),
  )


def transposed_padding(window, stride, padding):
  """Pixels before and after one axis of the spread image, as `explicit_padding` for
  `conv_transpose`.
  """
  if padding == 'SAME':
    total = window + stride - 2
    before = window - 1 if stride > window - 1 else -(-total // 2)
    return before, total - before
  return _named(padding, VALID=(window - 1, max(window, stride) - 1))


def transposed_stock(inputs, kernel, strides, pads):
  """The platform's own transposed convolution."""
  return lax.conv_general_dilated(
    inputs, kernel, (1, 1), pads, lhs_dilation=strides, dimension_numbers=_LAYOUT
  )


def transposed_as_products(inputs, kernel, strides, pads, training=False):
  """The same, without multiplying the zeros: the transpose of a convolution with the kernel turned
  by 180°.
  """
  if strides == (1, 1):
    return as_products(inputs, kernel, strides, pads, training)
  turned = kernel[::-1, ::-1].swapaxes(2, 3)  # [kh, kw, F, C]
  size, cuts = [], []
  for axis, (before, after) in enumerate(pads):
    window, spread = kernel.shape[axis], (inputs.shape[1 + axis] - 1) * strides[axis] + 1
    size.append(spread + before + after - window + 1)
    cuts.append((window - 1 - before, window - 1 - after))
  return transposed_by_patches(inputs, turned, tuple(size), strides, tuple(cuts))


def _of_axis(padding, axis):
  return padding if isinstance(padding, str) else padding[axis]


def _named(padding, **known):
  if isinstance(padding, str) and padding not in known:
    raise ValueError(
      f"padding={padding!r} is unknown: use 'SAME', 'VALID' or ((top, bottom), (left, right))"
    )
  return known[padding] if isinstance(padding, str) else tuple(padding)


def _matching(inputs, kernel):
  if inputs.shape[-1] != kernel.shape[2]:
    raise ValueError(
      f'kernel {kernel.shape} takes {kernel.shape[2]} channels and the inputs {inputs.shape} have '
      f'{inputs.shape[-1]}: make the third axis of the kernel equal to the last of the inputs'
    )
  dtype = jnp.result_type(inputs, kernel)
  return inputs.astype(dtype), kernel.astype(dtype)
