"""Receptive fields of a convolutional network: exact, by matrices instead of formulas.

Every window is a rectangle, so rows and columns are computed separately; a sequence has one axis,
its steps. For each axis, a matrix of 0 and 1 indicates which units of the previous layer a unit
sees. The product of the matrices of all layers up to a layer indicates which positions of the input
its units see. Strides, padding and positions that a rounded-down size leaves out need no special
case.

A layer that joins branches sees the union of the fields of its branches along each axis. If no
branch contains the rows and the columns of all others, as with kernels of 1 × 3 and 3 × 1, this is
the smallest product of rows and columns that contains the field.
"""

import functools
from collections.abc import Sequence

import flax.linen as nn
import numpy as np
from jaxtyping import Bool

from jaxdl.models import branches, decoding, layers
from jaxdl.models.cnn import CNN, INPUTS
from jaxdl.ops import convolution
from jaxdl.ops.types import Size

CONVOLUTIONS = (layers.Conv, layers.DepthwiseConv, decoding.ConvTranspose)
POOLS = (layers.MaxPool, layers.AveragePool)
FLAT = (layers.Flatten, decoding.Reshape, layers.GlobalMaxPool, layers.GlobalAveragePool)
# Layers that compute each position separately.
POINTWISE = (
  layers.Dense,
  layers.BatchNorm,
  layers.LayerNorm,
  layers.Dropout,
  layers.Activation,
)


def receptive_fields(
  model: CNN, size: Sequence[int]
) -> dict[str, tuple[Bool[np.ndarray, 'n N'], ...]]:
  """The positions of the input that each unit sees in evaluation.

  Unit (i, j) of a layer, of any feature, sees pixel (r, c) where both rows[i, r] and columns[j, c]
  are true. In training, batch statistics depend on all pixels.

  Args:
    model: the network.
    size: (height, width) of the image in pixels, or (length,) of the sequence in steps.

  Returns:
    Layer name → one array for each axis, (rows, columns) for images. Layers that flatten, reshape
    or pool all positions are left out, and the layers after them.
  """
  found: dict[str, tuple[Bool[np.ndarray, 'n N'], ...]] = {}
  inputs = {INPUTS: tuple(np.eye(positions, dtype=bool) for positions in size)}
  for node in model.nodes():
    layer = node.build()
    seen = [{**inputs, **found}.get(source) for source in node.sources]
    if isinstance(layer, FLAT) or any(fields is None for fields in seen):
      continue
    found[node.name] = tuple(
      _seen_along(layer, axis, *fields) for axis, fields in enumerate(zip(*seen, strict=True))
    )
  return found


def _seen_along(layer, axis, first, *others):
  """What the units of a layer see along an axis; the arguments are that of what it reads."""
  if isinstance(layer, branches.JOINING):
    return functools.reduce(np.logical_or, others, first)
  if isinstance(layer, branches.Project):
    return first[:: branches.strides_between(len(first), len(others[0]))]
  return _product(_windows_of(layer, axis, len(first)), first)


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
  nodes, fields = model.nodes(), receptive_fields(model, size)
  left = {INPUTS: [np.zeros(pixels, bool) for pixels in size]}
  left |= {name: [~field.any(0) for field in of_layer] for name, of_layer in fields.items()}
  # The last layers with positions, one where there are no branches.
  ends = [source for node in nodes for source in node.sources if node.name not in left]
  ends = [name for name in ends if name in left] or [nodes[-1].name]
  rows, columns = (_by_all([left[name] for name in ends], axis) for axis in (0, 1))
  names = []
  for node in nodes:
    if node.name in left:
      before = [_by_all([left[source] for source in node.sources], axis) for axis in (0, 1)]
      new = [now & ~old for now, old in zip(left[node.name], before, strict=True)]
      if (new[0] & rows).any() or (new[1] & columns).any():
        names.append(node.name)
  return np.flatnonzero(rows).tolist(), np.flatnonzero(columns).tolist(), names


def _by_all(left, axis):
  """The positions along an axis that all of several layers leave out."""
  return functools.reduce(np.logical_and, [of_layer[axis] for of_layer in left])


def window_of(layer: nn.Module, axis: int, size: int) -> tuple[int, int, int, tuple[int, int]]:
  """The window through which each unit of a layer sees the units of the previous layer.

  Args:
    layer: a layer of a CNN with one input. A layer of another class defines a method
      `window_of(axis, size)`.
    axis: 0 for rows or the steps of a sequence, 1 for columns.
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
  if isinstance(layer, layers.GroupNorm):  # each unit sees all positions
    return 2 * size - 1, 1, 1, (size - 1, size - 1)
  if not isinstance(layer, (*CONVOLUTIONS, *POOLS)):
    raise ValueError(
      f'the receptive field of a layer {type(layer).__name__} is unknown: give it a method '
      'window_of(axis, size), such as one that returns (1, 1, 1, (0, 0)) if it computes each '
      'position separately'
    )
  extent = layer.kernel if isinstance(layer, CONVOLUTIONS) else layer.window
  window, stride = _along(extent, axis), _along(layer.strides or extent, axis)
  padding = layer.padding if isinstance(layer.padding, str) else layer.padding[axis]
  if isinstance(layer, decoding.ConvTranspose):
    return window, 1, stride, convolution.transposed_padding(window, stride, padding)
  return window, stride, 1, convolution.explicit_padding(size, window, stride, padding)


def _along(size, axis):
  return size if isinstance(size, int) else size[axis]


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
