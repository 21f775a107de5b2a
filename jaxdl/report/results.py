"""Layers, example counts and analysis results of a run, for its page."""

import contextlib
import sys
from collections.abc import Iterable, Iterator

from jaxdl import models
from jaxdl.data import dataset
from jaxdl.models import table
from jaxdl.runs import code, files, folder, keys
from jaxdl.runs import record as records
from jaxdl.runs.record import Run
from jaxdl.step import metrics, optimizers, watch


def add_chance(
  record: Run, keys: Iterable[str], columns: list[str], rows: Iterable[list[str]]
) -> bool:
  """Adds the chance level of each figure as a column, if it is known for any of them.

  Args:
    record: the run.
    keys: figures of the rows, such as 'test_accuracy'.
    columns: titles of the table, changed in place.
    rows: rows of the table, changed in place.

  Returns:
    Whether the column was added.
  """
  chances = {key: record.chance(key) for key in keys}
  if all(chance is None for chance in chances.values()):
    return False
  columns.append('chance level')
  for row, (key, chance) in zip(rows, chances.items(), strict=True):
    row.append('–' if chance is None else metrics.shown(key, chance))
  return True


def layers(record: Run) -> list[dict]:
  """Returns the layer table.

  Args:
    record: Run.

  Returns:
    Rows returned by `models.table.layers`, in which frozen layers have no trainable parameters; []
    for runs of older versions, which did not store the description of the data set, and of own code
    that may not be executed.

  Raises:
    ValueError: the model of the config cannot be built.
  """
  shape = record.config.get('dataset', {}).get('input_shape')
  if shape is None:
    return []
  try:
    model = record.linked['model']
  except code.RefusedCodeError as error:
    print(f'jaxdl: the table of layers is left out: {error}', file=sys.stderr)
    return []
  text = model['name'] in models.TEXT_MODELS
  try:
    rows = table.layers(models.build(model), tuple(shape), 'int32' if text else 'float32')
    return optimizers.check_layers(record.config.get('optimizer', {}), rows)
  except ValueError as error:
    raise ValueError(f'{record.folder / "config.json"}: {error}') from error


def imported_from(record: Run) -> str:
  """The file from which the weights of the figures were imported; '' if they were trained."""
  if record.summary.get('step') != 0:
    return ''
  return str(record.config.get(folder.ORIGIN, {}).get('imported', ''))


def checkpoint(record: Run) -> str:
  """Describes the weights of a run's figures, such as 'the checkpoint with the lowest …'."""
  if imported_from(record):
    return f'the weights imported from {imported_from(record)}'
  return f'the checkpoint with {watch.of(record.config).best}'


def counted(record: Run) -> list[list[str]]:
  """Returns the example counts of each split as rows, as printed at the start of a run.

  Returns [] for runs of older versions, which did not store the counts.
  """
  data = record.config.get('dataset', {})
  classes = list(map(str, data.get('classes', [])))
  per_class = {
    name: sizes
    for name, sizes in data.get('examples_per_class', {}).items()
    if len(sizes) == len(classes)
  }
  rows = []
  for line in dataset.count_lines(
    data.get('examples', {}), per_class, classes, records.counted(record.config)
  ):
    name, _, size = line.partition(': ')
    rows.append([f'{name} data', size])
  return rows


def evaluated(record: Run) -> list[str]:
  """The keys of a run's summary that are evaluation metrics of a split, such as 'test_loss'."""
  return [key for key in record.summary if _is_figure(key)]


def _is_figure(key):
  split, _, name = key.partition('_')
  known = metrics.METRICS.get(name)
  return split in metrics.SPLITS and known is not None and known.evaluated


def of_analysis(record: Run, name: str) -> dict:
  """Reads the .json file of an analysis; {} if there is none."""
  file = record.results / 'analysis' / f'{name}.json'
  found = files.read_json(file) if file.is_file() else {}
  if wrong := keys.fault(found, keys.ANALYSIS):
    raise ValueError(f'{file} {wrong}: rerun jaxdl.analyze')
  return found


@contextlib.contextmanager
def errors_naming(record: Run, name: str) -> Iterator[None]:
  """Converts any exception of the block to a ValueError that names a file of an analysis.

  Args:
    record: Run.
    name: name of the file.
  """
  try:
    yield
  except Exception as error:  # JSON, NumPy, zipfile and Pillow raise different exceptions
    raise ValueError(
      f'{record.results / "analysis" / name} is not an output of jaxdl.analyze '
      f'({type(error).__name__}: {error}): rerun jaxdl.analyze'
    ) from error
