"""Learning-rate schedules by name: functions of the step that give a factor on the learning rate.

`steps` is the length of the run, `epoch` that of an epoch, both in steps; durations are written
'500 steps' or '2 epochs'. With a warm-up of n steps the factor first grows as 1/n, 2/n, … 1 (Goyal
et al. 2017).
"""

import itertools

import jax.numpy as jnp
import optax

from jaxdl.config import checks


def constant(steps, epoch, *, warmup=None):
  """The same learning rate at every step, after the warm-up."""
  length = _warmup(warmup, steps, epoch)
  return _rising(length, lambda step: 1.0) if length else optax.constant_schedule(1.0)


def in_stages(steps, epoch, *, boundaries, factor=0.1, warmup=None):
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


def cosine(steps, epoch, *, final=0.0, warmup=None):
  """Half a cosine from the end of the warm-up down to `final` at the last step (Loshchilov & Hutter
  2017).
  """
  checks.check_range(final, 'config.schedule.final', 0)
  length = _warmup(warmup, steps, epoch)
  fall = optax.cosine_decay_schedule(1.0, steps - length, alpha=final)
  return _rising(length, lambda step: fall(jnp.maximum(step - length, 0))) if length else fall


def one_cycle(steps, epoch, *, initial=0.04, final=4e-6, warmup=None):
  """Up by half a cosine from `initial` to 1, then down to `final`; the way up is the warm-up, else
  3/10 of the run.

  Source: Smith & Topin 2019, with the shape and the numbers of PyTorch's OneCycleLR.
  """
  checks.check_range(initial, 'config.schedule.initial', 0)
  checks.check_range(final, 'config.schedule.final', 0)
  length = _warmup(warmup, steps, epoch) or max(1, steps * 3 // 10)

  def between(first, last, share):
    return last + (first - last) * (1 + jnp.cos(jnp.pi * jnp.clip(share, 0, 1))) / 2

  return lambda step: jnp.where(
    step < length,
    between(initial, 1.0, step / length),
    between(1.0, final, (step - length) / max(1, steps - length)),
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
  return (
    (lambda step: jnp.minimum(1.0, (step + 1) / length) * schedule(step)) if length else schedule
  )


SCHEDULES = {'constant': constant, 'step': in_stages, 'cosine': cosine, 'one_cycle': one_cycle}
