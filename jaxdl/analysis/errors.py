"""What a classifier gets wrong, and whether it knows: confusion, mistakes, calibration."""

from typing import NamedTuple

import numpy as np


class Mistakes(NamedTuple):
  """Wrong predictions, those of the highest loss first.

  Attributes:
    index: [M] int, of the example.
    label: [M] int, the true class.
    predicted: [M] int.
    probability: [M], of the predicted class.
    of_label: [M], probability of the true class.
    loss: [M] nats.
  """

  index: np.ndarray
  label: np.ndarray
  predicted: np.ndarray
  probability: np.ndarray
  of_label: np.ndarray
  loss: np.ndarray


class Calibration(NamedTuple):
  """A reliability curve; bin m holds the predictions whose probability is in (edges[m], edges[m +
  1]].

  Attributes:
    edges: [M + 1].
    count: [M] int, examples.
    confidence: [M], mean probability of the predicted class; NaN in an empty bin.
    accuracy: [M], share of right predictions; NaN in an empty bin.
    error: float, expected calibration error: the mean |accuracy − confidence|, bins weighted by
      their count.
  """

  edges: np.ndarray
  count: np.ndarray
  confidence: np.ndarray
  accuracy: np.ndarray
  error: float


def confusion(labels, predictions, classes):
  """How often each class is taken for each, every example counted once.

  Args:
    labels: [N] int, true classes.
    predictions: [N] int, or logits [N, K], of which the greatest (the first of equal ones) is
      predicted.
    classes: K, or the K names.

  Returns:
    [K, K] int: rows are true, columns predicted classes; the trace is the number of right ones.

  Raises:
    ValueError: a class outside 0 to K − 1, another number of logits, NaN, or arrays of unequal
      length.
  """
  size = classes if isinstance(classes, (int, np.integer)) else len(classes)
  labels, predictions = np.asarray(labels), np.asarray(predictions)
  if predictions.ndim == 2:
    if predictions.shape[1] != size:
      raise ValueError(
        f'logits of shape {predictions.shape} for {size} classes: give one logit a class'
      )
    labels, predictions = _checked(labels, predictions)
    predictions = predictions.argmax(-1)
  else:
    _check_classes(predictions, size, 'predictions')
  _check_classes(labels, size, 'labels')
  if labels.shape != predictions.shape:
    raise ValueError(
      f'{labels.shape[0]} labels and {predictions.shape[0]} predictions: give one of each an example'
    )
  cell = labels.astype(np.int64) * size + predictions.astype(np.int64)  # [N]
  return np.bincount(cell, minlength=size * size).reshape(size, size)  # [K, K]


def most_confused(counts, most=25):
  """The most frequent confusions of two classes.

  Args:
    counts: [K, K] int, as `confusion` returns it.
    most: int, how many at most.

  Returns:
    list of (true class, predicted class, count), all int, the most frequent first; of equal ones
    the lower classes first.
  """
  wrong = np.array(counts)
  np.fill_diagonal(wrong, 0)
  cells = np.flatnonzero(wrong)
  cells = cells[np.argsort(-wrong.ravel()[cells], kind='stable')[:most]]
  return [
    (cell // len(wrong), cell % len(wrong), int(wrong.ravel()[cell])) for cell in cells.tolist()
  ]


def mistakes(labels, logits):
  """The examples that are classified wrongly, by loss; of equal ones the first example first.

  Args:
    labels: [N] int.
    logits: [N, K].

  Returns:
    Mistakes; empty where all are right.

  Raises:
    ValueError: as `confusion`.
  """
  labels, logits = _checked(labels, logits)
  log_probabilities = _log_softmax(logits)
  predicted, loss = logits.argmax(-1), -_of(log_probabilities, labels)
  wrong = np.flatnonzero(predicted != labels)
  wrong = wrong[np.argsort(-loss[wrong], kind='stable')]
  return Mistakes(
    index=wrong,
    label=labels[wrong],
    predicted=predicted[wrong],
    probability=np.exp(_of(log_probabilities, predicted)[wrong]),
    of_label=np.exp(-loss[wrong]),
    loss=loss[wrong],
  )


def calibration(labels, logits, bins=15):
  """Whether a prediction of probability p is right in a share p of the cases.

  Args:
    labels: [N] int.
    logits: [N, K].
    bins: int, of equal width.

  Returns:
    Calibration; its counts sum to N.

  Raises:
    ValueError: as `confusion`, no example, or less than one bin.

  Source: Guo et al. 2017, On calibration of modern neural networks, equations 3 and 5.
  """
  labels, logits = _checked(labels, logits)
  if bins < 1 or not len(labels):
    raise ValueError(f'{bins} bins for {len(labels)} examples: use at least one of each')
  probability = np.minimum(np.exp(_log_softmax(logits).max(-1)), 1)  # [N]
  right = logits.argmax(-1) == labels
  edges = np.linspace(0, 1, bins + 1)
  place = (
    np.searchsorted(edges, probability, side='left') - 1
  )  # [N], a probability on an edge is in the bin below
  count, confidence, accuracy = (
    np.bincount(place, weights, minlength=bins) for weights in (None, probability, right)
  )
  error = np.abs(accuracy - confidence).sum() / len(labels)
  filled = np.where(count > 0, count, np.nan)
  return Calibration(
    edges=edges,
    count=count,
    confidence=confidence / filled,
    accuracy=accuracy / filled,
    error=float(error),
  )


def _checked(labels, logits):
  """Labels, and logits in float64; ValueError where they do not fit each other."""
  labels, logits = np.asarray(labels), np.asarray(logits, np.float64)
  if logits.ndim != 2 or labels.shape != logits.shape[:1]:
    raise ValueError(
      f'labels of shape {labels.shape} and logits of shape {logits.shape}: give [N] and [N, K]'
    )
  _check_classes(labels, logits.shape[1], 'labels')
  if np.isnan(logits).any():
    raise ValueError(
      f'{np.isnan(logits).any(-1).sum()} of {len(logits)} examples have logits that are NaN: nothing is '
      'predicted there'
    )
  return labels, logits


def _check_classes(values, classes, what):
  if values.ndim != 1 or not np.issubdtype(values.dtype, np.integer):
    raise ValueError(
      f'{what} of shape {values.shape} and type {values.dtype}: give one whole number an example'
    )
  if len(values) and not (values.min() >= 0 and values.max() < classes):
    raise ValueError(f'{what} from {values.min()} to {values.max()}: use 0 to {classes - 1}')


def _log_softmax(logits):
  shifted = logits - logits.max(-1, keepdims=True)
  return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def _of(values, classes):
  """The value of each example's class: [N, K], [N] → [N]."""
  return np.take_along_axis(values, classes[:, None].astype(np.int64), axis=-1)[:, 0]
