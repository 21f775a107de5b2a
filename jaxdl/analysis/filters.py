"""Kernels of convolutional layers, as numbers and as one picture."""

import math

import numpy as np
from jaxtyping import Float, Float32, Real

from jaxdl.analysis.units import ArrayLike, Number, Variables

COLUMNS = 8  # filters in a row of the picture; more than 64 filters are arranged in a square
GAP = 1.0  # brightness of the pixels between tiles
SCALINGS = ('raw', 'normalised')


def filters(variables: Variables, layer: str) -> Float[np.ndarray, 'kh kw in out']:
  """Kernels of a convolutional layer.

  Args:
    variables: variables of a model.
    layer: name.

  Returns:
    kernels.

  Raises:
    ValueError: the layer has no convolution kernels; the message lists the layers that have.
  """
  kernels = {
    name: parts['kernel']
    for name, parts in variables['params'].items()
    if np.ndim(parts.get('kernel')) == 4
  }
  if layer not in kernels:
    names = ', '.join(kernels) or 'another model: it has none'
    raise ValueError(f'layer {layer!r} has no filters: use one of {names}')
  return np.asarray(kernels[layer])


def limits(
  kernels: ArrayLike, scaling: str = 'raw'
) -> tuple[Real[np.ndarray, 'out'], Real[np.ndarray, 'out']]:
  """Weights that are drawn black and white: weight = low + brightness · (high − low).

  Args:
    kernels: [kh, kw, in, out].
    scaling: 'raw', one scale for all filters from minus to plus the greatest absolute weight; or
      'normalised', from the least to the greatest weight of each filter.

  Returns:
    (low, high) of each filter; they are equal for a constant filter if 'normalised', and for
    kernels that are all 0 if 'raw'.

  Raises:
    ValueError: an unknown scaling, or kernels of another shape.
  """
  if scaling not in SCALINGS:
    raise ValueError(f'scaling={scaling!r} is unknown: use one of {", ".join(SCALINGS)}')
  if np.ndim(kernels) != 4 or 0 in np.shape(kernels):
    raise ValueError(
      f'kernels of shape {np.shape(kernels)} are not filters: give [kh, kw, in, out]'
    )
  if scaling == 'raw':
    greatest = np.full(np.shape(kernels)[-1], np.abs(kernels).max())
    return -greatest, greatest
  return np.min(kernels, (0, 1, 2)), np.max(kernels, (0, 1, 2))


def grid(
  kernels: ArrayLike, scaling: str = 'raw', gap: Number = GAP
) -> Float32[np.ndarray, 'H W channels']:
  """One picture of all filters, with gaps of one pixel between and around the tiles.

  Filters of three input channels (RGB) or of one are a tile each, filter 8r + c in row r and column
  c (√out columns instead of 8 for more than 64 filters). Other filters are a row each, with a tile
  for every input channel.

  Args:
    kernels: [kh, kw, in, out].
    scaling: as in `limits`; a filter without contrast is mid-grey.
    gap: brightness of the gaps and of missing tiles.

  Returns:
    picture of 3 channels where in = 3, otherwise of 1; tiles are in 0..1, and tile (r, c) starts at
    pixel (r · (kh + 1) + 1, c · (kw + 1) + 1).

  Raises:
    ValueError: as in `limits`.
  """
  low, high = (bound.astype(np.float64) for bound in limits(kernels, scaling))
  flat = high == low
  bright = np.where(flat, 0.5, (kernels - low) / np.where(flat, 1, high - low))  # [kh, kw, in, out]
  tiles = np.moveaxis(bright, -1, 0)  # [out, kh, kw, in]
  if tiles.shape[-1] not in (1, 3):
    tiles = np.moveaxis(tiles, -1, 1)[..., None]  # [out, in, kh, kw, 1]
    return _joined(tiles.reshape(-1, *tiles.shape[2:]), tiles.shape[1], gap)
  columns = max(COLUMNS, math.ceil(math.sqrt(len(tiles))))
  return _joined(tiles, min(columns, len(tiles)), gap)


def _joined(
  tiles: Float[np.ndarray, 'N kh kw C'], columns: int, gap: Number
) -> Float32[np.ndarray, 'H W C']:
  """Arranges tiles row by row in one picture; missing tiles are gaps."""
  count, height, width, channels = tiles.shape
  rows = -(-count // columns)
  picture = np.full((rows, height + 1, columns, width + 1, channels), gap, np.float32)
  for number, tile in enumerate(tiles):
    picture[number // columns, :height, number % columns, :width] = tile
  picture = picture.reshape(rows * (height + 1), columns * (width + 1), channels)
  return np.pad(picture, ((1, 0), (1, 0), (0, 0)), constant_values=gap)
