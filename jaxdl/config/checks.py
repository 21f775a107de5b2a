"""Checks of single config values; errors name the key, the value and the valid range."""

import math
import re
import sys
from typing import Any

import jax.core


def check_section(section: Any, where: str) -> None:
  """Raises ValueError if a value is not a section."""
  if not isinstance(section, dict):
    raise ValueError(f'{where}={section!r} is not a section: write dict(…) with its keys')


def check_range(
  value: Any, where: str, low: float, high: float = math.inf, *, above: bool = False
) -> None:
  """Raises ValueError unless `low <= value < high`, or `low < value < high` with `above`."""
  if is_traced(value):
    return
  if (
    not is_number(value)
    or abs(value) > sys.float_info.max
    or not low <= value < high
    or (above and value == low)
  ):
    words = f'above {low}' if above else f'from {low}'
    if high < math.inf:
      words += f' to below {high}'
    elif not above:
      words += ' on'
    fault = 'out of range' if is_number(value) else 'not a number'
    raise ValueError(f'{where}={value!r} is {fault}: use a number {words}')


def is_number(value: Any) -> bool:
  """Whether a value is an integer or a floating-point number; booleans are not numbers."""
  return isinstance(value, (int, float)) and not isinstance(value, bool)


def check_integer(value: Any, where: str, low: int, high: int) -> None:
  """Raises ValueError if a value is not an integer from `low` to `high`."""
  if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
    raise ValueError(f'{where}={value!r} is not an integer from {low:,} to {high:,}')


def check_seed(value: Any, where: str) -> None:
  """Raises ValueError if a config's value is not the seed of random draws."""
  if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**32:
    raise ValueError(f'{where}={value!r} is not a seed: use an integer from 0 to 4294967295')


def is_traced(value: Any) -> bool:
  """Whether a value is a traced argument of a compiled program; its numbers are already checked."""
  return isinstance(value, jax.core.Tracer)


def check_flag(value: Any, where: str) -> None:
  """Raises ValueError if a value is not True or False."""
  if not isinstance(value, bool):
    raise ValueError(f'{where}={value!r} is not a boolean: use True or False')


def in_steps(duration: Any, steps_per_epoch: int, where: str) -> int:
  """Converts '5500 steps' or '20 epochs' to a number of steps.

  Args:
    duration: an integer and its unit.
    steps_per_epoch: length of an epoch.
    where: the config key, for messages.

  Returns:
    The number of steps, at least 1.

  Raises:
    ValueError: the duration has another form, is less than one step, or exceeds an int32.
  """
  match = re.fullmatch(r'(\d{1,10}) (steps?|epochs?)', str(duration))
  steps = int(match[1]) * (steps_per_epoch if match[2].startswith('epoch') else 1) if match else 0
  if not 1 <= steps < 2**31:
    raise ValueError(f"{where}={duration!r} is not a duration: write '5500 steps' or '20 epochs'")
  return steps
