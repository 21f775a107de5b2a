"""Tests of the analysis of errors: confusion matrix, mistakes and calibration."""

import numpy as np
import pytest

from jaxdl.analysis.errors import calibration, confusion, mistakes, most_confused

LABELS = np.array([0, 0, 1, 2, 2, 1], np.uint8)
#                     right      wrong     wrong     right     wrong     right
PROBABILITIES = [[8, 1, 1], [3, 5, 2], [6, 3, 1], [2, 2, 6], [7, 2, 1], [1, 9, 0.5]]
# Adding a constant to the logits of an example does not change its probabilities.
LOGITS = np.log(np.array(PROBABILITIES)) + np.arange(6)[:, None]


def test_confusion_equals_hand_counts():
  found = confusion(LABELS, LOGITS, ['a', 'b', 'c'])
  np.testing.assert_array_equal(found, [[1, 1, 0], [1, 1, 0], [1, 0, 1]])
  np.testing.assert_array_equal(confusion(LABELS, LOGITS.argmax(-1), 3), found)
  assert found.sum() == 6
  assert np.issubdtype(found.dtype, np.integer)


def test_confusion_has_rows_for_absent_classes():
  np.testing.assert_array_equal(
    confusion(np.array([2]), np.array([0]), 4), [[0] * 4, [0] * 4, [1, 0, 0, 0], [0] * 4]
  )
  assert confusion(np.array([], int), np.array([], int), 2).sum() == 0


def test_confusion_counts_every_example_once():
  generator = np.random.default_rng(0)
  labels = generator.integers(0, 256, 5000).astype(np.uint8)
  logits = generator.normal(size=(5000, 256)).astype(np.float32)
  found = confusion(labels, logits, 256)
  expected = np.zeros((256, 256), int)
  for label, row in zip(labels, logits, strict=True):
    expected[label, row.argmax()] += 1
  np.testing.assert_array_equal(found, expected)
  assert np.trace(found) + len(mistakes(labels, logits).index) == 5000


def test_most_confused_lists_25_pairs_the_most_frequent_first():
  counts = np.arange(36).reshape(6, 6)  # 30 pairs of different classes
  found = most_confused(counts)
  assert len(found) == 25
  assert found[:3] == [(5, 4, 34), (5, 3, 33), (5, 2, 32)]


def test_mistakes_equal_hand_values():
  """Mistakes are sorted by the probability of the true class, here 0.1, 0.3, 0.3; ties by index."""
  found = mistakes(LABELS, LOGITS)
  assert found.index.tolist() == [4, 1, 2]
  assert found.label.tolist() == [2, 0, 1]
  assert found.predicted.tolist() == [0, 1, 0]
  np.testing.assert_allclose(found.probability, [0.7, 0.5, 0.6])
  np.testing.assert_allclose(found.of_label, [0.1, 0.3, 0.3])
  np.testing.assert_allclose(found.loss, -np.log([0.1, 0.3, 0.3]))


def test_mistakes_of_huge_logits_and_without_mistakes():
  found = mistakes(np.array([1]), np.array([[1e4, 0.0]]))
  assert (found.loss, found.probability) == (1e4, 1)
  assert len(mistakes(np.array([0]), np.array([[1e4, 0.0]])).index) == 0


def test_calibration_equals_hand_values():
  """Confidences 0.6 (wrong), 0.75 (right), 0.8 (wrong) and 1 (right) in four equal bins."""
  probabilities = np.array([0.6, 0.75, 0.8, 1 - 1e-12])
  logits = np.log(np.stack([probabilities, 1 - probabilities], -1))
  found = calibration(np.array([1, 0, 1, 0]), logits, bins=4)
  np.testing.assert_array_equal(found.edges, [0, 0.25, 0.5, 0.75, 1])
  np.testing.assert_array_equal(found.count, [0, 0, 2, 2])
  np.testing.assert_allclose(found.confidence, [np.nan, np.nan, 0.675, 0.9])
  np.testing.assert_allclose(found.accuracy, [np.nan, np.nan, 0.5, 0.5])
  assert found.error == pytest.approx((2 * 0.175 + 2 * 0.4) / 4)


def test_calibration_assigns_edges_to_the_lower_bin():
  found = calibration(np.zeros(3, int), np.array([[0.0, 0.0], [0.0, -2000.0], [0.0, 0.0]]), bins=2)
  np.testing.assert_array_equal(found.count, [2, 1])  # confidences 0.5, 0.5 and 1
  assert found.error == pytest.approx(2 * 0.5 / 3)


def test_calibration_error_of_a_calibrated_classifier_is_small():
  generator = np.random.default_rng(1)
  logits = generator.normal(size=(20_000, 5)) * 2
  labels = (logits + generator.gumbel(size=logits.shape)).argmax(-1)  # sampled from the softmax
  assert calibration(labels, logits).error < 0.015
  assert calibration(labels, logits * 3).error > 0.1  # overconfident


def test_calibration_equals_a_plain_loop():
  generator = np.random.default_rng(2)
  labels, logits = generator.integers(0, 4, 300), generator.normal(size=(300, 4))
  found = calibration(labels, logits, bins=10)
  probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
  error = 0
  for low in range(10):
    inside = [row for row in range(300) if low / 10 < probabilities[row].max() <= (low + 1) / 10]
    assert found.count[low] == len(inside)
    if inside:
      accuracy = np.mean([probabilities[row].argmax() == labels[row] for row in inside])
      confidence = np.mean([probabilities[row].max() for row in inside])
      error += len(inside) / 300 * abs(accuracy - confidence)
  assert found.error == pytest.approx(error)


@pytest.mark.parametrize(
  ('call', 'message'),
  [
    (lambda: confusion(np.array([0, 3]), np.array([0, 1]), 3), 'labels from 0 to 3: use 0 to 2'),
    (
      lambda: confusion(np.array([0, 1]), np.array([0, -1]), 3),
      'predictions from -1 to 0: use 0 to 2',
    ),
    (
      lambda: confusion(np.array([0, 1]), np.array([0]), 3),
      '2 labels and 1 predictions: give one of each an example',
    ),
    (
      lambda: confusion(np.array([0]), np.zeros((1, 4)), 3),
      r'logits of shape \(1, 4\) for 3 classes: give one logit a class',
    ),
    (
      lambda: confusion(np.array([0.5]), np.array([0]), 3),
      r'labels of shape \(1,\) and type float64: give one integer',
    ),
    (
      lambda: mistakes(np.array([0]), np.array([[0, np.nan]])),
      '1 of 1 examples have logits that are NaN: nothing is',
    ),
    (
      lambda: mistakes(np.zeros((2, 3), int), np.zeros((2, 3, 4))),
      r'labels of shape \(2, 3\) and logits of shape \(2, 3, 4\): give',
    ),
    (
      lambda: mistakes(np.zeros(3, int), np.zeros(3)),
      r'labels of shape \(3,\) and logits of shape \(3,\): give \[N\] and \[N, K\]',
    ),
    (
      lambda: mistakes(np.zeros(3, int), np.zeros((2, 4))),
      r'labels of shape \(3,\) and logits of shape \(2, 4\): give \[N\] and \[N, K\]',
    ),
    (
      lambda: mistakes(np.array([0, 1, 2, 0]), np.zeros((4, 2))),
      'labels from 0 to 2: use 0 to 1',
    ),
    (
      lambda: calibration(np.array([0]), np.zeros((1, 2)), bins=0),
      '0 bins for 1 examples: use at least one of each',
    ),
  ],
)
def test_invalid_argument_error_names_the_fix(call, message):
  with pytest.raises(ValueError, match=f'^{message}'):
    call()
