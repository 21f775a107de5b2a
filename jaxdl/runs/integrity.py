"""Damage: checksums tell of it, for a flipped bit in a stored array has no other sign, and what is
damaged is put aside.
"""

import json
import pathlib
import sys
import zlib

import jax
import numpy as np


class DamagedError(ValueError):
  """What was read is not what was written."""


def checksums(tree):
  """CRC-32 of every array of a tree: of its type, shape and bytes.

  Args:
    tree: of arrays.

  Returns:
    dict, path of a leaf → int.
  """
  leaves, _ = jax.tree_util.tree_flatten_with_path(jax.device_get(tree))
  return {jax.tree_util.keystr(path): _of_array(np.asarray(leaf)) for path, leaf in leaves}


def of_json(data):
  """CRC-32 of plain JSON data, whatever the order of its keys."""
  return zlib.crc32(json.dumps(data, sort_keys=True).encode())


def check(found, expected):
  """Raises DamagedError, which names the first leaf that differs, where two results of `checksums`
  are unequal.
  """
  for path in sorted(found.keys() | expected.keys()):
    if found.get(path) != expected.get(path):
      raise DamagedError(f'{path} is not what was saved')


def _of_array(array):
  return zlib.crc32(
    np.ascontiguousarray(array).reshape(-1).view(np.uint8),
    zlib.crc32(f'{array.dtype}{array.shape}'.encode()),
  )


def check_loss(folder: pathlib.Path):
  """Raises DamagedError where the validation loss of a checkpoint cannot be read.

  Args:
    folder: of the checkpoint, which may have no validation loss.
  """
  file = folder / 'metrics' / 'metrics'
  if not file.is_file():
    return
  try:
    loss = json.loads(file.read_text())['loss']
  except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
    raise DamagedError(f'its validation loss cannot be read: {reason(error)}') from error
  if not isinstance(loss, (int, float)):
    raise DamagedError(f'its validation loss is {str(loss)[:20]!r}')


def quarantine(folder: pathlib.Path, step: int, why: str):
  """Moves a checkpoint out of the folder of checkpoints into `damaged` beside it, and says so.

  Args:
    folder: the folder of checkpoints.
    step: of the checkpoint.
    why: what is damaged, in a line.
  """
  (folder.parent / 'damaged').mkdir(exist_ok=True)
  names = (
    folder.parent / 'damaged' / f'{step}{ending}'
    for ending in ('', *(f'_{number}' for number in range(2, 1000)))
  )
  aside = next(name for name in names if not name.exists())
  (folder / str(step)).rename(aside)
  print(
    f'checkpoint {step} is damaged ({why}): moved to {aside}, going on without it',
    file=sys.stderr,
    flush=True,
  )


def reason(error):
  """The first line of an error, of which those of orbax and tensorstore have many."""
  return str(error).strip().partition('\n')[0][:200]
