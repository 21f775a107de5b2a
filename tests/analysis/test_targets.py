"""Tests of the errors of regressions and of classifiers of labels."""

import numpy as np
import pytest
from sklearn import metrics as reference

from jaxdl.analysis import labels, regression
from jaxdl.step import scores

TRUE = np.array([[1.0, 10.0], [2.0, 10.0], [4.0, 10.0]])
FOUND = np.array([[1.5, 10.0], [2.0, 14.0], [2.0, 10.0]])
ACTUAL = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]])
LOGITS = np.array([[2.0, -1.0, -3.0], [-0.5, 3.0, 1.0], [-2.0, 0.5, -1.0], [1.0, -2.0, -2.0]])


def test_residuals_equal_hand_values():
  found = regression.residuals(TRUE, FOUND)
  np.testing.assert_allclose(found.residuals, [[0.5, 0], [0, 4], [-2, 0]])
  np.testing.assert_allclose(found.rmse, np.sqrt([4.25 / 3, 16 / 3]))
  np.testing.assert_allclose(found.mae, [2.5 / 3, 4 / 3])
  np.testing.assert_allclose(found.bias, [-0.5, 4 / 3])
  assert found.r2[0] == pytest.approx(reference.r2_score(TRUE[:, 0], FOUND[:, 0]))
  assert np.isnan(found.r2[1]), 'the second target is constant'
  assert found.worst.tolist() == [1, 2, 0]
  assert regression.residuals(TRUE, FOUND, [1.0, 10.0]).worst.tolist() == [2, 0, 1]


@pytest.mark.parametrize(
  ('arrays', 'message'),
  [
    ((TRUE, FOUND[:, :1]), 'give both as'),
    ((TRUE[:0], FOUND[:0]), 'at least one example'),
    ((TRUE, np.where(FOUND > 10, np.nan, FOUND)), '1 of 3 examples have predictions that are not'),
  ],
)
def test_invalid_residuals_are_errors(arrays, message):
  with pytest.raises(ValueError, match=message):
    regression.residuals(*arrays)


def test_label_table_equals_hand_values():
  """The third label does not occur and is predicted once."""
  found = labels.table(ACTUAL, LOGITS)
  np.testing.assert_allclose(found.precision, [1 / 2, 1, 0])
  np.testing.assert_allclose(found.recall, [1 / 2, 1, np.nan])
  np.testing.assert_allclose(found.f1, [1 / 2, 1, 0])
  assert found.support.tolist() == [2, 2, 0]
  assert found.predicted.tolist() == [2, 2, 1]
  np.testing.assert_allclose(found.average_precision, [1 / 2 + 1 / 2 * 2 / 3, 1, np.nan])
  np.testing.assert_array_equal(
    found.average_precision, scores.average_precisions(ACTUAL > 0, LOGITS)
  )


def test_label_mistakes_equal_hand_values():
  found = labels.mistakes(ACTUAL, LOGITS)
  assert found.index.tolist() == [1, 3]
  assert found.missed.tolist() == [[True, False, False], [False] * 3]
  assert found.added.tolist() == [[False, False, True], [True, False, False]]
  probabilities = 1 / (1 + np.exp(-LOGITS[[1, 3]]))
  expected = -np.log(np.where(ACTUAL[[1, 3]] > 0, probabilities, 1 - probabilities)).mean(-1)
  np.testing.assert_allclose(found.loss, expected)
  assert len(labels.mistakes(LOGITS > 0, LOGITS).index) == 0


def test_label_calibration_counts_every_label():
  """Two bins: probabilities up to 0.5 and above it."""
  found = labels.calibration(ACTUAL, LOGITS, bins=2)
  probabilities = 1 / (1 + np.exp(-LOGITS))
  low = probabilities <= 0.5
  assert found.count.tolist() == [low.sum(), (~low).sum()] == [7, 5]
  np.testing.assert_allclose(found.accuracy, [ACTUAL[low].mean(), ACTUAL[~low].mean()])
  np.testing.assert_allclose(
    found.confidence, [probabilities[low].mean(), probabilities[~low].mean()]
  )
  extreme = labels.calibration(np.array([[1, 0]]), np.array([[1e4, -1e4]]), bins=2)
  assert extreme.count.tolist() == [1, 1]
  assert extreme.error == 0


@pytest.mark.parametrize(
  ('arrays', 'message'),
  [
    ((ACTUAL, LOGITS[:, :1]), 'give both as'),
    ((ACTUAL + 1, LOGITS), 'other values than 0 and 1'),
    ((ACTUAL, np.where(LOGITS > 2, np.nan, LOGITS)), '1 of 4 examples have logits that are NaN'),
  ],
)
def test_invalid_labels_are_errors(arrays, message):
  with pytest.raises(ValueError, match=message):
    labels.table(*arrays)
