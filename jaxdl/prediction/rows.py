"""Rows of results, one per input, for the terminal, the page and files."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxdl.prediction import results
from jaxdl.prediction.stream import Batch

NEXT = 2  # number of further classes in a row


@dataclasses.dataclass(frozen=True)
class Row:
  """The result of one input.

  Attributes:
    name: name of the input.
    values: column → value, for files.
    cells: title → text, for tables.
    predicted: index of the predicted class; -1 for an autoencoder.
    score: probability of the predicted class, or reconstruction error.
    wrong: whether the predicted class differs from the true class.
  """

  name: str
  values: dict[str, Any]
  cells: dict[str, str]
  predicted: int
  score: float
  wrong: bool = False

  def brief(self) -> dict[str, Any]:
    """Returns the values without the probabilities of all classes."""
    return {name: value for name, value in self.values.items() if name != 'probabilities'}


class Classes:
  """Makes the rows of a classifier.

  Args:
    classes: names of the classes.
    has_labels: whether the class of any input is known.
  """

  def __init__(self, classes: Sequence[str], *, has_labels: bool):
    self.classes, self._has_labels = tuple(classes), has_labels
    self.columns = ['file', 'class', 'probability', *classes, *['label'] * has_labels]

  def of(self, batch: Batch, found: dict[str, np.ndarray]) -> list[Row]:
    """Returns the rows of a batch.

    Args:
      batch: the inputs.
      found: 'outputs' → logits.
    """
    probabilities = results.softmax(found['outputs'][: len(batch.names)])
    order = np.argsort(-probabilities, axis=-1, kind='stable')[:, : 1 + NEXT]
    return [
      self._row(name, row, best, label)
      for name, row, best, label in zip(
        batch.names, probabilities, order.tolist(), batch.labels.tolist(), strict=True
      )
    ]

  def _row(self, name, probabilities, best, label):
    rounded = [_short(value) for value in probabilities]
    first, *others = best
    values = {
      'file': name,
      'class': self.classes[first],
      'probability': rounded[first],
      'probabilities': dict(zip(self.classes, rounded, strict=True)),
    }
    cells = {
      'class': self.classes[first],
      'probability': f'{rounded[first]:.4f}',
      'next': ', '.join(f'{self.classes[other]} {rounded[other]:.4f}' for other in others),
    }
    if self._has_labels:
      values['label'] = self.classes[label] if label >= 0 else None
      cells['label'] = self.classes[label] if label >= 0 else '–'
    wrong = label not in (-1, first)
    return Row(name, values, cells, first, rounded[first], wrong)


class Errors:
  """Makes the rows of an autoencoder.

  Args:
    classes: names of the classes of the labels.
    has_labels: whether the class of any input is known.
  """

  def __init__(self, classes: Sequence[str], *, has_labels: bool):
    self.classes, self._has_labels = tuple(classes), has_labels
    self.columns = ['file', 'error', *['label'] * has_labels]

  def of(self, batch: Batch, found: dict[str, np.ndarray]) -> list[Row]:
    """Returns the rows of a batch.

    Args:
      batch: the inputs.
      found: 'errors' → mean squared error of each input.
    """
    return [
      self._row(name, _short(error), label)
      for name, error, label in zip(
        batch.names, found['errors'][: len(batch.names)], batch.labels.tolist(), strict=True
      )
    ]

  def _row(self, name, error, label):
    values, cells = {'file': name, 'error': error}, {'error': f'{error:.6f}'}
    if self._has_labels:
      values['label'] = self.classes[label] if label >= 0 else None
      cells['label'] = self.classes[label] if label >= 0 else '–'
    return Row(name, values, cells, -1, error)


def _short(value) -> float:
  """Rounds a number to the digits of float32."""
  return float(str(np.float32(value)))
