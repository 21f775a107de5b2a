"""Checks of single config values; each error names the key, the value and the valid range."""

import math
import re
import sys

import jax


def check_section(section, where):
  """Raises ValueError where a section is not one."""
  if not isinstance(section, dict):
    raise ValueError(f'{where}={section!r} is not a section: write dict(…) with its keys')


def check_range(value, where, low, high=math.inf, *, above=False):
  """Raises ValueError where `low <= value < high` is not so, or not `low < value` where it must be
  `above`.
  """
  if is_traced(value):
    return
  is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
  if (
    not is_number
    or abs(value) > sys.float_info.max
    or not low <= value < high
    or (above and value == low)
  ):
    words = f'{"above" if above else "from"} {low}' + (
      f' to below {high}' if high < math.inf else ' on' * (not above)
    )
    raise ValueError(
      f'{where}={value!r} is {"out of range" if is_number else "no number"}: use a number {words}'
    )


def check_whole(value, where, low, high):
  """Raises ValueError where a value is not a whole number from low to high."""
  if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
    raise ValueError(f'{where}={value!r} is not a whole number from {low:,} to {high:,}')


def is_traced(value):
  """Whether a number is one of several that a compiled program takes; each was checked when it was
  still a number.
  """
  return isinstance(value, jax.core.Tracer)


def check_flag(value, where):
  """Raises ValueError where a value is not True or False."""
  if not isinstance(value, bool):
    raise ValueError(f'{where}={value!r} is not a switch: use True or False')


def in_steps(duration, steps_per_epoch, where):
  """'5500 steps' or '20 epochs' as a number of steps.

  Args:
    duration: str, a whole number and its unit.
    steps_per_epoch: int.
    where: str, the config key, for messages.

  Returns:
    int >= 1.

  Raises:
    ValueError: another form, less than one step, or more than an int32 counts.
  """
  match = re.fullmatch(r'(\d{1,10}) (steps?|epochs?)', str(duration))
  steps = int(match[1]) * (steps_per_epoch if match[2].startswith('epoch') else 1) if match else 0
  if not 1 <= steps < 2**31:
    raise ValueError(f"{where}={duration!r} is not a duration: write '5500 steps' or '20 epochs'")
  return steps
