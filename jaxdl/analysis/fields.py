"""Receptive fields: the part of the image that a unit of a convolutional network can see."""

from typing import NamedTuple

import numpy as np

from jaxdl.models import geometry


class ReceptiveField(NamedTuple):
  """The field of a layer's units: unit (i, j) sees pixels from start + (i, j) · stride on, `size`
  of them, clipped.

  Attributes:
    size: (rows, columns), pixels.
    stride: (rows, columns), pixels from one unit's field to the next one's; 0 where every unit sees
      the whole image.
    start: (row, column) of the first pixel of unit (0, 0), negative where it is padding.
  """

  size: tuple[int, int]
  stride: tuple[int, int]
  start: tuple[int, int]

  @property
  def centre(self):
    """(row, column) of the middle of unit (0, 0)'s field, perhaps half a pixel."""
    return tuple(start + (size - 1) / 2 for start, size in zip(self.start, self.size, strict=True))


def receptive_field(model, input_shape, layer):
  """Size, stride and start of the receptive field of a layer's units, from kernels, strides and
  paddings.

  The field is not clipped to the image, and may hold pixels that the unit cannot see: those that a
  stride jumps over or that no window reaches (jaxdl.models.geometry has them exactly).

  Args:
    model: CNN.
    input_shape: (height, width, channels) of the image.
    layer: name; of a layer that follows a flattening or reshaping one, every unit sees the whole
      image.

  Returns:
    ReceptiveField.

  Raises:
    ValueError: an unknown layer (the message lists the names), a model or shape without places, or
      a layer behind a transposed convolution, whose units have fields of several sizes.

  Source: Araujo, Norris & Sim 2019, Computing Receptive Fields of Convolutional Neural Networks,
    Distill.
  """
  passed = _layers_up_to(model, input_shape, layer)
  if any(isinstance(built, geometry.FLAT) for _, built in passed):
    return ReceptiveField(tuple(input_shape[:2]), (0, 0), (0, 0))
  return ReceptiveField(
    *zip(*(_along(passed, axis, input_shape[axis]) for axis in (0, 1)), strict=True)
  )


def box(model, input_shape, layer, position):
  """The smallest rectangle of the image with every pixel that a unit can see.

  Args:
    model, input_shape, layer: as in `receptive_field`; transposed convolutions too.
    position: (row, column) of the unit.

  Returns:
    (top, bottom, left, right), pixels; bottom and right are the first ones after it. All 0 where it
    sees padding alone.

  Raises:
    ValueError: as `receptive_field`, or a position outside the layer's output.
  """
  passed = _layers_up_to(model, input_shape, layer)
  if any(isinstance(built, geometry.FLAT) for _, built in passed):
    return (0, input_shape[0], 0, input_shape[1])
  seen = geometry.receptive_fields(model, tuple(input_shape[:2]))[layer]
  if not all(0 <= place < len(field) for place, field in zip(position, seen, strict=True)):
    raise ValueError(
      f'position {position} of layer {layer!r} is out of range: its output is {tuple(map(len, seen))}'
    )
  rows, columns = (
    np.flatnonzero(field[place]) for place, field in zip(position, seen, strict=True)
  )
  if not len(rows) or not len(columns):
    return (0, 0, 0, 0)
  return (int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)


def _layers_up_to(model, input_shape, layer):
  """[(name, linen module)] of the layers up to the named one."""
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


def _along(passed, axis, pixels):
  """(size, stride, start) along an axis."""
  size, stride, start, units = 1, 1, 0, pixels
  for name, layer in passed:
    window, step, spread, pads = geometry.window_of(layer, axis, units)
    if spread > 1:
      raise ValueError(
        f'layer {name!r} enlarges: the fields of its units and of those after it have several sizes, '
        'use a layer before it, or box for one unit'
      )
    units = geometry.outputs_of(units, window, step, spread, pads)
    start -= pads[0] * stride
    size += (window - 1) * stride
    stride *= step
  return size, stride, start
