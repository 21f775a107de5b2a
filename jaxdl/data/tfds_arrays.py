"""TFDS data sets as arrays. TensorFlow is imported only where records must be decoded or
downloaded.
"""

import contextlib
import contextvars
import io
import json
import os
import pathlib
import re
import shutil
import sys
import tempfile

import numpy as np

from jaxdl.data import array_cache, bundle, characters, known
from jaxdl.data.source import Source

PREPARABLE = (
  'mnist',
  'fashion_mnist',
  'cifar10',
  'hoda',
  'tiny_shakespeare',
  'shakespeare',
  'image_folder',
)  # from raw files
NOTE = 'provenance.json'  # beside the records: what the raw files were
DOWNLOADS = contextvars.ContextVar('downloads', default=True)


def read(name, *, data_dir, required, decode, download=True):
  """Every split of a TFDS data set, from the array cache where there is one.

  Args:
    name: str, TFDS's name.
    data_dir: TFDS's folder, None for its default ($TFDS_DATA_DIR or ~/tensorflow_datasets).
    required: bool, False returns None where no prepared copy is on disk.
    decode: function(TFDS builder) → (columns, classes), such as `images` or `text`.
    download: bool, whether TFDS can download and prepare it.

  Returns:
    Source, or None.

  Raises:
    OSError: it is not prepared and cannot be downloaded; the message says how to prepare it from
      files. Where nothing may be downloaded (`downloads`), a stand-in of `known` is returned for the
      data sets that it has.
  """
  root = root_folder(data_dir)
  folder = version_folder(root, name)
  if folder is None:
    if not required:
      return None
    if not DOWNLOADS.get() and name in known.SETS:
      return known.stand_in(name)
    if not download:
      raise FileNotFoundError(
        f'{name} is not prepared in {root}: run python -m jaxdl.data prepare {name} --from=DIR '
        f'--data_dir={root}, DIR being its raw files'
      )
    if not DOWNLOADS.get():
      raise FileNotFoundError(
        f'{name} is not prepared in {root}, and nothing is downloaded to describe a config: train it, '
        'or see python -m jaxdl.data list'
      )
    _download(name, root)
    folder = version_folder(root, name)
  columns, classes = array_cache.cached(folder, lambda: _decoded(folder, decode))
  return Source(
    origin='tfds' + _note(folder), columns=columns, classes=classes, data_dir=str(root.absolute())
  )


@contextlib.contextmanager
def downloads(allowed):
  """Within this block, a data set that is not on disk is downloaded only where that is allowed."""
  before = DOWNLOADS.set(allowed)
  try:
    yield
  finally:
    DOWNLOADS.reset(before)


def root_folder(data_dir):
  """TFDS's folder as a pathlib.Path, None for its default."""
  return pathlib.Path(
    data_dir or os.environ.get('TFDS_DATA_DIR') or '~/tensorflow_datasets'
  ).expanduser()


def version_folder(root, name):
  """The newest prepared version of a data set, None where there is none; needs no TFDS, which takes
  a second.
  """
  parent = root / name
  versions = (
    [
      path
      for path in parent.iterdir()
      if re.fullmatch(r'\d+\.\d+\.\d+', path.name) and (path / 'dataset_info.json').is_file()
    ]
    if parent.is_dir()
    else []
  )
  return max(versions, key=lambda path: tuple(map(int, path.name.split('.'))), default=None)


def _note(folder):
  if not (folder / NOTE).is_file():
    return ''
  try:
    note = json.loads((folder / NOTE).read_text())['note']
  except (ValueError, LookupError, TypeError):
    note = f'{NOTE} is damaged'
  return f', {note}' if note else ''


@contextlib.contextmanager
def aside(root, name):
  """Yields a new folder within TFDS's, to build a data set in that is moved to its place when it is
  whole; then deletes it.
  """
  root.mkdir(parents=True, exist_ok=True)
  folder = pathlib.Path(tempfile.mkdtemp(prefix=f'.preparing-{name}-', dir=root))
  try:
    yield folder
  finally:
    shutil.rmtree(folder, ignore_errors=True)


def move(built, target):
  """Renames a finished version to its place, where that of another process stays; returns (target,
  whether it did).
  """
  target.parent.mkdir(parents=True, exist_ok=True)
  try:
    os.rename(built, target)  # fails where the target is there and not empty
  except OSError:
    if not (target / 'dataset_info.json').is_file():
      raise
    return target, True
  return target, False


def _download(name, root):
  import tensorflow_datasets as tfds
  from tensorflow_datasets.core.download import downloader

  downloader.MAX_RETRIES = (
    5  # of 20, whose pauses add up to a quarter of an hour where there is no network
  )
  print(f'{name} is not prepared in {root}: TFDS downloads it', flush=True)
  if not sys.stderr.isatty():
    tfds.disable_progress_bar()
  try:
    with aside(root, name) as folder:
      builder = tfds.builder(name, data_dir=str(folder), file_format='array_record')
      with contextlib.redirect_stdout(io.StringIO()):  # it says again what is said above
        builder.download_and_prepare(  # nothing without a known checksum
          download_config=tfds.download.DownloadConfig(force_checksums_validation=True)
        )
      built = pathlib.Path(builder.data_dir)
      move(built, root / built.relative_to(folder))
  except Exception as error:  # TFDS raises whatever its downloader's libraries raise
    reason = str(error).partition('\n')[0][:120].replace('(', '[').replace(')', ']')
    packed = ', or set config.data.source="bundled"' if (bundle.FOLDER / name).is_dir() else ''
    packed = (
      ', or set config.data.name="shakespeare", which is in the package'
      if name == 'tiny_shakespeare'
      else packed
    )
    files = (
      f', or run python -m jaxdl.data prepare {name} --from=DIR on the raw files'
      if name in PREPARABLE
      else ''
    )
    raise OSError(
      f'TFDS could not download {name} into {root} ({reason}…): check the network{files}{packed}'
    ) from error


def _decoded(folder, decode):
  """(columns, classes) of a prepared version."""
  try:
    import tensorflow  # noqa: F401
    import tensorflow_datasets as tfds
  except ImportError as error:
    raise OSError(
      f'{folder} has no sound array cache and TensorFlow is not here to read its records ({error}): '
      'install tensorflow-cpu, or copy the folder with its cache from a machine that has it'
    ) from error
  return decode(tfds.builder_from_directory(str(folder)))


def images(builder):
  """Images and labels of every split of a prepared TFDS builder, as (columns, classes)."""
  columns = {}
  for split in builder.info.splits:
    rows = _rows(builder, split)
    columns[split] = {
      'image': np.stack([row['image'] for row in rows]),
      'label': np.array([row['label'] for row in rows], np.int32),
    }
  return columns, tuple(builder.info.features['label'].names)


def text(builder):
  """The characters of every split of a prepared TFDS builder with the feature 'text', as (columns,
  classes).
  """
  return characters.columns(
    {
      split: ''.join(row['text'].decode() for row in _rows(builder, split))
      for split in builder.info.splits
    }
  )


def _rows(builder, split):
  """Examples as dicts; ArrayRecord is read at random access, TFRecord through tf.data."""
  import tensorflow_datasets as tfds

  if builder.info.file_format is tfds.core.FileFormat.ARRAY_RECORD:
    source = builder.as_data_source(split)
    return source.__getitems__(range(len(source)))  # three times faster than one by one
  return list(tfds.as_numpy(builder.as_dataset(split)))
