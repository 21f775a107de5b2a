"""TFDS data sets as arrays.

TensorFlow is imported only to decode records or to download a data set.
"""

import contextlib
import contextvars
import io
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jaxdl import stores
from jaxdl.config.paths import absolute, is_address
from jaxdl.data import array_cache, bundle, characters, stand_ins
from jaxdl.data.array_cache import Decoded
from jaxdl.data.source import Source

PREPARABLE = (  # from raw files
  'mnist',
  'fashion_mnist',
  'cifar10',
  'hoda',
  'tiny_shakespeare',
  'shakespeare',
  'image_folder',
)
NOTE = 'provenance.json'  # next to the records: describes the raw files
INFO = 'dataset_info.json'  # TFDS writes it last, so that it marks a complete version
RETRIES = 5  # TFDS's own number waits for minutes if there is no network
DOWNLOADS = contextvars.ContextVar('downloads', default=True)

DataDir = str | os.PathLike[str] | None


def read(
  name: str,
  *,
  data_dir: DataDir,
  required: bool,
  decode: Callable[[Any], Decoded],
  download: bool = True,
  cache: str = array_cache.FOLDER,
) -> Source | None:
  """Every split of a TFDS data set, from the array cache if there is one.

  Args:
    name: TFDS's name, which may have a config and a version, as in 'name/config:1.0.0'.
    data_dir: TFDS's folder, None for its default ($TFDS_DATA_DIR or ~/tensorflow_datasets); at an
      address, the prepared data set is copied first.
    required: False returns None if no prepared copy is on disk.
    decode: function(TFDS builder) → (columns, classes), such as `images` or `text`.
    download: whether TFDS can download and prepare the data set.
    cache: name of the array cache.

  Returns:
    Source, or None.

  Raises:
    ValueError: several configs of the data set are prepared, and the name does not select one.
    OSError: it is not prepared and cannot be downloaded; the message describes how to prepare it
      from files. If nothing may be downloaded (`downloads`), data sets of known size have a
      stand-in (`stand_ins`).
  """
  root = root_folder(data_dir, name)
  folder = _prepared(root, name)
  if folder is None:
    if not required:
      return None
    if not DOWNLOADS.get() and name in stand_ins.SETS:
      return stand_ins.stand_in(name)
    folder = _downloaded(name, root, download)
  columns, classes = array_cache.cached(folder, lambda: _decoded(folder, decode), cache)
  return Source(
    origin='tfds' + _note(folder), columns=columns, classes=classes, data_dir=absolute(root)
  )


def _downloaded(name: str, root: Path, can_download: bool) -> Path:
  """Downloads a data set that is not prepared; returns the folder of its version."""
  if not can_download:
    raise FileNotFoundError(
      f'{name} is not prepared in {root}: run python -m jaxdl.data prepare {name} --from=DIR '
      f'--data_dir={root}, DIR being its raw files'
    )
  if not DOWNLOADS.get():
    raise FileNotFoundError(
      f'{name} is not prepared in {root}, and nothing is downloaded to describe a config: '
      'train it, or see python -m jaxdl.data list'
    )
  _download(name, root)
  folder = _prepared(root, name)
  if folder is None:
    raise FileNotFoundError(f'TFDS downloaded {name}, but {root} does not have it')
  return folder


@contextlib.contextmanager
def downloads(allowed: bool) -> Iterator[None]:
  """Decides whether a data set that is not on disk is downloaded inside the `with` block.

  If it is not, reading such a data set raises FileNotFoundError.
  """
  before = DOWNLOADS.set(allowed)
  try:
    yield
  finally:
    DOWNLOADS.reset(before)


def root_folder(data_dir: DataDir, name: str = '') -> Path:
  """TFDS's folder, None for its default.

  Args:
    data_dir: the folder, or an address.
    name: name of a data set, whose prepared versions are copied from an address; '' for none.

  Raises:
    ValueError: TFDS would take its name for a pattern.
  """
  given = data_dir or os.environ.get('TFDS_DATA_DIR') or '~/tensorflow_datasets'
  if is_address(given):
    return stores.copied_below(given, name.partition('/')[0].partition(':')[0])
  found = Path(given).expanduser()
  if '**' in str(found):
    raise ValueError(f'data_dir={found} has ** in its name, which TFDS cannot read: rename it')
  return found


def version_folder(root: Path, name: str) -> Path | None:
  """The prepared version of a data set, the newest one if the name has none; None without one.

  TFDS is not imported, since that takes a second.

  Args:
    root: TFDS's folder.
    name: as in `read`.
  """
  path, _, version = name.partition(':')
  return _newest(root / path, version) if (root / path).is_dir() else None


def _prepared(root, name):
  """`version_folder`; without a config in the name, that of the only config that is prepared."""
  path, _, version = name.partition(':')
  found = version_folder(root, name)
  if found is not None or '/' in path or not (root / path).is_dir():
    return found
  folders = [below for below in sorted((root / path).iterdir()) if below.is_dir()]
  configs = [below for below in folders if _newest(below, version)]
  if len(configs) > 1:
    names = ', '.join(f'{path}/{config.name}' for config in configs)
    raise ValueError(f'{path} is prepared in {root} with several configs: name one of {names}')
  return _newest(configs[0], version) if configs else None


