"""Which pixels a unit of a convolutional network can see: exact, by matrices instead of formulas.

Every window is a rectangle, so rows and columns are found apart. What one layer's units see of the
layer before is a matrix of 0 and 1 for each axis; what they see of the image is the product of all
matrices up to there. Strides, padding and what a floor leaves out need no case of their own.
"""

import numpy as np

from jaxdl.models import decoding, layers
from jaxdl.ops import convolution

POOLS = (layers.MaxPool, layers.AveragePool)
FLAT = (layers.Flatten, decoding.Reshape)
ALONE = (
  layers.Dense,
  layers.BatchNorm,
  layers.Dropout,
  layers.Activation,
)  # they work on each place alone


def receptive_fields(model, size):
  """The pixels that each unit can see, in evaluation: batch statistics of training depend on all.

  Unit (i, j) of a layer, whichever its feature, sees pixel (r, c) where both rows[i, r] and
  columns[j, c].

  Args:
    model: CNN.
    size: (height, width) of the image, pixels.

  Returns:
    layer name → (rows [H', height] bool, columns [W', width] bool), in order, for the layers before
    the first one that flattens or reshapes.
  """
  seen, found = [np.eye(pixels, dtype=bool) for pixels in size], {}
  for name, build in model.named_layers():
    layer = build()
    if isinstance(layer, FLAT):
      break
    seen = [_product(_windows_of(layer, axis, len(seen[axis])), seen[axis]) for axis in (0, 1)]
    found[name] = tuple(seen)
  return found


def unseen(model, size):
  """The pixels that change no output in evaluation, whatever the parameters are.

  What is flattened counts as seen, for a dense layer follows.

  Args:
    model: CNN.
    size: (height, width) of the image, pixels.

  Returns:
    (rows, columns, names): lists of int, rows and columns of which no pixel is seen, and list of
    the layers that leave them out. A pixel is unseen where its row or its column is.
  """
  left, names = [np.zeros(pixels, bool) for pixels in size], []
  for name, fields in receptive_fields(model, size).items():
    now = [~field.any(0) for field in fields]
    if any((new & ~old).any() for new, old in zip(now, left, strict=True)):
      names.append(name)
    left = now
  return np.flatnonzero(left[0]).tolist(), np.flatnonzero(left[1]).tolist(), names


def window_of(layer, axis, size):
  """The window through which each unit of a layer looks at the `size` units before it, along an
  axis.

  Args:
    layer: linen module of a CNN; one of another kind says it itself, by a method `window_of(axis,
      size)`.
    axis: 0 for rows, 1 for columns.
    size: int.

  Returns:
    (window, stride, spread, pads): the units before it stand `spread` places apart, with pads =
    (before, after) places around them; the window covers `window` places and moves by `stride`.

  Raises:
    ValueError: a layer of another kind that does not say it.
  """
  if hasattr(layer, 'window_of'):
    return layer.window_of(axis, size)
  if isinstance(layer, ALONE):
    return 1, 1, 1, (0, 0)
  if not isinstance(layer, (layers.Conv, *POOLS)):
    raise ValueError(
      f'what the units of a layer {type(layer).__name__} see is not known: give it a method window_of(axis, '
      'size), such as one that returns (1, 1, 1, (0, 0)) where it works on each place alone'
    )
  extent = layer.window if isinstance(layer, POOLS) else layer.kernel
  window, stride = layers.pair(extent)[axis], layers.pair(layer.strides or extent)[axis]
  padding = layer.padding if isinstance(layer.padding, str) else layer.padding[axis]
  if isinstance(layer, decoding.ConvTranspose):
    return window, 1, stride, convolution.transposed_padding(window, stride, padding)
  return window, stride, 1, convolution.explicit_padding(size, window, stride, padding)


def outputs_of(size, window, stride, spread, pads):
  """How many units a window of `window_of` gives over `size` units."""
  return ((size - 1) * spread + 1 + sum(pads) - window) // stride + 1


def _windows_of(layer, axis, size):
  """What each unit of a layer sees of `size` units before it, along an axis: [outputs, size] bool."""
  window, stride, spread, pads = window_of(layer, axis, size)
  places = np.arange(size) * spread
  first = np.arange(outputs_of(size, window, stride, spread, pads))[:, None] * stride - pads[0]
  return (first <= places) & (places < first + window)


def _product(windows, seen):
  return (
    windows.astype(np.float32) @ seen.astype(np.float32) > 0
  )  # of floats: NumPy has no fast product of bools
