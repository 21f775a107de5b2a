"""95 % intervals computed by hand, and the comparison of reported figures with them."""

import math

import pytest
from scipy import stats

from launch.reproduction import interval, wording


def test_interval_of_one_run_is_wilson():
  """50 of 100 with z = 1.96: centre 0.5, half 1.96 · √(0.0025 + 0.00009604) / 1.038416 = 0.09617."""
  assert interval.wilson(0.5, 100) == pytest.approx((0.40383, 0.59617), abs=1e-5)
  assert interval.wilson(1.0, 100) == pytest.approx((1 / 1.038416, 1.0), abs=1e-5)
  assert interval.of_shares([0.5], 100) == interval.Measured(0.5, *interval.wilson(0.5, 100), 1)


@pytest.mark.parametrize(
  ('successes', 'count'), [(0, 7), (7, 7), (1, 3), (50, 100), (9_883, 10_000)]
)
def test_interval_of_one_run_equals_scipy(successes, count):
  """At the confidence level of z = 1.96."""
  level = math.erf(interval.Z / math.sqrt(2))
  expected = stats.binomtest(successes, count).proportion_ci(level, method='wilson')
  found = interval.wilson(successes / count, count)
  assert found == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_interval_of_several_runs_adds_their_deviation():
  """0.49, 0.50, 0.51: deviation 0.01, so 1.96 · 0.01 / √3 = 0.011316 in addition to Wilson's
  0.09617.
  """
  measured = interval.of_shares([0.49, 0.50, 0.51], 100)
  assert measured.high - 0.5 == pytest.approx(math.hypot(0.09617, 0.011316), abs=1e-5)
  numbers = interval.of_numbers([0.49, 0.50, 0.51])
  assert (numbers.low, numbers.high) == pytest.approx((0.5 - 0.011316, 0.5 + 0.011316), abs=1e-5)
  assert interval.of_numbers([2.0]) == interval.Measured(2.0, 2.0, 2.0, 1)


@pytest.mark.parametrize(
  ('reported', 'expected'),
  [
    (0.5, 'agrees'),
    (0.41, 'agrees'),
    (0.4, 'agrees'),  # 0.4 may be rounded from 0.45
    (0.60, 'agrees'),
    (0.601, 'differs (worse)'),
    (0.61, 'differs (worse)'),
    (0.39, 'differs (better)'),
  ],
)
def test_interval_status_allows_for_rounding(reported, expected):
  """The measured interval is 0.40383 to 0.59617; '0.601' stands for 0.6005 to 0.6015, '0.6' for
  0.55 to 0.65.
  """
  assert interval.status(interval.of_shares([0.5], 100), reported, 'test_accuracy') == expected


def test_interval_status_knows_the_better_direction():
  measured = interval.of_numbers([0.5])
  assert interval.status(measured, 0.7, 'validation_loss') == 'differs (better)'
  assert interval.status(measured, 0.3, 'test_bits_per_character') == 'differs (worse)'
  assert (
    interval.status(measured, 0.3, 'train_accuracy') == 'differs (higher)'
  )  # may be overfitting


@pytest.mark.parametrize(
  ('figure', 'half'), [(0.9727, 0.00005), (0.88, 0.005), (0.1876, 0.00005), (5500, 0.0)]
)
def test_interval_rounding_is_half_the_last_digit(figure, half):
  assert interval.rounding(figure) == pytest.approx(half)


@pytest.mark.parametrize(
  ('value', 'text'),
  [(0.88, '88 %'), (0.987, '98.7 %'), (0.9727, '97.27 %'), (0.9, '90 %'), (None, '–')],
)
def test_ledger_keeps_the_digits_of_a_report(value, text):
  assert wording.reported('test_accuracy', value) == text