def _newest(parent, version):
  """The folder of a version, or of the newest one if it is ''; None if it is not prepared."""
  versions = [
    path
    for path in parent.iterdir()
    if re.fullmatch(r'\d+\.\d+\.\d+', path.name)
    and version in ('', path.name)
    and (path / INFO).is_file()
  ]
  return max(versions, key=lambda path: tuple(map(int, path.name.split('.'))), default=None)


def _note(folder: Path) -> str:
  if not (folder / NOTE).is_file():
    return ''
  try:
    note = json.loads((folder / NOTE).read_text(encoding='utf-8'))['note']
  except (ValueError, LookupError, TypeError):
    note = f'{NOTE} is damaged'
  return f', {note}' if note else ''


@contextlib.contextmanager
def aside(root: Path, name: str) -> Iterator[Path]:
  """Yields a temporary folder inside TFDS's, and deletes it at the end of the `with` block.

  A data set is built there and moved to its place when it is complete.
  """
  root.mkdir(parents=True, exist_ok=True)
  folder = Path(tempfile.mkdtemp(prefix=f'.preparing-{name}-', dir=root))
  try:
    yield folder
  finally:
    shutil.rmtree(folder, ignore_errors=True)


def move(built: Path, target: Path) -> tuple[Path, bool]:
  """Renames a complete version to its place.

  Args:
    built: folder of the version.
    target: its place.

  Returns:
    (target, whether another process has put its version there before, which then stays).
  """
  target.parent.mkdir(parents=True, exist_ok=True)
  try:
    os.rename(built, target)  # fails if the target exists and is not empty
  except OSError:
    if not (target / INFO).is_file():
      raise
    return target, True
  return target, False


def _download(name: str, root: Path) -> None:
  import tensorflow_datasets as tfds
  from tensorflow_datasets.core.download import downloader

  # No public API of TFDS sets the number of attempts. The constant is read at every request.
  downloader.MAX_RETRIES = RETRIES
  print(f'{name} is not prepared in {root}: TFDS downloads it', flush=True)
  if not sys.stderr.isatty():
    tfds.disable_progress_bar()
  try:
    with aside(root, re.sub(r'\W', '_', name)) as folder:
      builder = tfds.builder(name, data_dir=str(folder), file_format='array_record')
      # Only files with a known checksum are accepted.
      config = tfds.download.DownloadConfig(force_checksums_validation=True)
      with contextlib.redirect_stdout(io.StringIO()):  # TFDS repeats the line printed above
        builder.download_and_prepare(download_config=config)
      built = Path(builder.data_dir)
      move(built, root / built.relative_to(folder))
  except Exception as error:  # the libraries of TFDS's downloader raise exceptions of many types
    reason = str(error).partition('\n')[0][:120].replace('(', '[').replace(')', ']')
    raise OSError(
      f'TFDS could not download {name} into {root} ({reason}…): check the network'
      f'{_other_ways(name)}'
    ) from error


def _other_ways(name: str) -> str:
  """How to get a data set that cannot be downloaded, for a message."""
  ways = ''
  if name in PREPARABLE:
    ways += f', or run python -m jaxdl.data prepare {name} --from=DIR on the raw files'
  if name == 'tiny_shakespeare':
    ways += ', or set config.data.name="shakespeare", which is in the package'
  elif (bundle.FOLDER / name).is_dir():
    ways += ', or set config.data.source="bundled"'
  return ways


def _decoded(folder: Path, decode: Callable[[Any], Decoded]) -> Decoded:
  """(columns, classes) of a prepared version."""
  try:
    import tensorflow  # noqa: F401
    import tensorflow_datasets as tfds
  except ImportError as error:
    raise OSError(
      f'{folder} has no valid array cache and TensorFlow, which reads its records, is not '
      f'installed ({error}): install tensorflow-cpu, or copy the folder with its cache '
      'from a machine that has it'
    ) from error
  return decode(tfds.builder_from_directory(str(folder)))


def images(builder: Any) -> Decoded:
  """Images and labels of every split of a prepared data set.

  Args:
    builder: TFDS builder with the features 'image' and 'label'.

  Returns:
    (columns, classes): 'image' [N, H, W, C] uint8 and 'label' [N] int32 of each split, and the
    names of the classes.
  """
  columns = {}
  for split in builder.info.splits:
    examples = rows(builder, split)
    columns[split] = {
      'image': np.stack([row['image'] for row in examples]),
      'label': np.array([row['label'] for row in examples], np.int32),
    }
  return columns, tuple(builder.info.features['label'].names)


def text(builder: Any) -> Decoded:
  """The characters of every split of a prepared data set.

  Args:
    builder: TFDS builder with the feature 'text'.

  Returns:
    (columns, classes) as in `characters.columns`.
  """
  texts = {
    split: ''.join(row['text'].decode() for row in rows(builder, split))
    for split in builder.info.splits
  }
  return characters.columns(texts)


def rows(builder: Any, split: str) -> list[dict[str, Any]]:
  """Examples as dicts; ArrayRecord is read by random access, TFRecord through tf.data."""
  import tensorflow_datasets as tfds

  if builder.info.file_format is tfds.core.FileFormat.ARRAY_RECORD:
    source = builder.as_data_source(split)
    return source.__getitems__(range(len(source)))  # three times faster than one by one
  return list(tfds.as_numpy(builder.as_dataset(split)))
