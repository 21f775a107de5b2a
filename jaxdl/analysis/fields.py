"""Receptive fields: the part of the image that a unit of a convolutional network can see."""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import flax.linen as nn
import numpy as np

from jaxdl.analysis.units import Int
from jaxdl.models import geometry


class ReceptiveField(NamedTuple):
  """Receptive field of a layer's units.

  Unit (i, j) sees `size` pixels starting at start + (i, j) · stride, clipped to the image.

  Attributes:
    size: (rows, columns), pixels.
    stride: (rows, columns), pixels from the field of a unit to that of the next one; 0 where every
      unit sees the complete image.
    start: (row, column) of the first pixel of unit (0, 0), negative in the padding.
  """

  size: tuple[int, int]
  stride: tuple[int, int]
  start: tuple[int, int]

  @property
  def centre(self) -> tuple[float, float]:
    """(row, column) of the centre of unit (0, 0)'s field, which may be half a pixel."""
    return (self.start[0] + (self.size[0] - 1) / 2, self.start[1] + (self.size[1] - 1) / 2)


def receptive_field(model: nn.Module, input_shape: Sequence[int], layer: str) -> ReceptiveField:
  """Size, stride and start of the receptive field, from kernels, strides and paddings.

  The field is not clipped to the image, and may contain pixels that the unit cannot see: those
  that a stride skips or that no window reaches (jaxdl.models.geometry computes them exactly).

  Args:
    model: CNN.
    input_shape: (height, width, channels) of the image.
    layer: name; after a flattening or reshaping layer every unit sees the complete image.

  Returns:
    ReceptiveField.

  Raises:
    ValueError: an unknown layer (the message lists the names), a model or shape without spatial
      positions, or a layer after a transposed convolution, whose units have fields of several
      sizes.

  Source: Araujo, Norris & Sim 2019, Computing Receptive Fields of Convolutional Neural Networks,
    Distill.
  """
  passed = _layers_up_to(model, input_shape, layer)
  if any(isinstance(built, geometry.FLAT) for _, built in passed):
    return ReceptiveField((input_shape[0], input_shape[1]), (0, 0), (0, 0))
  rows = _along(passed, 0, input_shape[0])
  columns = _along(passed, 1, input_shape[1])
  return ReceptiveField(*zip(rows, columns, strict=True))


def box(
  model: nn.Module, input_shape: Sequence[int], layer: str, position: Sequence[Int]
) -> tuple[int, int, int, int]:
  """The smallest rectangle of the image that contains every pixel that a unit can see.

  Args:
    model: as in `receptive_field`; may have transposed convolutions.
    input_shape: as in `receptive_field`.
    layer: as in `receptive_field`.
    position: (row, column) of the unit.

  Returns:
    (top, bottom, left, right), pixels; bottom and right are exclusive. All are 0 for a unit that
    sees only padding.

  Raises:
    ValueError: as in `receptive_field`, or a position outside the layer's output.
  """
  passed = _layers_up_to(model, input_shape, layer)
  if any(isinstance(built, geometry.FLAT) for _, built in passed):
    return (0, input_shape[0], 0, input_shape[1])
  height, width, _ = input_shape
  seen = geometry.receptive_fields(cast(Any, model), (height, width))[layer]
  if len(position) != len(seen) or not all(
    0 <= place < len(field) for place, field in zip(position, seen, strict=True)
  ):
    raise ValueError(
      f'position {position} of layer {layer!r} is out of range: '
      f'its output is {tuple(map(len, seen))}'
    )
  rows = np.flatnonzero(seen[0][position[0]])
  columns = np.flatnonzero(seen[1][position[1]])
  if not len(rows) or not len(columns):
    return (0, 0, 0, 0)
  return (int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)


def _layers_up_to(
  model: nn.Module, input_shape: Sequence[int], layer: str
) -> list[tuple[str, nn.Module]]:
  """Names and linen modules of the layers up to the named one."""
  if not hasattr(model, 'named_layers') or len(input_shape) != 3:
    raise ValueError(
      f'{type(model).__name__} on inputs of shape {tuple(input_shape)} has no receptive fields: '
      'use a cnn on images (height, width, channels)'
    )
  built = [(name, build()) for name, build in model.named_layers()]
  names = [name for name, _ in built]
  if layer not in names:
    raise ValueError(f'layer {layer!r} is unknown: use one of {", ".join(names)}')
  return built[: names.index(layer) + 1]


def _along(passed: list[tuple[str, nn.Module]], axis: int, pixels: int) -> tuple[int, int, int]:
  """(size, stride, start) along an axis."""
  size, stride, start, units = 1, 1, 0, pixels
  for name, layer in passed:
    window, step, spread, pads = geometry.window_of(layer, axis, units)
    if spread > 1:
      raise ValueError(
        f'layer {name!r} enlarges: the fields of its units and of those after it have several '
        'sizes, use a layer before it, or box for one unit'
      )
    units = geometry.outputs_of(units, window, step, spread, pads)
    start -= pads[0] * stride
    size += (window - 1) * stride
    stride *= step
  return size, stride, start
