"""Tests of learning-rate schedules: hand-computed values and PyTorch's formulas."""

import math

import numpy as np
import pytest

from jaxdl.step import schedules


def factors(name, steps, **arguments):
  """Returns the factors at the given steps of a run of 100 steps, 10 per epoch."""
  schedule = schedules.SCHEDULES[name](100, 10, **arguments)
  return [float(schedule(step)) for step in steps]


@pytest.mark.parametrize(
  ('name', 'arguments', 'expected'),
  [
    ('constant', {}, {0: 1, 99: 1}),
    ('constant', dict(warmup='4 steps'), {0: 0.25, 1: 0.5, 2: 0.75, 3: 1, 4: 1, 99: 1}),
    (
      'step',
      dict(boundaries=['3 epochs', '50 steps']),
      {0: 1, 29: 1, 30: 0.1, 49: 0.1, 50: 0.01, 99: 0.01},
    ),
    (
      'step',
      dict(boundaries=['2 steps', '8 steps'], factor=0.5, warmup='4 steps'),
      {0: 0.25, 1: 0.5, 2: 0.375, 3: 0.5, 7: 0.5, 8: 0.25},
    ),
    ('cosine', {}, {0: 1, 33: 0.75, 66: 0.25, 99: 0, 120: 0}),
    ('cosine', dict(final=0.1), {0: 1, 33: 0.775, 66: 0.325, 99: 0.1, 120: 0.1}),
    (
      'cosine',
      dict(final=0.1, warmup='2 epochs'),
      {0: 0.05, 9: 0.5, 19: 1, 59: 0.55, 99: 0.1},
    ),
    ('cosine', dict(final=0.1, warmup='99 steps'), {0: 1 / 99, 98: 1, 99: 0.1}),
    ('exponential', dict(final=0.01), {0: 1, 33: 10 ** (-2 / 3), 66: 10 ** (-4 / 3), 99: 0.01}),
    ('exponential', dict(final=1000), {0: 1, 33: 10, 66: 100, 99: 1000, 120: 1000}),
    (
      'exponential',
      dict(final=0.25, warmup='2 epochs'),
      {0: 0.05, 9: 0.5, 19: 1, 59: 0.5, 99: 0.25},
    ),
    ('one_cycle', {}, {0: 0.04, 29: 1, 64: 0.500002, 99: 4e-6}),
    (
      'one_cycle',
      dict(warmup='51 steps', initial=0.2, final=0.0),
      {0: 0.2, 25: 0.6, 50: 1, 99: 0},
    ),
    ('one_cycle', dict(warmup='1 step'), {0: 1, 99: 4e-6}),
  ],
  ids=lambda value: value if isinstance(value, str) else '',
)
def test_schedule_equals_hand_computed_values(name, arguments, expected):
  np.testing.assert_allclose(
    factors(name, expected, **arguments), list(expected.values()), rtol=1e-5, atol=1e-6
  )


@pytest.mark.parametrize('name', schedules.SCHEDULES)
def test_warm_up_rises_every_step_to_the_full_rate(name):
  arguments = {'step': dict(boundaries=['9 epochs']), 'exponential': dict(final=0.1)}.get(name, {})
  rising = factors(name, range(21), warmup='20 steps', **arguments)
  assert all(after > before for before, after in zip(rising[:19], rising[1:20], strict=True))
  assert rising[0] > 0
  assert rising[19] == pytest.approx(1)


def pytorch_one_cycle(steps, step, *, pct_start=0.3, div_factor=25.0, final_div_factor=1e4):
  """Returns the factor on max_lr of torch.optim.lr_scheduler.OneCycleLR(anneal_strategy='cos').

  Source: PyTorch 2.9, `OneCycleLR.__init__` and `get_lr`.
  """
  initial_lr = 1 / div_factor
  min_lr = initial_lr / final_div_factor
  phases = [
    {'end_step': float(pct_start * steps) - 1, 'start_lr': initial_lr, 'end_lr': 1.0},
    {'end_step': steps - 1, 'start_lr': 1.0, 'end_lr': min_lr},
  ]
  start_step = 0.0
  for number, phase in enumerate(phases):
    end_step = phase['end_step']
    if step <= end_step or number == len(phases) - 1:
      share = (step - start_step) / (end_step - start_step)
      start, end = phase['start_lr'], phase['end_lr']
      return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)
    start_step = end_step


