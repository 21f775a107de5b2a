"""Detects corrupted checkpoints, such as flipped bits, by checksum and quarantines them."""

import hashlib
import json
import pathlib
import sys
import zlib
from typing import Any

import jax
import numpy as np

from jaxdl.runs import keys

NOTE = 'commit_success.txt'  # orbax writes the path of a checkpoint to it; buckets need it


class DamagedError(ValueError):
  """The data read differ from the data written."""


def checksums(tree: Any) -> dict[str, int]:
  """CRC-32 of the type, shape and bytes of every array of a tree.

  Args:
    tree: tree of arrays.

  Returns:
    Path of each leaf → CRC-32.
  """
  leaves, _ = jax.tree_util.tree_flatten_with_path(jax.device_get(tree))
  return {jax.tree_util.keystr(path): _of_array(np.asarray(leaf)) for path, leaf in leaves}


def of_json(data: Any) -> int:
  """CRC-32 of plain JSON data, independent of the order of keys."""
  return zlib.crc32(json.dumps(data, sort_keys=True).encode())


def of_folder(folder: pathlib.Path) -> str:
  """sha256 of the files of a checkpoint: of what `sha256sum` prints for them, sorted by name.

  Args:
    folder: a folder of the checkpoint. Its NOTE is left out: it differs between copies.
  """
  there = [file for file in folder.rglob('*') if file.is_file() and file.name != NOTE]
  names = sorted((file.relative_to(folder).as_posix() for file in there), key=str.encode)
  lines = (f'{of_file(folder / name)}  {name}\n' for name in names)
  return hashlib.sha256(''.join(lines).encode()).hexdigest()


def of_file(file: pathlib.Path) -> str:
  """sha256 of a file."""
  with file.open('rb') as opened:
    return hashlib.file_digest(opened, 'sha256').hexdigest()


def check(found: dict[str, int], expected: dict[str, int]) -> None:
  """Raises DamagedError if two results of `checksums` differ; it names the first such leaf."""
  for path in sorted(found.keys() | expected.keys()):
    if found.get(path) != expected.get(path):
      raise DamagedError(f'the checksum of {path} differs')


def _of_array(array):
  return zlib.crc32(
    np.ascontiguousarray(array).reshape(-1).view(np.uint8).data,
    zlib.crc32(f'{array.dtype}{array.shape}'.encode()),
  )


def check_loss(folder: pathlib.Path) -> None:
  """Raises DamagedError if the validation loss of a checkpoint cannot be read.

  Args:
    folder: folder of the checkpoint, which may have no validation loss.
  """
  file = folder / 'metrics' / 'metrics'
  if not file.is_file():
    return
  try:
    loss = json.loads(file.read_text(encoding='utf-8'))['loss']
  except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
    raise DamagedError(f'its validation loss cannot be read: {reason(error)}') from error
  if not keys.is_figure(loss):
    raise DamagedError(f'its validation loss is {str(loss)[:20]!r}')


def quarantine(folder: pathlib.Path, step: int, why: str) -> None:
  """Moves a checkpoint from the folder of checkpoints to its sibling `damaged`, with a message.

  Args:
    folder: the folder of checkpoints.
    step: step of the checkpoint.
    why: what is damaged, in one line.
  """
  (folder.parent / 'damaged').mkdir(exist_ok=True)
  names = (
    folder.parent / 'damaged' / f'{step}{ending}'
    for ending in ('', *(f'_{number}' for number in range(2, 1000)))
  )
  aside = next(name for name in names if not name.exists())
  (folder / str(step)).rename(aside)
  print(
    f'checkpoint {step} is damaged ({why}): moved to {aside}, continuing without it',
    file=sys.stderr,
    flush=True,
  )


def reason(error: object) -> str:
  """The first line of an error; errors of orbax and tensorstore have many lines."""
  return str(error).strip().partition('\n')[0][:200]
