"""Results of predictions, and their CSV and JSON Lines files."""

import csv
import dataclasses
import io
import json
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int32

SUFFIXES = ('.csv', '.jsonl')  # file formats


class Prediction(NamedTuple):
  """The predicted class of one input.

  Attributes:
    name: name of the input; '' for an image in memory.
    predicted: index of the class with the highest probability.
    class_name: its name.
    probability: its probability.
    probabilities: probabilities of all classes.
    label: index of the true class; None if it is unknown.
  """

  name: str
  predicted: int
  class_name: str
  probability: float
  probabilities: Float[np.ndarray, ' K']
  label: int | None


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions:
  """Predicted classes of inputs; iteration yields a `Prediction` for each input.

  Attributes:
    classes: names of the K classes.
    names: name of each input, such as its file; '' for an image in memory.
    probabilities: softmax of the logits.
    logits: outputs of the network.
    labels: index of the true class of each input, −1 if it is unknown; None if all are unknown.
  """

  classes: tuple[str, ...]
  names: tuple[str, ...]
  probabilities: Float[np.ndarray, 'N K']
  logits: Float[np.ndarray, 'N K']
  labels: Int32[np.ndarray, ' N'] | None

  def __len__(self) -> int:
    return len(self.names)

  def __iter__(self) -> Iterator[Prediction]:
    for number, (name, row) in enumerate(zip(self.names, self.probabilities, strict=True)):
      label = -1 if self.labels is None else int(self.labels[number])
      best = int(row.argmax())
      yield Prediction(
        name, best, self.classes[best], float(row[best]), row, None if label < 0 else label
      )


class Reconstruction(NamedTuple):
  """The reconstruction of one input.

  Attributes:
    name: name of the input; '' for an image in memory.
    error: mean squared error, the anomaly score.
    image: the reconstruction, [H, W, C], or a vector or sequence.
  """

  name: str
  error: float
  image: Float[np.ndarray, '...']


@dataclasses.dataclass(frozen=True, eq=False)
class Reconstructions:
  """Reconstructions by an autoencoder; iteration yields a `Reconstruction` for each input.

  Attributes:
    names: name of each input; '' for an image in memory.
    errors: mean squared error of each input, in the scale of the network's inputs; the anomaly
      score.
    images: the reconstructions as pictures [N, H, W, C] in 0..1; for a network of vectors or
      sequences, in the unit of the data.
    labels: index of the true class of each input, −1 if it is unknown; None if all are unknown.
  """

  names: tuple[str, ...]
  errors: Float[np.ndarray, ' N']
  images: Float[np.ndarray, 'N ...']
  labels: Int32[np.ndarray, ' N'] | None

  def __len__(self) -> int:
    return len(self.names)

  def __iter__(self) -> Iterator[Reconstruction]:
    for name, error, image in zip(self.names, self.errors, self.images, strict=True):
      yield Reconstruction(name, float(error), image)


class Regression(NamedTuple):
  """The predicted values of one input.

  Attributes:
    name: name of the input; '' for an image in memory.
    values: those of all targets, in their own unit.
  """

  name: str
  values: Float[np.ndarray, ' D']


@dataclasses.dataclass(frozen=True, eq=False)
class Regressions:
  """Predicted values of inputs; iteration yields a `Regression` for each.

  Attributes:
    targets: names of the D targets.
    names: name of each input, such as its file; '' for an image in memory.
    values: predicted values, in the unit of the training targets.
  """

  targets: tuple[str, ...]
  names: tuple[str, ...]
  values: Float[np.ndarray, 'N D']

  def __len__(self) -> int:
    return len(self.names)

  def __iter__(self) -> Iterator[Regression]:
    for name, values in zip(self.names, self.values, strict=True):
      yield Regression(name, values)


class LabelPrediction(NamedTuple):
  """The predicted labels of one input.

  Attributes:
    name: name of the input; '' for an image in memory.
    labels: names of the labels whose probability is above 0.5.
    probabilities: those of all labels.
  """

  name: str
  labels: tuple[str, ...]
  probabilities: Float[np.ndarray, ' K']


