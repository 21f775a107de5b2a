"""95 % intervals of our figures, and whether a reported figure lies inside."""

import dataclasses
import decimal
import math
import statistics
from collections.abc import Sequence

from jaxdl.runs.record import Run
from jaxdl.step import metrics

Z = 1.96  # of a normal distribution, 95 % lie within so many deviations


@dataclasses.dataclass(frozen=True)
class Measured:
  """The mean over runs and its 95 % interval.

  Attributes:
    mean, low, high: the same unit.
    runs: int, how many.
  """

  mean: float
  low: float
  high: float
  runs: int


def of_numbers(values: Sequence[float]) -> Measured:
  """Mean ± 1.96 · deviation / √runs; a single number is an interval of no width."""
  mean = statistics.fmean(values)
  half = Z * statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
  return Measured(mean, mean - half, mean + half, len(values))


def of_shares(values: Sequence[float], count: int) -> Measured:
  """The interval of a share of examples, over runs that all counted the same examples.

  Two independent things make it uncertain: which examples were drawn, which more runs do not change
  (Wilson's interval of the mean share on `count` examples), and which seed a run had
  (1.96 · deviation / √runs). Each side is the square root of the sum of their squares; for a single
  run that is Wilson's interval.

  Args:
    values: shares, 0..1, one a run.
    count: int, examples that each was counted on.

  Returns:
    Measured.

  Source:
    Wilson 1927, 'Probable inference, the law of succession, and statistical inference'.
  """
  seeds = of_numbers(values)
  low, high = wilson(seeds.mean, count)
  half = seeds.high - seeds.mean
  return Measured(
    seeds.mean,
    seeds.mean - math.hypot(seeds.mean - low, half),
    seeds.mean + math.hypot(high - seeds.mean, half),
    seeds.runs,
  )


def wilson(share: float, count: int) -> tuple[float, float]:
  """(low, high) of Wilson's 95 % interval of a share of `count` examples."""
  centre = (share + Z * Z / (2 * count)) / (1 + Z * Z / count)
  half = (
    Z * math.sqrt(share * (1 - share) / count + Z * Z / (4 * count * count)) / (1 + Z * Z / count)
  )
  return max(0.0, centre - half), min(1.0, centre + half)


def of_runs(runs: Sequence[Run], key: str, *, shared: bool = False) -> Measured | None:
  """The interval of a figure over runs.

  Args:
    runs: list of Run.
    key: str, such as 'test_accuracy'.
    shared: whether it is compared with runs that counted the same examples; then the interval of
      several seeds leaves out which examples were drawn.

  Returns:
    Measured, or None where no run has the figure.
  """
  found = [
    (value, count) for value, count in (run.figure(key) for run in runs) if value is not None
  ]
  if not found:
    return None
  values, counts = zip(*found, strict=True)
  metric = metrics.find(key)
  is_share = metric is not None and metric.is_share
  if not is_share or min(counts) == 0 or (shared and len(values) > 1):
    return of_numbers(values)
  return of_shares(values, min(counts))


def difference(first: Sequence[Run], second: Sequence[Run], key: str) -> Measured | None:
  """The interval of a figure's difference, first runs minus second; None if either lacks it."""
  a, b = (of_runs(runs, key, shared=min(len(first), len(second)) > 1) for runs in (first, second))
  if a is None or b is None:
    return None
  return between(a, b)


def between(a: Measured, b: Measured) -> Measured:
  """The interval of a − b of two independent Measured."""
  mean = a.mean - b.mean
  return Measured(
    mean,
    mean - math.hypot(a.mean - a.low, b.high - b.mean),
    mean + math.hypot(a.high - a.mean, b.mean - b.low),
    min(a.runs, b.runs),
  )


def rounding(figure: float) -> float:
  """Half a unit of the last digit of a figure as it is written: 0.5 · 10⁻⁴ for 0.9727, 0 for a
  whole number.
  """
  if not isinstance(figure, float):
    return 0.0
  return 0.5 * 10.0 ** int(decimal.Decimal(repr(figure)).as_tuple().exponent)


def status(measured: Measured, reported: float, key: str) -> str:
  """'agrees' where our interval and what the report may have rounded from overlap, else how it
  differs.
  """
  slack = rounding(reported) * (1 + 1e-9)  # the bound itself is inside
  if measured.low - slack <= reported <= measured.high + slack:
    return 'agrees'
  metric = metrics.find(key)
  higher = measured.mean > reported
  if key.startswith('train_') or metric is None:
    return f'differs ({"higher" if higher else "lower"})'
  return f'differs ({"better" if higher == metric.higher_is_better else "worse"})'
