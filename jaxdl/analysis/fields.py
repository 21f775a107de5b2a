"""Receptive fields: the part of an image or sequence that a unit of a network can see."""

from collections.abc import Sequence
from typing import NamedTuple, cast

import flax.linen as nn
import numpy as np

from jaxdl.analysis.units import Int
from jaxdl.models import branches, geometry
from jaxdl.models.cnn import CNN, INPUTS, Node


class ReceptiveField(NamedTuple):
  """Receptive field of a layer's units.

  Unit (i, j) sees `size` pixels starting at start + (i, j) · stride, clipped to the image. For a
  sequence, each tuple has one number, in steps.

  Attributes:
    size: (rows, columns), pixels.
    stride: (rows, columns), pixels from the field of a unit to that of the next one; 0 where every
      unit sees the complete image.
    start: (row, column) of the first pixel of unit (0, 0), negative in the padding.
  """

  size: tuple[int, ...]
  stride: tuple[int, ...]
  start: tuple[int, ...]

  @property
  def centre(self) -> tuple[float, ...]:
    """(row, column) of the centre of unit (0, 0)'s field, which may be half a pixel."""
    return tuple(start + (size - 1) / 2 for start, size in zip(self.start, self.size, strict=True))


def receptive_field(model: nn.Module, input_shape: Sequence[int], layer: str) -> ReceptiveField:
  """Size, stride and start of the receptive field, from kernels, strides and paddings.

  The field is not clipped to the image, and may contain pixels that the unit cannot see: those
  that a stride skips or that no window reaches (jaxdl.models.geometry computes them exactly).

  Args:
    model: CNN.
    input_shape: (height, width, channels) of the image, or (steps, channels) of the sequence.
    layer: name; after a layer that flattens, reshapes or pools all positions, every unit sees the
      complete image. A layer that joins branches sees what any of them sees.

  Returns:
    ReceptiveField.

  Raises:
    ValueError: an unknown layer (the message lists the names), a model or shape without spatial
      positions, or a layer after a transposed convolution, whose units have fields of several
      sizes.

  Source: Araujo, Norris & Sim 2019, Computing Receptive Fields of Convolutional Neural Networks,
    Distill.
  """
  size = _size_of(model, input_shape, layer)
  passed: dict[str, _Field | None] = {
    INPUTS: _Field((1,) * len(size), (1,) * len(size), (0,) * len(size), size)
  }
  for node in cast(CNN, model).nodes():
    passed[node.name] = _after(node, [passed[source] for source in node.sources])
    if node.name == layer:
      break
  found = passed[layer]
  if found is None:
    return ReceptiveField(size, (0,) * len(size), (0,) * len(size))
  return ReceptiveField(found.size, found.stride, found.start)


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
  size = _size_of(model, input_shape, layer)
  if len(size) != 2:
    raise ValueError(f'box takes images (height, width, channels), not {tuple(input_shape)}')
  height, width = size
  fields = geometry.receptive_fields(cast(CNN, model), size)
  if layer not in fields:
    return (0, height, 0, width)
  seen = fields[layer]
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


def _size_of(model: nn.Module, input_shape: Sequence[int], layer: str) -> tuple[int, ...]:
  """The number of positions along each axis; ValueError for a model or layer without a field."""
  if not isinstance(model, CNN) or len(input_shape) not in (2, 3):
    raise ValueError(
      f'{type(model).__name__} on inputs of shape {tuple(input_shape)} has no receptive fields: '
      'use a cnn on images (height, width, channels) or sequences (steps, channels)'
    )
  names = [node.name for node in model.nodes()]
  if layer not in names:
    raise ValueError(f'layer {layer!r} is unknown: use one of {", ".join(names)}')
  return tuple(input_shape[:-1])


class _Field(NamedTuple):
  """A receptive field along each axis, and the number of units."""

  size: tuple[int, ...]
  stride: tuple[int, ...]
  start: tuple[int, ...]
  units: tuple[int, ...]


def _after(node: Node, before: Sequence[_Field | None]) -> _Field | None:
  """The field after a layer; None if its units see everything."""
  layer = node.build()
  if isinstance(layer, geometry.FLAT) or any(field is None for field in before):
    return None
  fields = cast(Sequence[_Field], before)
  axes = range(len(fields[0].size))
  if isinstance(layer, branches.JOINING):
    start = tuple(min(field.start[axis] for field in fields) for axis in axes)
    end = tuple(max(field.start[axis] + field.size[axis] for field in fields) for axis in axes)
    size = tuple(last - first for first, last in zip(start, end, strict=True))
    return _Field(size, fields[0].stride, start, fields[0].units)
  if isinstance(layer, branches.Project):
    return fields[0]._replace(stride=fields[1].stride, units=fields[1].units)
  return _Field(*zip(*(_along(node.name, layer, fields[0], axis) for axis in axes), strict=True))


def _along(name: str, layer: nn.Module, field: _Field, axis: int) -> tuple[int, int, int, int]:
  """(size, stride, start, units) along an axis."""
  window, step, spread, pads = geometry.window_of(layer, axis, field.units[axis])
  if spread > 1:
    raise ValueError(
      f'layer {name!r} enlarges: the fields of its units and of those after it have several '
      'sizes, use a layer before it, or box for one unit'
    )
  return (
    field.size[axis] + (window - 1) * field.stride[axis],
    field.stride[axis] * step,
    field.start[axis] - pads[0] * field.stride[axis],
    geometry.outputs_of(field.units[axis], window, step, spread, pads),
  )