@dataclasses.dataclass(frozen=True, eq=False)
class LabelPredictions:
  """Predicted labels of inputs, any number for each; iteration yields a `LabelPrediction`.

  Attributes:
    classes: names of the K labels.
    names: name of each input, such as its file; '' for an image in memory.
    probabilities: sigmoid of the logits.
    logits: outputs of the network.
  """

  classes: tuple[str, ...]
  names: tuple[str, ...]
  probabilities: Float[np.ndarray, 'N K']
  logits: Float[np.ndarray, 'N K']

  def __len__(self) -> int:
    return len(self.names)

  def __iter__(self) -> Iterator[LabelPrediction]:
    for name, row in zip(self.names, self.probabilities, strict=True):
      labels = tuple(self.classes[label] for label in np.flatnonzero(row > 0.5))
      yield LabelPrediction(name, labels, row)


def sigmoid(logits: Float[np.ndarray, 'N K']) -> Float[np.ndarray, 'N K']:
  """Probabilities of the logits of labels, computed in float64."""
  return np.exp(-np.logaddexp(0, -logits.astype(np.float64)))


def in_own_unit(
  outputs: Float[np.ndarray, 'N D'], targets: Mapping[str, Any]
) -> Float[np.ndarray, 'N D']:
  """Converts the outputs of a regression to the unit of its targets, in float64.

  Args:
    outputs: standardised predictions.
    targets: 'mean' and 'deviation' of each target, as in a run's `config['dataset']['targets']`.
  """
  return outputs.astype(np.float64) * np.array(targets['deviation']) + np.array(targets['mean'])


def softmax(logits: Float[np.ndarray, 'N K']) -> Float[np.ndarray, 'N K']:
  """Softmax of logits, computed in float64."""
  exponents = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
  return exponents / exponents.sum(-1, keepdims=True)


def class_names(classes: Sequence[str], count: int) -> tuple[str, ...]:
  """Returns a name for each of `count` outputs. The name of an unnamed output is its index."""
  names = tuple(map(str, classes))
  return names[:count] + tuple(str(number) for number in range(len(names), count))


class Writer:
  """Writes rows to a CSV or JSON Lines file, one batch at a time.

  The rows are written to a temporary file in the same folder, which is renamed at the end. After an
  error, the file keeps its previous content.

    with Writer('x.csv', ['file', 'class']) as writer:
      writer.rows([{'file': 'a.png', 'class': 'cat'}])

  Args:
    file: path of the file, whose suffix is one of SUFFIXES.
    columns: the columns of a CSV file.
  """

  def __init__(self, file: pathlib.Path, columns: Sequence[str]):
    self._file, self._columns = file, list(columns)
    self._aside = file.with_name(f'{file.name}.new')
    self._open: io.TextIOWrapper | None = None

  def __enter__(self) -> 'Writer':
    self._open = self._aside.open('w', encoding='utf-8', errors='backslashreplace', newline='')
    if self._file.suffix.lower() == '.csv':
      csv.writer(self._open).writerow(self._columns)
    return self

  def rows(self, found: Iterable[Mapping[str, Any]]) -> None:
    """Writes rows.

    Args:
      found: column → value of each row, in the order of the columns. A mapping, such as class →
        probability, becomes several columns in CSV and an object in JSON Lines. A list of strings
        becomes one column, separated by '; ', in CSV and a list in JSON Lines.
    """
    assert self._open is not None
    if self._file.suffix.lower() == '.csv':
      csv.writer(self._open).writerows(map(_cells, found))
      return
    for values in found:
      self._open.write(json.dumps(values, ensure_ascii=False) + '\n')

  def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
    assert self._open is not None
    try:
      self._open.close()
      if kind is None:
        self._aside.replace(self._file)
    finally:
      self._aside.unlink(missing_ok=True)


def _cells(values):
  """Returns the cells of a row of a CSV file."""
  cells = []
  for value in values.values():
    if isinstance(value, Mapping):
      cells += value.values()
    else:
      cells.append('; '.join(value) if isinstance(value, list) else value)
  return cells
