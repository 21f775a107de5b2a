"""Learning-rate schedules by name: functions of the step that give a factor on the learning rate.

`steps` is the length of the run, `epoch` that of an epoch, both in steps; durations are written
'500 steps' or '2 epochs'. With a warm-up of n steps the factor first grows as 1/n, 2/n, … 1 (Goyal
et al. 2017).
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxdl.config import binding, checks

Step = int | jax.Array
Factor = Any  # float or jax.Array []
# Values of a config, which the functions check themselves.
Duration = Any  # '5500 steps', '20 epochs' or None
Setting = Any  # a number


def constant(steps: int, epoch: int, *, warmup: Duration = None) -> Callable[[Step], Factor]:
  """The same learning rate at every step, after the warm-up."""
  length = _warmup(warmup, steps, epoch)
  return _rising(length, lambda step: 1.0) if length else optax.constant_schedule(1.0)


def in_stages(
  steps: int,
  epoch: int,
  *,
  boundaries: Sequence[Any],
  factor: Setting = 0.1,
  warmup: Duration = None,
) -> Callable[[Step], Factor]:
  """Multiplies the learning rate by `factor` at each boundary, counted from the start of the run.

  Args:
    steps, epoch: as above.
    boundaries: ascending durations, such as ('10 epochs', '15 epochs').
    factor: float.
    warmup: duration or None.

  Returns:
    function(step) → factor.

  Raises:
    ValueError: no boundary, one that does not ascend, a factor out of its range, or a warm-up as
      long as the run.
  """
  where = 'config.schedule.boundaries'
  checks.check_range(factor, 'config.schedule.factor', 0, above=True)
  if not isinstance(boundaries, (list, tuple)) or not boundaries:
    raise ValueError(
      f"{where}={boundaries!r} is not a list of durations: write ('10 epochs', '15 epochs')"
    )
  places = [
    checks.in_steps(boundary, epoch, f'{where}[{number}]')
    for number, boundary in enumerate(boundaries)
  ]
  if any(after <= before for before, after in itertools.pairwise(places)):
    raise ValueError(
      f'{where}={boundaries!r} does not ascend: sort the boundaries and give each once'
    )

  def stage(step):
    return factor ** jnp.sum(step >= jnp.array(places)).astype(jnp.float32)

  return _rising(_warmup(warmup, steps, epoch), stage)


def cosine(
  steps: int, epoch: int, *, final: Setting = 0.0, warmup: Duration = None
) -> Callable[[Step], Factor]:
  """Half a cosine from the end of the warm-up down to `final` at the last step.

  The factor is `final + (1 - final) · (1 + cos(π · k / n)) / 2`, where k counts steps from the last
  one of the warm-up, else from the first step: 0 there, n at the last step of the run.

  Args:
    steps, epoch: as above.
    final: factor at the last step, 0 or more.
    warmup: duration or None.

  Returns:
    function(step) → factor.

  Raises:
    ValueError: a factor out of its range, or a warm-up as long as the run.

  Source: Loshchilov & Hutter 2017.
  """
  checks.check_range(final, 'config.schedule.final', 0)
  length = _warmup(warmup, steps, epoch)
  start = max(length - 1, 0)
  return _rising(length, _falling(start, max(1, steps - 1 - start), final))


def _falling(start, steps, final):
  """1 up to step `start`, then half a cosine that reaches `final` after so many steps."""
  fall = optax.cosine_decay_schedule(1.0, steps, alpha=final)
  return lambda step: fall(jnp.maximum(step - start, 0))


def exponential(
  steps: int, epoch: int, *, final: Setting, warmup: Duration = None
) -> Callable[[Step], Factor]:
  """The same factor at every step, from 1 at the end of the warm-up to `final` at the last step.

  The factor is `final ** (k / n)`, where k and n are those of `cosine`.

  Args:
    steps, epoch: as above.
    final: factor at the last step, above 0; above 1 for a rising learning rate.
    warmup: duration or None.

  Returns:
    function(step) → factor.

  Raises:
    ValueError: a factor out of its range, or a warm-up as long as the run.
  """
  checks.check_range(final, 'config.schedule.final', 0, above=True)
  length = _warmup(warmup, steps, epoch)
  start = max(length - 1, 0)
  span = max(1, steps - 1 - start)
  logarithm = math.log(final)
  return _rising(length, lambda step: jnp.exp(logarithm * jnp.clip((step - start) / span, 0, 1)))


def one_cycle(
  steps: int,
  epoch: int,
  *,
  initial: Setting = 0.04,
  final: Setting = 4e-6,
  warmup: Duration = None,
) -> Callable[[Step], Factor]:
  """Up by half a cosine from `initial` to 1, then down by another to `final` at the last step.

  The way up takes 3/10 of the run, or the warm-up. With n steps, or a warm-up of w, the factor is 1
  at step 0.3 · n - 1, or w - 1, counted from 0; a peak between two steps is not reached.

  Args:
    steps, epoch: as above.
    initial: factor at the first step, 0 or more.
    final: factor at the last step, 0 or more.
    warmup: duration of the way up or None.

  Returns:
    function(step) → factor.

  Raises:
    ValueError: a factor out of its range, or a warm-up as long as the run.

  Source: Smith & Topin 2019, with the shape and the defaults of PyTorch's OneCycleLR, where
    `initial` is 1 / div_factor, `final` is 1 / (div_factor · final_div_factor) and the way up is
    pct_start.
  """
  checks.check_range(initial, 'config.schedule.initial', 0)
  checks.check_range(final, 'config.schedule.final', 0)
  length = _warmup(warmup, steps, epoch) or 0.3 * steps
  peak, end = length - 1, steps - 1

  def factor(step):
    # A run of three steps or fewer has no way up, as its peak is before the first step.
    rising = _half_cosine(initial, 1.0, step / peak) if peak > 0 else 1.0
    falling = _half_cosine(1.0, final, (step - peak) / (end - peak))
    return jnp.where(step <= peak, rising, falling)

  return factor


def _half_cosine(first, last, share):
  return last + (first - last) * (1 + jnp.cos(jnp.pi * jnp.clip(share, 0, 1))) / 2


def _cosine_of_format_1(steps, epoch, *, final=0.0, warmup=None):
  """`cosine` in runs of format 1: it ends one step after the last one."""
  checks.check_range(final, 'config.schedule.final', 0)
  length = _warmup(warmup, steps, epoch)
  return _rising(length, _falling(length, steps - length, final))


def _one_cycle_of_format_1(steps, epoch, *, initial=0.04, final=4e-6, warmup=None):
  """`one_cycle` in runs of format 1: its peak and its end are one step later."""
  checks.check_range(initial, 'config.schedule.initial', 0)
  checks.check_range(final, 'config.schedule.final', 0)
  length = _warmup(warmup, steps, epoch) or max(1, steps * 3 // 10)
  return lambda step: jnp.where(
    step < length,
    _half_cosine(initial, 1.0, step / length),
    _half_cosine(1.0, final, (step - length) / max(1, steps - length)),
  )


def _warmup(warmup, steps, epoch):
  """The warm-up in steps, 0 for None."""
  if warmup is None:
    return 0
  length = checks.in_steps(warmup, epoch, 'config.schedule.warmup')
  if length >= steps:
    raise ValueError(
      f'config.schedule.warmup={warmup!r} is {length} steps of a run of {steps}: make it shorter'
    )
  return length


def _rising(length, schedule):
  """A schedule times the warm-up's factor, which is 1 from step `length` − 1 on."""
  if not length:
    return schedule
  return lambda step: jnp.minimum(1.0, (step + 1) / length) * schedule(step)


SCHEDULES = {
  'constant': constant,
  'step': in_stages,
  'cosine': cosine,
  'exponential': exponential,
  'one_cycle': one_cycle,
}
# A run of format 1 that is resumed follows the rule that it was started with.
FORMAT_1 = {**SCHEDULES, 'cosine': _cosine_of_format_1, 'one_cycle': _one_cycle_of_format_1}


def build(section: Any, format: int, *, steps: int, epoch: int) -> optax.Schedule:
  """Builds the schedule of a config.

  Args:
    section: the section `config.schedule`; None for a constant rate.
    format: format of the run. Runs of format 1 keep the schedules with which they were started.
    steps: length of the run in steps.
    epoch: length of an epoch in steps.

  Returns:
    Function (step) → factor on the learning rate.

  Raises:
    ValueError: an unknown schedule or key, or a value out of its range.
  """
  known = FORMAT_1 if format == 1 else SCHEDULES
  section = {'name': 'constant'} if section is None else section
  return binding.bind(known, section, 'config.schedule', steps=steps, epoch=epoch)()
