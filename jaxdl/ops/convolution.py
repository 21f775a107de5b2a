"""Convolution and its transpose.

GPUs and TPUs use XLA's convolution. CPUs use Winograd's algorithm, XLA's convolution with other
gradients, or matrix products over patches.
"""

from collections.abc import Callable, Sequence

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Num

from jaxdl.ops.direct_convolution import LAYOUT, direct, is_fast, stock
from jaxdl.ops.grouped_convolution import in_groups
from jaxdl.ops.lowering import is_stock
from jaxdl.ops.patch_convolution import transposed_by_patches
from jaxdl.ops.products import are_rounded
from jaxdl.ops.types import AnyArray, Padding, Pads, Size
from jaxdl.ops.wide_patches import by_wide_patches
from jaxdl.ops.winograd import pays, winograd


def conv(
  inputs: Num[AnyArray, 'B H W _'],
  kernel: Float[AnyArray, 'kh kw _ F'],
  *,
  strides: Size = (1, 1),
  padding: Padding = 'SAME',
  training: bool = False,
  groups: int = 1,
) -> Float[Array, 'B h w F']:
  """Cross-correlation, which deep-learning libraries call convolution.

  Args:
    inputs: images [B, H, W, C].
    kernel: [kh, kw, C / groups, F].
    strides: (rows, columns).
    padding: 'SAME' | 'VALID' | ((top, bottom), (left, right)).
    training: whether a less exact algorithm may be used. Its errors are up to 1e-5 of the largest
      output; those of a sum over the window are up to 2e-6. Analyses of a trained network need the
      exact one, because a unit close to its threshold may otherwise switch on.
    groups: number of groups of channels; each group of the features sees one of them.

  Returns:
    The outputs, of the wider of the two types; differentiable in reverse mode.

  Raises:
    ValueError: the padding is unknown, the kernel is larger than the padded image, the kernel is
      for another number of channels, or the groups do not divide its features.
  """
  inputs, kernel = matching(inputs, kernel, groups)
  pads = explicit_pads(inputs, kernel, strides, padding)
  if is_stock():
    return stock(inputs, kernel, strides, pads, groups)
  return lax.platform_dependent(
    inputs,
    kernel,
    cpu=lambda inputs, kernel: as_products(inputs, kernel, strides, pads, training, groups),
    default=lambda inputs, kernel: stock(inputs, kernel, strides, pads, groups),
  )


def as_products(
  inputs: Float[AnyArray, 'B H W _'],
  kernel: Float[AnyArray, 'kh kw _ F'],
  strides: Size,
  pads: Pads,
  training: bool,
  groups: int = 1,
) -> Float[Array, 'B h w F']:
  """The same convolution by the algorithm that is fastest on CPUs.

  In training, this is Winograd's algorithm where that was measured to be faster. Otherwise, it is
  XLA's convolution, a product over patches, or a sum over the window for a depthwise convolution.

  Args:
    inputs, kernel, strides, pads, groups: as in `stock`.
    training: as in `conv`.

  Returns:
    The outputs.
  """
  if groups > 1:
    return in_groups(inputs, kernel, strides, pads, groups)
  return algorithm(inputs, kernel, strides, pads, training)(inputs, kernel, pads)


def algorithm(
  inputs: Float[AnyArray, 'B H W C'],
  kernel: Float[AnyArray, 'kh kw C F'],
  strides: Size,
  pads: Pads,
  training: bool,
) -> Callable:
  """The algorithm of `as_products` without groups: (inputs, kernel, pads) → outputs."""
  in_bfloat16 = are_rounded()
  if training and not in_bfloat16 and pays(inputs, kernel, strides, pads):
    return winograd
  if not in_bfloat16 and is_fast(inputs, kernel):
    return lambda inputs, kernel, pads: direct(inputs, kernel, strides, pads, training)
  return lambda inputs, kernel, pads: by_wide_patches(inputs, kernel, strides, pads, in_bfloat16)


def explicit_pads(
  inputs: Float[AnyArray, 'B H W _'],
  kernel: Float[AnyArray, 'kh kw _ F'],
  strides: Size,
  padding: Padding,
) -> Pads:
  """The padding of `conv` as ((top, bottom), (left, right)); see `explicit_padding`."""
  rows, columns = (
    explicit_padding(
      inputs.shape[1 + axis], kernel.shape[axis], strides[axis], _of_axis(padding, axis)
    )
    for axis in (0, 1)
  )
  return rows, columns


