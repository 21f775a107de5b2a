"""Checksums that tell whether what was read is what was written: a flipped bit in a stored array has no other sign."""

import json
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
  """Raises DamagedError, which names the first leaf that differs, where two results of `checksums` are unequal."""
  for path in sorted(found.keys() | expected.keys()):
    if found.get(path) != expected.get(path):
      raise DamagedError(f'{path} is not what was saved')


def _of_array(array):
  return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8), zlib.crc32(f'{array.dtype}{array.shape}'.encode()))
