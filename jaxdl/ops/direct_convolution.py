"""XLA's convolution, with gradients that are fast on CPUs.

On CPUs, XLA convolves almost at the speed of a matrix product. The gradient of the inputs is such a
convolution, too. But XLA computes the kernel's gradient with images as kernels, which takes
seconds: here it is computed by Winograd's algorithm or as a product over patches.
"""

import functools

import jax
from jax import lax
from jaxtyping import Array, Float

from jaxdl.ops import patch_convolution, winograd
from jaxdl.ops.types import AnyArray, Pads, Size

LAYOUT = ('NHWC', 'HWIO', 'NHWC')
FEWEST_CHANNELS, MOST_CHANNELS = 8, 128  # measured from 1 to 256
FEW = 4  # times fewer features than channels: patches of the cotangents are faster from 3 to 16 on


def stock(
  inputs: Float[AnyArray, 'B H W _'],
  kernel: Float[AnyArray, 'kh kw _ F'],
  strides: Size,
  pads: Pads,
  groups: int = 1,
) -> Float[Array, 'B h w F']:
  """XLA's convolution.

  Args:
    inputs: images.
    kernel: of the same type.
    strides: (rows, columns).
    pads: ((top, bottom), (left, right)); negative values crop.
    groups: number of groups of channels.

  Returns:
    The outputs.
  """
  return lax.conv_general_dilated(
    inputs,  # pyright: ignore[reportArgumentType]
    kernel,  # pyright: ignore[reportArgumentType]
    strides,
    pads,
    dimension_numbers=LAYOUT,
    feature_group_count=groups,
  )


def is_fast(
  inputs: Float[AnyArray | jax.ShapeDtypeStruct, 'B H W C'],
  kernel: Float[AnyArray | jax.ShapeDtypeStruct, 'kh kw C F'],
) -> bool:
  """Whether XLA's convolution was measured to be faster on CPUs than products over patches.

  Args:
    inputs: images, or their shape.
    kernel: of the same type, or its shape.
  """
  rows, columns, channels, _ = kernel.shape
  return (
    rows * columns > 1
    and FEWEST_CHANNELS <= channels <= MOST_CHANNELS
    and kernel.dtype.itemsize >= 4
    and not _is_small(inputs, kernel)
  )


def _is_small(images, kernel):
  """Whether images are smaller than the window: XLA then convolves by a slow loop."""
  return any(
    size < window for size, window in zip(images.shape[1:3], kernel.shape[:2], strict=True)
  )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def direct(
  inputs: Float[AnyArray, 'B H W C'],
  kernel: Float[AnyArray, 'kh kw C F'],
  strides: Size,
  pads: Pads,
  training: bool,
) -> Float[Array, 'B h w F']:
  """`stock` with other gradients.

  Args:
    inputs, kernel, strides, pads: as in `stock`.
    training: whether Winograd's algorithm may compute the kernel's gradient.

  Returns:
    The outputs.
  """
  return stock(inputs, kernel, strides, pads)


def _forward(inputs, kernel, *static):
  return direct(inputs, kernel, *static), (inputs, kernel)


def _backward(strides, pads, training, saved, cotangent):
  inputs, kernel = saved
  # Two separate results: XLA leaves out the one that a first layer does not use.
  return (
    _of_inputs(inputs, kernel, cotangent, strides, pads, training),
    _of_kernel(inputs, kernel, cotangent, strides, pads, training),
  )


direct.defvjp(_forward, _backward)


def _of_inputs(inputs, kernel, cotangent, strides, pads, training):
  if strides != (1, 1) or _is_small(cotangent, kernel):
    size = inputs.shape[1:3]
    return patch_convolution.transposed_by_patches(cotangent, kernel, size, strides, pads)
  return direct(cotangent, _turned(kernel), (1, 1), _around(kernel, pads), training)


def _of_kernel(inputs, kernel, cotangent, strides, pads, training):
  if training and winograd.pays_for_kernel(inputs, kernel, strides, pads):
    return winograd.kernel_gradient(inputs, cotangent, kernel, pads)
  if strides == (1, 1) and kernel.shape[3] * FEW <= kernel.shape[2]:
    # Patches of the cotangents are much smaller than those of the inputs.
    turned = patch_convolution.kernel_gradient(
      cotangent, inputs, _turned(kernel), strides, _around(kernel, pads)
    )
    return _turned(turned)
  return patch_convolution.kernel_gradient(inputs, cotangent, kernel, strides, pads)


def _turned(kernel):
  """The kernel of the transposed convolution: rotated by 180°, [kh, kw, F, C]."""
  return kernel[::-1, ::-1].swapaxes(2, 3)


def _around(kernel, pads):
  """The padding of the transposed convolution without strides."""
  rows, columns = (
    (window - 1 - before, window - 1 - after)
    for window, (before, after) in zip(kernel.shape[:2], pads, strict=True)
  )
  return rows, columns
