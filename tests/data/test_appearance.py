"""Brightness and contrast of images."""

import numpy as np
import pytest

from jaxdl.data import appearance


def test_brightness_and_contrast_equal_mean_and_deviation():
  images = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), np.uint8)
  expected = images.reshape(6, -1) / 255
  found = appearance.of_images(images)
  np.testing.assert_allclose(found[:, 0], expected.mean(1))
  np.testing.assert_allclose(found[:, 1], expected.std(1))
  split = appearance.of_split(images)
  assert split['brightness'] == pytest.approx([found[:, 0].mean(), found[:, 0].std()])
  assert split['contrast'] == pytest.approx([found[:, 1].mean(), found[:, 1].std()])


def test_large_split_is_sampled_evenly():
  """The images become brighter, and the mean of the sample equals the mean of all images."""
  images = np.repeat((np.arange(9000) * 255 // 9000).astype(np.uint8)[:, None], 4, 1)
  found = appearance.of_split(images.reshape(-1, 2, 2, 1))
  assert found['brightness'][0] == pytest.approx(0.5, abs=0.01)
  assert found['contrast'] == [0, 0]


def test_distance_is_in_standard_deviations():
  recorded = {'brightness': [0.5, 0.1], 'contrast': [0.2, 0.05]}
  np.testing.assert_allclose(appearance.distance(np.array([0.8, 0.1]), recorded), [3, -2])
  assert appearance.is_recorded(recorded)
  for damaged in (None, {}, {'brightness': [1]}, {**recorded, 'contrast': ['a', 'b']}):
    assert not appearance.is_recorded(damaged)
