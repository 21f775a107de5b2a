"""One row of results for each input: for the screen, the page and files."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxdl.prediction import results
from jaxdl.prediction.stream import Batch

NEXT = 2  # further classes that a row shows


@dataclasses.dataclass(frozen=True)
class Row:
  """The result of one input.

  Attributes:
    name: name of the input.
    values: column → value, of a file of results.
    cells: title → text, of a table.
    predicted: number of the output that maps explain, such as the predicted class; -1 for an
      autoencoder.
    score: probability of the predicted class or of the most probable label, the error of the
      reconstruction, or the first value.
    wrong: whether the predicted class is not the true one.
    counted: numbers of the classes or labels as which the input counts.
  """

  name: str
  values: dict[str, Any]
  cells: dict[str, str]
  predicted: int
  score: float
  wrong: bool = False
  counted: tuple[int, ...] = ()

  def brief(self) -> dict[str, Any]:
    """The values without the probabilities of all classes."""
    return {name: value for name, value in self.values.items() if name != 'probabilities'}


class Classes:
  """Rows of a classifier.

  Args:
    classes: names of the classes.
    has_labels: whether the class of an input is known.
  """

  def __init__(self, classes: Sequence[str], *, has_labels: bool):
    self.classes, self._has_labels = tuple(classes), has_labels
    self.columns = ['file', 'class', 'probability', *classes, *['label'] * has_labels]

  def of(self, batch: Batch, found: dict[str, np.ndarray]) -> list[Row]:
    """The rows of a batch.

    Args:
      batch: the inputs.
      found: 'outputs', the logits.
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
  """Rows of an autoencoder.

  Args:
    classes: names of the classes of the labels.
    has_labels: whether the class of an input is known.
  """

  def __init__(self, classes: Sequence[str], *, has_labels: bool):
    self.classes, self._has_labels = tuple(classes), has_labels
    self.columns = ['file', 'error', *['label'] * has_labels]

  def of(self, batch: Batch, found: dict[str, np.ndarray]) -> list[Row]:
    """The rows of a batch.

    Args:
      batch: the inputs.
      found: 'errors', the mean squared error of each.
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
  """Rows of a regression.

  Args:
    targets: 'names', 'mean' and 'deviation', as in a run's `config['dataset']['targets']`.
  """

  def __init__(self, targets: Mapping[str, Any]):
    self.classes: tuple[str, ...] = ()
    self._targets, self._names = targets, list(map(str, targets['names']))
    self.columns = ['file', *self._names]

  def of(self, batch: Batch, found: dict[str, np.ndarray]) -> list[Row]:
    """The rows of a batch.

    Args:
      batch: the inputs.
      found: 'outputs', the standardised predictions.
    """
    values = results.in_own_unit(found['outputs'][: len(batch.names)], self._targets)
    return [self._row(name, row) for name, row in zip(batch.names, values, strict=True)]

  def _row(self, name, values):
    of_target = dict(zip(self._names, map(_short, values), strict=True))
    cells = {target: f'{value:.6g}' for target, value in of_target.items()}
    return Row(name, {'file': name, 'values': of_target}, cells, 0, _short(values[0]))


class Labels:
  """Rows of a classifier of labels.

  Args:
    classes: names of the labels.
  """

  def __init__(self, classes: Sequence[str]):
    self.classes = tuple(classes)
    self.columns = ['file', 'labels', *classes]

  def of(self, batch: Batch, found: dict[str, np.ndarray]) -> list[Row]:
    """The rows of a batch.

    Args:
      batch: the inputs.
      found: 'outputs', the logits.
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
  """The rows of a kind of network.

  Args:
    kind: as in `Subject.kind`.
    facts: the run's facts about its data, `config['dataset']`.
    outputs: number of outputs of the network, of a classifier.
    has_labels: whether the class of an input is known.
  """
  if kind == 'regressor':
    return Values(facts['targets'])
  if kind == 'multi_label':
    return Labels(facts['classes'])
  if kind == 'autoencoder':
    return Errors(facts['classes'], has_labels=has_labels)
  return Classes(results.class_names(facts['classes'], outputs), has_labels=has_labels)


def _short(value) -> float:
  """A number with as many digits as float32 has."""
  return float(str(np.float32(value)))
