"""Convolution as matrix products over patches, the lowering for CPU.

XLA's convolution runs on one thread inside a loop, and training runs inside one; a product runs on
all of them. Patches take kh · kw times the image's memory, so a large batch goes in parts whose
patches stay in the cache, and so do large images, in bands of rows.
"""

import functools

import jax
import jax.numpy as jnp

from jaxdl.ops import bands, parts
from jaxdl.ops.patches import cut_patches, sum_patches

WHOLE = (
  16 << 20
)  # bytes of patches up to which a batch stays in one piece: to cut it costs more than it saves
PART = 4 << 20  # bytes of patches of a part above that: measured 1 to 12 MiB, best from 3 to 6


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def by_patches(inputs, kernel, strides, pads):
  """`convolution.stock` as products.

  Args:
    inputs: [B, H, W, C].
    kernel: [kh, kw, C, F], of the inputs' type.
    strides: (rows, columns).
    pads: ((top, bottom), (left, right)), negative to cut off.

  Returns:
    [B, H', W', F].
  """
  cut, pads = _in_bands(inputs, kernel, strides, pads)

  def convolve(inputs):
    return cut_patches(inputs, kernel.shape[:2], strides, pads) @ _flat(kernel)  # [b, h', W', F]

  images = cut(inputs)
  outputs = parts.each(convolve, _parts(images, kernel, strides, pads), images)
  return outputs.reshape(len(inputs), -1, *outputs.shape[2:])  # [B, H', W', F]


def _by_patches_forward(inputs, kernel, strides, pads):
  return by_patches(inputs, kernel, strides, pads), (inputs, kernel)


def _by_patches_backward(strides, pads, saved, cotangent):
  inputs, kernel = (
    saved  # two separate results: XLA leaves out the one that a first layer does not use
  )
  return (
    transposed_by_patches(cotangent, kernel, inputs.shape[1:3], strides, pads),
    _of_kernel(inputs, cotangent, kernel, strides, pads),
  )


by_patches.defvjp(_by_patches_forward, _by_patches_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def transposed_by_patches(outputs, kernel, size, strides, pads):
  """The transpose of `by_patches` in its inputs: every output is spread over the patch that it was
  made from.

  Args:
    outputs: [B, H', W', F].
    kernel: [kh, kw, C, F], of the outputs' type.
    size: (H, W).
    strides, pads: as in `by_patches`.

  Returns:
    [B, H, W, C].
  """
  inputs = jax.ShapeDtypeStruct((len(outputs), *size, kernel.shape[2]), outputs.dtype)
  cut, pads = _in_bands(inputs, kernel, strides, pads)
  images = jax.eval_shape(cut, inputs)

  def spread(outputs):
    return sum_patches(
      outputs @ _flat(kernel).T, images.shape[1:], kernel.shape[:2], strides, pads
    )  # [b, h, W, C]

  outputs = outputs.reshape(len(images), -1, *outputs.shape[2:])
  spread_images = parts.each(spread, _parts(images, kernel, strides, pads), outputs)
  return jax.linear_transpose(cut, inputs)(spread_images)[
    0
  ]  # [B, H, W, C], bands added where they overlap


def _transposed_forward(outputs, kernel, size, strides, pads):
  return transposed_by_patches(outputs, kernel, size, strides, pads), (outputs, kernel)


def _transposed_backward(size, strides, pads, saved, cotangent):
  outputs, kernel = saved
  return by_patches(cotangent, kernel, strides, pads), _of_kernel(
    cotangent, outputs, kernel, strides, pads
  )


transposed_by_patches.defvjp(_transposed_forward, _transposed_backward)


def _of_kernel(inputs, cotangent, kernel, strides, pads):
  """The kernel's gradient, one product a part."""
  wide = jnp.promote_types(inputs.dtype, jnp.float32)  # a sum over all pixels of the batch

  def product(inputs, cotangent):
    patches = cut_patches(inputs, kernel.shape[:2], strides, pads).reshape(
      -1, _flat(kernel).shape[0]
    )
    rows = cotangent.reshape(
      -1, kernel.shape[-1]
    )  # left, being the narrower: the product is then twice as fast
    return jnp.matmul(rows.T, patches, preferred_element_type=wide)  # [F, kh · kw · C]

  cut, pads = _in_bands(inputs, kernel, strides, pads)
  inputs = cut(inputs)
  cotangent = cotangent.reshape(len(inputs), -1, *cotangent.shape[2:])
  total = parts.total(product, _parts(inputs, kernel, strides, pads), inputs, cotangent)
  return total.T.reshape(kernel.shape).astype(kernel.dtype)


def _in_bands(inputs, kernel, strides, pads):
  """A linear function that cuts the images into bands where one alone is larger than a part, and
  the pads of a band.
  """
  rows, size = _patches(inputs, kernel, strides, pads)
  along = dict(rows=rows, window=kernel.shape[0], stride=strides[0])
  number = 1 if len(inputs) * rows * size <= WHOLE else bands.count(**along, most=PART // size)
  if number == 1:
    return (lambda images: images), pads
  return functools.partial(bands.cut, **along, bands=number, pads=pads[0]), ((0, 0), pads[1])


def _parts(inputs, kernel, strides, pads):
  """How many equal parts the batch goes in."""
  batch = len(inputs)
  rows, size = _patches(inputs, kernel, strides, pads)
  return 1 if batch * rows * size <= WHOLE else parts.count(batch, rows * size, PART)


def _patches(inputs, kernel, strides, pads):
  """(rows of outputs, bytes of the patches of one row) of an example."""
  rows, columns = (
    (inputs.shape[1 + axis] + sum(pads[axis]) - kernel.shape[axis]) // strides[axis] + 1
    for axis in (0, 1)
  )
  return rows, columns * kernel.size // kernel.shape[-1] * inputs.dtype.itemsize


def _flat(kernel):
  return kernel.reshape(-1, kernel.shape[-1])  # [kh · kw · C, F]
