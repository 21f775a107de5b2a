"""Tests of claims that compare runs: functions of the finished runs, from their files only."""

import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple

from jaxdl.runs.record import Run
from launch.reproduction import interval, wording


class Verdict(NamedTuple):
  """What a test found.

  Attributes:
    status: 'agrees', 'differs (better | worse | …)' or 'not testable'.
    ours: str, the figures it rests on.
    note: str.
  """

  status: str
  ours: str
  note: str = ''


Test = Callable[..., Verdict]  # of the finished runs of each group, in order


def higher(key: str) -> Test:
  """Returns a test that a figure is higher in the first runs than in the second."""

  def test(first, second):
    gap = interval.difference(first, second, key)
    if gap is None:
      return Verdict('not testable', '–', f'the runs have no {key}')
    points = f'{_values(first, key)} against {_values(second, key)}'
    if gap.low > 0 or gap.high < 0:
      return Verdict('agrees' if gap.low > 0 else 'differs (the other way round)', points)
    return Verdict(
      'not testable', points, 'the 95 % interval of the difference holds 0: more seeds are needed'
    )

  return test


def lower(key: str) -> Test:
  """Returns a test that a figure is lower in the first runs than in the second."""
  return lambda first, second: higher(key)(second, first)


def no_difference(key: str) -> Test:
  """Returns a test that the 95 % interval of the difference between two lists of runs holds 0."""

  def test(first, second):
    gap = interval.difference(first, second, key)
    if gap is None:
      return Verdict('not testable', '–', f'the runs have no {key}')
    same = gap.low <= 0 <= gap.high
    return Verdict(
      'agrees' if same else f'differs ({"higher" if gap.low > 0 else "lower"} in the first)',
      f'{_values(first, key)} against {_values(second, key)}',
    )

  return test


def first_step(run: Run, level: float) -> int | None:
  """The first evaluated step at which the test accuracy reaches a level; None if none does."""
  return next(
    (line['step'] for line in run.of_split('test') if line.get('accuracy', 0) >= level), None
  )


def by_step(level: float, step: int) -> Test:
  """Returns a test that the test accuracy reaches a level at a step or before."""

  def test(runs):
    steps = [first_step(run, level) for run in runs]
    if None in steps:
      return Verdict(
        'differs (worse)', f'reached by {len(steps) - steps.count(None)} of {len(steps)} runs'
      )
    return Verdict('agrees' if statistics.fmean(steps) <= step else 'differs (worse)', _at(steps))

  return test


def near_step(level: float, earliest: int, latest: int) -> Test:
  """Returns a test that the test accuracy first reaches a level between two steps."""

  def test(runs):
    steps = [first_step(run, level) for run in runs]
    if None in steps:
      return Verdict(
        'differs (worse)', f'reached by {len(steps) - steps.count(None)} of {len(steps)} runs'
      )
    mean = statistics.fmean(steps)
    if earliest <= mean <= latest:
      return Verdict('agrees', _at(steps))
    return Verdict('differs (better)' if mean < earliest else 'differs (worse)', _at(steps))

  return test


def in_order_of_need(level: float) -> Test:
  """Returns a test that each list of runs needs fewer steps to a level of test accuracy than the
  one before.
  """

  def test(*groups):
    steps = [[first_step(run, level) for run in runs] for runs in groups]
    if any(None in found for found in steps):
      return Verdict('not testable', '–', f'not every run reaches {level:.0%}'.replace('%', ' %'))
    means = [interval.of_numbers(found) for found in steps]
    words = ', '.join(_at(found) for found in steps)
    gaps = [interval.between(slow, fast) for slow, fast in zip(means, means[1:], strict=False)]
    if all(gap.low > 0 for gap in gaps):
      return Verdict('agrees', words)
    if any(gap.high < 0 for gap in gaps):
      return Verdict('differs (another order)', words)
    return Verdict(
      'not testable', words, 'the 95 % interval of a difference holds 0: more seeds are needed'
    )

  return test


def overfits(earliest: int, latest: int) -> Test:
  """Returns a test that the test loss is lowest between two steps."""

  def test(runs):
    steps = [
      min(run.of_split('test'), key=lambda line: line['loss'])['step']
      for run in runs
      if run.of_split('test')
    ]
    if not steps:
      return Verdict('not testable', '–', 'no test loss was measured during training')
    mean = statistics.fmean(steps)
    found = 'later' if mean > latest else 'earlier'
    return Verdict(
      'agrees' if earliest <= mean <= latest else f'differs ({found})',
      f'lowest test loss {_at(steps)}',
    )

  return test


def lowest_validation_loss(reported: float) -> Test:
  """Returns a test of the lowest validation loss over all of training."""

  def test(runs):
    losses = [[line['loss'] for line in run.of_split('validation')] for run in runs]
    if not all(losses):
      return Verdict('not testable', '–', 'a run has no validation loss')
    measured = interval.of_numbers([min(found) for found in losses])
    return Verdict(
      interval.status(measured, reported, 'validation_loss'),
      wording.with_interval('validation_loss', measured),
    )

  return test


def split_lower(name: str, splits: Sequence[str], than: str) -> Test:
  """Returns a test that a figure of some splits is lower than that of another, in the same runs."""

  def test(runs):
    keys = [f'{split}_{name}' for split in (*splits, than)]
    means = [interval.of_runs(runs, key) for key in keys]
    if None in means:
      return Verdict('not testable', '–', f'the runs have no {keys[means.index(None)]}')
    words = ', '.join(
      f'{key.partition("_")[0]} {wording.figure(key, measured.mean)}'
      for key, measured in zip(keys, means, strict=True)
    )
    return Verdict(
      'agrees'
      if all(measured.mean < means[-1].mean for measured in means[:-1])
      else 'differs (the other way round)',
      words,
    )

  return test


def _values(runs, key):
  measured = interval.of_runs(runs, key)
  seeds = '1 seed' if measured.runs == 1 else f'{measured.runs} seeds'
  return f'{wording.figure(key, measured.mean)} ({seeds})'


def _at(steps):
  """'at step 950 (900 to 1,000)'."""
  spread = f' ({min(steps):,} to {max(steps):,})' if len(set(steps)) > 1 else ''
  return f'at step {statistics.fmean(steps):,.0f}{spread}'
