"""Convolution as matrix products over patches, the lowering for CPUs.

XLA's convolution is slow on CPUs for few or many channels, and so is its gradient of the kernel.
Patches take kh · kw times the memory of the image. Therefore a large batch is computed in parts
whose patches stay in the cache, and a large image in bands of rows.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxdl.ops import bands, parts
from jaxdl.ops.patches import cut_patches, sum_patches
from jaxdl.ops.products import multiply, rounded, rows_of_transpose
from jaxdl.ops.types import AnyArray, Pads, Size

# All bytes of patches are counted as if they had the type of the images. With products in bfloat16
# they are half as many.
# Bytes of patches up to which a batch stays in one piece: splitting it costs more than it saves.
LARGEST_UNSPLIT = 16 << 20
# Bytes of patches of a part of a larger batch: measured from 1 to 12 MiB, best from 3 to 6.
PART = 4 << 20
# The same for a kernel's gradient in bfloat16, whose other factor is transposed in the cache:
# measured from 1 to 4 MiB, best from 2 on.
TRANSPOSED_PART = 2 << 20


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def by_patches(
  inputs: Float[AnyArray, 'B H W C'],
  kernel: Float[AnyArray, 'kh kw C F'],
  strides: Size,
  pads: Pads,
  in_bfloat16: bool = False,
) -> Float[Array, 'B h w F']:
  """`convolution.stock` as matrix products.

  Args:
    inputs: images.
    kernel: of the same type.
    strides: (rows, columns).
    pads: ((top, bottom), (left, right)); negative values crop.
    in_bfloat16: whether the factors of the products are rounded to bfloat16.

  Returns:
    The outputs.
  """
  dtype = inputs.dtype
  if in_bfloat16:
    kernel = rounded(kernel)
  cut, pads = _in_bands(inputs, kernel, strides, pads)

  def convolve(inputs):
    if in_bfloat16:
      inputs = rounded(inputs)
    patches = cut_patches(inputs, _window(kernel), strides, pads)
    return multiply(patches, _flat(kernel), dtype)  # [b, h, w, F]

  images = cut(inputs)
  outputs = parts.each(convolve, _parts(images, kernel, strides, pads), images)
  return outputs.reshape(len(inputs), -1, *outputs.shape[2:])


def _by_patches_forward(inputs, kernel, *static):
  return by_patches(inputs, kernel, *static), (inputs, kernel)


def _by_patches_backward(strides, pads, in_bfloat16, saved, cotangent):
  inputs, kernel = saved
  # Two separate results: XLA leaves out the one that a first layer does not use.
  return (
    transposed_by_patches(cotangent, kernel, inputs.shape[1:3], strides, pads, in_bfloat16),
    kernel_gradient(inputs, cotangent, kernel, strides, pads, in_bfloat16),
  )


by_patches.defvjp(_by_patches_forward, _by_patches_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4, 5))
def transposed_by_patches(
  outputs: Float[AnyArray, 'B h w F'],
  kernel: Float[AnyArray, 'kh kw C F'],
  size: Size,
  strides: Size,
  pads: Pads,
  in_bfloat16: bool = False,
) -> Float[Array, 'B H W C']:
  """The transpose of `by_patches` with respect to its inputs.

  Every output is spread over the patch that it is computed from.

  Args:
    outputs: outputs of `by_patches`.
    kernel: of the same type.
    size: (H, W) of the images.
    strides, pads, in_bfloat16: as in `by_patches`.

  Returns:
    Images.
  """
  dtype = outputs.dtype
  if in_bfloat16:
    kernel = rounded(kernel)
  of_kernel = rows_of_transpose(_flat(kernel)) if in_bfloat16 else _flat(kernel).T
  inputs = jax.ShapeDtypeStruct((len(outputs), *size, kernel.shape[2]), dtype)
  cut, pads = _in_bands(inputs, kernel, strides, pads)
  images = jax.eval_shape(cut, inputs)

  def spread(outputs):
    if in_bfloat16:
      outputs = rounded(outputs)
    patches = multiply(outputs, of_kernel, dtype)
    return sum_patches(patches, images.shape[1:], _window(kernel), strides, pads)  # [b, H, W, C]

  outputs = outputs.reshape(len(images), -1, *outputs.shape[2:])
  spread_images = parts.each(spread, _parts(images, kernel, strides, pads), outputs)
  (joined,) = jax.linear_transpose(cut, inputs)(spread_images)  # adds bands where they overlap
  return joined


def _transposed_forward(outputs, kernel, *static):
  return transposed_by_patches(outputs, kernel, *static), (outputs, kernel)


def _transposed_backward(size, strides, pads, in_bfloat16, saved, cotangent):
  outputs, kernel = saved
  return (
    by_patches(cotangent, kernel, strides, pads, in_bfloat16),
    kernel_gradient(cotangent, outputs, kernel, strides, pads, in_bfloat16),
  )


transposed_by_patches.defvjp(_transposed_forward, _transposed_backward)


def kernel_gradient(
  inputs: Float[AnyArray, 'B H W C'],
  cotangent: Float[AnyArray, 'B h w F'],
  kernel: Float[AnyArray, 'kh kw C F'],
  strides: Size,
  pads: Pads,
  in_bfloat16: bool = False,
) -> Float[Array, 'kh kw C F']:
  """The gradient of `by_patches` with respect to its kernel, one product for each part.

  Args:
    inputs, kernel, strides, pads, in_bfloat16: as in `by_patches`.
    cotangent: of the outputs.

  Returns:
    The gradient.
  """
  wide = jnp.promote_types(kernel.dtype, jnp.float32)

  def product(inputs, cotangent):
    if in_bfloat16:
      inputs, cotangent = rounded(inputs), rounded(cotangent)
    patches = cut_patches(inputs, _window(kernel), strides, pads).reshape(
      -1, _flat(kernel).shape[0]
    )
    # The narrower factor is on the left: the product is then twice as fast.
    rows = cotangent.reshape(-1, kernel.shape[-1])
    of_rows = rows_of_transpose(rows) if in_bfloat16 else rows.T
    return multiply(of_rows, patches, wide)  # [F, kh · kw · C], a sum over all pixels of the batch

  cut, pads = _in_bands(inputs, kernel, strides, pads)
  inputs = cut(inputs)
  cotangent = cotangent.reshape(len(inputs), -1, *cotangent.shape[2:])
  if in_bfloat16:
    rows, size = _patches(inputs, kernel, strides, pads)
    number = parts.count(len(inputs), rows * size, TRANSPOSED_PART)
  else:
    number = _parts(inputs, kernel, strides, pads)
  total = parts.total(product, number, inputs, cotangent)
  return total.T.reshape(kernel.shape).astype(kernel.dtype)


def _in_bands(inputs, kernel, strides, pads):
  """A linear function that cuts images into bands, and the pads of a band.

  The function returns the images as they are where a single image is not larger than a part.
  """
  rows, size = _patches(inputs, kernel, strides, pads)
  along = dict(rows=rows, window=kernel.shape[0], stride=strides[0])
  number = 1
  if len(inputs) * rows * size > LARGEST_UNSPLIT:
    number = bands.count(**along, most=PART // size)
  if number == 1:
    return (lambda images: images), pads
  return functools.partial(bands.cut, **along, bands=number, pads=pads[0]), ((0, 0), pads[1])


def _parts(inputs, kernel, strides, pads):
  """The number of equal parts that the batch is computed in."""
  batch = len(inputs)
  rows, size = _patches(inputs, kernel, strides, pads)
  return 1 if batch * rows * size <= LARGEST_UNSPLIT else parts.count(batch, rows * size, PART)


def _patches(inputs, kernel, strides, pads):
  """(output rows, bytes of the patches of one output row) of an example."""
  rows, columns = (
    (inputs.shape[1 + axis] + sum(pads[axis]) - kernel.shape[axis]) // strides[axis] + 1
    for axis in (0, 1)
  )
  return rows, columns * kernel.size // kernel.shape[-1] * inputs.dtype.itemsize


def _window(kernel):
  return kernel.shape[0], kernel.shape[1]


def _flat(kernel):
  return kernel.reshape(-1, kernel.shape[-1])  # [kh · kw · C, F]
