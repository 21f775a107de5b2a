"""Tables as data sets: columns become features of vectors, and one or several are targets."""

import dataclasses
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, no_type_check

import numpy as np

from jaxdl.config import checks
from jaxdl.config.paths import absolute
from jaxdl.data import arrays, division, labels, slicing, vectors
from jaxdl.data.array_files import SPLIT_OF
from jaxdl.data.dataset import Data, batch_sizes, check_sampling
from jaxdl.data.source import Source
from jaxdl.data.tables import columns, reading
from jaxdl.data.tables.reading import Form


@no_type_check  # a config may hold anything: the function checks it, and its errors name the key
def load(
  *,
  seed: int,
  batch_size: int,
  splits: Mapping[str, str] | str | None = None,
  evaluation_batch_size: int = 1000,
  file: str | PathLike[str] | None = None,
  target: str | Sequence[str] | None = None,
  features: Sequence[str] | None = None,
  categorical: Sequence[str] = (),
  missing: str | Mapping[str, Any] = 'refuse',
  unknown: str = 'refuse',
  delimiter: str = ',',
  decimal: str = '.',
  encoding: str = 'utf-8',
  split_column: str | None = None,
  class_names: Sequence[str] | None = None,
  scale: str = 'standardized',
  overlap: bool = False,
  sampling: str = 'shuffled',
  task: str | None = None,
  given: Any = None,
) -> Data:
  """Reads a table as described by a config's data section.

  Args:
    seed, batch_size, evaluation_batch_size, splits, overlap, sampling: as in `arrays.load`.
    file: CSV or Parquet file.
    target: the column to predict; or several columns: the targets of a regression, the labels 0
      and 1 of a multi-label task, or the one-hot columns of the classes.
    features: the input columns; None for all other columns.
    categorical, missing: as in `columns.fit`.
    unknown: as in `columns.apply`.
    delimiter, decimal, encoding: as in `reading.Form`.
    split_column: a column that has 'train', 'validation' or 'test' in each row; None for no such
      column.
    class_names: as in `arrays.load`.
    scale: 'standardized' | 'none', as in `vectors.scaling`.
    task: name of the config's task.
    given: a table in Python as in `reading.given`, instead of a file.

  Returns:
    Data. What was fitted on the training split is in its `further` facts.

  Raises:
    ValueError: a key of the config, or a table that does not fit it; the message names the row, the
      column and the fix.
    FileNotFoundError: the file does not exist.
  """
  checks.check_flag(overlap, 'config.data.overlap')
  check_sampling(sampling)
  columns.check(missing, unknown)
  arrays.check_names(class_names)
  form = Form(delimiter, decimal, encoding)
  form.check()
  table, place = _read(file, given, form)
  targets, chosen = _columns(table, target, features, categorical, split_column)
  _check_missing_keys(missing, chosen)
  rows = _rows_of_splits(table, split_column)
  wanted = arrays.TARGETS_OF_TASK.get(task, 'classes')
  column, values, facts = _targets(
    table, targets, rows.get('train', next(iter(rows.values()))), wanted, class_names, decimal
  )
  divided = division.of_columns(
    {split: {'position': part, column: values[part]} for split, part in rows.items()},
    splits,
    seed=seed,
    where=table.where,
    classes=facts['classes'] or None,
  )
  batch_sizes(divided.splits, batch_size=batch_size, evaluation_batch_size=evaluation_batch_size)
  train = slicing.cut(divided.columns, divided.splits['train'])['position']
  fitted = columns.fit(
    table, chosen, train, categorical=categorical, missing=missing, decimal=decimal
  )
  inputs = columns.apply(table, fitted, unknown=unknown, decimal=decimal)
  found = Source(
    origin=arrays.PYTHON if place is None else table.where,
    columns={
      split: {'input': inputs[part['position']], column: part[column]}
      for split, part in divided.columns.items()
    },
    **facts,
  )
  data = vectors.load(
    found,
    name='table',
    scale=scale,
    seed=seed,
    splits=divided.splits,
    batch_size=batch_size,
    evaluation_batch_size=evaluation_batch_size,
    overlap=overlap,
    sampling=sampling,
  )
  arrays.check_classes(data)
  return dataclasses.replace(
    data,
    place={'file': place},
    division=divided.shares,
    division_note=divided.note,
    further={
      'features': columns.names(fitted),
      'table': {'columns': fitted, 'targets': targets},
    },
  )


