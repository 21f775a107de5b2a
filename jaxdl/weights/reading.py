"""Reads files of weights without executing code that they contain."""

# The library is optional.
# pyright: reportMissingImports=false

import importlib.util
import os
import pathlib
import re

import numpy as np

from jaxdl.config import memory
from jaxdl.weights import keras_file, source, torch_file
from jaxdl.weights.source import Source


def read(file: str | os.PathLike) -> Source:
  """Reads the weights of a file.

  Args:
    file: a file whose name ends in .safetensors, .pt, .pth, .npz, .h5 or .keras.

  Returns:
    Source; its arrays are float32.

  Raises:
    ValueError: the kind of file is unknown, it holds code or no weights, or a value is not finite.
    ImportError: a library is not installed; the message names the extra.
    OSError: the file cannot be read.
  """
  place = pathlib.Path(file)
  if not place.is_file():
    what = 'is a folder' if place.is_dir() else 'does not exist'
    raise FileNotFoundError(f'{place} {what}: give a file of weights ({", ".join(READERS)})')
  reader = READERS.get(place.suffix.lower())
  if reader is None:
    raise ValueError(f'{place} is of an unknown kind: give a file of {", ".join(READERS)}')
  found = reader(place)
  if not found.groups:
    raise ValueError(f'{place} has no weights: give a file of the weights of a network')
  _check(found)
  return found


def _safetensors(file):
  need('safetensors', 'export')
  import safetensors  # pyright: ignore[reportMissingImports]
  from safetensors import numpy as library  # pyright: ignore[reportMissingImports]

  try:
    found = library.load(file.read_bytes())
  except (safetensors.SafetensorError, ValueError, KeyError) as error:
    raise ValueError(f'{file} is not a file of safetensors ({error}): save it again') from error
  except TypeError as error:
    raise ValueError(
      f'{file} has a type that NumPy lacks, such as bfloat16: save it as float32'
    ) from error
  # the format sorts its tensors by type and name
  named = sorted(found.items(), key=lambda item: source.natural(item[0]))
  return Source(file, source.grouped(named), ordered=False)


def _npz(file):
  try:
    found = memory.load_arrays(file)
  except ValueError as error:
    if 'pickle' not in str(error):
      raise
    raise ValueError(f'{file} holds code or objects: save arrays with numpy.savez') from error
  if all(re.fullmatch(r'arr_\d+', name) for name in found):
    groups = [source.Group(name, {'0': array}, {'0': name}) for name, array in found.items()]
    return Source(file, groups, flat=True)
  return Source(file, source.grouped(found.items()))


def need(library: str, extra: str) -> None:
  """Raises ImportError if an optional library is not installed."""
  if importlib.util.find_spec(library) is None:
    raise ImportError(
      f"this file needs {library}, which is not installed: pip install 'jaxdl[{extra}]'"
    )


def _torch(file):
  need('torch', 'torch')
  return torch_file.read(file)


def _h5(file):
  need('h5py', 'keras')
  return keras_file.read(file)


def _keras(file):
  need('h5py', 'keras')
  return keras_file.read_archive(file)


READERS = {
  '.safetensors': _safetensors,
  '.pt': _torch,
  '.pth': _torch,
  '.npz': _npz,
  '.h5': _h5,
  '.keras': _keras,
}


def _check(found):
  """Converts the arrays to float32; ValueError for what is not a finite number."""
  # a tensor may repeat one stored value
  memory.check_file(
    4 * sum(array.size for group in found.groups for array in group.arrays.values()), found.file
  )
  for group in found.groups:
    for weight, array in group.arrays.items():
      name = group.names[weight]
      if array.dtype.kind not in 'fiu' and array.dtype.name != 'bfloat16':
        raise ValueError(f'{found.file}: {name} is of type {array.dtype}: save it as float32')
      converted = np.asarray(array, np.float32)
      if not np.isfinite(converted).all():
        raise ValueError(
          f'{found.file}: {name} has values that are not finite in float32: save other weights'
        )
      group.arrays[weight] = converted
