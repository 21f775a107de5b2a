"""Arrays of inputs and labels: .npz files, .npy files, and arrays given in Python."""

import os
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxdl import stores
from jaxdl.config import memory, spelling
from jaxdl.config.paths import absolute
from jaxdl.data.dataset import SPLITS

ROLES = {  # role → names that an array may have, without the name of its split
  'x': ('x', 'image', 'images', 'input', 'inputs', 'data', 'features'),
  'y': ('y', 'label', 'labels', 'target', 'targets', 'class', 'classes'),
  'lengths': ('lengths', 'length'),
}
NAMES = ('class_names', 'target_names')  # names of classes, labels or targets in a file
SPLIT_OF = {
  'train': 'train',
  'training': 'train',
  'val': 'validation',
  'valid': 'validation',
  'validation': 'validation',
  'test': 'test',
}
ARRAYS = ('.npz', '.npy')
IN_PYTHON = 'the arrays'  # name in messages of arrays without a file

Parts = dict[str, dict[str, Any]]  # split → role → array


def naming(place: object) -> Callable[[str], str]:
  """Function (name of an array) → its name in messages, such as "'x' of a.npz".

  Args:
    place: the file; any text.
  """
  return lambda name: f'{name!r} of {place}'


def read(
  file: Any, columns: Any = None, *, optional: Sequence[str] = ()
) -> tuple[Parts, list[str] | None, str | list[str]]:
  """Reads arrays from files.

  Args:
    file: path or address of an .npz file, of an .npy file, or of a folder of .npy files; or a list
      of .npy and .npz files. The name of an .npy array is the file name without the ending.
    columns: None, or role ('x', 'y', 'lengths') → name of its array, with or without the name of a
      split.
    optional: roles in `columns` whose arrays may be missing.

  Returns:
    (split → role → array, names of classes if a file has some, absolute path of the file or folder,
    or those of the files). Arrays of no split are in 'train'.

  Raises:
    ValueError: a file that is not an array, contains Python objects or lacks a column; `columns` is
      not a section.
    FileNotFoundError: a file does not exist.
  """
  paths = [
    Path(os.path.expanduser(stores.copied(one))) for one in (file if _is_list(file) else [file])
  ]
  arrays: dict[str, np.ndarray] = {}
  for path in paths:
    arrays.update(_arrays(path))
  places = [absolute(path) for path in paths]
  names = next((arrays.pop(name) for name in NAMES if name in arrays), None)
  where = ', '.join(map(str, paths))
  if len(arrays) == 1 and paths[0].suffix.lower() == '.npy':
    arrays, columns = {'x': next(iter(arrays.values()))}, None
  parts = assigned(arrays, columns, where, optional=optional)
  return parts, None if names is None else _texts(names), places if _is_list(file) else places[0]


def given(data: Any, columns: Any = None) -> tuple[Parts, list[str] | None]:
  """Reads arrays given in Python.

  Args:
    data: (x, y), (x, y, lengths) or x; or a dict of split → such a tuple; or a dict of names as in
      an .npz file.
    columns: as in `read`.

  Returns:
    (split → role → array, names of classes if there are some).

  Raises:
    ValueError: another structure.
  """
  if not isinstance(data, Mapping):
    return {'train': _roles(data)}, None
  named = dict(data)
  names = next((named.pop(name) for name in NAMES if name in named), None)
  if named and all(SPLIT_OF.get(str(name)) for name in named):
    parts = {SPLIT_OF[name]: _roles(part) for name, part in named.items()}
  else:
    parts = assigned(named, columns, IN_PYTHON)
  return parts, None if names is None else _texts(names)


def assigned(
  arrays: Mapping[str, Any], columns: Any, where: str, *, optional: Sequence[str] = ()
) -> Parts:
  """Identifies the inputs, labels and lengths of each split by the names of arrays.

  Args:
    arrays: name → array.
    columns, optional: as in `read`.
    where: the file, for messages.

  Returns:
    split → role → array.

  Raises:
    ValueError: `columns` is invalid or names a missing array, no array has a known name, or two
      arrays have one role.
  """
  wanted = _roles_of(columns)
  found: Parts = {}
  taken: dict[tuple[str, str], str] = {}
  for name, array in arrays.items():
    for role, bases in wanted.items():
      split = _split_of(name, bases)
      if split is None:
        continue
      if (split, role) in taken:
        raise ValueError(
          f'{where} has two arrays for {role!r} of {split}, {taken[split, role]!r} and {name!r}: '
          f"set config.data.columns, such as dict({role}='{name}')"
        )
      taken[split, role] = name
      found.setdefault(split, {})[role] = array
  named = {role: name for role, name in (columns or {}).items() if role not in optional}
  _check_columns(found, named, arrays, where)
  return {split: found[split] for split in SPLITS if split in found}