def _read(file, given, form):
  """(Table, absolute path of its file or None)."""
  if given is not None:
    return reading.given(given), None
  if file is None:
    raise ValueError(
      "config.data.file is missing: give a .csv or .parquet file, such as file='wine.csv', or a "
      'table in Python, jaxdl.train(config, workdir, data=frame)'
    )
  if not isinstance(file, (str, PathLike)) or not str(file) or '\0' in str(file):
    raise ValueError(f"config.data.file={file!r} is not a path: write 'wine.csv'")
  return reading.read(file, form), absolute(file)


def _columns(table, target, features, categorical, split_column):
  """(names of the targets, names of the features) of a table."""
  if target is None:
    listed = ', '.join(list(table.columns)[:30])
    raise ValueError(
      f'config.data.target is missing: name the column of {table.where} that is predicted, one of '
      f'{listed}'
    )
  targets = _names('target', [target] if isinstance(target, str) else target)
  columns.check_columns(table, targets, 'target')
  if not isinstance(split_column, (str, type(None))):
    raise ValueError(f"config.data.split_column={split_column!r} is not a name: write 'split'")
  columns.check_columns(table, [split_column] if split_column else [], 'split_column')
  others = [name for name in table.columns if name not in (*targets, split_column)]
  chosen = others if features is None else _names('features', features)
  columns.check_columns(table, chosen, 'features')
  for name in chosen:
    if name not in others:
      key = 'target' if name in targets else 'split_column'
      raise ValueError(f'config.data.features has {name!r}, which is config.data.{key}: remove it')
  if not chosen:
    raise ValueError(
      f'{table.where} has no column besides the target: give a table with features, or check '
      'config.data.delimiter'
    )
  for name in _names('categorical', categorical):
    columns.check_columns(table, [name], 'categorical')
    if name not in chosen:
      raise ValueError(f'config.data.categorical has {name!r}, which is not a feature: remove it')
  return targets, list(chosen)


def _names(key, names):
  """A list of names of columns; ValueError for another value."""
  are_texts = isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names)
  if not are_texts or len(set(names)) < len(names) or (key != 'categorical' and not names):
    raise ValueError(
      f"config.data.{key}={names!r} is not a list of different columns: write ['age', 'height']"
    )
  return list(names)


def _check_missing_keys(missing, chosen):
  for name in missing if isinstance(missing, Mapping) else ():
    if name not in chosen:
      raise ValueError(
        f'config.data.missing.{name} is not a feature: use some of {", ".join(chosen[:30])}'
      )


def _rows_of_splits(table, split_column):
  """Split → positions of its rows; all rows are in 'train' without a column of splits."""
  if split_column is None:
    return {'train': np.arange(len(table), dtype=np.int32)}
  found: dict[str, list[int]] = {}
  for position, cell in enumerate(columns.categories(table, split_column)):
    split = SPLIT_OF.get(str(cell).lower())
    if split is None:
      raise ValueError(
        f"{table.place(split_column, position)}: {cell!r} is not a split: use 'train', "
        "'validation' or 'test'"
      )
    found.setdefault(split, []).append(position)
  return {split: np.array(part, np.int32) for split, part in found.items()}


def _targets(table, names, train, wanted, class_names, decimal):
  """(name of the column of a batch, [N, …] targets, fields of Source)."""
  raw = columns.targets(table, names, decimal, wanted)
  called = f'{"column" if len(names) == 1 else "columns"} {", ".join(names)} of {table.where}'
  named = tuple(class_names or names)
  if wanted == 'values':
    values = labels.encode_values(raw, called)
    if len(named) != values.shape[1]:
      raise ValueError(
        f'config.data.class_names has {len(named)} names for {values.shape[1]} targets: give one '
        'for each'
      )
    return 'value', values, {'classes': (), 'target_names': named}
  if wanted == 'labels':
    values, classes = labels.encode_many(raw.reshape(len(table), -1), called, named)
    return 'label', values, {'classes': classes, 'labels': tuple(names)}
  if len(names) > 1:
    codes, keys = labels.encode(raw, called, tuple(names))
    _, classes = labels.named(keys, class_names, called)
    return 'label', codes, {'classes': classes, 'labels': tuple(keys)}
  _, keys = labels.encode(raw[train], called)
  keys, classes = labels.named(keys, class_names, called)
  if len(classes) == 1:
    raise ValueError(f'{called} has one class only, {classes[0]!r}: give rows of at least two')
  return 'label', labels.encode(raw, called, keys)[0], {'classes': classes, 'labels': keys}
