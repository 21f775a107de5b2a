"""Decoded arrays kept beside a prepared data set, memory-mapped, so that the second start takes a
moment.
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import shutil
import sys
import tempfile

import numpy as np

FOLDER = 'arrays'
EDGE = (
  1 << 16
)  # bytes of a record file's beginning and end, which the fingerprints of older versions read alone
BLOCK = 1 << 22  # bytes
LABELS = ('features.json', '*.labels.txt')  # of TFDS: the names of the classes


def cached(folder, decode):
  """Arrays of a prepared data set: from the cache where it is sound, else decoded and cached.

  Args:
    folder: pathlib.Path of the prepared version, such as ~/tensorflow_datasets/mnist/3.0.1.
    decode: function() → (columns, classes) as in `Source`.

  Returns:
    (columns, classes); the arrays are memory-mapped and read-only where they come from the cache.
  """
  if (folder / FOLDER).is_dir():
    try:
      return _read(folder / FOLDER)
    except (ValueError, OSError, KeyError, TypeError, AttributeError) as error:
      _say(f'rebuilding the array cache {folder / FOLDER}: {error}')
  columns, classes = decode()
  try:
    _write(folder / FOLDER, fingerprint(folder), columns, classes)
    return _read(folder / FOLDER)
  except (OSError, ValueError) as error:
    _say(
      f'no array cache in {folder} ({getattr(error, "strerror", None) or error}): keeping the arrays in memory'
    )
    return columns, classes


def counts(folder):
  """Split name → length of its arrays, as the cache of a prepared version says; None where there is
  none.
  """
  try:
    manifest = json.loads((folder / FOLDER / 'manifest.json').read_text())
    return {entry['split']: entry['shape'][0] for entry in manifest['arrays']}
  except (OSError, ValueError, LookupError, TypeError):
    return None


def fingerprint(folder, *, edges=False):
  """What the arrays were decoded from: sha256 over the record files and the names of the classes.
  100 MB take 0.05 s.

  Args:
    folder: pathlib.Path of the prepared version.
    edges: whether only names, sizes, beginnings and ends of the record files are read, as by older
      versions.

  Returns:
    str, or None where the folder holds no record files (a cache copied on its own, which nothing
    can outdate).
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
  for pattern in () if edges else LABELS:
    for path in sorted(folder.glob(pattern)):
      digest.update(f'{path.name}\0'.encode() + path.read_bytes())
  return digest.hexdigest()


def _read(folder):
  manifest = json.loads((folder / 'manifest.json').read_text())
  source = fingerprint(folder.parent, edges=not manifest.get('whole', False))
  if source is not None and manifest['source'] != source:
    raise ValueError('the prepared files have changed')
  columns = {}
  with concurrent.futures.ThreadPoolExecutor() as pool:  # hashlib releases the interpreter lock
    arrays = pool.map(lambda entry: _array(folder, entry), manifest['arrays'])
    for entry, array in zip(manifest['arrays'], arrays, strict=True):
      columns.setdefault(entry['split'], {})[entry['column']] = array
  return columns, tuple(manifest['classes'])


def _array(folder, entry):
  file = pathlib.Path(entry['file']).name  # a manifest may not lead out of its folder
  try:
    array = np.load(folder / file, mmap_mode='r', allow_pickle=False)
  except (
    Exception
  ) as error:  # of NumPy, zipfile, ast and tokenize, whatever the first bytes seem to be
    raise ValueError(f'{file} cannot be read ({type(error).__name__})') from error
  if (
    list(array.shape) != entry['shape']
    or array.dtype.str != entry['dtype']
    or _sha256(array) != entry['sha256']
  ):
    raise ValueError(f'{file} is corrupt')
  return array


def _write(folder, source, columns, classes):
  """Writes aside, then renames, so that a reader never sees half a cache and two writers do not
  collide.
  """
  aside = pathlib.Path(tempfile.mkdtemp(prefix=f'.{FOLDER}-', dir=folder.parent))
  try:
    arrays = []
    for split, part in columns.items():
      for column, values in part.items():
        values = np.ascontiguousarray(values)
        np.save(aside / f'{split}.{column}.npy', values, allow_pickle=False)
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
    (aside / 'manifest.json').write_text(json.dumps(manifest, indent=1))
    os.chmod(aside, 0o755)
    shutil.rmtree(
      folder, ignore_errors=True
    )  # running programs keep the files that they have mapped
    aside.rename(folder)
  except OSError:
    shutil.rmtree(aside, ignore_errors=True)
    raise


def _sha256(array):
  return hashlib.sha256(array.view(np.uint8).data if array.ndim and array.size else b'').hexdigest()


def _say(line):
  print(f'jaxdl: {line}', file=sys.stderr, flush=True)
