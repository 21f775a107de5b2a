"""Errors of a classifier and its confidence: confusion matrix, mistakes, calibration."""

from collections.abc import Sized
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Integer

from jaxdl.analysis.units import ArrayLike, Int


class Mistakes(NamedTuple):
  """Wrong predictions, those of the highest loss first.

  Attributes:
    index: index of the example.
    label: true class.
    predicted: predicted class.
    probability: probability of the predicted class.
    of_label: probability of the true class.
    loss: cross-entropy, nats.
  """

  index: Integer[np.ndarray, 'M']  # pyright: ignore[reportIncompatibleMethodOverride]
  label: Integer[np.ndarray, 'M']
  predicted: Integer[np.ndarray, 'M']
  probability: Float64[np.ndarray, 'M']
  of_label: Float64[np.ndarray, 'M']
  loss: Float64[np.ndarray, 'M']


class Calibration(NamedTuple):
  """A reliability curve.

  Bin m holds the predictions whose probability is in (edges[m], edges[m + 1]]; the first bin also
  holds the probability 0.

  Attributes:
    edges: bounds of the bins.
    count: number of examples.
    confidence: mean probability of the predicted class; NaN in an empty bin.
    accuracy: fraction of correct predictions; NaN in an empty bin.
    error: expected calibration error: the mean |accuracy − confidence|, bins weighted by their
      count.
  """

  edges: Float64[np.ndarray, 'M+1']
  count: Integer[np.ndarray, 'M']  # pyright: ignore[reportIncompatibleMethodOverride]
  confidence: Float64[np.ndarray, 'M']
  accuracy: Float64[np.ndarray, 'M']
  error: float


def confusion(
  labels: ArrayLike, predictions: ArrayLike, classes: Int | Sized
) -> Integer[np.ndarray, 'K K']:
  """Confusion matrix: how often each class is predicted as each other, every example counted once.

  Args:
    labels: [N] int, true classes.
    predictions: [N] int, or logits [N, K], of which the greatest (the first of equal ones) is
      predicted.
    classes: K, or the K names.

  Returns:
    counts: rows are true classes, columns predicted ones; the trace is the number of correct
    predictions.

  Raises:
    ValueError: a class outside 0 to K − 1, another number of logits, NaN, or arrays of unequal
      length.
  """
  size = classes if isinstance(classes, (int, np.integer)) else len(classes)
  labels, predicted = np.asarray(labels), np.asarray(predictions)
  if predicted.ndim == 2:
    if predicted.shape[1] != size:
      raise ValueError(
        f'logits of shape {predicted.shape} for {size} classes: give one logit a class'
      )
    labels, logits = _checked(labels, predicted)
    predicted = logits.argmax(-1)
  else:
    _check_classes(predicted, size, 'predictions')
  _check_classes(labels, size, 'labels')
  if labels.shape != predicted.shape:
    raise ValueError(
      f'{labels.shape[0]} labels and {predicted.shape[0]} predictions: give one of each an example'
    )
  cell = labels.astype(np.int64) * size + predicted.astype(np.int64)  # [N]
  return np.bincount(cell, minlength=size * size).reshape(size, size)


