"""How a figure is written in the table and in the ledger."""

import decimal
import statistics
from collections.abc import Sequence

from jaxdl.step import metrics
from launch.reproduction import interval

OTHER_DATA = "measured on other data than the report's"


def figure(key: str, value) -> str:
  """Formats a figure with its unit.

  Args:
    key: its name, such as 'accuracy' or 'test_accuracy'.
    value: number, several numbers, or None.

  Returns:
    '97.27 %' for an accuracy; a loss, mse or bits per character with four digits, a count with
    commas; '–' for None.
  """
  if value is None:
    return '–'
  metric = metrics.find(key)
  if metric is not None and metric.is_share:
    return metrics.number(key, value) + unit(key)
  if isinstance(value, int):
    return f'{value:,}'
  if isinstance(value, (list, tuple)):
    return ', '.join(figure(key, number) for number in value)
  text = metrics.number(key, value) if abs(value) < 100 else f'{value:,.2f}'
  return text + unit(key)


def unit(key: str) -> str:
  """The text after a figure: ' %', ' bits' of a character, ' mse'; '' after a loss."""
  metric = metrics.find(key)
  return f' {metric.symbol}' if metric is not None and metric.symbol else ''


def reported(key: str, value) -> str:
  """A report's figure with as many digits as it gives: 0.88 → '88 %', 0.987 → '98.7 %'."""
  metric = metrics.find(key)
  if value is not None and metric is not None and metric.is_share:
    return f'{decimal.Decimal(repr(value)).scaleb(2):f}{unit(key)}'
  return figure(key, value)


def with_interval(key: str, measured: interval.Measured) -> str:
  """'97.46 % (97.10–97.77 %, 3 seeds)'; without an interval only the number of seeds."""
  seeds = '1 seed' if measured.runs == 1 else f'{measured.runs} seeds'
  mean, low, high = (figure(key, value) for value in (measured.mean, measured.low, measured.high))
  if measured.low == measured.high:
    return f'{mean} ({seeds})'
  return f'{mean} ({low.removesuffix(unit(key))} to {high}, {seeds})'


def seeds(values: Sequence[float], key: str) -> str:
  """'97.46 ± 0.07 % (3 seeds)': mean and deviation over runs.

  Args:
    values: one of each run.
    key: the figure's name.
  """
  if len(values) == 1:
    return f'{figure(key, values[0])} (1 seed)'
  mean, deviation = figure(key, statistics.fmean(values)), figure(key, statistics.stdev(values))
  return f'{mean.removesuffix(unit(key))} ± {deviation} ({len(values)} seeds)'
