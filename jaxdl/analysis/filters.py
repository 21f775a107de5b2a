"""The kernels of convolutional layers, as numbers and as one picture."""

import math

import numpy as np

COLUMNS = (
  8  # filters in a row of the picture; more of more than 64 filters, so that it is about square
)
GAP = 1.0  # brightness of the pixels between tiles
SCALINGS = ('raw', 'normalised')


def filters(variables, layer):
  """The kernels of a convolutional layer.

  Args:
    variables: of a model.
    layer: name.

  Returns:
    [kh, kw, in, out].

  Raises:
    ValueError: the layer has no kernels over places; the message lists those that have.
  """
  kernels = {
    name: parts['kernel']
    for name, parts in variables['params'].items()
    if np.ndim(parts.get('kernel')) == 4
  }
  if layer not in kernels:
    raise ValueError(
      f'layer {layer!r} has no filters: use one of {", ".join(kernels) or "another model: it has none"}'
    )
  return np.asarray(kernels[layer])


def limits(kernels, scaling='raw'):
  """The weights that are drawn black and white: weight = low + brightness · (high − low).

  Args:
    kernels: [kh, kw, in, out].
    scaling: 'raw', one scale for all with 0 in the middle, ± the greatest absolute weight; or
      'normalised', the least and the greatest weight of each filter.

  Returns:
    (low [out], high [out]), equal for a filter that is constant, or of zeros where 'raw'.

  Raises:
    ValueError: an unknown scaling, or kernels of another shape.
  """
  if scaling not in SCALINGS:
    raise ValueError(f'scaling={scaling!r} is unknown: use one of {", ".join(SCALINGS)}')
  if np.ndim(kernels) != 4 or 0 in np.shape(kernels):
    raise ValueError(f'kernels of shape {np.shape(kernels)} are no filters: give [kh, kw, in, out]')
  if scaling == 'raw':
    greatest = np.full(np.shape(kernels)[-1], np.abs(kernels).max())
    return -greatest, greatest
  return np.min(kernels, (0, 1, 2)), np.max(kernels, (0, 1, 2))


def grid(kernels, scaling='raw', gap=GAP):
  """One picture of all filters, with gaps of one pixel between and around the tiles.

  Filters of three input channels (RGB) or of one are a tile each, filter 8r + c in row r and column
  c (of more than 64 filters √out instead of 8). Other filters are a row each, with a tile for every
  input channel.

  Args:
    kernels: [kh, kw, in, out].
    scaling: as in `limits`; a filter without any contrast is mid-grey.
    gap: float, what stands in the gaps, and where there is no tile.

  Returns:
    [H, W, 3] float32, in 0..1 but for the gaps, where in = 3, else [H, W, 1]; tile (r, c) begins at
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
  return _joined(tiles, min(max(COLUMNS, math.ceil(math.sqrt(len(tiles)))), len(tiles)), gap)


def _joined(tiles, columns, gap):
  """[N, kh, kw, C] → one picture, row by row; places without a tile stay a gap."""
  count, height, width, channels = tiles.shape
  rows = -(-count // columns)
  picture = np.full((rows, height + 1, columns, width + 1, channels), gap, np.float32)
  for number, tile in enumerate(tiles):
    picture[number // columns, :height, number % columns, :width] = tile
  picture = picture.reshape(rows * (height + 1), columns * (width + 1), channels)
  return np.pad(picture, ((1, 0), (1, 0), (0, 0)), constant_values=gap)
