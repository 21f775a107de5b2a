"""Tests of CKA: hand values, invariances, and no bias of wide layers."""

import itertools

import numpy as np
import pytest

from jaxdl.analysis import similarity


def cka_of(first, second):
  return similarity.cka({'a': similarity.kernel(first)}, {'b': similarity.kernel(second)})[0, 0]


def test_hsic_equals_the_mean_over_four_different_examples():
  """The unbiased estimate is the mean of K_ij (L_ij + L_qr − 2 L_iq) over different i, j, q, r."""
  random = np.random.default_rng(0)
  first, second = (similarity.kernel(random.normal(size=(6, 3))) for _ in range(2))
  expected = np.mean(
    [
      first[i, j] * (second[i, j] + second[q, r] - 2 * second[i, q])
      for i, j, q, r in itertools.permutations(range(6), 4)
    ]
  )
  np.testing.assert_allclose(similarity.hsic(first, second), expected, rtol=1e-12)


def test_cka_is_invariant_to_rotation_scale_and_shift():
  random = np.random.default_rng(0)
  features, other = random.normal(size=(30, 5)), random.normal(size=(30, 4))
  other[:, :2] += features[:, :2]
  rotation = np.linalg.qr(random.normal(size=(5, 5)))[0]
  assert cka_of(features, features @ rotation * 7 - 3) == pytest.approx(1, abs=1e-12)
  expected = cka_of(features, other)
  assert 0.05 < expected < 0.95
  assert cka_of(features @ rotation * 0.01 + 5, other) == pytest.approx(expected, abs=1e-9)
  assert cka_of(other, features) == pytest.approx(expected, abs=1e-12)
  stretched = features * np.array([1, 1, 1, 1, 30])
  assert abs(cka_of(features, stretched) - 1) > 0.1, 'it is not invariant to any linear map'
  order = random.permutation(30)
  assert cka_of(features[order], other[order]) == pytest.approx(expected, abs=1e-12)
  assert abs(cka_of(features[order], other)) < 0.3


def test_cka_of_independent_wide_layers_is_near_zero():
  """The biased estimate of these features would be above 0.9."""
  random = np.random.default_rng(0)
  assert abs(cka_of(random.normal(size=(40, 2000)), random.normal(size=(40, 2000)))) < 0.1


def test_cka_of_a_constant_layer_is_not_defined():
  random = np.random.default_rng(0)
  first = {'a': similarity.kernel(random.normal(size=(8, 3))), 'dead': np.zeros((8, 8))}
  found = similarity.cka(first, first)
  assert found[0, 0] == pytest.approx(1)
  assert np.isnan(found[[0, 1, 1], [1, 0, 1]]).all()
  assert not similarity.kernel(np.ones((8, 3))).any()


def test_cka_errors_name_the_fix():
  with pytest.raises(ValueError, match='^3 examples are too few to compare layers: use at least 4'):
    similarity.kernel(np.ones((3, 2)))
  kernels = [{'a': similarity.kernel(np.random.default_rng(0).normal(size=(n, 2)))} for n in (5, 6)]
  with pytest.raises(ValueError, match=r'^kernels of \[5, 6\] examples: give the same examples'):
    similarity.cka(*kernels)