def most_confused(counts: Integer[np.ndarray, 'K K'], most: int = 25) -> list[tuple[int, int, int]]:
  """The most frequent confusions of two classes.

  Args:
    counts: confusion matrix, as `confusion` returns it.
    most: maximum number of confusions.

  Returns:
    list of (true class, predicted class, count), the most frequent first; ties are ordered by
    class.
  """
  wrong = np.array(counts)
  np.fill_diagonal(wrong, 0)
  frequency = wrong.ravel()
  cells = np.flatnonzero(frequency)
  cells = cells[np.argsort(-frequency[cells], kind='stable')[:most]]
  return [(cell // len(wrong), cell % len(wrong), int(frequency[cell])) for cell in cells.tolist()]


def busiest(
  counts: Integer[np.ndarray, 'K K'], most: int
) -> tuple[Integer[np.ndarray, 'm'], Integer[np.ndarray, 'm+1 m+1']]:
  """The classes of the most frequent confusions, and their confusion matrix.

  Args:
    counts: confusion matrix, as `confusion` returns it.
    most: maximum number of classes.

  Returns:
    (classes, counts of these classes; the last row and column are all other classes together).
    Classes that are often confused with each other are next to each other. All counts sum to the
    number of examples.
  """
  found = []
  for true, predicted, _ in most_confused(counts, len(counts) ** 2):
    found += [label for label in (true, predicted) if label not in found]
    if len(found) >= most:
      break
  chosen = np.array(found[:most], np.int64)
  group = np.full(len(counts), len(chosen))
  group[chosen] = np.arange(len(chosen))
  kept = np.zeros((len(chosen) + 1, len(chosen) + 1), counts.dtype)
  np.add.at(kept, (group[:, None], group[None]), counts)
  return chosen, kept


def mistakes(labels: ArrayLike, logits: ArrayLike) -> Mistakes:
  """Misclassified examples, those of the highest loss first; ties are ordered by index.

  Args:
    labels: [N] int.
    logits: [N, K].

  Returns:
    Mistakes; empty where all predictions are correct.

  Raises:
    ValueError: as in `confusion`.
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


def calibration(labels: ArrayLike, logits: ArrayLike, bins: int = 15) -> Calibration:
  """Calibration: whether predictions of probability p are correct in a fraction p of the cases.

  Args:
    labels: [N] int.
    logits: [N, K].
    bins: number of bins of equal width.

  Returns:
    Calibration; its counts sum to N.

  Raises:
    ValueError: as in `confusion`, no example, or fewer than one bin.

  Source: Guo et al. 2017, On calibration of modern neural networks, equations 3 and 5.
  """
  labels, logits = _checked(labels, logits)
  probability = np.minimum(np.exp(_log_softmax(logits).max(-1)), 1)  # [N]
  return reliability(probability, logits.argmax(-1) == labels, bins)


def reliability(
  probability: Float64[np.ndarray, 'N'], right: Bool[np.ndarray, 'N'], bins: int
) -> Calibration:
  """The reliability curve of predictions.

  Args:
    probability: predicted probability of each event, 0 to 1.
    right: whether the event happened.
    bins: number of bins of equal width.

  Returns:
    Calibration.

  Raises:
    ValueError: no prediction, or fewer than one bin.
  """
  if bins < 1 or not len(probability):
    raise ValueError(f'{bins} bins for {len(probability)} examples: use at least one of each')
  edges = np.linspace(0, 1, bins + 1)
  # A probability on an edge belongs to the bin below it.
  place = np.maximum(np.searchsorted(edges, probability, side='left') - 1, 0)  # [N]
  count = np.bincount(place, minlength=bins)
  confidence = np.bincount(place, probability, minlength=bins)
  accuracy = np.bincount(place, right, minlength=bins)
  error = np.abs(accuracy - confidence).sum() / len(probability)
  filled = np.where(count > 0, count, np.nan)
  return Calibration(
    edges=edges,
    count=count,
    confidence=confidence / filled,
    accuracy=accuracy / filled,
    error=float(error),
  )


def _checked(
  labels: ArrayLike, logits: ArrayLike
) -> tuple[Integer[np.ndarray, 'N'], Float64[np.ndarray, 'N K']]:
  """Labels, and logits as float64; raises ValueError where they do not fit together."""
  labels, logits = np.asarray(labels), np.asarray(logits, np.float64)
  if logits.ndim != 2 or labels.shape != logits.shape[:1]:
    raise ValueError(
      f'labels of shape {labels.shape} and logits of shape {logits.shape}: give [N] and [N, K]'
    )
  _check_classes(labels, logits.shape[1], 'labels')
  if np.isnan(logits).any():
    raise ValueError(
      f'{np.isnan(logits).any(-1).sum()} of {len(logits)} examples have logits that are NaN: '
      'nothing is predicted there'
    )
  return labels, logits


def _check_classes(values: np.ndarray, classes: Int, what: str) -> None:
  if values.ndim != 1 or not np.issubdtype(values.dtype, np.integer):
    raise ValueError(
      f'{what} of shape {values.shape} and type {values.dtype}: give one integer for each example'
    )
  if len(values) and not (values.min() >= 0 and values.max() < classes):
    raise ValueError(f'{what} from {values.min()} to {values.max()}: use 0 to {classes - 1}')


def _log_softmax(logits: Float64[np.ndarray, 'N K']) -> Float64[np.ndarray, 'N K']:
  shifted = logits - logits.max(-1, keepdims=True)
  return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def _of(
  values: Float64[np.ndarray, 'N K'], classes: Integer[np.ndarray, 'N']
) -> Float64[np.ndarray, 'N']:
  """The value of each example's class."""
  return np.take_along_axis(values, classes[:, None].astype(np.int64), axis=-1)[:, 0]
