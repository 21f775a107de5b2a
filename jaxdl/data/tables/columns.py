"""Columns of a table as features of vectors: numbers unchanged, categories one-hot.

Kinds, categories and replacements of missing values are determined on the training split and stored
as plain JSON data, so other rows are encoded identically.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int

from jaxdl.config import spelling
from jaxdl.data.tables.reading import Table

METHODS = ('refuse', 'mean', 'most_frequent')
UNKNOWN = ('refuse', 'ignore')
MOST_CATEGORIES = 100  # of a column that the config does not name as categorical
LISTED = 5  # maximum number of categories in a message
NUMBER, CATEGORY = 'number', 'category'

TASKS = {'classes': 'classify', 'labels': 'multi_label', 'values': 'regress'}

Missing = str | Mapping[str, Any]
Facts = dict[str, Any]  # of a column: 'column', 'kind', 'fill' and, of a category, 'categories'


def check(missing: Any, unknown: Any) -> None:
  """Raises ValueError for values of `config.data.missing` and `.unknown` that are not valid."""
  ways = missing.values() if isinstance(missing, Mapping) else [missing]
  if isinstance(missing, Mapping):
    are_valid = all(isinstance(way, (str, int, float)) and way == way for way in ways)
  else:
    are_valid = missing in list(METHODS)
  if not are_valid:
    raise ValueError(
      f'config.data.missing={missing!r} is unknown: use {", ".join(map(repr, METHODS))}, or a dict '
      "of column → one of them, a number or a text, such as dict(age='mean', city='unknown')"
    )
  if unknown not in list(UNKNOWN):
    raise ValueError(
      f'config.data.unknown={unknown!r} is unknown: use {" or ".join(map(repr, UNKNOWN))}'
    )


def check_columns(table: Table, names: Sequence[str], key: str) -> None:
  """Raises ValueError if a table lacks a column, or has one of another type.

  Args:
    table: the table.
    names: the columns that it should have.
    key: the config key that names them, such as 'features'; '' for columns of training.
  """
  for name in names:
    if name in table.unusable:
      raise ValueError(table.unusable[name])
    if name in table.columns:
      continue
    listed = ', '.join(list(table.columns)[:30]) + (', …' if len(table.columns) > 30 else '')
    near = spelling.meant(name, table.columns)
    if not key:
      raise ValueError(
        f'{table.where} has no column {name!r}, on which the network was trained: add it; it has '
        f'{listed}{near}'
      )
    raise ValueError(
      f'config.data.{key}={name!r} is not a column of {table.where}: its first row names {listed}'
      f'{near}'
    )


def numbers(table: Table, name: str, decimal: str, fix: str) -> Float64[np.ndarray, ' N']:
  """A column as numbers.

  Args:
    table: the table.
    name: the column.
    decimal: '.' or ',' in texts.
    fix: advice for a text that is not a number, for messages.

  Returns:
    [N], NaN where a value is missing.

  Raises:
    ValueError: a text that is not a number, or a number that is infinite or too large for float32.
  """
  cells = table.columns[name]
  found = cells if cells.dtype != object else np.empty(len(cells))
  if cells.dtype == object:
    for position, cell in enumerate(cells):
      number = _number(cell, decimal)
      if number is None:
        raise ValueError(f'{table.place(name, position)}: {cell!r} is not a number: {fix}')
      found[position] = number
  wrong = np.flatnonzero(np.abs(found) > np.finfo(np.float32).max)
  if len(wrong):
    raise ValueError(
      f'{table.place(name, int(wrong[0]))}: {found[wrong[0]]:g} is infinite or too large: '
      'correct it, or leave the row out'
    )
  return found


def _number(cell: str | None, decimal: str) -> float | None:
  """The number in a cell, NaN if it is missing; None for another text."""
  if cell is None:
    return np.nan
  if '_' in cell or (decimal == ',' and '.' in cell):  # '1_000' is a number in Python only
    return None
  try:
    return float(cell.replace(',', '.') if decimal == ',' else cell)
  except ValueError:
    return None


def categories(table: Table, name: str) -> np.ndarray:
  """Returns a column as names of categories: [N] objects, strings, None if a value is missing.

  Whole numbers have no decimals: 1.0 is '1'.
  """
  cells = table.columns[name]
  if cells.dtype == object:
    return cells
  found = np.empty(len(cells), object)
  found[:] = [
    None if np.isnan(value) else str(int(value) if value.is_integer() else value)
    for value in cells.tolist()
  ]
  return found


def fit(
  table: Table,
  names: Sequence[str],
  train: Int[np.ndarray, ' n'],
  *,
  categorical: Sequence[str] = (),
  missing: Missing = 'refuse',
  decimal: str = '.',
) -> list[Facts]:
  """Determines the kind of each column, its categories and the replacement of missing values.

  Args:
    table: the table.
    names: the columns that become features.
    train: positions of the training rows; only these are read.
    categorical: numeric columns that contain categories; columns without any number are always
      categorical.
    missing: what fills missing values: 'refuse' (nothing) | 'mean' | 'most_frequent', or column →
      one of these, or a number or text that fills the gaps of the column.
    decimal: as in `numbers`.

  Returns:
    Facts of each column, in their order.

  Raises:
    ValueError: a column with numbers and texts, with too many categories or without values.
  """
  rows = Table(
    table.where,
    {name: table.columns[name][train] for name in names},
    [table.rows[position] for position in train.tolist()],
  )
  return [_fitted(rows, name, name in categorical, _way(missing, name), decimal) for name in names]


def _way(missing, name):
  return missing.get(name, 'refuse') if isinstance(missing, Mapping) else missing


def _fitted(rows, name, is_named, way, decimal):
  """Facts of one column."""
  if is_named or _has_no_number(rows.columns[name], decimal):
    return _fitted_category(rows, name, is_named, way)
  fix = f'correct it, or set config.data.categorical={[name]!r} for a column of categories'
  values = numbers(rows, name, decimal, fix)
  present = values[~np.isnan(values)]
  _check_present(present, rows, name)
  fill = None
  if way == 'mean':
    fill = float(present.mean())
  elif way == 'most_frequent':
    found, counts = np.unique(present, return_counts=True)
    fill = float(found[counts.argmax()])
  elif isinstance(way, str) and way != 'refuse':
    raise ValueError(
      f'config.data.missing.{name}={way!r} is not a number, but the column has numbers: use a '
      "number, 'mean' or 'most_frequent'"
    )
  elif way != 'refuse':
    fill = float(way)
  return {'column': name, 'kind': NUMBER, 'fill': fill}


def _fitted_category(rows, name, is_named, way):
  """Facts of a column of categories."""
  cells = [cell for cell in categories(rows, name) if cell is not None]
  _check_present(cells, rows, name)
  found, counts = np.unique(np.array(cells, str), return_counts=True)
  fill = None
  if way == 'most_frequent':
    fill = str(found[counts.argmax()])
  elif way not in METHODS:
    fill = str(way)
  names = sorted({*found.tolist(), *([] if fill is None else [fill])})
  if len(names) > MOST_CATEGORIES and not is_named:
    raise ValueError(
      f'column {name!r} of {rows.where} has {len(names):,} different texts, such as {names[0]!r} '
      f'and {names[-1]!r}: leave it out, with config.data.features, or set config.data.categorical='
      f'{[name]!r} if they are categories'
    )
  return {'column': name, 'kind': CATEGORY, 'fill': fill, 'categories': names}


def _has_no_number(cells, decimal):
  """Whether a column has texts only."""
  return cells.dtype == object and not any(
    cell is not None and _number(cell, decimal) is not None for cell in cells
  )


def _check_present(present, rows, name):
  if not len(present):
    raise ValueError(
      f'column {name!r} of {rows.where} has no value in the training split: leave it out, with '
      'config.data.features'
    )


def names(facts: Sequence[Facts]) -> list[str]:
  """The names of the features: columns of numbers, and 'column=category' of each category."""
  found = []
  for of_column in facts:
    name = of_column['column']
    if of_column['kind'] == NUMBER:
      found.append(name)
    else:
      found += [f'{name}={category}' for category in of_column['categories']]
  return found


def apply(
  table: Table, facts: Sequence[Facts], *, unknown: str = 'refuse', decimal: str = '.'
) -> Float32[np.ndarray, 'N F']:
  """Encodes the rows of a table.

  Args:
    table: the table; other columns than those of the facts are not read.
    facts: as returned by `fit`.
    unknown: 'refuse', or 'ignore' to encode a category that the training split lacks as zeros.
    decimal: as in `numbers`.

  Returns:
    The features, one for a number and one for each category.

  Raises:
    ValueError: a column is missing, a value is missing that nothing fills, a text in a column of
      numbers, or a category that the training split lacks; the message names row and column.
  """
  check_columns(table, [of_column['column'] for of_column in facts], '')
  parts = [
    _numbers_of(table, of_column, decimal)
    if of_column['kind'] == NUMBER
    else _one_hot(table, of_column, unknown)
    for of_column in facts
  ]
  return np.concatenate(parts, axis=1, dtype=np.float32)


def _numbers_of(table, facts, decimal):
  name, fill = facts['column'], facts['fill']
  values = numbers(table, name, decimal, 'correct it, or leave the row out')
  gaps = np.isnan(values)
  if gaps.any() and fill is None:
    raise ValueError(missing_value(table, name, int(gaps.argmax()), 'mean'))
  if gaps.any():
    values = np.where(gaps, fill, values)
  return values.astype(np.float32)[:, None]


def _one_hot(table, facts, unknown):
  name, known = facts['column'], facts['categories']
  numbered = {category: number for number, category in enumerate(known)}
  found = np.zeros((len(table), len(known)), np.float32)
  for position, cell in enumerate(categories(table, name)):
    cell = facts['fill'] if cell is None else cell
    if cell is None:
      raise ValueError(missing_value(table, name, position, 'most_frequent'))
    number = numbered.get(cell)
    if number is not None:
      found[position, number] = 1
    elif unknown == 'refuse':
      few = ', '.join(map(repr, known[:LISTED])) + (', …' if len(known) > LISTED else '')
      raise ValueError(
        f'{table.place(name, position)}: {cell!r} is not one of the {len(known)} categories of the '
        f"training split ({few}): correct it, or train with config.data.unknown='ignore'"
      )
  return found


def missing_value(table: Table, name: str, position: int, way: str = '') -> str:
  """The message for a value that is missing.

  Args:
    table, name, position: the cell.
    way: what could fill it; '' if nothing can.
  """
  fix = 'fill it, or leave the row out'
  if way:
    fix = f"fill it, leave the row out, or train with config.data.missing='{way}'"
  return f'{table.place(name, position)} has no value: {fix}'


def targets(table: Table, names: Sequence[str], decimal: str, wanted: str) -> np.ndarray:
  """The target columns of a table, in the form that `labels.encode` and its likes accept.

  Args:
    table: the table.
    names: the target columns, which it has.
    decimal: as in `numbers`.
    wanted: 'classes' | 'labels' | 'values'.

  Returns:
    [N] integers or texts of one column of classes, otherwise [N] or [N, D] float64.

  Raises:
    ValueError: a value is missing or is not a number; the message names its row and column.
  """
  for name in names:
    gaps = missing_in(table, name)
    if gaps.any():
      raise ValueError(missing_value(table, name, int(gaps.argmax())))
  if wanted == 'classes' and len(names) == 1:
    return _classes(table, names[0], decimal)
  fix = f'correct it, or name a column of numbers as the target (task={TASKS[wanted]!r})'
  found = [numbers(table, name, decimal, fix) for name in names]
  return found[0] if len(names) == 1 else np.stack(found, 1)


def missing_in(table: Table, name: str) -> Bool[np.ndarray, ' N']:
  """Whether the value of each row is missing in a column."""
  cells = table.columns[name]
  if cells.dtype != object:
    return np.isnan(cells)
  return np.array([cell is None for cell in cells], bool)


def _classes(table, name, decimal):
  """The classes of a column: integers if all of them are, else texts."""
  cells = categories(table, name)
  values = [_number(cell, decimal) for cell in cells]
  if None in values or any(re.match(r'-?0\d', cell) for cell in cells):  # '007' is a text
    return np.array(cells.tolist(), str)
  found = np.array(values, np.float64)
  broken = np.flatnonzero(found % 1)
  if len(broken):
    raise ValueError(
      f'{table.place(name, int(broken[0]))}: {cells[broken[0]]} is not a class: set '
      "task='regress' for numbers, or name a column of integers or texts"
    )
  return found.astype(np.int64)
