"""How much memory there is: what cannot fit is refused before anything is made."""

import psutil


def check(size, what):
  """Raises ValueError where something is larger than the machine's memory.

  Args:
    size: int, bytes.
    what: str that begins the message, such as 'config.data.size=4000'.
  """
  there = psutil.virtual_memory().total
  if size > there:
    raise ValueError(
      f'{what} needs {size // 10**9:,} GB and the machine has {there // 10**9:,}: make it smaller'
    )
