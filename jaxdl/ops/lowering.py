"""The choice between the stock lowering of XLA and the one that is fast on a platform."""

import contextlib
import contextvars
from collections.abc import Iterator

_STOCK = contextvars.ContextVar('stock_lowering', default=False)


@contextlib.contextmanager
def stock_lowering() -> Iterator[None]:
  """Makes the operations of this package use XLA's stock lowering on every platform.

  The traced program then has no choice of platform, no custom gradient, and no part that depends on
  the size of the batch, so that it can be exported with a free batch axis. The results are equal to
  rounding. The context applies to what its thread (or asynchronous task) traces inside it. A
  program that `jax.jit` has traced before keeps its lowering, inside the context or outside.
  """
  token = _STOCK.set(True)
  try:
    yield
  finally:
    _STOCK.reset(token)


def is_stock() -> bool:
  """Whether the caller is inside `stock_lowering`."""
  return _STOCK.get()
