"""Builds TFDS data sets from raw files on disk, with TFDS's own builders, on machines without a
network.
"""

import contextlib
import functools
import io
import json
import pathlib

from jaxdl.data import tfds_arrays
from jaxdl.data.photographs import copies
from jaxdl.data.raw.sources import RAW
from jaxdl.data.sets import hoda, shakespeare

MOST = None  # examples of each split; None for all, tests of the way there take fewer
OURS = {'hoda': hoda.builder, 'shakespeare': shakespeare.builder}


def prepare(name, *, raw, data_dir=None):
  """Checks raw files and builds a data set from them.

  It is written aside and renamed when it is whole, so that nobody sees half of it and two at once
  do not collide.

  Args:
    name: str, a key of RAW.
    raw: folder with the raw files.
    data_dir: TFDS's folder, None for its default.

  Returns:
    (pathlib.Path of the prepared version, whether it was there already).

  Raises:
    ValueError: an unknown name, or raw files that are wrong; the message names the file and the
      mend.
    OSError: a raw file is missing, or the folder cannot be written.
  """
  if name not in RAW:
    raise ValueError(f'data set {name!r} cannot be prepared: use one of {", ".join(RAW)}')
  raw, root = pathlib.Path(raw).expanduser(), tfds_arrays.root_folder(data_dir)
  if not raw.exists():
    raise FileNotFoundError(f'--from={raw} does not exist: give the folder of the raw files')
  is_folder = name == 'image_folder'
  there = copies.current(raw, root) if is_folder else tfds_arrays.version_folder(root, name)
  if there is not None:
    return there, True
  with tfds_arrays.aside(root, name) as folder:
    (files := folder / 'raw').mkdir()
    paths, note = RAW[name](raw, files)
    make = OURS.get(name)
    if is_folder:
      make = functools.partial(copies.builder, str(raw), copies.new_name(raw, root))
    built = _build(name, make, paths, folder)
    (built / tfds_arrays.NOTE).write_text(
      json.dumps({'from': str(raw.resolve()), 'note': note}, indent=1) + '\n'
    )
    target, was_there = tfds_arrays.move(built, root / built.relative_to(folder))
  if was_there and is_folder and copies.current(raw, root) is None:
    raise OSError(
      f'another process has just prepared other photographs as {target}: give the same command again'
    )
  return target, was_there


def _build(name, make, paths, folder):
  """Runs the builder class that `make` returns, None for TFDS's own, on local files; returns the
  version's folder.
  """
  try:
    import tensorflow  # noqa: F401
    import tensorflow_datasets as tfds
  except ImportError as error:
    raise OSError(
      f'preparing {name} needs TensorFlow ({error}): pip install tensorflow-cpu'
    ) from error
  place = {'data_dir': str(folder), 'file_format': 'array_record'}
  builder = tfds.builder(name, **place) if make is None else make()(**place)
  builder._make_download_manager = lambda **unused: LocalFiles(
    paths
  )  # TFDS has no public way to give it files
  tfds.disable_progress_bar()
  with contextlib.redirect_stdout(io.StringIO()):  # it speaks of downloads
    builder.download_and_prepare(
      download_config=tfds.download.DownloadConfig(max_examples_per_split=MOST)
    )
  return pathlib.Path(builder.data_dir)


class LocalFiles:
  """What a TFDS builder asks for its raw files; answers with paths on disk instead of downloads."""

  downloaded_size = 0
  max_simultaneous_downloads = 1

  def __init__(self, paths):
    self._paths = paths
    self.manual_dir = next((path.parent for path in paths.values()), None)

  def download(self, urls):
    """Paths in the place of URLs; a dict of them gives a dict."""
    if isinstance(urls, dict):
      return {key: self.download(url) for key, url in urls.items()}
    return self._paths[str(urls).rpartition('/')[2]]

  download_and_extract = download
