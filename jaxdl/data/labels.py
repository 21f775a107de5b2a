"""Encodes labels (integers, strings, booleans or one-hot rows) as class indices 0 … K - 1."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int32, Shaped

MOST_CLASSES = 100_000  # maximum number of distinct labels
LISTED = 5  # maximum number of classes in a message


def encode(
  values: Any, where: str, classes: Sequence[str] | None = None
) -> tuple[Int32[np.ndarray, ' N'], tuple[str, ...]]:
  """Numbers the classes of labels.

  Args:
    values: [N] or [N, 1] integers, integers stored as floats, booleans or texts; or one-hot rows
      [N, K], K > 1, of numbers or booleans.
    where: the column, such as "'y' of digits.npz", for messages.
    classes: the names of the classes in the order of their numbers, such as those of the training
      split; None for the distinct values in ascending order. Of one-hot rows, the names of the
      columns.

  Returns:
    (the number of each label's class, the names of the classes). The name of a number is its
    decimal text, those of booleans are 'False' and 'True', those of one-hot columns '0', '1', ….

  Raises:
    ValueError: labels of another type or shape, missing labels, numbers that are not integers, rows
      that are not one-hot, a label that is not one of `classes`, or more than 100,000 classes.
  """
  array = as_array(values, where)
  if array.ndim == 2:
    return _from_one_hot(array, where, classes)
  found, codes = np.unique(_exact(array, where), return_inverse=True)
  if len(found) > MOST_CLASSES:
    raise ValueError(
      f'{where} has {len(found):,} different labels, too many for classes: name the column of the '
      "classes, or set task='regress' for numbers"
    )
  names = tuple(str(name) for name in found.tolist())
  codes = codes.reshape(-1).astype(np.int32)
  if classes is None:
    return codes, names
  return _among(names, where, classes)[codes], tuple(classes)


def named(
  keys: Sequence[str], names: Sequence[str] | None, where: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
  """Applies class names given by a user.

  Args:
    keys: the labels of the classes as returned by `encode`.
    names: None for the labels themselves. Names that are the labels, in any order; as many names as
      labels, in ascending order of the labels; or more names than labels, which are then integers
      that count from 0.
    where: as in `encode`.

  Returns:
    (labels, names) of the classes in the order of their numbers.

  Raises:
    ValueError: names that do not fit the labels.
  """
  if names is None:
    return tuple(keys), tuple(keys)
  numbers = tuple(str(number) for number in range(len(names)))
  if set(keys) <= set(names):
    return tuple(names), tuple(names)
  if set(keys) <= set(numbers):
    return numbers, tuple(names)
  if len(keys) == len(names):
    return tuple(keys), tuple(names)
  few = ', '.join(map(repr, keys[:LISTED])) + (', …' if len(keys) > LISTED else '')
  raise ValueError(
    f'{where} has {len(keys)} different labels ({few}), but there are {len(names)} names of '
    'classes: give a name for each in config.data.class_names, or leave the key out'
  )


def encode_many(
  values: Any, where: str, names: Sequence[str] | None = None
) -> tuple[Float32[np.ndarray, 'N K'], tuple[str, ...]]:
  """Converts multi-label rows of 0 and 1.

  Args:
    values: [N, K] numbers or booleans, each 0 or 1.
    where: as in `encode`.
    names: names of the K labels; None for '0', '1', ….

  Returns:
    (the labels of each example, their names).

  Raises:
    ValueError: another shape, or other values than 0 and 1.
  """
  array = as_array(values, where)
  if array.ndim != 2 or array.dtype.kind not in 'biuf':
    raise ValueError(
      f"{where} is {described(array)}: several labels of an example (task='multi_label') are rows "
      '[N, K] of 0 and 1'
    )
  wrong = (array != 0) & (array != 1)
  if wrong.any():
    row, column = np.argwhere(wrong)[0].tolist()
    raise ValueError(f'{where} has {array[row, column]} in row {row}, column {column}: use 0 or 1')
  return array.astype(np.float32), _names(array.shape[1], where, names)


def encode_values(values: Any, where: str) -> Float32[np.ndarray, 'N D']:
  """The targets of a regression.

  Args:
    values: [N] or [N, D] numbers or booleans.
    where: as in `encode`.

  Returns:
    The targets as rows.

  Raises:
    ValueError: another type or shape, or a number that is missing, infinite or too large for
      float32.
  """
  array = as_array(values, where)
  if array.dtype.kind not in 'biuf':
    raise ValueError(
      f"{where} is {described(array)}, but task='regress' predicts numbers: name a column of "
      "numbers, or set task='classify'"
    )
  with np.errstate(over='ignore'):
    rows = array.reshape(len(array), -1).astype(np.float32)
  check_finite(rows, where)
  return rows


def check_finite(rows: Shaped[np.ndarray, 'N ...'], where: str) -> None:
  """Raises ValueError if a number is missing or infinite; the message names its row and column."""
  wrong = ~np.isfinite(rows)
  if not wrong.any():
    return
  place = np.argwhere(wrong)[0].tolist()
  columns = f', column {", ".join(map(str, place[1:]))}' if len(place) > 1 else ''
  raise ValueError(
    f'{where} has {rows[tuple(place)]} in row {place[0]}{columns}: replace it, or leave the row out'
  )


def as_array(values: Any, where: str) -> np.ndarray:
  """Labels as an array [N] or [N, K]; [N, 1] becomes [N], and objects become texts or numbers.

  Args:
    values: array, or a sequence such as a list of texts.
    where: as in `encode`.

  Raises:
    ValueError: another shape, an object that is neither a text nor a number, or a complex number.
  """
  try:
    array = np.asarray(values)
  except ValueError as error:  # sequences of different lengths
    raise ValueError(f'{where} is not an array: give a label for each example') from error
  if array.ndim == 2 and array.shape[1] == 1:
    array = array[:, 0]
  if array.dtype.kind == 'O':
    array = _without_objects(array, where)
  if array.ndim not in (1, 2) or array.dtype.kind not in 'biufUS':
    raise ValueError(
      f'{where} is {described(array)}: give labels [N] as integers, texts or booleans, or one-hot '
      'rows [N, K]'
    )
  if array.dtype.kind == 'S':
    array = np.char.decode(array, 'utf-8', 'replace')
  return array


def described(array: np.ndarray) -> str:
  """Type and shape of an array, such as 'float64 [150, 4]'."""
  kinds = {'U': 'text', 'S': 'bytes', 'O': 'object', 'V': 'structured'}
  name = kinds.get(array.dtype.kind, str(array.dtype))
  return f'{name} [{", ".join(map(str, array.shape))}]'


def _without_objects(array, where):
  """Converts an array of Python objects to strings, or to numbers if all are numbers."""
  items = array.reshape(-1).tolist()
  for row, item in enumerate(items):
    if item is None or (isinstance(item, float) and np.isnan(item)):
      raise ValueError(f'{where} has no label in row {row}: leave the row out, or fill it')
    if not isinstance(item, (str, bytes, bool, int, float, np.generic)):
      raise ValueError(
        f'{where} has {type(item).__name__} in row {row}: give labels as integers, texts or '
        'booleans'
      )
  are_texts = any(isinstance(item, (str, bytes)) for item in items)
  if are_texts:
    items = [
      item.decode(errors='replace') if isinstance(item, bytes) else str(item) for item in items
    ]
  return np.array(items).reshape(array.shape)


def _exact(array, where):
  """Labels whose equality is exact: floats become integers."""
  if array.dtype.kind != 'f':
    return array
  missing = np.flatnonzero(np.isnan(array))
  if len(missing):
    raise ValueError(
      f'{where} has no label in row {missing[0]} (nan): leave the row out, or fill it'
    )
  other = np.flatnonzero((array != np.rint(array)) | (np.abs(array) >= 2**53))
  if len(other):
    raise ValueError(
      f"{where} has {array[other[0]]} in row {other[0]}, which is not a class: set task='regress' "
      'for numbers, or give integers or texts'
    )
  return array.astype(np.int64)


def _from_one_hot(array, where, classes):
  if array.dtype.kind not in 'biuf':
    raise ValueError(f'{where} is {described(array)}: give one label for each example')
  wrong = _not_one_hot(array)
  if wrong.any():
    row = int(np.flatnonzero(wrong)[0])
    shown = ', '.join(str(value) for value in array[row][:LISTED].tolist())
    more = ', …' if array.shape[1] > LISTED else ''
    raise ValueError(
      f'{where} has rows that are not one-hot, such as row {row}: [{shown}{more}]; set '
      "task='multi_label' for several labels of an example, or task='regress' for numbers"
    )
  return array.argmax(1).astype(np.int32), _names(array.shape[1], where, classes)


def _not_one_hot(array: np.ndarray) -> Bool[np.ndarray, ' N']:
  return ((array != 0) & (array != 1)).any(1) | ((array == 1).sum(1) != 1)


def _names(count, where, names):
  if names is None:
    return tuple(str(number) for number in range(count))
  if len(names) != count:
    raise ValueError(f'{where} has {count} columns, but there are {len(names)} names of classes')
  return tuple(names)


def _among(names, where, classes):
  """The number of each name in `classes`."""
  numbers = {name: number for number, name in enumerate(classes)}
  unknown = [name for name in names if name not in numbers]
  if unknown:
    few = ', '.join(map(repr, list(classes)[:LISTED])) + (', …' if len(classes) > LISTED else '')
    raise ValueError(
      f'{where} has the label {unknown[0]!r}, which is not one of the {len(classes):,} classes of '
      f'the training split ({few}): leave these examples out, or add some to the training split'
    )
  return np.array([numbers[name] for name in names], np.int32)