def explicit_padding(
  size: int, window: int, stride: int, padding: str | Sequence[int]
) -> tuple[int, int]:
  """Pixels of padding before and after one axis.

  'SAME' gives ceil(size / stride) outputs; where the padding is odd, the extra pixel comes after.

  Args:
    size: pixels of the axis.
    window: pixels of the window.
    stride: pixels from one window to the next.
    padding: 'SAME' | 'VALID' | (before, after).

  Returns:
    (before, after).

  Raises:
    ValueError: the padding is unknown, or the window is larger than the padded axis.
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


def conv_transpose(
  inputs: Num[AnyArray, 'B H W _'],
  kernel: Float[AnyArray, 'kh kw _ F'],
  *,
  strides: Size = (1, 1),
  padding: Padding = 'SAME',
  training: bool = False,
) -> Float[Array, 'B h w F']:
  """Transposed convolution, as `jax.lax.conv_transpose`: enlarges images.

  It is a convolution of the image with strides − 1 zeros between its pixels (the spread image).

  Args:
    inputs: images [B, H, W, C].
    kernel: [kh, kw, C, F], not flipped.
    strides: (rows, columns), the factors of the enlargement.
    padding: 'SAME' for outputs of [H · rows, W · columns] | 'VALID' | ((top, bottom), (left,
      right)) around the spread image.
    training: as in `conv`.

  Returns:
    The outputs, of the wider of the two types; differentiable in reverse mode.

  Raises:
    ValueError: the padding is unknown, or the kernel is for another number of channels.

  Source: Dumoulin & Visin 2016, A guide to convolution arithmetic, section 4.
  """
  inputs, kernel = matching(inputs, kernel)
  rows, columns = (
    transposed_padding(kernel.shape[axis], strides[axis], _of_axis(padding, axis))
    for axis in (0, 1)
  )
  pads = (rows, columns)
  if is_stock():
    return transposed_stock(inputs, kernel, strides, pads)
  return lax.platform_dependent(
    inputs,
    kernel,
    cpu=lambda inputs, kernel: transposed_as_products(inputs, kernel, strides, pads, training),
    default=lambda inputs, kernel: transposed_stock(inputs, kernel, strides, pads),
  )


def transposed_padding(window: int, stride: int, padding: str | Sequence[int]) -> tuple[int, int]:
  """Pixels of padding before and after one axis of the spread image of `conv_transpose`.

  Args:
    window: pixels of the window.
    stride: the factor of the enlargement.
    padding: 'SAME' | 'VALID' | (before, after).

  Returns:
    (before, after).

  Raises:
    ValueError: the padding is unknown.
  """
  if padding == 'SAME':
    total = window + stride - 2
    before = window - 1 if stride > window - 1 else -(-total // 2)
    return before, total - before
  return _named(padding, VALID=(window - 1, max(window, stride) - 1))


def transposed_stock(
  inputs: Float[AnyArray, 'B H W C'],
  kernel: Float[AnyArray, 'kh kw C F'],
  strides: Size,
  pads: Pads,
) -> Float[Array, 'B h w F']:
  """XLA's transposed convolution.

  Args:
    inputs: images.
    kernel: of the same type.
    strides: (rows, columns), the factors of the enlargement.
    pads: ((top, bottom), (left, right)) around the spread image.

  Returns:
    The outputs.
  """
  return lax.conv_general_dilated(
    inputs,  # pyright: ignore[reportArgumentType]
    kernel,  # pyright: ignore[reportArgumentType]
    (1, 1),
    pads,
    lhs_dilation=strides,
    dimension_numbers=LAYOUT,
  )


def transposed_as_products(
  inputs: Float[AnyArray, 'B H W C'],
  kernel: Float[AnyArray, 'kh kw C F'],
  strides: Size,
  pads: Pads,
  training: bool = False,
) -> Float[Array, 'B h w F']:
  """The same transposed convolution as matrix products, without multiplications by the zeros.

  It is the transpose of a convolution with the kernel rotated by 180°.

  Args:
    inputs, kernel, strides, pads: as in `transposed_stock`.
    training: as in `conv`.

  Returns:
    The outputs.
  """
  if strides == (1, 1):
    return as_products(inputs, kernel, strides, pads, training)
  rotated = kernel[::-1, ::-1].swapaxes(2, 3)  # [kh, kw, F, C]
  size, crops = [], []
  for axis, (before, after) in enumerate(pads):
    window, spread = kernel.shape[axis], (inputs.shape[1 + axis] - 1) * strides[axis] + 1
    size.append(spread + before + after - window + 1)
    crops.append((window - 1 - before, window - 1 - after))
  return transposed_by_patches(inputs, rotated, tuple(size), strides, tuple(crops), are_rounded())


def _of_axis(padding, axis):
  """The padding of one axis."""
  return padding if isinstance(padding, str) else padding[axis]


def _named(padding, **known):
  """(before, after) of a padding that may be a name."""
  if isinstance(padding, str) and padding not in known:
    raise ValueError(
      f"padding={padding!r} is unknown: use 'SAME', 'VALID' or ((top, bottom), (left, right))"
    )
  before, after = known[padding] if isinstance(padding, str) else padding
  return before, after


def matching(
  inputs: Num[AnyArray, 'B H W _'], kernel: Float[AnyArray, 'kh kw _ F'], groups: int = 1
) -> tuple[Float[AnyArray, 'B H W _'], Float[AnyArray, 'kh kw _ F']]:
  """The inputs and the kernel in their common type.

  Raises:
    ValueError: the kernel is for another number of channels, or the groups do not divide its
      features.
  """
  channels = kernel.shape[2] * groups
  if inputs.shape[-1] != channels or kernel.shape[3] % groups:
    of_groups = f' in {groups} groups' if groups > 1 else ''
    raise ValueError(
      f'kernel {kernel.shape}{of_groups} takes {channels} channels and the inputs {inputs.shape} '
      f'have {inputs.shape[-1]}: make the third axis of the kernel equal to the last of the '
      f'inputs{", divided by the groups, which divide the features" if groups > 1 else ""}'
    )
  dtype = jnp.result_type(inputs, kernel)
  return inputs.astype(dtype), kernel.astype(dtype)
