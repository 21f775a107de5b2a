"""A run's layers, counts of examples and results of analyses, for its page."""

import contextlib
import pathlib
from collections.abc import Iterator

from jaxdl import models
from jaxdl.data import dataset
from jaxdl.models import table
from jaxdl.runs import files
from jaxdl.runs import record as records
from jaxdl.runs.record import Run


def layers(record: Run) -> list[dict]:
  """The layer table.

  Args:
    record: of the run.

  Returns:
    rows as `models.table.layers` returns them; [] for a run of an older version, which kept nothing
    of the data.

  Raises:
    ValueError: the config has a model that cannot be built.
  """
  if 'dataset' not in record.config:
    return []
  text = record.config['model']['name'] == 'language_model'
  shape = tuple(record.config['dataset']['input_shape'])
  try:
    return table.layers(models.build(record.config['model']), shape, 'int32' if text else 'float32')
  except ValueError as error:
    raise ValueError(f'{record.folder / "config.json"}: {error}') from error


def counted(record: Run) -> list[list[str]]:
  """Rows of each split and its examples, as a run prints them at its start; [] for a run of an
  older version, which did not keep them.
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


def of_analysis(record: Run, name: str) -> dict:
  """The .json of an analysis; {} where there is none."""
  file = record.folder / 'analysis' / f'{name}.json'
  return files.read_json(file) if file.is_file() else {}


@contextlib.contextmanager
def sound(folder: pathlib.Path, name: str) -> Iterator[None]:
  """Turns any exception of the block into a ValueError that names a file of an analysis.

  Args:
    folder: of the run.
    name: of the file.
  """
  try:
    yield
  except Exception as error:  # of JSON, NumPy, zipfile and Pillow, each of which has its own
    raise ValueError(
      f'{folder / "analysis" / name} is not what jaxdl.analyze writes '
      f'({type(error).__name__}: {error}): make it again'
    ) from error
