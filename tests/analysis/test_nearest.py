"""Tests of the nearest training examples."""

import numpy as np
import pytest

from jaxdl.analysis import nearest


def test_nearest_by_hand():
  features = np.array([[1, 0], [0, 2], [3, 3], [-1, 0], [0, 0]])
  found = nearest.nearest(features, [[2, 0], [0, 0.1], [5, 5]], 3)
  np.testing.assert_array_equal(found.examples, [[0, 2, 1], [1, 2, 0], [2, 0, 1]])
  half = np.sqrt(0.5)
  np.testing.assert_allclose(found.similarity, [[1, half, 0], [1, half, 0], [1, half, half]])
  labels = np.array([1, 0, 0, 2, 2])
  np.testing.assert_array_equal(nearest.votes(labels, found), [0, 0, 0])
  only = nearest.nearest(features, [[2, 0]], 1)
  np.testing.assert_array_equal(nearest.votes(labels, only), [1])
  last = nearest.nearest(features, [[-2, 0], [-1, 0.1]], 1)
  np.testing.assert_array_equal(nearest.votes(labels, last), [2, 2])


def test_nearest_blocks_equal_one_pass(monkeypatch):
  random = np.random.default_rng(0)
  features, queries = random.normal(size=(20, 3)), random.normal(size=(7, 3))
  expected = nearest.nearest(features, queries, 4)
  monkeypatch.setattr(nearest, 'ROWS', 2)
  found = nearest.nearest(features, queries, 4)
  np.testing.assert_array_equal(found.examples, expected.examples)


def test_nearest_errors_name_the_fix():
  with pytest.raises(ValueError, match='^count=3 is out of range for 2 training examples'):
    nearest.nearest(np.ones((2, 2)), np.ones((1, 2)), 3)
  with pytest.raises(ValueError, match='^features of 2 and queries of 3 numbers'):
    nearest.nearest(np.ones((2, 2)), np.ones((1, 3)), 1)
