"""Metrics that are a function of a sum over a split, such as R² and the macro F1.

All of them are computed once, on the host and in float64. Classes and labels without which a metric
is not defined are left out of its mean; the metric is NaN if none is left.
"""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float

Counts = Any  # [3, K]: true positives, predicted and actual positives of each class


def root_mean_square(squares: Any, count: float) -> float:
  """Mean over the targets of √(Σ error² / count).

  Args:
    squares: [D] sums of squared errors, in the targets' own unit.
    count: number of examples.
  """
  return float(np.sqrt(np.asarray(squares, np.float64) / count).mean())


def r_squared(sums: Any, count: float) -> float:
  """Mean over the targets of R² = 1 − Σ (y − ŷ)² / Σ (y − ȳ)².

  A target that is constant over the split is left out.

  Args:
    sums: [3, D] sums of (y − ŷ)², y and y².
    count: number of examples.
  """
  residual, total, squares = np.asarray(sums, np.float64)  # [D] each
  variation = squares - total**2 / count
  varies = variation > 1e-6 * squares  # sums of float32 have an error of this order
  return _mean(1 - residual[varies] / variation[varies])


def macro_f1(counts: Counts, count: float) -> float:
  """Mean over the classes of F1 = 2 · true positives / (predicted + actual).

  A class that neither occurs nor is predicted is left out.
  """
  del count
  right, predicted, actual = np.asarray(counts, np.float64)
  found = predicted + actual > 0
  return _mean(2 * right[found] / (predicted + actual)[found])


def macro_precision(counts: Counts, count: float) -> float:
  """Mean over the classes of true positives / predicted.

  It is 0 for a class that occurs but is never predicted. A class that neither occurs nor is
  predicted is left out.
  """
  del count
  right, predicted, actual = np.asarray(counts, np.float64)
  found = predicted + actual > 0
  return _mean(right[found] / np.maximum(predicted, 1)[found])


def macro_recall(counts: Counts, count: float) -> float:
  """Mean over the classes that occur of true positives / actual.

  For classes that exclude each other, this is the balanced accuracy.
  """
  del count
  right, _, actual = np.asarray(counts, np.float64)
  return _mean(right[actual > 0] / actual[actual > 0])


def roc_auc(rows: Any, count: float) -> float:
  """Mean over the classes of the area under the ROC curve of the class against the rest.

  A class that no example or every example has is left out.

  Args:
    rows: as in `separated`.
    count: number of examples.
  """
  from sklearn import metrics

  del count
  truth, scores = separated(rows)
  if not np.isfinite(scores).all():
    return float('nan')
  return _mean(
    [
      metrics.roc_auc_score(truth[:, number], scores[:, number])
      for number in range(truth.shape[1])
      if 0 < truth[:, number].sum() < len(truth)
    ]
  )


def mean_average_precision(rows: Any, count: float) -> float:
  """Mean over the labels of the average precision, Σ (R_n − R_{n−1}) P_n over all thresholds.

  A label that no example has is left out.

  Args:
    rows: as in `separated`.
    count: number of examples.
  """
  del count
  return _mean(average_precisions(*separated(rows)))


def average_precisions(
  truth: Bool[np.ndarray, 'N K'], scores: Float[np.ndarray, 'N K']
) -> Float[np.ndarray, ' K']:
  """The average precision of each label; NaN for a label that no example has.

  Args:
    truth: whether an example has a label.
    scores: a higher score ranks an example earlier.
  """
  from sklearn import metrics

  if not np.isfinite(scores).all():
    return np.full(truth.shape[1], np.nan)
  return np.array(
    [
      metrics.average_precision_score(truth[:, number], scores[:, number])
      if truth[:, number].any()
      else np.nan
      for number in range(truth.shape[1])
    ]
  )


def separated(rows: Any) -> tuple[Bool[np.ndarray, 'n K'], Float[np.ndarray, 'n K']]:
  """Separates the truth and the scores that `tasks` collected in one array.

  Args:
    rows: a row for each example of a split. Of a classifier [N, 1 + K]: the number of the class
      plus 1, and the logits. Of labels [N, 2, K]: 2 for a label that the example has and 1 for
      another, and the logits. Rows of 0 belong to no example.

  Returns:
    (truth, scores), in which a greater score is a greater probability of the class.
  """
  rows = np.asarray(rows, np.float64)
  if rows.ndim == 3:
    rows = rows[rows[:, 0].any(-1)]
    return rows[:, 0] > 1, rows[:, 1]
  rows = rows[rows[:, 0] > 0]
  logits = rows[:, 1:]
  truth = rows[:, :1] - 1 == np.arange(logits.shape[1])
  return truth, _probabilities(logits)


def _probabilities(logits):
  """Softmax; a logit alone does not rank examples, because they differ in the other logits."""
  exponents = np.exp(logits - logits.max(-1, keepdims=True, initial=-np.inf))
  return exponents / exponents.sum(-1, keepdims=True)


def _mean(values):
  values = np.asarray(values, np.float64)
  values = values[~np.isnan(values)]
  return float(values.mean()) if len(values) else float('nan')
