"""Photographs in class folders, as files or as a prepared TFDS copy, streamed as encoded bytes."""

import dataclasses
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxdl.config import checks
from jaxdl.data import checksum, known, preprocess, slicing, tfds_arrays
from jaxdl.data.dataset import Data, batch_sizes, check_texts
from jaxdl.data.photographs import contents, copies, stream
from jaxdl.data.photographs.examples import Files, Records, select

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


@dataclasses.dataclass(frozen=True)
class Photographs:
  """The photographs of a folder, or of its prepared copy.

  Attributes:
    origin: 'folder' or 'tfds', where they are read from.
    splits: split name → random access to (bytes, label, name for messages).
    classes: class names in the order of the labels, as the folder has them.
    numbered: whether the classes are the numbers before `_` in the files' names, as in Food-11.
    entries: split name → list of `contents.Entry`; None of a copy that an older version prepared.
    place: absolute paths by which they are found again: 'folder', 'data_dir', 'copy'; None for
      those that do not apply.
    left_out: lines that name the files which are not read.
  """

  origin: str
  splits: dict[str, Any]
  classes: tuple[str, ...]
  numbered: bool
  entries: dict[str, list[contents.Entry]] | None
  place: dict[str, str | None]
  left_out: tuple[str, ...] = ()


def load(
  *,
  seed,
  splits,
  batch_size,
  evaluation_batch_size=32,
  folder=None,
  source='auto',
  copy=None,
  data_dir=None,
  overlap=False,
  class_names=None,
  size=512,
  fit='crop',
  background='white',
  workers=None,
  corrupt='refuse',
  scale='unit',
  augment=(),
  distort=(),
):
  """Streams photographs as a config's data section describes them.

  Args:
    seed, splits, batch_size, evaluation_batch_size, overlap: as in `images.load`.
    folder, source, data_dir: as in `read`.
    copy: str, under which name a copy was prepared; None for one that holds the folder's
      photographs.
    class_names: None for the names of the folders; a list with the name of each class in the order
      of the labels; or 'food11' for those of Food-11, where files are named `<class number>_<id>`
      as there and the classes are 0 to 10.
    size, fit, background, workers, corrupt: as in `stream.streaming`.
    scale: 'unit' | 'symmetric', as in `preprocess.scaling`.
    augment, distort: as in `preprocess.inputs`.

  Returns:
    Data.

  Raises:
    ValueError, OSError: as `read`, `stream.streaming` and `images.load`.
  """
  sizes = batch_sizes(splits, batch_size=batch_size, evaluation_batch_size=evaluation_batch_size)
  check_texts(folder=folder, source=source, copy=copy, data_dir=data_dir)
  checks.check_flag(overlap, 'config.data.overlap')
  stream.check(size=size, fit=fit, background=background, workers=workers, corrupt=corrupt)
  mean, deviation = preprocess.scaling(scale, None)
  prepare = preprocess.inputs(mean=mean, deviation=deviation, augment=augment, distort=distort)
  try:
    found = read(folder, source=source, name=copy, data_dir=data_dir)
  except FileNotFoundError:
    if class_names != 'food11' or tfds_arrays.DOWNLOADS.get():
      raise
    found = _known_food11()
  classes = named(found.classes, class_names, numbered=found.numbered)
  available = {split: len(examples) for split, examples in found.splits.items()}
  if not overlap:
    slicing.refuse_overlap(splits, available)
  ready = {
    name: stream.streaming(
      select(found.splits, splits[name]),
      batch_size=together,
      size=size,
      fit=fit,
      background=background,
      workers=workers,
      corrupt=corrupt,
      seed=seed if name == 'train' else None,
    )
    for name, together in sizes.items()
  }
  checksums, per_class = {}, {}
  if found.entries is not None:
    labels = {
      split: np.array([entry.label for entry in entries], np.int32)
      for split, entries in found.entries.items()
    }
    checksums = {
      split: contents.checksum(found.entries[split])
      for split in checksum.used(splits.values(), available)
    }
    for name in sizes:
      chosen = np.concatenate(
        [
          labels[split][start:stop]
          for split, start, stop in slicing.intervals(splits[name], available)
        ]
      )
      per_class[name] = np.bincount(chosen, minlength=len(classes)).tolist()
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
  )


def _known_food11():
  """Photographs as many as in Food-11, for a config that is only described."""
  splits = {split: known.Unread(count) for split, count in known.FOOD11.items()}
  numbers = tuple(str(number) for number in range(len(FOOD11)))
  return Photographs(known.ABSENT, splits, numbers, True, None, {})


