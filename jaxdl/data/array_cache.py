"""Decoded arrays, stored next to a prepared data set and memory-mapped, so that reading is fast."""

import concurrent.futures
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = 'arrays'
MANIFEST = 'manifest.json'
EDGE = 1 << 16  # bytes: older versions fingerprint only this much of each end of a record file
BLOCK = 1 << 22  # bytes
LABELS = ('features.json', '*.labels.txt')  # of TFDS: the names of the classes

Columns = dict[str, dict[str, np.ndarray]]
Decoded = tuple[Columns, tuple[str, ...]]  # (columns, classes) as in `Source`


def cached(folder: Path, decode: Callable[[], Decoded], name: str = FOLDER) -> Decoded:
  """Arrays of a prepared data set: from the cache if it is valid, else decoded and cached.

  Args:
    folder: the prepared version, such as ~/tensorflow_datasets/mnist/3.0.1.
    decode: function() → (columns, classes) as in `Source`.
    name: name of the cache inside it, which differs for other columns of the same data set.

  Returns:
    (columns, classes); arrays from the cache are memory-mapped and read-only.
  """
  if (folder / name).is_dir():
    try:
      return _read(folder / name)
    except (ValueError, OSError, KeyError, TypeError, AttributeError, RecursionError) as error:
      _print(f'rebuilding the array cache {folder / name}: {error}')
  columns, classes = decode()
  try:
    _write(folder / name, fingerprint(folder), columns, classes)
    return _read(folder / name)
  except (OSError, ValueError) as error:
    reason = getattr(error, 'strerror', None) or error
    _print(f'no array cache in {folder} ({reason}): keeping the arrays in memory')
    return columns, classes


def counts(folder: Path) -> dict[str, int] | None:
  """Split name → length of its arrays, from the cache of a prepared version; None without one."""
  try:
    manifest = json.loads((folder / FOLDER / MANIFEST).read_text(encoding='utf-8'))
    return {entry['split']: entry['shape'][0] for entry in manifest['arrays']}
  except (OSError, ValueError, LookupError, TypeError, RecursionError):
    return None


def fingerprint(folder: Path, *, edges: bool = False) -> str | None:
  """Returns a fingerprint of the record files from which the arrays were decoded.

  Args:
    folder: the prepared version.
    edges: read only the names, sizes, beginnings and ends of the record files, as older versions
      did.

  Returns:
    sha256 over the record files and the names of the classes (100 MB take 0.05 s); None if the
    folder holds no record files: a cache that was copied without them cannot be outdated.
  """
  files = sorted(path for path in folder.iterdir() if path.is_file() and '-of-' in path.name)
  if not files:
    return None
  digest = hashlib.sha256()
  for path in files:
    size = path.stat().st_size
    digest.update(f'{path.name}\0{size}\0'.encode())
    with path.open('rb') as file:
      if edges:
        digest.update(file.read(EDGE))
        file.seek(max(0, size - EDGE))
        digest.update(file.read(EDGE))
      else:
        while block := file.read(BLOCK):
          digest.update(block)
  if not edges:
    for pattern in LABELS:
      for path in sorted(folder.glob(pattern)):
        digest.update(f'{path.name}\0'.encode() + path.read_bytes())
  return digest.hexdigest()


def _read(folder: Path) -> Decoded:
  manifest = json.loads((folder / MANIFEST).read_text(encoding='utf-8'))
  columns: Columns = {}
  with concurrent.futures.ThreadPoolExecutor() as pool:  # hashlib releases the interpreter lock
    edges = not manifest.get('whole', False)
    found = pool.submit(fingerprint, folder.parent, edges=edges)
    arrays = pool.map(lambda entry: _array(folder, entry), manifest['arrays'])
    source = found.result()
    if source is not None and manifest['source'] != source:
      raise ValueError('the prepared files have changed')
    for entry, array in zip(manifest['arrays'], arrays, strict=True):
      columns.setdefault(entry['split'], {})[entry['column']] = array
  return columns, tuple(manifest['classes'])


def _array(folder: Path, entry: dict[str, Any]) -> np.ndarray:
  file = Path(entry['file']).name  # a manifest may not lead out of its folder
  try:
    # `np.load` leaves files open that look like archives of arrays.
    array = np.lib.format.open_memmap(folder / file, mode='r')
  except Exception as error:  # of NumPy, ast or tokenize, depending on the first bytes
    raise ValueError(f'{file} cannot be read ({type(error).__name__})') from error
  if (
    list(array.shape) != entry['shape']
    or array.dtype.str != entry['dtype']
    or _sha256(array) != entry['sha256']
  ):
    raise ValueError(f'{file} is corrupt')
  return array


def _write(
  folder: Path,
  source: str | None,
  columns: Mapping[str, Mapping[str, np.ndarray]],
  classes: tuple[str, ...],
) -> None:
  """Writes the cache into a temporary folder, then renames it.

  A reader never sees an incomplete cache, and two writers do not collide.
  """
  temporary = Path(tempfile.mkdtemp(prefix=f'.{FOLDER}-', dir=folder.parent))
  try:
    arrays = []
    for split, part in columns.items():
      for column, values in part.items():
        values = np.ascontiguousarray(values)
        np.save(temporary / f'{split}.{column}.npy', values, allow_pickle=False)
        arrays.append(
          {
            'split': split,
            'column': column,
            'file': f'{split}.{column}.npy',
            'shape': list(values.shape),
            'dtype': values.dtype.str,
            'sha256': _sha256(values),
          }
        )
    manifest = {'source': source, 'whole': True, 'classes': list(classes), 'arrays': arrays}
    (temporary / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding='utf-8')
    os.chmod(temporary, 0o755)  # noqa: S103 (other users may read it)
    shutil.rmtree(folder, ignore_errors=True)  # running programs keep the files that they mapped
    temporary.rename(folder)
  except OSError:
    shutil.rmtree(temporary, ignore_errors=True)
    raise


def _sha256(array: np.ndarray) -> str:
  content = array.view(np.uint8).data if array.ndim and array.size else b''
  return hashlib.sha256(content).hexdigest()


def _print(line: str) -> None:
  print(f'jaxdl: {line}', file=sys.stderr, flush=True)