@pytest.mark.parametrize('steps', [2, 3, 7, 30, 100, 1407])
def test_one_cycle_equals_pytorch(steps):
  schedule = schedules.one_cycle(steps, 10)
  found = [float(schedule(step)) for step in range(steps)]
  expected = [pytorch_one_cycle(steps, step) for step in range(steps)]
  np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-7)


def test_cosine_equals_pytorch():
  """CosineAnnealingLR in closed form with T_max = steps − 1: its value at step T_max is eta_min."""
  schedule = schedules.cosine(12, 10, final=0.1)
  expected = [0.1 + 0.9 * (1 + math.cos(math.pi * step / 11)) / 2 for step in range(12)]
  np.testing.assert_allclose([float(schedule(step)) for step in range(12)], expected, rtol=1e-6)


@pytest.mark.parametrize(
  ('name', 'arguments', 'expected'),
  [
    ('cosine', dict(final=0.1), {0: 1, 50: 0.55, 100: 0.1}),
    ('cosine', dict(final=0.1, warmup='2 epochs'), {0: 0.05, 19: 1, 20: 1, 60: 0.55, 100: 0.1}),
    ('one_cycle', {}, {0: 0.04, 15: 0.52, 30: 1, 65: 0.500002, 100: 4e-6}),
  ],
)
def test_runs_of_format_1_keep_their_schedule(name, arguments, expected):
  section = {'name': name, **arguments}
  schedule = schedules.build(section, 1, steps=100, epoch=10)
  found = [float(schedule(step)) for step in expected]
  np.testing.assert_allclose(found, list(expected.values()), atol=1e-6)
  current = schedules.build(section, 2, steps=100, epoch=10)
  again = [float(current(step)) for step in expected]
  np.testing.assert_allclose(again, factors(name, expected, **arguments), atol=1e-6)
  assert np.abs(np.subtract(found, again)).max() > 1e-3


def test_no_schedule_is_a_constant_rate():
  schedule = schedules.build(None, 2, steps=100, epoch=10)
  assert [float(schedule(step)) for step in (0, 50, 99)] == [1, 1, 1]


@pytest.mark.parametrize(
  ('name', 'arguments', 'message'),
  [
    (
      'constant',
      dict(warmup='100 steps'),
      r"config\.schedule\.warmup='100 steps' is 100 steps of a run of 100: make it shorter",
    ),
    ('cosine', dict(warmup=5), r"config\.schedule\.warmup=5 is not a duration: write '5500 steps'"),
    (
      'cosine',
      dict(final=-1),
      r'config\.schedule\.final=-1 is out of range: use a number from 0 on',
    ),
    (
      'step',
      dict(boundaries='10 epochs'),
      r"config\.schedule\.boundaries='10 epochs' is not a list of durations: write",
    ),
    (
      'step',
      dict(boundaries=['2 epochs', '20 steps']),
      r'config\.schedule\.boundaries=.* does not ascend: sort',
    ),
    (
      'step',
      dict(boundaries=['1 epoch', 'then']),
      r"config\.schedule\.boundaries\[1\]='then' is not a duration",
    ),
    (
      'step',
      dict(boundaries=['1 epoch'], factor=0),
      r'config\.schedule\.factor=0 is out of range: use a number above 0',
    ),
    (
      'exponential',
      dict(final=0),
      r'config\.schedule\.final=0 is out of range: use a number above 0',
    ),
    (
      'one_cycle',
      dict(initial='low'),
      r"config\.schedule\.initial='low' is not a number: use a number",
    ),
  ],
)
def test_invalid_key_error_names_the_fix(name, arguments, message):
  with pytest.raises(ValueError, match=f'^{message}'):
    schedules.SCHEDULES[name](100, 10, **arguments)