def named(
  classes: Sequence[str], names: str | Sequence[str] | None, *, numbered: bool
) -> tuple[str, ...]:
  """Class names as a config's `class_names` asks for them; see `load`.

  Args:
    classes: the names of the folders, or the numbers in the names of the files.
    names: the value of `class_names`.
    numbered: whether they are numbers in the names of the files.

  Returns:
    As many names as classes.

  Raises:
    ValueError: another number of names, or something that is no list of texts.
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


def read(folder, *, source='auto', name=None, data_dir=None) -> Photographs:
  """The photographs of a folder, or of its prepared copy.

  The order is fixed and spreads every class evenly, so that 'train[90%:]' has its share of each;
  it is the same in both.
  A copy is used only where it holds what the folder holds: `contents.difference` compares them.

  Args:
    folder: path of the folder of files; None where there is only the copy.
    source: 'folder' (no TensorFlow anywhere) | 'tfds' (the copy) | 'auto' (the copy where there is
      one, else the folder).
    name: str, under which the copy was prepared; None for any that holds the folder's photographs.
    data_dir: TFDS's folder, None for its default.

  Returns:
    Photographs.

  Raises:
    ValueError: an unknown source, neither folder nor name, a folder at fault (see
      `photographs.files.find`), or with source='tfds' a copy that differs from the folder.
    FileNotFoundError: neither the folder nor a copy is there.
  """
  if source not in ('auto', 'folder', 'tfds'):
    raise ValueError(
      f'config.data.source={source!r} is not a place of image_folder: use one of auto, folder, tfds'
    )
  if folder is None and (source == 'folder' or name is None):
    raise ValueError(
      'config.data.folder is missing: give the folder that holds train/<class>/*.jpg'
    )
  root = tfds_arrays.root_folder(data_dir)
  place = None if folder is None else pathlib.Path(folder).expanduser()
  if place is None or not place.is_dir():
    return _without_folder(folder, source, name, root)
  found = copies.mixed(place)
  fault = None
  remark = found.remark(str(folder))
  left_out = () if remark is None else (remark,)
  if source != 'folder':
    version, fault = copies.matching(root, name, place, found)
    if version is not None:
      return _prepared(version, root, folder=place, left_out=left_out)
    again = f'python -m jaxdl.data prepare image_folder --from={folder} --data_dir={root}'
    again += '' if name is None else ' and leave config.data.copy out'
    if source == 'tfds':
      missing = f'image_folder/{name or copies.copy_name(folder)} is not prepared in {root}'
      instead = f'run {again}, or set config.data.source="folder"'
      if fault is None:
        raise FileNotFoundError(f'{missing}: {instead}')
      raise ValueError(f'{fault}: {instead}')
    if fault is not None:
      print(
        f'jaxdl: {fault}: reading the folder; to prepare it again: {again}',
        file=sys.stderr,
        flush=True,
      )
  return Photographs(
    'folder',
    {split: Files(files) for split, files in found.splits.items()},
    found.classes,
    found.numbered,
    copies.entries_of(found, place),
    {'folder': str(place.absolute())},
    left_out,
  )


def _without_folder(folder, source, name, root):
  """The prepared copy of a folder that is not there, or not given."""
  fault = (
    f'config.data.folder={folder} is not there: give the folder that holds train/<class>/*.jpg, '
    '--config.data.folder=DIR'
  )
  if source == 'folder':
    raise FileNotFoundError(fault)
  if name is not None:
    version = tfds_arrays.version_folder(root, f'image_folder/{name}')
    if version is not None:
      return _prepared(version, root)
    raise FileNotFoundError(
      f'image_folder/{name} is not prepared in {root}: run python -m jaxdl.data '
      f'prepare image_folder --from={folder or "DIR"} --data_dir={root}'
    )
  wanted, versions = (
    pathlib.Path(folder).expanduser().resolve(),
    copies.versions_of(root, copies.copy_name(folder)),
  )
  made_from_it = []
  for version in versions:
    copied = contents.read(version)
    if copied is not None and copied.folder == str(wanted):
      made_from_it.append(version)
  if made_from_it:
    return _prepared(
      max(made_from_it, key=lambda version: (version / contents.FILE).stat().st_mtime_ns), root
    )
  if versions:
    fault += (
      f', or --config.data.copy={versions[0].parent.name} for the copy of that name in {root}'
    )
  raise FileNotFoundError(fault)


def _prepared(version, root, folder=None, left_out=()):
  """The Photographs of a prepared copy; `folder` is the one that holds the same now, if any."""
  import tensorflow_datasets as tfds

  builder = tfds.builder_from_directory(str(version))
  skip = {'image': tfds.decode.SkipDecoding()}
  splits = {
    split: Records(builder.as_data_source(split, decoders=skip)) for split in builder.info.splits
  }
  copied = contents.read(version)
  if copied is not None:
    counts = {split: len(entries) for split, entries in copied.splits.items()}
    if counts != {split: len(records) for split, records in splits.items()}:
      raise ValueError(
        f'{version / contents.FILE} lists other photographs than the copy has: '
        f'delete {version} and prepare it again'
      )
  place = {
    'data_dir': str(root.absolute()),
    'copy': version.parent.name,
    'folder': None if folder is None else str(folder.absolute()),
  }
  return Photographs(
    'tfds',
    splits,
    tuple(builder.info.features['label'].names),
    copied is not None and copied.numbered,
    None if copied is None else copied.splits,
    place,
    left_out,
  )
