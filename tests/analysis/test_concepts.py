"""Tests of concept vectors: planted and random concepts, and the statistics."""

import jax
import numpy as np
import pytest
import scipy.stats
from sklearn.linear_model import LogisticRegression

from jaxdl import models
from jaxdl.analysis import concepts

LAYERS = (
  dict(kind='flatten'),
  dict(kind='dense', features=8, activate=False, name='hidden'),
  dict(kind='dense', features=2, activate=False, name='logits'),
)


def test_planted_concept_is_significant_and_a_random_one_is_not():
  """Class 0 depends on the first feature only; images of the concept have more of it."""
  random = np.random.default_rng(0)
  planted = random.normal(size=(60, 12))
  planted[:, 0] += 3
  opposite = random.normal(size=(60, 12))
  opposite[:, 0] -= 3
  gradients = [
    np.eye(12)[0] + 0.3 * random.normal(size=(40, 12)),  # class 0: mostly the first feature
    random.normal(size=(40, 12)),  # class 1: any direction
  ]
  found = concepts.tcav(
    {'planted': planted, 'opposite': opposite, 'random': random.normal(size=(60, 12))},
    random.normal(size=(600, 12)),
    gradients,
  )
  assert found['planted'].significant[0]
  assert found['planted'].scores[0] > 0.9
  assert found['opposite'].significant[0]
  assert found['opposite'].scores[0] < 0.1
  assert not found['random'].significant.any()
  assert found['planted'].accuracy > 0.85
  assert found['random'].accuracy < 0.7
  assert (found['planted'].p_values[0]) < 1e-4


def test_random_concepts_are_rarely_significant():
  """Under the hypothesis that nothing matters, one of 20 tests is below 0.05 without correction."""
  random = np.random.default_rng(1)
  gradients = [np.tile(each, (5, 1)) for each in random.normal(size=(10, 40))]
  sensitivity = concepts._sensitivities(
    random.normal(size=(400, 40)), random.normal(size=(400, 40)), 40, gradients
  )
  parts = sensitivity.reshape(10, 8, 5)  # eight concepts of five parts
  compared = concepts._sensitivities(
    random.normal(size=(200, 40)), random.normal(size=(200, 40)), 20, gradients
  )
  p_values = [
    [concepts.welch(part, other) for part in each]
    for each, other in zip(parts, compared, strict=True)
  ]
  assert np.mean(np.array(p_values) < 0.05) < 0.15
  corrected = concepts.holm(np.array(p_values))
  assert (corrected < 0.05).sum() <= 1


def test_concept_vector_is_that_of_a_logistic_regression_on_all_features():
  random = np.random.default_rng(0)
  concept, others = random.normal(size=(9, 5)) + 1, random.normal(size=(11, 5))
  every = np.concatenate([concept, others])
  centred = every - every.mean(0)
  scale = np.sqrt(np.square(centred).sum(1).mean())
  expected = LogisticRegression(max_iter=2000, tol=1e-8).fit(
    centred / scale, np.arange(20) < len(concept)
  )
  vector = concepts.concept_vector(concept, others)
  np.testing.assert_allclose(vector, expected.coef_[0] / np.linalg.norm(expected.coef_), atol=1e-3)
  assert np.linalg.norm(vector) == pytest.approx(1)
  # More features than examples: the vector is in the span of the examples.
  wide = np.concatenate([every, np.zeros((20, 50))], axis=1)
  np.testing.assert_allclose(
    concepts.concept_vector(wide[:9], wide[9:]), [*vector, *np.zeros(50)], atol=1e-6
  )
  assert not concepts.concept_vector(np.ones((3, 2)), np.ones((4, 2))).any()


def test_gradients_of_a_linear_network_are_its_weights():
  model = models.build(dict(name='cnn', layers=LAYERS))
  inputs = np.random.default_rng(0).random((3, 2, 2, 1), np.float32)
  variables = model.init(jax.random.PRNGKey(0), inputs)
  found = concepts.gradients_at(model, variables, inputs, 'hidden', 1)
  kernel = variables['params']['logits']['kernel']
  np.testing.assert_allclose(found, np.tile(kernel[:, 1], (3, 1)), rtol=1e-6)


def test_welch_and_holm_equal_scipy_and_hand_values():
  random = np.random.default_rng(0)
  for shift, counts in ((0, (5, 9)), (0.8, (20, 20)), (2, (12, 4))):
    first, second = random.normal(size=counts[0]), shift + 2 * random.normal(size=counts[1])
    expected = scipy.stats.ttest_ind(first, second, equal_var=False).pvalue
    assert concepts.welch(first, second) == pytest.approx(expected, rel=1e-3)
  assert concepts.welch([1, 1], [1, 1]) == 1
  assert concepts.welch([1, 1], [2, 2]) == 0
  np.testing.assert_allclose(concepts.holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])
  np.testing.assert_allclose(concepts.holm([[0.5], [0.9]]), [[1], [1]])


def test_the_fewest_images_are_enough():
  """Of 30 and 90 images, three vectors of a concept are compared with three random ones."""
  random = np.random.default_rng(5)
  planted, others = random.normal(size=(30, 4)), random.normal(size=(90, 4))
  planted[:, 0] += 5
  gradients = [np.tile(np.eye(4)[0], (6, 1)), np.tile(-np.eye(4)[0], (6, 1))]
  found = concepts.tcav({'planted': planted}, others, gradients)['planted']
  assert found.scores.tolist() == [1, 0]
  first, second, opponents = np.split(others, 3)
  cosines = [
    [
      concepts.concept_vector(one[rows], other[rows])[0]
      for rows in (slice(0, 10), slice(10, 20), slice(20, 30))
    ]
    for one, other in ((planted, opponents), (first, second))
  ]
  # Holm's correction doubles the smaller one of two p-values; here they are equal.
  np.testing.assert_allclose(found.p_values, [2 * concepts.welch(*cosines)] * 2, rtol=1e-6)


def test_concept_errors_name_the_fix():
  gradients = [np.ones((3, 2))]
  with pytest.raises(
    ValueError, match='^80 random images are too few for a t-test: use at least 90'
  ):
    concepts.tcav({'a': np.ones((30, 2))}, np.ones((80, 2)), gradients)
  with pytest.raises(ValueError, match='^the concept a has 29 images: use at least 30'):
    concepts.tcav({'a': np.ones((29, 2))}, np.ones((90, 2)), gradients)
  with pytest.raises(ValueError, match='^features of 2 and 3 numbers: give the output of one'):
    concepts.concept_vector(np.ones((3, 2)), np.ones((3, 3)))
