"""Selects between the stock lowering of XLA and the faster lowering of a platform."""

import contextlib
import contextvars
from collections.abc import Iterator

_STOCK = contextvars.ContextVar('stock_lowering', default=False)


@contextlib.contextmanager
def stock_lowering() -> Iterator[None]:
  """Makes the operations of this package use XLA's stock lowering on every platform.

  The traced program contains no platform-dependent code and no custom gradients, and does not
  depend on the batch size, so it can be exported with a variable batch axis. The results are equal
  up to rounding. The context affects only tracing in its own thread (or asynchronous task).
  Programs that `jax.jit` has already traced keep their lowering.
  """
  token = _STOCK.set(True)
  try:
    yield
  finally:
    _STOCK.reset(token)


def is_stock() -> bool:
  """Returns whether the caller is inside `stock_lowering`."""
  return _STOCK.get()