def _check_columns(found, columns, arrays, where):
  """Raises ValueError if a named array is missing, or inputs are missing."""
  listed = ', '.join(map(str, arrays)) or 'no arrays'
  for role, name in columns.items():
    if not any(role in part for part in found.values()):
      raise ValueError(
        f'config.data.columns.{role}={name!r} is not an array of {where}: it has {listed}'
        f'{spelling.meant(str(name), [str(one) for one in arrays])}'
      )
  if not found or any('x' not in part for part in found.values()):
    split = next((split for split, part in found.items() if 'x' not in part), 'train')
    raise ValueError(
      f"{where} has no inputs of {split}: name an array 'x' or 'x_{split}', or say which it is, "
      f"config.data.columns=dict(x='NAME', y='NAME'); it has {listed}"
    )


def _roles_of(columns):
  """Role → names of its arrays; ValueError if `columns` is not a section of roles."""
  if columns is None:
    return ROLES
  if not isinstance(columns, Mapping) or not all(
    isinstance(name, str) and name for name in columns.values()
  ):
    raise ValueError(
      f"config.data.columns={columns!r} is not a section: write dict(x='NAME', y='NAME')"
    )
  for role in columns:
    if role not in ROLES:
      raise ValueError(f'config.data.columns.{role} is unknown: use {", ".join(ROLES)}')
  return {role: (columns[role],) if role in columns else bases for role, bases in ROLES.items()}


def _split_of(name: str, bases: Sequence[str]) -> str | None:
  """The split of an array whose name is one of `bases`, with or without a split; else None."""
  text = str(name)
  for base in bases:
    if text == base or text.lower() == base:
      return 'train'
    for word, split in SPLIT_OF.items():
      pattern = rf'(?:{re.escape(base)}[_./-]{word}|{word}[_./-]{re.escape(base)})'
      if re.fullmatch(pattern, text) or re.fullmatch(pattern, text.lower()):
        return split
  return None


def are_paths(file: Any) -> bool:
  """Whether a value is a path, or a list of paths."""
  paths = file if _is_list(file) else [file]
  return bool(paths) and all(
    isinstance(path, (str, os.PathLike)) and str(path) and '\0' not in str(path) for path in paths
  )


def _is_list(file):
  return isinstance(file, (list, tuple))


def _roles(part):
  """Role → array of one split that was given in Python."""
  if isinstance(part, Mapping):
    unknown = [name for name in part if name not in ROLES]
    if unknown or 'x' not in part:
      raise ValueError(
        f'data has a split with {", ".join(map(repr, part)) or "nothing"}: give (x, y), or '
        'dict(x=…, y=…, lengths=…)'
      )
    return dict(part)
  if isinstance(part, tuple):
    if not 1 <= len(part) <= len(ROLES):
      raise ValueError(f'data has a split of {len(part)} arrays: give (x, y) or (x, y, lengths)')
    return dict(zip(ROLES, part, strict=False))
  return {'x': part}


def _arrays(path: Path) -> dict[str, np.ndarray]:
  """Name → array of a file or of the .npy files in a folder."""
  if not path.exists():
    raise FileNotFoundError(spelling.missing(path, 'give an .npz file in config.data.file'))
  if path.is_dir():
    files = sorted(path.glob('*.npy'))
    if not files:
      raise FileNotFoundError(f'{path} has no .npy files: give a folder with some, or an .npz file')
    return {file.stem: _load(file) for file in files}
  if path.suffix.lower() not in ARRAYS:
    raise ValueError(
      f'config.data.file={str(path)!r} is not an array file: give .npz or .npy, written with '
      "numpy.savez or numpy.save (a table is data.name='table')"
    )
  found = _load(path)
  return {path.stem: found} if isinstance(found, np.ndarray) else found


def _load(path: Path) -> Any:
  """The array of an .npy file, or name → array of an .npz file."""
  if zipfile.is_zipfile(path):
    memory.check_zip(path)
  try:
    content = np.load(path, allow_pickle=False)
    if isinstance(content, np.ndarray):
      return content
    with content:
      return {name: content[name] for name in content.files}
  except Exception as error:  # damaged files raise errors of zipfile, zlib, EOFError and others
    reason = str(error).partition('\n')[0] or type(error).__name__
    fix = 'write it with numpy.savez or numpy.save'
    if 'allow_pickle' in reason:
      reason = 'it contains Python objects, which can execute code'
      fix = 'save arrays of numbers or texts, such as numpy.array(labels, dtype=str)'
    raise ValueError(f'{path} cannot be read as arrays ({reason}): {fix}') from error


def _texts(names: Iterable[Any]) -> list[str]:
  return [
    name.decode(errors='replace') if isinstance(name, bytes) else str(name)
    for name in np.asarray(names).reshape(-1).tolist()
  ]
