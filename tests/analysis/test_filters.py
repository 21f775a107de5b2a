"""Filters and their picture."""

import numpy as np
import pytest

from jaxdl.analysis import filters


def tile(picture, row, column, shape):
  """The pixels of a tile: a gap of one before each, and around all."""
  height, width = shape
  top, left = 1 + row * (height + 1), 1 + column * (width + 1)
  return picture[top : top + height, left : left + width]


def kernels_of(*shape):
  return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize('scaling', ['raw', 'normalised'])
@pytest.mark.parametrize('channels', [1, 3])
def test_filters_grid_of_64_is_8_by_8_and_gives_every_weight_back(scaling, channels):
  kernels = kernels_of(3, 2, channels, 64)
  picture = filters.grid(kernels, scaling)
  assert picture.shape == (8 * 4 + 1, 8 * 3 + 1, channels)
  assert picture.min() >= 0
  assert picture.max() <= 1
  low, high = filters.limits(kernels, scaling)
  drawn = np.round(picture * 255) / 255  # as a PNG holds it
  for number in range(64):
    weights = low[number] + tile(drawn, number // 8, number % 8, (3, 2)) * (
      high[number] - low[number]
    )
    np.testing.assert_allclose(
      weights, kernels[..., number], atol=(high[number] - low[number]) / 255
    )
  gaps = np.ones(picture.shape[:2], bool)
  for row, column in np.ndindex(8, 8):
    tile(gaps, row, column, (3, 2))[...] = False
  assert (picture[gaps] == filters.GAP).all()


def test_filters_raw_has_one_scale_and_normalised_one_for_each():
  kernels = np.zeros((1, 2, 1, 2), np.float32)
  kernels[0, :, 0, 0], kernels[0, :, 0, 1] = [-4, 2], [0, 1]
  raw, normalised = (
    filters.grid(kernels, scaling)[1, [1, 2, 4, 5], 0].tolist() for scaling in filters.SCALINGS
  )
  assert raw == [0, 0.75, 0.5, 0.625]
  assert normalised == [0, 1, 0, 1]


def test_filters_of_many_channels_have_a_row_each():
  kernels = kernels_of(3, 3, 5, 4)
  picture = filters.grid(kernels, 'normalised')
  assert picture.shape == (4 * 4 + 1, 5 * 4 + 1, 1)
  low, high = filters.limits(kernels, 'normalised')
  for number, channel in np.ndindex(4, 5):
    weights = low[number] + tile(picture, number, channel, (3, 3))[..., 0] * (
      high[number] - low[number]
    )
    np.testing.assert_allclose(weights, kernels[:, :, channel, number], atol=1e-6)


@pytest.mark.parametrize('value', [0.0, 0.3])
@pytest.mark.parametrize('channels', [1, 2, 3])
def test_a_constant_filter_is_mid_grey(value, channels):
  kernels = kernels_of(3, 3, channels, 2)
  kernels[..., 1] = value
  picture = filters.grid(kernels, 'normalised')
  place = (1, 0) if channels == 2 else (0, 1)
  np.testing.assert_array_equal(tile(picture, *place, (3, 3)), 0.5)
  np.testing.assert_array_equal(
    tile(filters.grid(np.zeros((3, 3, channels, 2), np.float32)), 0, 0, (3, 3)), 0.5
  )


def test_filters_fewer_than_a_row_and_a_last_row_that_is_not_full():
  assert filters.grid(kernels_of(3, 3, 1, 5)).shape == (5, 21, 1)
  picture = filters.grid(kernels_of(3, 3, 1, 10))
  assert picture.shape == (9, 33, 1)
  assert (picture[5:, 9:] == filters.GAP).all()


def test_filters_of_a_layer():
  kernels = kernels_of(2, 2, 1, 3)
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
def test_filters_grid_names_what_is_wrong(shape, scaling, message):
  with pytest.raises(ValueError, match=f'^{message}'):
    filters.grid(np.zeros(shape), scaling)
