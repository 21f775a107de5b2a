"""TFDS data sets decoded into arrays. TensorFlow is imported only where a prepared copy needs it."""

import os
import pathlib

import numpy as np

from jaxdl.data.source import Source


def read(name, *, data_dir, download):
  """Decodes every split of a TFDS data set.

  Args:
    name: str, TFDS's name.
    data_dir: TFDS's folder, None for its default ($TFDS_DATA_DIR or ~/tensorflow_datasets).
    download: bool, download and prepare where no prepared copy is on disk.

  Returns:
    Source, or None where no prepared copy is on disk and download is False.

  Raises:
    OSError: the download failed.
  """
  folder = pathlib.Path(data_dir or os.environ.get('TFDS_DATA_DIR') or '~/tensorflow_datasets').expanduser()
  if not download and not (folder / name).is_dir():
    return None  # said without importing TFDS, which takes a second
  import tensorflow_datasets as tfds
  builder = tfds.builder(name, data_dir=str(folder))
  if not builder.is_prepared():
    if not download:
      return None
    builder = tfds.builder(name, data_dir=str(folder), file_format='array_record')
    _download(builder, name, folder)
  columns = {split: _columns(builder, split) for split in builder.info.splits}
  return Source(origin='tfds', columns=columns, classes=tuple(builder.info.features['label'].names))


def _download(builder, name, folder):
  try:
    builder.download_and_prepare()
  except Exception as error:  # TFDS raises whatever its downloader's libraries raise
    reason = str(error).partition('\n')[0][:200]
    raise OSError(f'TFDS could not download {name} into {folder} ({reason}): check the network, or use '
                  'config.data.source="auto" where a bundled copy exists') from error


def _columns(builder, split):
  """{column: [N, …]} of one split; ArrayRecord is read at random access, TFRecord through tf.data."""
  import tensorflow_datasets as tfds
  if builder.info.file_format is tfds.core.FileFormat.ARRAY_RECORD:
    source = builder.as_data_source(split)
    rows = source.__getitems__(range(len(source)))  # three times faster than one by one
    columns = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
  else:
    columns = tfds.as_numpy(builder.as_dataset(split, batch_size=-1))
  return {name: values.astype(np.int32) if name == 'label' else values for name, values in columns.items()}
