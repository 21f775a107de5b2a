"""Photographs in class folders, or in a prepared TFDS copy, as a config's data section has them."""

import pathlib
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, no_type_check

import numpy as np
from jaxtyping import Int32

from jaxdl.config import checks
from jaxdl.data import checksum, division, fits, preprocess, slicing, stand_ins, tfds_arrays
from jaxdl.data.dataset import (
  Data,
  batch_sizes,
  check_sampling,
  check_texts,
  classes_to_balance,
)
from jaxdl.data.images import Changes
from jaxdl.data.photographs import contents, reading, stream
from jaxdl.data.photographs import division as photograph_division
from jaxdl.data.photographs.examples import select
from jaxdl.data.photographs.reading import Photographs

FOOD11 = (
  'Bread',
  'Dairy product',
  'Dessert',
  'Egg',
  'Fried food',
  'Meat',
  'Noodles/Pasta',
  'Rice',
  'Seafood',
  'Soup',
  'Vegetable/Fruit',
)


@no_type_check  # a config may hold anything: the function checks it, and its errors name the key
def load(
  *,
  seed: int,
  splits: Mapping[str, str] | str | None = None,
  batch_size: int,
  evaluation_batch_size: int = 32,
  folder: str | PathLike[str] | None = None,
  source: str = 'auto',
  copy: str | None = None,
  data_dir: str | PathLike[str] | None = None,
  overlap: bool = False,
  follow_links: bool = False,
  sampling: str = 'shuffled',
  class_names: str | Sequence[str] | None = None,
  size: int = 512,
  fit: str = 'crop',
  background: str | Sequence[int] = 'white',
  color: str = 'original',
  workers: int | None = None,
  corrupt: str = 'refuse',
  scale: str = 'unit',
  layout: str = 'image',
  augment: Changes = (),
  distort: Changes = (),
) -> Data:
  """Streams photographs as a config's data section describes them.

  Args:
    seed, batch_size, evaluation_batch_size, overlap, sampling: as in `images.load`.
    splits: as in `photographs.division.divide`.
    folder, source, data_dir, follow_links: as in `photographs.read`.
    copy: name under which a copy was prepared; None for any copy that holds the folder's
      photographs.
    class_names: None for the names of the folders; a list with the name of each class in the order
      of the labels; or 'food11' for those of Food-11, whose files are named `<class number>_<id>`
      and whose classes are 0 to 10.
    size, fit, background, color, workers, corrupt: as in `photographs.streaming`.
    scale: 'unit' | 'symmetric', as in `preprocess.scaling`.
    layout, augment, distort: as in `preprocess.inputs`.

  Returns:
    Data.

  Raises:
    ValueError, OSError: as `photographs.read`, `photographs.streaming` and `images.load`.
  """
  division.check(splits)
  given = photograph_division.COMPLETE if splits is None or isinstance(splits, str) else splits
  sizes = batch_sizes(given, batch_size=batch_size, evaluation_batch_size=evaluation_batch_size)
  check_texts(folder=folder, source=source, copy=copy, data_dir=data_dir)
  checks.check_flag(overlap, 'config.data.overlap')
  checks.check_flag(follow_links, 'config.data.follow_links')
  squares = {
    'size': size,
    'fit': fit,
    'background': background,
    'color': color,
    'workers': workers,
    'corrupt': corrupt,
  }
  stream.check(**squares)
  check_sampling(sampling)
  mean, deviation = preprocess.scaling(scale, None, channels=fits.channels_of(color))
  prepare = preprocess.inputs(
    mean=mean, deviation=deviation, layout=layout, augment=augment, distort=distort
  )
  try:
    found = reading.read(
      folder, source=source, name=copy, data_dir=data_dir, follow_links=follow_links
    )
  except FileNotFoundError:
    if class_names != 'food11' or tfds_arrays.DOWNLOADS.get():
      raise
    found = _known_food11()
  divided = photograph_division.divide(found, splits, seed=seed)
  found, splits = divided.found, divided.splits
  sizes = {name: examples for name, examples in sizes.items() if name in splits}
  classes = named(found.classes, class_names, numbered=found.numbered)
  available = {split: len(examples) for split, examples in found.splits.items()}
  if not overlap:
    slicing.refuse_overlap(splits, available)
  entries = {name: _entries(found, splits[name]) for name in sizes}
  labels = {name: _labels(part) for name, part in entries.items()}
  if found.origin == stand_ins.ABSENT:
    sampling = 'shuffled'  # the config is only described
  ready = {
    name: stream.streaming(
      select(found.splits, splits[name]),
      batch_size=examples,
      **squares,
      seed=seed if name == 'train' else None,
      classes=classes_to_balance(sampling, labels[name]) if name == 'train' else None,
    )
    for name, examples in sizes.items()
  }
  checksums, per_class = {}, {}
  if found.entries is not None:
    for split in checksum.used(splits.values(), available):
      checksums[split] = contents.checksum(found.entries[split])
      of_bytes = contents.checksum_of_bytes(found.entries[split], _root(found), found.remote)
      if of_bytes is not None:
        checksums[f'{split}{checksum.OF_BYTES}'] = of_bytes
    per_class = {
      name: np.bincount(part, minlength=len(classes)).tolist() for name, part in labels.items()
    }
  return Data(
    name='image_folder',
    origin=found.origin,
    classes=classes,
    splits=ready,
    prepare=prepare,
    scaling={'mean': mean, 'deviation': deviation},
    available=available,
    checksums=checksums,
    place=found.place,
    per_class=per_class,
    left_out=found.left_out,
    files={} if found.entries is None else entries,
    division=divided.shares,
    division_note=divided.note,
  )


