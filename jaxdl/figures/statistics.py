"""The table of activation statistics, which its picture and a run's page show."""

from collections.abc import Mapping, Sequence
from typing import Any

COLUMNS = (
  'layer',
  'units',
  'mean',
  'deviation',
  'least',
  'greatest',
  'zeros',
  'units never > 0',
  'channels never > 0',
)
BLANK = ''  # of layers with negative outputs, in which a unit that is never above 0 is not dead


def rows(layers: Sequence[Mapping[str, Any]]) -> list[list[str]]:
  """The table of the statistics, with the columns of COLUMNS.

  Args:
    layers: statistics of each layer, from `analysis.activations.statistics` or statistics.json.

  Returns:
    One row of texts for each layer.

  Raises:
    LookupError, TypeError, ValueError: a row has other keys or values.
  """
  return [
    [
      row['layer'],
      f'{row["units"]:,}',
      *(f'{row[key]:#.4g}' for key in ('mean', 'std', 'min', 'max')),
      f'{100 * row["zeros"]:.1f} %',
      *(_dead(row) if row['min'] >= 0 else (BLANK, BLANK)),
    ]
    for row in layers
  ]


def _dead(row):
  return f'{row["dead_units"]:,}', f'{row["dead_channels"]:,} of {row["channels"]:,}'
