"""XLA flags for jaxlib versions whose CPU compiler computes wrong results.

From jaxlib 0.10.2, XLA passes fusions of matrix products, elementwise operations and reductions to
YNNPACK. Two of these fusions are faulty: a matrix product followed by a reduction gives wrong
numbers in large batches (jax#39103), and a reduction over a product of arrays of rank 7 crashes
(jax#39257, jax#40412). jaxlib 0.12 has neither fault.
"""

import importlib.metadata
import os
import re
import sys
import warnings

FLAG = '--xla_cpu_experimental_ynn_fusion_type'
SAFE = f'{FLAG}=individual_dot'  # single matrix products only: both faults need several operations
FIRST_AFFECTED, FIRST_FIXED = (
  (0, 10, 2),
  (0, 12),
)  # others may not know the flag, which aborts a process


def is_affected(version: str) -> bool:
  """Whether a version of jaxlib, such as '0.10.2', has the faulty fusions."""
  found = re.match(r'(\d+)\.(\d+)(?:\.(\d+))?', version)
  if found is None:
    return False
  numbers = tuple(int(number or 0) for number in found.groups())
  return FIRST_AFFECTED <= numbers < FIRST_FIXED


def set_flags() -> None:
  """Adds the flag to XLA_FLAGS where the installed jaxlib needs it; child processes inherit it.

  A value of the flag that is already in XLA_FLAGS is kept. XLA reads XLA_FLAGS once, when the first
  backend starts: a RuntimeWarning is given where this has happened, or where XLA_FLAGS is the name
  of a file, which is not changed.
  """
  try:
    version = importlib.metadata.version('jaxlib')
  except importlib.metadata.PackageNotFoundError:
    return
  flags = os.environ.get('XLA_FLAGS', '').strip()
  if not is_affected(version) or FLAG in flags:
    return
  why = f'jaxlib {version} computes wrong numbers on CPUs without it'
  if flags and not flags.startswith('-'):  # XLA then reads a file of this name
    _warn(f'add {SAFE} to the file {flags}: {why}')
    return
  os.environ['XLA_FLAGS'] = f'{flags} {SAFE}'.strip()
  if backend_started():
    _warn(f'import jaxdl before JAX is first used, or set XLA_FLAGS={SAFE}: {why}')


def backend_started() -> bool:
  """Whether JAX is imported and has started a backend."""
  bridge = sys.modules.get('jax._src.xla_bridge')
  started = getattr(bridge, 'backends_are_initialized', None)
  return started is not None and started()


def _warn(message: str) -> None:
  warnings.warn(message, RuntimeWarning, stacklevel=4)  # the line that imports jaxdl
