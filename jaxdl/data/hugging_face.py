"""Data sets of images and labels from Hugging Face, by name in the hub or from a folder."""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, no_type_check

import numpy as np

from jaxdl.config.paths import absolute
from jaxdl.data import labelled_images, text_files, tfds_arrays
from jaxdl.data.array_files import SPLIT_OF
from jaxdl.data.dataset import Data, check_texts
from jaxdl.data.images import Changes
from jaxdl.data.source import Source

# The library is optional.
# pyright: reportMissingImports=false

SAVED = ('dataset_dict.json', 'state.json')  # files of a folder written by `save_to_disk`
GRAY = ('1', 'L')  # modes of Pillow
COLOURS = ('P', 'RGB', 'RGBA', 'CMYK', 'YCbCr', 'LA', 'PA')


@no_type_check  # a config may hold anything: the function checks it, and its errors name the key
def load(
  *,
  seed: int,
  batch_size: int,
  dataset: str | None = None,
  folder: str | PathLike[str] | None = None,
  config: str | None = None,
  revision: str | None = None,
  image: str | None = None,
  label: str | None = None,
  splits: Mapping[str, str] | str | None = None,
  evaluation_batch_size: int = 1000,
  overlap: bool = False,
  sampling: str = 'shuffled',
  scale: str = 'unit',
  color: str = 'original',
  size: int | None = None,
  fit: str = 'area',
  background: str | Sequence[int] = 'white',
  layout: str = 'image',
  augment: Changes = (),
  distort: Changes = (),
) -> Data:
  """Reads a data set of Hugging Face as described by a config's data section.

  No code of the data set is executed.

  Args:
    dataset: its name in the hub, such as 'ylecun/mnist'.
    folder: instead of the name, a folder that `save_to_disk` wrote, or one that `load_dataset`
      reads (Parquet, CSV, or images).
    config, revision: the data set's configuration, and a commit, tag or branch; None for the
      defaults.
    image, label: names of the columns; None for the only image, and for the only class label or the
      column 'label'.
    splits: as in `division.of_columns`.
    seed, batch_size, evaluation_batch_size, overlap, sampling, scale, color, size, fit,
      background, layout, augment, distort: as in `images.load`.

  Returns:
    Data; its `further` facts are the licence and the revision, if they are known.

  Raises:
    ValueError: a key of the config, or a data set without images and labels.
    OSError: the data set cannot be read, or the library `datasets` is not installed.
  """
  check_texts(
    dataset=dataset, folder=folder, config=config, revision=revision, image=image, label=label
  )
  if (dataset is None) == (folder is None):
    raise ValueError(
      "config.data has to name a data set: write dataset='ylecun/mnist', or folder='DIR' for a "
      'folder of your own'
    )
  parts = _loaded(dataset, folder, config, revision)
  name = dataset if dataset is not None else Path(folder).name
  columns, classes = decode(parts, name, image=image, label=label)
  found = Source(origin='huggingface', columns=columns, classes=classes)
  data = labelled_images.load(
    found,
    name=name,
    splits=splits,
    seed=seed,
    batch_size=batch_size,
    evaluation_batch_size=evaluation_batch_size,
    overlap=overlap,
    sampling=sampling,
    scale=scale,
    color=color,
    size=size,
    fit=fit,
    background=background,
    layout=layout,
    augment=augment,
    distort=distort,
  )
  place = None if folder is None else absolute(folder)
  info = next(iter(parts.values())).info
  facts = {'licence': info.license, 'revision': revision_of(info.download_checksums) or revision}
  return dataclasses.replace(
    data,
    place={'folder': place},
    further={key: value for key, value in facts.items() if value},
  )


def _loaded(dataset, folder, config, revision):
  """Split → data set of the library `datasets`."""
  try:
    import datasets
  except ImportError as error:
    raise OSError(
      f"data.name='huggingface' needs datasets, which is not installed ({error}): pip install "
      "'jaxdl[huggingface]'"
    ) from error
  place, is_saved = dataset, False
  if folder is not None:
    path = text_files.existing(folder, 'give a folder that save_to_disk wrote')
    if not path.is_dir():
      raise ValueError(f'{path} is not a folder: give one that save_to_disk wrote')
    place, is_saved = str(path), any((path / name).is_file() for name in SAVED)
  elif not tfds_arrays.DOWNLOADS.get():
    raise FileNotFoundError(f'{dataset}: nothing is downloaded to describe a config: train it')
  try:
    if is_saved:
      found = datasets.load_from_disk(place)
    else:
      found = datasets.load_dataset(place, name=config, revision=revision)
  except Exception as error:  # of the library, its file formats, and the network
    reason = ' '.join(str(error).split())[:160] or type(error).__name__
    raise OSError(
      f'{place} cannot be loaded ({reason}): check the name, config.data.config and the network'
    ) from error
  parts = found if isinstance(found, Mapping) else {'train': found}
  return {SPLIT_OF.get(str(split), str(split)): part for split, part in parts.items()}


def decode(
  parts: Mapping[str, Any], name: str, *, image: str | None, label: str | None
) -> tuple[dict[str, dict[str, np.ndarray]], tuple[str, ...]]:
  """Images and labels of every split.

  Args:
    parts: split → data set of the library `datasets`.
    name: the data set, for messages.
    image, label: as in `load`.

  Returns:
    (columns, classes) as in `labelled_images.columns`; grey images have one channel, if all are.

  Raises:
    ValueError: no column, or several, are images or labels; or as `labelled_images.columns`.
  """
  import datasets

  features = next(iter(parts.values())).features
  types = {feature: type(kind).__name__ for feature, kind in features.items()}
  pictures = [one for one, kind in features.items() if isinstance(kind, datasets.Image)]
  of_image = labelled_images.chosen(types, image, pictures, 'image', name)
  of_class = [one for one, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
  fitting = of_class or [one for one in features if one in ('label', 'labels')]
  of_label = labelled_images.chosen(types, label, fitting, 'label', name)
  is_gray = all(picture.mode in GRAY for part in parts.values() for picture in part[of_image])

  def pixels(split: str) -> list[np.ndarray]:
    return _pixels(parts[split][of_image], is_gray, name)

  known = {split: part[of_label] for split, part in parts.items()}
  return labelled_images.columns(
    pixels, {split: list(part) for split, part in known.items()}, _names(features[of_label]), name
  )


def _pixels(pictures: Iterable[Any], is_gray: bool, name: str) -> list[np.ndarray]:
  """Images of Pillow as arrays."""
  found = []
  for picture in pictures:
    if picture.mode not in (*GRAY, *COLOURS):
      raise ValueError(
        f'an image of {name} has the mode {picture.mode}: only images of 8 bits can be read'
      )
    found.append(np.asarray(picture.convert('L' if is_gray else 'RGB')))
  return found


def _names(feature):
  """The names of the classes of a ClassLabel; None for another feature."""
  names = getattr(feature, 'names', None)
  return None if names is None else tuple(names)


def revision_of(checksums: Mapping[str, Any] | None) -> str | None:
  """The commit of a data set of the hub, from the addresses of its files; None if not known.

  Args:
    checksums: address of each file → its size and checksum, as in `DatasetInfo`. An address is such
      as 'hf://datasets/ylecun/mnist@77f3279092a1c1579b2250db8eafed0ad422088c/mnist/train.parquet'.
  """
  commits = {
    match[1] for url in checksums or () if (match := re.search(r'@([0-9a-f]{40})/', str(url)))
  }
  return commits.pop() if len(commits) == 1 else None
