"""Reads tables: CSV and Parquet files, data frames, and columns given in Python."""

import csv
import dataclasses
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from jaxdl.config import checks, memory
from jaxdl.data import text_files

PARQUET = ('.parquet', '.pq')
ENDINGS = ('.csv', '.tsv', '.txt', '.data', *PARQUET)  # of files that `jaxdl predict` reads
IN_PYTHON = 'the table'  # name in messages of a table without a file
# Strings that mean a missing value, as in pandas, and '?' as in the UCI repository.
MISSING = frozenset(
  [
    '',
    '?',
    'NA',
    'N/A',
    'n/a',
    '#N/A',
    '<NA>',
    'NaN',
    'nan',
    '-NaN',
    '-nan',
    'NULL',
    'null',
    'None',
  ]
)
DELIMITERS = {';': "';'", '\t': "'\\t'", ',': "','", '|': "'|'"}


@runtime_checkable
class Frame(Protocol):
  """A data frame of pandas or polars, or a table of pyarrow."""

  @property
  def columns(self) -> Any:
    """Its columns or their names."""
    ...


class Form(NamedTuple):
  """Format of a CSV file, as keys of a config's data section.

  Attributes:
    delimiter: one character between the cells.
    decimal: '.' or ','.
    encoding: name of an encoding of Python.
  """

  delimiter: str = ','
  decimal: str = '.'
  encoding: str = text_files.UTF_8

  def check(self) -> None:
    """Raises ValueError if a value is not valid."""
    if not isinstance(self.delimiter, str) or len(self.delimiter) != 1 or self.delimiter in '"\r\n':
      raise ValueError(
        f"config.data.delimiter={self.delimiter!r} is not one character: use ',', ';' or '\\t'"
      )
    if self.decimal not in ['.', ',']:
      raise ValueError(f"config.data.decimal={self.decimal!r} is unknown: use '.' or ','")
    if self.decimal == self.delimiter:
      raise ValueError(
        f"config.data.decimal={self.decimal!r} is the delimiter, too: set config.data.delimiter=';'"
      )
    text_files.check_encoding(self.encoding)


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
  """A table in memory.

  Attributes:
    where: the file, for messages.
    columns: name → [N] float64, NaN where a value is missing; or [N] objects, texts without spaces
      around them and None where a value is missing.
    rows: the number of each row in messages: in a CSV file its first line, the header being line 1;
      otherwise its position, from 0.
    unusable: name of a column of another type, whose array is empty → why it cannot be read.
  """

  where: str
  columns: Mapping[str, np.ndarray]
  rows: Sequence[int]
  unusable: Mapping[str, str] = dataclasses.field(default_factory=dict)

  def __len__(self) -> int:
    return len(self.rows)

  def place(self, name: str, position: int) -> str:
    """A cell in words, such as "row 17, column 'age' of wine.csv"."""
    return f'row {self.rows[position]}, column {name!r} of {self.where}'


def read(file: str | os.PathLike[str], form: Form) -> Table:
  """Reads a file: Parquet if its name ends in .parquet or .pq, else CSV.

  Args:
    file: its path.
    form: format of a CSV file.

  Returns:
    Table.

  Raises:
    ValueError: a file that is not a table; the message names the row and the fix.
    FileNotFoundError: it does not exist.
  """
  path = text_files.existing(file, 'give a .csv or .parquet file')
  if path.is_dir():
    raise ValueError(f'{path} is a folder: give a .csv or .parquet file')
  if path.suffix.lower() in PARQUET:
    return _parquet(path)
  return _csv(path, form)


def is_table(given: Any) -> bool:
  """Whether a value is a table in Python: a data frame, or a mapping of column → values."""
  return isinstance(given, (Mapping, Frame))


def given(data: Any) -> Table:
  """Reads a table given in Python.

  Args:
    data: a data frame of pandas or polars, a table of pyarrow, or a mapping of column → values [N].

  Returns:
    Table.

  Raises:
    ValueError: another structure, no rows, columns of different lengths, or values that are neither
      numbers nor texts.
  """
  if not is_table(data):
    raise ValueError(
      f'data is {type(data).__name__}, not a table: give a data frame, or a dict of column → values'
    )
  names = list(data) if isinstance(data, Mapping) else _names(data)
  _check_names([str(name) for name in names], IN_PYTHON)
  values = {str(name): data[name] for name in names}
  lengths = set(map(len, values.values()))
  if len(lengths) > 1:
    raise ValueError(
      f'{IN_PYTHON} has columns of {min(lengths)} and of {max(lengths)} rows: give a value for each'
    )
  return _of_arrays(IN_PYTHON, values, min(lengths, default=0))


def _of_arrays(where, values, count):
  """The Table of columns of Python or of another library."""
  columns, unusable = {}, {}
  for name, of_column in values.items():
    try:
      columns[name] = _array(of_column, name, where)
    except ValueError as error:
      columns[name], unusable[name] = np.zeros(0), str(error)
  return _checked(Table(where, columns, range(count), unusable))


def _names(frame):
  """The names of the columns of a data frame, or of a table of pyarrow."""
  return list(frame.column_names if hasattr(frame, 'column_names') else frame.columns)


def _array(values, name, where):
  """A column of Python or of another library as an array of `Table`."""
  if hasattr(values, 'to_numpy'):
    values = values.to_numpy()
  array = np.asarray(values)
  if array.ndim != 1:
    raise ValueError(
      f'column {name!r} of {where} has the shape {list(array.shape)}: give one value for each row'
    )
  if array.dtype.kind in 'iuf':
    return array.astype(np.float64)
  if array.dtype.kind not in 'bUOTS':
    raise ValueError(
      f'column {name!r} of {where} has values of the type {array.dtype}: give numbers or texts, or '
      'leave the column out of config.data.features'
    )
  return _of_objects(array.astype(object), name, where)


