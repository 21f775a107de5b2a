"""Rows of results, one per input, for the terminal, the page and files."""

import dataclasses
from collections.abc import Mapping, Sequence
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
    predicted: index of the output that maps explain, such as the predicted class; -1 for an
      autoencoder.
    score: probability of the predicted class or of the most probable label, reconstruction error,
      or first predicted value.
    wrong: whether the predicted class differs from the true class.
    counted: indices of the predicted classes or labels, for the counts.
  """

  name: str
  values: dict[str, Any]
  cells: dict[str, str]
  predicted: int
  score: float
  wrong: bool = False
  counted: tuple[int, ...] = ()

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
    return Row(name, values, cells, first, rounded[first], wrong, (first,))


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


class Values:
  """Makes the rows of a regression.

  Args:
    targets: 'names', 'mean' and 'deviation', as in a run's `config['dataset']['targets']`.
  """

  def __init__(self, targets: Mapping[str, Any]):
    self.classes: tuple[str, ...] = ()
    self._targets, self._names = targets, list(map(str, targets['names']))
    self.columns = ['file', *self._names]

  def of(self, batch: Batch, found: dict[str, np.ndarray]) -> list[Row]:
    """Returns the rows of a batch.

    Args:
      batch: the inputs.
      found: 'outputs' → standardised predictions.
    """
    values = results.in_own_unit(found['outputs'][: len(batch.names)], self._targets)
    return [self._row(name, row) for name, row in zip(batch.names, values, strict=True)]

  def _row(self, name, values):
    of_target = dict(zip(self._names, map(_short, values), strict=True))
    cells = {target: f'{value:.6g}' for target, value in of_target.items()}
    return Row(name, {'file': name, 'values': of_target}, cells, 0, _short(values[0]))


class Labels:
  """Makes the rows of a multi-label classifier.

  Args:
    classes: names of the labels.
  """

  def __init__(self, classes: Sequence[str]):
    self.classes = tuple(classes)
    self.columns = ['file', 'labels', *classes]

  def of(self, batch: Batch, found: dict[str, np.ndarray]) -> list[Row]:
    """Returns the rows of a batch.

    Args:
      batch: the inputs.
      found: 'outputs' → logits.
    """
    probabilities = results.sigmoid(found['outputs'][: len(batch.names)])
    return [self._row(name, row) for name, row in zip(batch.names, probabilities, strict=True)]

  def _row(self, name, probabilities):
    rounded = [_short(value) for value in probabilities]
    chosen = tuple(np.flatnonzero(probabilities > 0.5).tolist())
    labels = [self.classes[label] for label in chosen]
    values = {
      'file': name,
      'labels': labels,
      'probabilities': dict(zip(self.classes, rounded, strict=True)),
    }
    cells = {
      'labels': ', '.join(f'{self.classes[label]} {rounded[label]:.4f}' for label in chosen) or '–'
    }
    best = int(probabilities.argmax())
    return Row(name, values, cells, best, rounded[best], counted=chosen)


def of_kind(
  kind: str, facts: Mapping[str, Any], outputs: int, *, has_labels: bool
) -> Classes | Errors | Values | Labels:
  """Returns an object that makes the rows of a kind of network.

  Args:
    kind: as in `Subject.kind`.
    facts: the run's facts about its data, `config['dataset']`.
    outputs: number of outputs of the network; used for classifiers.
    has_labels: whether the class of any input is known.
  """
  if kind == 'regressor':
    return Values(facts['targets'])
  if kind == 'multi_label':
    return Labels(facts['classes'])
  if kind == 'autoencoder':
    return Errors(facts['classes'], has_labels=has_labels)
  return Classes(results.class_names(facts['classes'], outputs), has_labels=has_labels)


def _short(value) -> float:
  """Rounds a number to the digits of float32."""
  return float(str(np.float32(value)))
