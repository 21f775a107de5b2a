"""95 % intervals of figures over runs, and whether a reported figure lies inside."""

import dataclasses
import decimal
import math
import statistics
from collections.abc import Sequence

from jaxdl.runs.record import Run
from jaxdl.step import metrics
from jaxdl.step.intervals import Z, wilson


@dataclasses.dataclass(frozen=True)
class Measured:
  """The mean over runs and its 95 % interval, in the same unit.

  Attributes:
    mean: mean over the runs.
    low: lower end of the interval.
    high: upper end of the interval.
    runs: number of runs.
  """

  mean: float
  low: float
  high: float
  runs: int


def of_numbers(values: Sequence[float]) -> Measured:
  """Mean ± 1.96 · deviation / √runs; the interval of a single number has no width."""
  mean = statistics.fmean(values)
  half = Z * statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
  return Measured(mean, mean - half, mean + half, len(values))


def of_shares(values: Sequence[float], count: int) -> Measured:
  """The interval of a share of examples, over runs that all counted the same examples.

  It combines two independent sources of uncertainty: the sample of examples, which more runs do not
  reduce (Wilson's interval of the mean share on `count` examples), and the seed (1.96 · deviation /
  √runs). Each side is the square root of the sum of their squares. For a single run it is Wilson's
  interval.

  Args:
    values: shares, 0..1, one for each run.
    count: number of examples that each share was counted on.

  Returns:
    The mean share and its interval.

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


def of_runs(runs: Sequence[Run], key: str, *, shared: bool = False) -> Measured | None:
  """The interval of a figure over runs.

  Args:
    runs: records of the runs.
    key: figure, such as 'test_accuracy'.
    shared: whether the figure is compared with one of runs that counted the same examples. Then the
      interval over several seeds leaves out the uncertainty of the sample.

  Returns:
    The interval; None if no run has the figure.
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
  """The interval of a figure's mean in the first runs minus that in the second.

  Returns:
    The interval; None if the first or the second runs do not have the figure.
  """
  shared = min(len(first), len(second)) > 1
  a = of_runs(first, key, shared=shared)
  b = of_runs(second, key, shared=shared)
  if a is None or b is None:
    return None
  return between(a, b)


def between(a: Measured, b: Measured) -> Measured:
  """The interval of a − b for independent a and b."""
  mean = a.mean - b.mean
  return Measured(
    mean,
    mean - math.hypot(a.mean - a.low, b.high - b.mean),
    mean + math.hypot(a.high - a.mean, b.mean - b.low),
    min(a.runs, b.runs),
  )


def rounding(figure: float) -> float:
  """Half a unit of a figure's last written digit: 0.5 · 10⁻⁴ for 0.9727, 0 for an integer."""
  if not isinstance(figure, float):
    return 0.0
  return 0.5 * 10.0 ** int(decimal.Decimal(repr(figure)).as_tuple().exponent)


def status(measured: Measured, reported: float, key: str) -> str:
  """Compares a reported figure, which may be rounded, with our interval.

  Args:
    measured: our interval.
    reported: the report's figure.
    key: name of the figure, such as 'test_accuracy'.

  Returns:
    'agrees' if the interval and the reported figure's rounding interval overlap, else how ours
    differs: 'differs (better)', 'differs (worse)', and '(higher)' or '(lower)' for figures of
    training and figures without a better direction.
  """
  slack = rounding(reported) * (1 + 1e-9)  # the bound itself is inside
  if measured.low - slack <= reported <= measured.high + slack:
    return 'agrees'
  metric = metrics.find(key)
  higher = measured.mean > reported
  if key.startswith('train_') or metric is None:
    return f'differs ({"higher" if higher else "lower"})'
  return f'differs ({"better" if higher == metric.higher_is_better else "worse"})'
