"""How a figure is written in the table and in the ledger."""

import decimal
import statistics

UNITS = {
  'accuracy': ' %',
  'bits_per_character': ' bits',
  'mse': ' mse',
}  # end of a key → what stands after its figure


def figure(key, value):
  """0.9727 → '97.27 %' for an accuracy; a loss, mse or bits per character with four digits, a count
  with commas.
  """
  if value is None:
    return '–'
  if key.endswith('accuracy'):
    return f'{value * 100:.2f}{unit(key)}'
  if isinstance(value, int):
    return f'{value:,}'
  if isinstance(value, (list, tuple)):
    return ', '.join(figure(key, number) for number in value)
  return (f'{value:.4f}' if abs(value) < 100 else f'{value:,.2f}') + unit(key)


def unit(key):
  """What stands after a figure: ' %', ' bits' of a character, ' mse'; '' after a loss."""
  return next((unit for ending, unit in UNITS.items() if key.endswith(ending)), '')


def reported(key, value):
  """A report's figure with as many digits as it gives: 0.88 → '88 %', 0.987 → '98.7 %'."""
  if key.endswith('accuracy') and value is not None:
    return f'{decimal.Decimal(repr(value)).scaleb(2):f} %'
  return figure(key, value)


def with_interval(key, measured):
  """'97.46 % (97.10–97.77 %, 3 seeds)'; the seed's number alone where there is no interval."""
  seeds = f'{measured.runs} seed{"s" * (measured.runs > 1)}'
  mean, low, high = (figure(key, value) for value in (measured.mean, measured.low, measured.high))
  if measured.low == measured.high:
    return f'{mean} ({seeds})'
  return f'{mean} ({low.removesuffix(unit(key))} to {high}, {seeds})'


def seeds(values, key):
  """'97.46 ± 0.07 % (3 seeds)': mean and deviation over runs.

  Args:
    values: numbers, one a run.
    key: str, the figure's name.

  Returns:
    str.
  """
  if len(values) == 1:
    return f'{figure(key, values[0])} (1 seed)'
  mean, deviation = figure(key, statistics.fmean(values)), figure(key, statistics.stdev(values))
  return f'{mean.removesuffix(unit(key))} ± {deviation} ({len(values)} seeds)'
