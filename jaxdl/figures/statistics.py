"""The table of activation statistics, as its picture and a run's page have it."""

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


def rows(layers):
  """A row of texts for each layer, under COLUMNS.

  Args:
    layers: rows as `analysis.activations.statistics` has them, or statistics.json.

  Raises:
    LookupError, TypeError, ValueError: a row of another shape.
  """
  return [
    [
      row['layer'],
      f'{row["units"]:,}',
      *(f'{row[key]:#.4g}' for key in ('mean', 'std', 'min', 'max')),
      f'{100 * row["zeros"]:.1f} %',
      f'{row["dead_units"]:,}',
      f'{row["dead_channels"]:,} of {row["channels"]:,}',
    ]
    for row in layers
  ]
