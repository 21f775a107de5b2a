"""Tests of permutation importance, on losses whose change is worked by hand."""

import numpy as np
import pytest

from jaxdl.analysis import importance


def squares(targets, weights):
  """Function (inputs) → squared errors of a linear network."""
  return lambda inputs: np.square(inputs @ np.array(weights) - targets)


def test_importance_of_a_linear_network_is_twice_its_weighted_variance():
  """Permuting an independent feature x of weight w increases the squared error by 2 w² var(x)."""
  draw = np.random.default_rng(0)
  inputs = draw.normal(size=(4000, 3)) * [1, 2, 1] + [0, 5, 0]
  losses = squares(inputs @ [1.0, 0.5, 0.0] + 1, [1.0, 0.5, 0.0])
  groups = {'first': [0], 'second': [1], 'unused': [2], 'all': [0, 1, 2]}
  found, mean = importance.permuted(losses, inputs, groups, seed=0)
  assert mean == pytest.approx(1)
  assert list(found) == list(groups)
  assert all(len(rounds) == importance.ROUNDS for rounds in found.values())
  assert found['first'].mean() == pytest.approx(2, rel=0.05)
  assert found['second'].mean() == pytest.approx(2, rel=0.05)
  np.testing.assert_allclose(found['unused'], 0, atol=1e-12)
  assert found['all'].mean() == pytest.approx(4, rel=0.05)
  assert found['first'].std() > 0, 'each round has another permutation'


def test_columns_of_a_feature_are_permuted_together():
  """Two equal columns cancel, alone or together; the inputs are not changed."""
  inputs = np.arange(8.0)[:, None] * [1, 1]
  before, losses = inputs.copy(), squares(np.zeros(8), [1.0, -1.0])
  found, mean = importance.permuted(losses, inputs, {'both': [0, 1], 'one': [1]}, seed=3, rounds=4)
  assert mean == 0
  assert found['both'].tolist() == [0] * 4
  assert (found['one'] > 0).all()
  np.testing.assert_array_equal(inputs, before)
  again, _ = importance.permuted(losses, inputs, {'one': [1]}, seed=3, rounds=4)
  np.testing.assert_array_equal(again['one'], found['one'])
  other, _ = importance.permuted(losses, inputs, {'one': [1]}, seed=4, rounds=4)
  assert (other['one'] != found['one']).any()
