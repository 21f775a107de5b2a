"""Arrays and tables as inputs of a run that was trained on a user's own arrays or table."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float32, Int32

from jaxdl.data import array_files, arrays, labels, vectors
from jaxdl.data.tables import reading
from jaxdl.prediction import own_tables
from jaxdl.prediction.inputs import Stack

SPLITS = ('test', 'train', 'validation')  # of an array file with several, the first one is read


def is_own(config: Mapping[str, Any]) -> bool:
  """Whether arrays for a run are read as those on which it was trained.

  Args:
    config: the run's config, including the facts about its data ('dataset').
  """
  return config['data']['name'] == 'arrays' or bool(config['dataset'].get('form'))


def endings(config: Mapping[str, Any]) -> tuple[str, ...]:
  """The endings of files from which `from_file` reads several examples."""
  return reading.ENDINGS if own_tables.is_table(config) else array_files.ARRAYS


def from_file(config: Mapping[str, Any], path: str | os.PathLike) -> Stack:
  """Reads the inputs of an array file and, if it has them, their labels.

  Args:
    config: as in `is_own`.
    path: .npz or .npy file, whose arrays are named as those of training. Of arrays of several
      splits, those of the test split are read. For a run on a table, a CSV or Parquet file.

  Returns:
    Stack.

  Raises:
    ValueError: the file cannot be read, or the arrays do not fit the network.
  """
  if own_tables.is_table(config):
    return _of_table(config, path, None, str(path))
  columns = config['data'].get('columns')
  parts, _, _ = array_files.read(path, columns, optional=('y', 'lengths'))
  part = next(parts[split] for split in SPLITS if split in parts)
  return stack(config, part['x'], part.get('y'), part.get('lengths'), str(path))


def stack(
  config: Mapping[str, Any], x: Any, y: Any = None, lengths: Any = None, name: str = ''
) -> Stack:
  """Converts inputs and labels as `arrays.load` does.

  Args:
    config: as in `is_own`.
    x: inputs [N, …]; y: labels or targets; lengths: of sequences. None if there are none. For a
      run on a table, x is a table as in `reading.given`, whose target columns are y by default.
    name: the file; '' for arrays in memory.

  Returns:
    Stack.

  Raises:
    ValueError: arrays that do not fit the network.
  """
  called = array_files.naming(name or array_files.IN_PYTHON)
  data, kept = config['data'], config['dataset']
  if own_tables.is_table(config):
    if lengths is not None:
      raise ValueError('lengths are for sequences, but the run was trained on a table: omit them')
    return _of_table(config, x, y, name)
  masked = bool(kept.get('masked'))
  if lengths is not None and not masked:
    raise ValueError(
      f'{called("lengths")} are given, but the run was trained on examples without lengths: leave '
      'them out'
    )
  reading = arrays.Inputs(
    kept.get('form') or 'images', data.get('channels_first', False), data.get('range')
  )
  values = arrays.inputs_of(x, lengths, reading, called, masked=masked)
  if masked and values.shape[1] < kept['input_shape'][0]:
    values = vectors.pad(values, kept['input_shape'][0])
  _check_count(values, y, called)
  return Stack(name, values, labels_of(config, y, len(values), called))


def _of_table(config, given, y, name):
  """The Stack of a table."""
  called = array_files.naming(name or reading.IN_PYTHON)
  values, known = own_tables.read(config, given)
  targets = known if y is None else y
  _check_count(values, targets, called)
  return Stack(name, values, labels_of(config, targets, len(values), called))


def _check_count(values, y, called):
  """Raises ValueError if there are not as many labels as examples."""
  if y is not None and len(y) != len(values):
    raise ValueError(
      f'{called("x")} has {len(values)} examples, but {called("y")} has {len(y)} labels: give one '
      'for each'
    )


def labels_of(
  config: Mapping[str, Any], y: Any, count: int, called: Callable[[str], str]
) -> Int32[np.ndarray, ' N'] | Float32[np.ndarray, 'N D']:
  """Labels as in `Stack`, encoded as those on which a run was trained.

  Args:
    config: as in `is_own`.
    y: labels as in the training data, or names of the classes; None if they are not known.
    count: number of examples.
    called: function (name of an array) → its name in messages.

  Raises:
    ValueError: labels that the run does not have.
  """
  kept, name = config['dataset'], called('y')
  targets, keys = kept.get('targets'), kept.get('labels') or kept['classes']
  if y is None or tuple(keys) == (arrays.UNLABELLED,):
    return np.full(count, -1, np.int32)
  if targets or config['task']['name'] == 'multi_label':
    names = targets['names'] if targets else kept['classes']
    rows = labels.encode_values(y, name) if targets else labels.encode_many(y, name)[0]
    if rows.shape[1] != len(names):
      raise ValueError(f'{name} has {rows.shape[1]} columns, but the run has {len(names)}')
    return rows
  _, found = labels.encode(y, name)
  are_names = not set(found) <= set(keys) and set(found) <= set(kept['classes'])
  return labels.encode(y, name, kept['classes'] if are_names else keys)[0]
