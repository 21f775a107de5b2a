"""Shared functions of data sets of images and labels from TFDS and Hugging Face."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxdl.data import arrays, division, images, labels
from jaxdl.data.array_cache import Decoded
from jaxdl.data.dataset import Data
from jaxdl.data.source import Source

UNLABELLED = -1  # label of examples whose class is not public


def load(found: Source, *, name: str, splits: Any, seed: int, **options: Any) -> Data:
  """Builds a data set of images, and divides it if it defines no splits.

  Args:
    found: the images.
    name: the data set.
    splits: as in `division.of_columns`.
    seed, options: as in `images.load`.

  Returns:
    Data.

  Raises:
    ValueError: as `division.of_columns` and `images.load`.
  """
  divided = division.of_columns(found.columns, splits, seed=seed, where=name, classes=found.classes)

  def read(source, data_dir):
    return dataclasses.replace(found, columns=divided.columns)

  data = images.load(read, seed=seed, splits=divided.splits, **options)
  arrays.check_classes(data)
  return dataclasses.replace(data, name=name, division=divided.shares, division_note=divided.note)


def chosen(
  kinds: Mapping[str, str], wanted: str | None, fitting: Sequence[str], key: str, name: str
) -> str:
  """Finds the feature of a data set that is the image or the label.

  Args:
    kinds: feature → name of its type.
    wanted: the feature that the config names; None for the only one that fits.
    fitting: the features of a fitting type.
    key: 'image' | 'label', the config key.
    name: the data set, for messages.

  Raises:
    ValueError: there is no such feature, or there are several.
  """
  listed = (
    ', '.join(f'{feature} ({kind})' for feature, kind in sorted(kinds.items())) or 'not named'
  )
  if wanted is not None and wanted not in kinds:
    raise ValueError(
      f'config.data.{key}={wanted!r} is not a feature of {name}: its features are {listed}'
    )
  if wanted is not None:
    return wanted
  if not fitting:
    raise ValueError(
      f'{name} has no {key}: only data sets of images and labels can be read, but its features are '
      f'{listed}'
    )
  if len(fitting) > 1 and key not in fitting:
    raise ValueError(
      f'{name} has several features that may be the {key}: set config.data.{key} to one of '
      f'{", ".join(sorted(fitting))}'
    )
  return key if key in fitting else fitting[0]


def columns(
  pixels: Callable[[str], Sequence[np.ndarray]],
  found: Mapping[str, Sequence[Any]],
  classes: Sequence[str] | None,
  name: str,
) -> Decoded:
  """Images and labels of splits; those whose examples have no label are left out.

  Args:
    pixels: function (split) → its N images, [H, W, C] or [H, W] uint8.
    found: split → its N labels.
    classes: the names of the classes, which the labels number; None for any labels.
    name: the data set, for messages.

  Returns:
    (columns, classes) as in `Source`.

  Raises:
    ValueError: images of several sizes or of another type, or labels as in `labels.encode`.
  """
  known = {
    split: np.asarray(part)
    for split, part in found.items()
    if len(part) and (classes is None or (np.asarray(part) != UNLABELLED).any())
  }
  if not known:
    raise ValueError(f'{name} has no example with a label: use another data set')
  if classes is None:
    every = np.concatenate(list(known.values()))
    _, classes = labels.encode(every, f'the label of {name}')
    known = {split: labels.encode(part, name, classes)[0] for split, part in known.items()}
  return {
    split: {'image': _stacked(pixels(split), name), 'label': part.astype(np.int32)}
    for split, part in known.items()
  }, tuple(classes)


def _stacked(found, name):
  """Images as one array [N, H, W, C]; ValueError if they have several sizes."""
  shapes = {image.shape for image in found}
  if len(shapes) > 1:
    few = ' and '.join('×'.join(map(str, shape)) for shape in sorted(shapes)[:2])
    raise ValueError(
      f'the images of {name} have different sizes, such as {few}: store them in class folders and '
      "set data.name='image_folder'"
    )
  if found[0].dtype != np.uint8:
    raise ValueError(
      f'the images of {name} are {found[0].dtype}: only images of 8 bits can be read'
    )
  stacked = np.stack(found)
  return stacked[..., None] if stacked.ndim == 3 else stacked
