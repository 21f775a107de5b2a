"""Checks that data fit into memory before they are allocated."""

import psutil


def check(size: int, what: str) -> None:
  """Checks that data fit into the memory of the machine.

  Args:
    size: bytes.
    what: the beginning of the message, such as 'config.data.size=4000'.

  Raises:
    ValueError: `size` is larger than the memory of the machine.
  """
  total = psutil.virtual_memory().total
  if size > total:
    raise ValueError(
      f'{what} needs {size // 10**9:,} GB and the machine has {total // 10**9:,}: make it smaller'
    )
