"""Tables as inputs of a run that was trained on a table."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float32

from jaxdl.data import arrays, recorded
from jaxdl.data.tables import columns, reading


def is_table(config: Mapping[str, Any]) -> bool:
  """Whether a run was trained on a table.

  Args:
    config: the run's config, including the facts about its data ('dataset').
  """
  return config['data']['name'] == 'table'


def read(
  config: Mapping[str, Any], given: Any
) -> tuple[Float32[np.ndarray, 'N F'], np.ndarray | None]:
  """Encodes the rows of a table as those of training, and reads the targets if it has them.

  Args:
    config: as in `is_table`.
    given: path of a CSV or Parquet file, written as that of training; or a table in Python as in
      `reading.given`. Other columns than those of training are not read.

  Returns:
    (features before they are standardised; [N] or [N, D] targets as in `columns.targets`, None
    without all target columns, or if all values of one are missing).

  Raises:
    ValueError: a table that does not fit the run; the message names the row and the column.
    FileNotFoundError: the file does not exist.
  """
  kept = config['dataset']['table']
  form = reading.Form(*(recorded.setting(config, key) for key in reading.Form._fields))
  is_file = isinstance(given, (str, os.PathLike))
  table = reading.read(given, form) if is_file else reading.given(given)
  inputs = columns.apply(
    table,
    kept['columns'],
    unknown=recorded.setting(config, 'unknown'),
    decimal=form.decimal,
  )
  names = kept['targets']
  are_known = all(
    name in table.columns and not columns.missing_in(table, name).all() for name in names
  )
  if not are_known:
    return inputs, None
  wanted = arrays.TARGETS_OF_TASK.get(config['task']['name'], 'classes')
  columns.check_columns(table, names, 'target')
  return inputs, columns.targets(table, names, form.decimal, wanted)
