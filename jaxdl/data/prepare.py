"""Builds TFDS data sets from raw files on disk, on machines without a network.

TFDS's own builders are used where TFDS has the data set.
"""

import contextlib
import functools
import io
import json
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from jaxdl.config.paths import is_address
from jaxdl.data import tfds_arrays
from jaxdl.data.photographs import copies
from jaxdl.data.raw.sources import RAW
from jaxdl.data.sets import hoda, shakespeare

MOST = None  # examples of each split, None for all; quick tests set it
OURS = {'hoda': hoda.builder, 'shakespeare': shakespeare.builder}  # not in TFDS


def prepare(
  name: str, *, raw: str | PathLike[str], data_dir: tfds_arrays.DataDir = None
) -> tuple[Path, bool]:
  """Checks raw files and builds a data set from them.

  It is built in a temporary folder and renamed when it is complete, so that nobody reads an
  incomplete one and two processes do not collide.

  Args:
    name: a key of RAW.
    raw: folder with the raw files.
    data_dir: TFDS's folder, None for its default.

  Returns:
    (folder of the prepared version, whether it was there before).

  Raises:
    ValueError: an unknown name, or invalid raw files; the message names the file and the fix.
    OSError: a raw file is missing, or the folder cannot be written.
  """
  if name not in RAW:
    raise ValueError(f'data set {name!r} cannot be prepared: use one of {", ".join(RAW)}')
  if is_address(data_dir):
    raise ValueError(f'data_dir={data_dir} is an address: prepare in a folder, and copy it there')
  raw, root = Path(raw).expanduser(), tfds_arrays.root_folder(data_dir)
  if not raw.exists():
    raise FileNotFoundError(f'--from={raw} does not exist: give the folder of the raw files')
  is_folder = name == 'image_folder'
  present = copies.current(raw, root) if is_folder else tfds_arrays.version_folder(root, name)
  if present is not None:
    return present, True
  with tfds_arrays.aside(root, name) as folder:
    files = folder / 'raw'
    files.mkdir()
    paths, note = RAW[name](raw, files)
    make_builder = OURS.get(name)
    if is_folder:
      make_builder = functools.partial(copies.builder, str(raw), copies.new_name(raw, root))
    built = _build(name, make_builder, paths, folder)
    (built / tfds_arrays.NOTE).write_text(
      json.dumps({'from': str(raw.resolve()), 'note': note}, indent=1) + '\n', encoding='utf-8'
    )
    target, was_there = tfds_arrays.move(built, root / built.relative_to(folder))
  if was_there and is_folder and copies.current(raw, root) is None:
    raise OSError(
      f'another process has just prepared other photographs as {target}: rerun the command'
    )
  return target, was_there


def _build(
  name: str, make_builder: Callable[[], Any] | None, paths: Mapping[str, Path], folder: Path
) -> Path:
  """Runs a TFDS builder on local files.

  Args:
    name: the data set.
    make_builder: function() → builder class, None for TFDS's own.
    paths: file name that the builder asks for → path.
    folder: TFDS's folder for this builder.

  Returns:
    Folder of the version.
  """
  try:
    import tensorflow  # noqa: F401
    import tensorflow_datasets as tfds
  except ImportError as error:
    raise OSError(
      f'preparing {name} needs TensorFlow ({error}): pip install tensorflow-cpu'
    ) from error
  place: dict[str, Any] = {'data_dir': str(folder), 'file_format': 'array_record'}
  builder_class = tfds.builder_cls(name) if make_builder is None else make_builder()
  builder = _reading(builder_class, paths)(**place)
  tfds.disable_progress_bar()
  config = tfds.download.DownloadConfig(max_examples_per_split=MOST)
  with contextlib.redirect_stdout(io.StringIO()):  # TFDS announces a download
    builder.download_and_prepare(download_config=config)
  return Path(builder.data_dir)


def _reading(builder_class: Any, paths: Mapping[str, Path]) -> Any:
  """A TFDS builder class with its files on disk; `paths` as in `_build`."""

  class LocalBuilder(builder_class, skip_registration=True):  # pyright: ignore
    name = builder_class.name

    def _split_generators(self, dl_manager):
      return super()._split_generators(LocalFiles(paths))

  LocalBuilder.__module__ = builder_class.__module__  # TFDS stores it, and finds its metadata by it
  return LocalBuilder


class LocalFiles:
  """Stands in for TFDS's download manager; returns paths on disk instead of downloading."""

  def __init__(self, paths: Mapping[str, Path]) -> None:
    self._paths = paths
    self.manual_dir = next((path.parent for path in paths.values()), None)

  def download(self, urls: Any) -> Any:
    """The path of a URL's file; a dict of URLs gives a dict."""
    if isinstance(urls, dict):
      return {key: self.download(url) for key, url in urls.items()}
    return self._paths[str(urls).rpartition('/')[2]]

  download_and_extract = download