def _of_objects(array, name, where):
  """Objects as numbers if all of them are, else as texts; what is missing is None."""
  items = [None if _is_missing(item) else item for item in array.tolist()]
  present = [item for item in items if item is not None]
  if present and all(map(checks.is_number, present)):
    return np.array([np.nan if item is None else item for item in items], np.float64)
  for position, item in enumerate(items):
    if not isinstance(item, (str, bool, int, float, bytes, type(None))):
      raise ValueError(
        f'row {position}, column {name!r} of {where} is {type(item).__name__}: give numbers or '
        'texts, or leave the column out of config.data.features'
      )
  return texts([None if item is None else _text(item) for item in items])


def _is_missing(item):
  """Whether an object is None, NaN, or the missing value of pandas."""
  is_nan = isinstance(item, float) and item != item
  return item is None or is_nan or type(item).__name__ in ('NAType', 'NaTType')


def _text(item):
  return item.decode(errors='replace') if isinstance(item, bytes) else str(item)


def texts(cells: Sequence[str | None]) -> np.ndarray:
  """Texts as a column of `Table`: without spaces around them, None where a value is missing.

  Args:
    cells: N texts; None or one of `MISSING` where a value is missing.

  Returns:
    [N] objects.
  """
  found = np.empty(len(cells), object)
  stripped = [None if cell is None else cell.strip() for cell in cells]
  found[:] = [None if cell in MISSING else cell for cell in stripped]
  return found


def _checked(table):
  """The table; ValueError if it has no rows."""
  if not len(table):
    raise ValueError(f'{table.where} has no rows: give at least one below the names of the columns')
  return table


def _check_names(names, where):
  """Raises ValueError for columns without a name, or with the same one."""
  if not names:
    raise ValueError(f'{where} is empty: give a table with a row of names and rows of values')
  for number, name in enumerate(names, 1):
    if not name:
      raise ValueError(
        f'{where} has no name for column {number}: add one to the first row, or remove the column '
        '(in pandas, to_csv(…, index=False))'
      )
    if name in names[: number - 1]:
      raise ValueError(
        f'{where} has two columns {name!r}, {names.index(name) + 1} and {number}: rename one'
      )


def _csv(path: Path, form: Form) -> Table:
  """Reads a CSV file."""
  content = text_files.decoded(path.read_bytes(), form.encoding, path)
  reader = csv.reader(io.StringIO(content, newline=''), delimiter=form.delimiter, strict=True)
  header: list[str] | None = None
  records, lines, line = [], [], 1
  try:
    for record in reader:
      if header is None and record:
        header = [name.strip() for name in record]
        _check_header(header, path, form)
      elif record:
        if header is not None and len(record) != len(header):
          raise ValueError(_ragged(path, line, len(record), len(header), form))
        records.append(record)
        lines.append(line)
      line = reader.line_num + 1
  except csv.Error as error:
    raise ValueError(
      f'{path} cannot be read as CSV ({error}, row {line}): check the quotation marks and '
      f'config.data.delimiter={form.delimiter!r}'
    ) from error
  _check_names(header or [], path)
  columns = {
    name: texts(cells)
    for name, cells in zip(header or [], zip(*records, strict=True), strict=False)
  }
  return _checked(Table(path.name, columns, lines))


def _check_header(names, path, form):
  """Raises ValueError if the file has another delimiter than the config names."""
  if len(names) == 1:
    others = [other for other in DELIMITERS if other != form.delimiter and other in names[0]]
    if others:
      raise ValueError(
        f'{path} has a single column, {names[0][:60]!r}, with config.data.delimiter='
        f'{form.delimiter!r}: set config.data.delimiter={DELIMITERS[others[0]]}'
      )
  _check_names(names, path)


def _ragged(path, line, have, wanted, form):
  """The message for a row with another number of cells than the header."""
  cells = '1 cell' if have == 1 else f'{have} cells'
  return (
    f'row {line} of {path} has {cells}, but the first row names {wanted} columns: correct the row; '
    f'a cell that has {form.delimiter!r} in it is written in quotation marks'
  )


def _parquet(path: Path) -> Table:
  """Reads a Parquet file."""
  import pyarrow
  import pyarrow.parquet

  try:
    about = pyarrow.parquet.ParquetFile(path)
    memory.check_file(about.metadata.num_rows * about.metadata.num_columns * 8, path)
    columns = map(about.schema.column, range(about.metadata.num_columns))
    # a text is stored once, and stays so: a small file may repeat it a million times
    texts = [column.path for column in columns if column.physical_type == 'BYTE_ARRAY']
    found = pyarrow.parquet.read_table(path, read_dictionary=texts)
  except (pyarrow.ArrowException, OSError) as error:
    reason = str(error).partition('\n')[0]
    raise ValueError(
      f'{path} cannot be read as Parquet ({reason}): write it with pandas, to_parquet'
    ) from error
  _check_names(found.column_names, path)
  columns = {
    name: _of_dictionary(column) if pyarrow.types.is_dictionary(column.type) else column
    for name, column in zip(found.column_names, found.columns, strict=True)
  }
  return _of_arrays(path.name, columns, found.num_rows)


def _of_dictionary(column):
  """A column of pyarrow that stores each text once as objects; None where a value is missing."""
  parts = [np.zeros(0, object)]
  for chunk in column.chunks:
    words = np.array([*chunk.dictionary.to_pylist(), None], object)
    parts.append(words[chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False)])
  return np.concatenate(parts)
