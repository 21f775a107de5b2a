"""Errors of a multi-label classifier, in which an example may have any number of labels."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Integer

from jaxdl.analysis.errors import Calibration, reliability
from jaxdl.analysis.units import ArrayLike


class LabelTable(NamedTuple):
  """Metrics of each of K labels; a label is predicted if its probability is above 0.5.

  Attributes:
    precision: share of the predictions of a label that are right; NaN if there is none.
    recall: share of the examples of a label that are found; NaN if there is none.
    f1: harmonic mean of the two; NaN for a label that neither occurs nor is predicted.
    average_precision: mean precision over all thresholds; NaN for a label that does not occur.
    support: number of examples of a label.
    predicted: number of predictions of a label.
  """

  precision: Float64[np.ndarray, 'K']
  recall: Float64[np.ndarray, 'K']
  f1: Float64[np.ndarray, 'K']
  average_precision: Float64[np.ndarray, 'K']
  support: Integer[np.ndarray, 'K']
  predicted: Integer[np.ndarray, 'K']


class LabelMistakes(NamedTuple):
  """Examples with a wrong label, sorted by decreasing loss.

  Attributes:
    index: index of the example.
    missed: labels that the example has and that are not predicted.
    added: labels that are predicted and that the example does not have.
    loss: binary cross-entropy, the mean over the labels, nats.
  """

  index: Integer[np.ndarray, 'M']  # pyright: ignore[reportIncompatibleMethodOverride]
  missed: Bool[np.ndarray, 'M K']
  added: Bool[np.ndarray, 'M K']
  loss: Float64[np.ndarray, 'M']


def table(labels: ArrayLike, logits: ArrayLike) -> LabelTable:
  """Precision, recall, F1 and average precision of each label.

  Args:
    labels: [N, K], 1 for each label of an example, otherwise 0.
    logits: [N, K].

  Returns:
    LabelTable.

  Raises:
    ValueError: arrays of another shape, no example, values other than 0 and 1, or NaN.
  """
  from sklearn import metrics

  actual, logits = _checked(labels, logits)
  predicted = logits > 0
  right = (actual & predicted).sum(0)  # [K]
  support, chosen = actual.sum(0), predicted.sum(0)
  precisions = [
    metrics.average_precision_score(actual[:, label], logits[:, label]) if count else np.nan
    for label, count in enumerate(support)
  ]
  return LabelTable(
    precision=_ratio(right, chosen),
    recall=_ratio(right, support),
    f1=_ratio(2 * right, support + chosen),
    average_precision=np.array(precisions, np.float64),
    support=support,
    predicted=chosen,
  )


def mistakes(labels: ArrayLike, logits: ArrayLike) -> LabelMistakes:
  """Returns the examples with a wrong label, sorted by decreasing loss; ties by index.

  Args:
    labels, logits: as in `table`.

  Returns:
    LabelMistakes; empty if all labels are right.

  Raises:
    ValueError: as in `table`.
  """
  actual, logits = _checked(labels, logits)
  predicted = logits > 0
  # The logarithm of the sigmoid of ±logit, without overflow.
  loss = np.logaddexp(0, np.where(actual, -logits, logits)).mean(-1)  # [N]
  wrong = np.flatnonzero((actual != predicted).any(-1))
  wrong = wrong[np.argsort(-loss[wrong], kind='stable')]
  return LabelMistakes(
    index=wrong,
    missed=(actual & ~predicted)[wrong],
    added=(predicted & ~actual)[wrong],
    loss=loss[wrong],
  )


def calibration(labels: ArrayLike, logits: ArrayLike, bins: int = 15) -> Calibration:
  """Calibration of the sigmoid: whether labels of probability p occur in a fraction p of the cases.

  Every label of every example counts once.

  Args:
    labels, logits: as in `table`.
    bins: number of bins of equal width.

  Returns:
    Calibration, whose 'confidence' is the mean probability and whose 'accuracy' is the share of the
    examples that have the label.

  Raises:
    ValueError: as in `table`, or fewer than one bin.

  Source: Guo et al. 2017, On calibration of modern neural networks, equations 3 and 5.
  """
  actual, logits = _checked(labels, logits)
  probability = np.exp(-np.logaddexp(0, -logits))
  return reliability(probability.ravel(), actual.ravel(), bins)


def _checked(labels, logits):
  """Labels as booleans and logits as float64; ValueError if they do not fit together."""
  labels, logits = np.asarray(labels), np.asarray(logits, np.float64)
  if labels.ndim != 2 or labels.shape != logits.shape or not len(labels):
    raise ValueError(
      f'labels of shape {labels.shape} and logits of shape {logits.shape}: give both as [N, K], '
      'with at least one example'
    )
  if not np.isin(labels, (0, 1)).all():
    raise ValueError('labels have other values than 0 and 1: give 1 for each label of an example')
  if np.isnan(logits).any():
    raise ValueError(
      f'{np.isnan(logits).any(-1).sum()} of {len(logits)} examples have logits that are NaN: '
      'nothing is predicted there'
    )
  return labels > 0, logits


def _ratio(part, whole):
  return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)
