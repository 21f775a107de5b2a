"""Receptive fields of a convolutional network: exact, by matrices instead of formulas.

Every window is a rectangle, so rows and columns are computed separately. For each axis, a matrix of
0 and 1 indicates which units of the previous layer a unit sees. The product of the matrices of all
layers up to a layer indicates which pixels its units see. Strides, padding and pixels that a
rounded-down size leaves out need no special case.
"""

import flax.linen as nn
import numpy as np
from jaxtyping import Bool

from jaxdl.models import decoding, layers
from jaxdl.models.cnn import CNN
from jaxdl.ops import convolution
from jaxdl.ops.types import Size

POOLS = (layers.MaxPool, layers.AveragePool)
FLAT = (layers.Flatten, decoding.Reshape)
# Layers that compute each position separately.
POINTWISE = (layers.Dense, layers.BatchNorm, layers.Dropout, layers.Activation)


def receptive_fields(
  model: CNN, size: Size
) -> dict[str, tuple[Bool[np.ndarray, 'h H'], Bool[np.ndarray, 'w W']]]:
  """The pixels that each unit sees in evaluation.

  Unit (i, j) of a layer, of any feature, sees pixel (r, c) where both rows[i, r] and columns[j, c]
  are true. In training, batch statistics depend on all pixels.

  Args:
    model: the network.
    size: (height, width) of the image in pixels.

  Returns:
    Layer name → (rows, columns), for the layers before the first one that flattens or reshapes, in
    order.
  """
  seen, found = [np.eye(pixels, dtype=bool) for pixels in size], {}
  for name, build in model.named_layers():
    layer = build()
    if isinstance(layer, FLAT):
      break
    seen = [_product(_windows_of(layer, axis, len(seen[axis])), seen[axis]) for axis in (0, 1)]
    found[name] = tuple(seen)
  return found


def unseen(model: CNN, size: Size) -> tuple[list[int], list[int], list[str]]:
  """The pixels that change no output in evaluation, for any parameters.

  All units that reach a flattening layer count as seen, because a dense layer follows.

  Args:
    model: the network.
    size: (height, width) of the image in pixels.

  Returns:
    (rows, columns, names): the rows and the columns of which no pixel is seen, and the layers that
    leave them out. A pixel is unseen where its row or its column is.
  """
  left, names = [np.zeros(pixels, bool) for pixels in size], []
  for name, fields in receptive_fields(model, size).items():
    now = [~field.any(0) for field in fields]
    if any((new & ~old).any() for new, old in zip(now, left, strict=True)):
      names.append(name)
    left = now
  return np.flatnonzero(left[0]).tolist(), np.flatnonzero(left[1]).tolist(), names


def window_of(layer: nn.Module, axis: int, size: int) -> tuple[int, int, int, tuple[int, int]]:
  """The window through which each unit of a layer sees the units of the previous layer.

  Args:
    layer: a layer of a CNN. A layer of another class defines a method `window_of(axis, size)`.
    axis: 0 for rows, 1 for columns.
    size: number of units of the previous layer along the axis.

  Returns:
    (window, stride, spread, pads). The previous units are `spread` positions apart, with pads =
    (before, after) positions around them. The window covers `window` positions and moves by
    `stride`.

  Raises:
    ValueError: the layer is of another class and defines no `window_of`.
  """
  if hasattr(layer, 'window_of'):
    return layer.window_of(axis, size)
  if isinstance(layer, POINTWISE):
    return 1, 1, 1, (0, 0)
  if not isinstance(layer, (layers.Conv, *POOLS)):
    raise ValueError(
      f'the receptive field of a layer {type(layer).__name__} is unknown: give it a method '
      'window_of(axis, size), such as one that returns (1, 1, 1, (0, 0)) if it computes each '
      'position separately'
    )
  extent = layer.kernel if isinstance(layer, layers.Conv) else layer.window
  window, stride = layers.pair(extent)[axis], layers.pair(layer.strides or extent)[axis]
  padding = layer.padding if isinstance(layer.padding, str) else layer.padding[axis]
  if isinstance(layer, decoding.ConvTranspose):
    return window, 1, stride, convolution.transposed_padding(window, stride, padding)
  return window, stride, 1, convolution.explicit_padding(size, window, stride, padding)


def outputs_of(size: int, window: int, stride: int, spread: int, pads: tuple[int, int]) -> int:
  """The number of units of a layer with a window of `window_of` over `size` units.

  Args:
    size: number of units of the previous layer along the axis.
    window, stride, spread, pads: as returned by `window_of`.
  """
  return ((size - 1) * spread + 1 + sum(pads) - window) // stride + 1


def _windows_of(layer, axis, size):
  """The units of the previous layer that each unit sees along an axis: [outputs, size] bool."""
  window, stride, spread, pads = window_of(layer, axis, size)
  places = np.arange(size) * spread
  first = np.arange(outputs_of(size, window, stride, spread, pads))[:, None] * stride - pads[0]
  return (first <= places) & (places < first + window)


def _product(windows, seen):
  """A product of Boolean matrices, computed with floats, for which NumPy has a fast product."""
  return windows.astype(np.float32) @ seen.astype(np.float32) > 0
