"""Tests of filters and of the grid that shows them."""

import numpy as np
import pytest

from jaxdl.analysis import filters


def tile(grid, row, column, shape):
  """Returns the pixels of a tile; tiles are separated and surrounded by gaps of one pixel."""
  height, width = shape
  top, left = 1 + row * (height + 1), 1 + column * (width + 1)
  return grid[top : top + height, left : left + width]


def random_kernels(*shape):
  return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize('scaling', ['raw', 'normalised'])
@pytest.mark.parametrize('channels', [1, 3])
def test_filters_grid_of_64_is_square_and_invertible(scaling, channels):
  kernels = random_kernels(3, 2, channels, 64)
  grid = filters.grid(kernels, scaling)
  assert grid.shape == (8 * 4 + 1, 8 * 3 + 1, channels)
  assert grid.min() >= 0
  assert grid.max() <= 1
  low, high = filters.limits(kernels, scaling)
  stored = np.round(grid * 255) / 255  # as stored in a PNG file
  for number in range(64):
    weights = low[number] + tile(stored, number // 8, number % 8, (3, 2)) * (
      high[number] - low[number]
    )
    np.testing.assert_allclose(
      weights, kernels[..., number], atol=(high[number] - low[number]) / 255
    )
  gaps = np.ones(grid.shape[:2], bool)
  for row, column in np.ndindex(8, 8):
    tile(gaps, row, column, (3, 2))[...] = False
  assert (grid[gaps] == filters.GAP).all()


def test_filters_raw_scaling_is_shared_normalised_per_filter():
  kernels = np.zeros((1, 2, 1, 2), np.float32)
  kernels[0, :, 0, 0], kernels[0, :, 0, 1] = [-4, 2], [0, 1]
  raw, normalised = (
    filters.grid(kernels, scaling)[1, [1, 2, 4, 5], 0].tolist() for scaling in filters.SCALINGS
  )
  assert raw == [0, 0.75, 0.5, 0.625]
  assert normalised == [0, 1, 0, 1]


def test_filters_of_many_channels_have_one_row_per_filter():
  kernels = random_kernels(3, 3, 5, 4)
  grid = filters.grid(kernels, 'normalised')
  assert grid.shape == (4 * 4 + 1, 5 * 4 + 1, 1)
  low, high = filters.limits(kernels, 'normalised')
  for number, channel in np.ndindex(4, 5):
    weights = low[number] + tile(grid, number, channel, (3, 3))[..., 0] * (
      high[number] - low[number]
    )
    np.testing.assert_allclose(weights, kernels[:, :, channel, number], atol=1e-6)


@pytest.mark.parametrize('value', [0.0, 0.3])
@pytest.mark.parametrize('channels', [1, 2, 3])
def test_constant_filter_is_mid_grey(value, channels):
  kernels = random_kernels(3, 3, channels, 2)
  kernels[..., 1] = value
  grid = filters.grid(kernels, 'normalised')
  position = (1, 0) if channels == 2 else (0, 1)
  np.testing.assert_array_equal(tile(grid, *position, (3, 3)), 0.5)
  np.testing.assert_array_equal(
    tile(filters.grid(np.zeros((3, 3, channels, 2), np.float32)), 0, 0, (3, 3)), 0.5
  )


def test_filters_grid_with_incomplete_rows():
  assert filters.grid(random_kernels(3, 3, 1, 5)).shape == (5, 21, 1)
  grid = filters.grid(random_kernels(3, 3, 1, 10))
  assert grid.shape == (9, 33, 1)
  assert (grid[5:, 9:] == filters.GAP).all()


def test_filters_are_the_kernel_of_a_layer():
  kernels = random_kernels(2, 2, 1, 3)
  variables = {
    'params': {
      'conv1': {'kernel': kernels, 'bias': np.zeros(3)},
      'dense1': {'kernel': np.zeros((12, 4))},
      'batch_norm1': {'scale': np.ones(4)},
    }
  }
  np.testing.assert_array_equal(filters.filters(variables, 'conv1'), kernels)
  with pytest.raises(ValueError, match="^layer 'dense1' has no filters: use one of conv1$"):
    filters.filters(variables, 'dense1')


@pytest.mark.parametrize(
  ('shape', 'scaling', 'message'),
  [
    ((3, 3, 1, 2), 'global', "scaling='global' is unknown: use one of raw, normalised"),
    ((12, 4), 'raw', r'kernels of shape \(12, 4\) are not filters: give \[kh, kw, in, out\]'),
  ],
)
def test_filters_grid_errors_name_the_fix(shape, scaling, message):
  with pytest.raises(ValueError, match=f'^{message}'):
    filters.grid(np.zeros(shape), scaling)