def _root(found: Photographs) -> pathlib.Path | None:
  """The folder of the photographs; None for a prepared copy."""
  if found.remote is not None:
    return found.remote.root
  return pathlib.Path(str(found.place['folder'])) if found.origin == 'folder' else None


def _known_food11():
  """Photographs as many as in Food-11, for a config that is only described."""
  splits = {split: stand_ins.Unread(count) for split, count in stand_ins.FOOD11.items()}
  numbers = tuple(str(number) for number in range(len(FOOD11)))
  return Photographs(stand_ins.ABSENT, splits, numbers, True, None, {})


def _entries(found: Photographs, expression: str) -> list[contents.Entry] | None:
  """The photographs of a split that is named in TFDS's notation; None if they are not listed."""
  if found.entries is None:
    return None
  available = {split: len(photographs) for split, photographs in found.entries.items()}
  return [
    entry
    for split, start, stop in slicing.intervals(expression, available)
    for entry in found.entries[split][start:stop]
  ]


def _labels(entries: Sequence[contents.Entry] | None) -> Int32[np.ndarray, ' N'] | None:
  return None if entries is None else np.array([entry.label for entry in entries], np.int32)


def named(classes: Sequence[str], names: Any, *, numbered: bool) -> tuple[str, ...]:
  """Class names by a config's `class_names`; see `load`.

  Args:
    classes: the names of the folders, or the numbers in the names of the files.
    names: the value of `class_names`.
    numbered: whether `classes` are numbers in the names of the files.

  Returns:
    As many names as classes.

  Raises:
    ValueError: another number of names, or a value that is not a list of different texts.
  """
  if names is None:
    return tuple(classes)
  if names == 'food11':
    is_food11 = numbered and list(classes) == [str(number) for number in range(len(FOOD11))]
    return FOOD11 if is_food11 else tuple(classes)
  are_texts = isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names)
  if not are_texts or len(set(names)) < len(names):
    raise ValueError(
      f'config.data.class_names={names!r} is not a list of different names: '
      "write ('cat', 'dog'), or 'food11'"
    )
  if len(names) != len(classes):
    raise ValueError(
      f'config.data.class_names has {len(names)} names, but the photographs have {len(classes)} '
      'classes: give a name for each, or leave the key out'
    )
  return tuple(names)
