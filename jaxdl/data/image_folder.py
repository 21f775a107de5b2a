"""Photographs in class folders, as files or as a prepared TFDS copy, read one by one and still encoded."""

import dataclasses
import hashlib
import os
import pathlib
import re
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxdl.data import checksum, preprocess, slicing, tfds_arrays
from jaxdl.data.photographs import contents, stream
from jaxdl.data.photographs import files as photograph_files
from jaxdl.data.photographs.encoded import Files, Records, select
from jaxdl.data.split import Data, batch_sizes, check_overlap, check_texts

FOOD11 = ('Bread', 'Dairy product', 'Dessert', 'Egg', 'Fried food', 'Meat', 'Noodles/Pasta', 'Rice', 'Seafood', 'Soup',
          'Vegetable/Fruit')
LICENCE = 'that of the photographs in the folder; Food-11 is for research, see its homepage'
HOMEPAGE = 'https://www.epfl.ch/labs/mmspg/downloads/food-image-datasets/'
CITATION = """@inproceedings{singla2016food,
  title={Food/Non-food Image Classification and Food Categorization using Pre-Trained {GoogLeNet} Model},
  author={Singla, Ashutosh and Yuan, Lin and Ebrahimi, Touradj},
  booktitle={Proceedings of the 2nd International Workshop on Multimedia Assisted Dietary Management},
  pages={3--11}, year={2016}}"""


@dataclasses.dataclass(frozen=True)
class Photographs:
  """The photographs of a folder, or of its prepared copy.

  Attributes:
    origin: 'folder' or 'tfds', where they are read from.
    splits: split name → random access to (bytes, label, name for messages).
    classes: class names in the order of the labels, as the folder has them.
    numbered: whether the classes are the numbers before `_` in the files' names, as in Food-11.
    entries: split name → list of `contents.Entry`; None of a copy that an older version prepared.
    place: absolute paths by which they are found again: 'folder', 'data_dir', 'copy'; None for those that do not apply.
    left_out: lines that name the files which are not read.
  """

  origin: str
  splits: dict[str, Any]
  classes: tuple[str, ...]
  numbered: bool
  entries: dict[str, list[contents.Entry]] | None
  place: dict[str, str | None]
  left_out: tuple[str, ...] = ()


def load(*, seed, splits, batch_size, evaluation_batch_size=32, folder=None, source='auto', copy=None, data_dir=None,
         overlap=False, class_names=None, size=512, fit='crop', background='white', workers=None, corrupt='refuse', scale='unit',
         augment=(), distort=()):
  """Streams photographs as a config's data section describes them.

  Args:
    seed, splits, batch_size, evaluation_batch_size, overlap: as in `images.load`.
    folder, source, data_dir: as in `read`.
    copy: str, under which name a copy was prepared; None for one that holds the folder's photographs.
    class_names: None for the names of the folders; a list with the name of each class in the order of the labels; or 'food11'
      for those of Food-11, where files are named `<class number>_<id>` as there and the classes are 0 to 10.
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
  check_overlap(overlap)
  stream.check(size=size, fit=fit, background=background, workers=workers, corrupt=corrupt)
  mean, deviation = preprocess.scaling(scale, None)
  prepare = preprocess.inputs(mean=mean, deviation=deviation, augment=augment, distort=distort)
  found = read(folder, source=source, name=copy, data_dir=data_dir)
  classes = named(found.classes, class_names, numbered=found.numbered)
  available = {split: len(examples) for split, examples in found.splits.items()}
  if not overlap:
    slicing.refuse_overlap(splits, available)
  ready = {name: stream.streaming(select(found.splits, splits[name]), batch_size=together, size=size, fit=fit,
                                  background=background, workers=workers, corrupt=corrupt, seed=seed if name == 'train' else None)
           for name, together in sizes.items()}
  checksums, per_class = {}, {}
  if found.entries is not None:
    labels = {split: np.array([entry.label for entry in entries], np.int32) for split, entries in found.entries.items()}
    checksums = {split: contents.checksum(found.entries[split]) for split in checksum.used(splits.values(), available)}
    for name in sizes:
      chosen = np.concatenate([labels[split][start:stop] for split, start, stop in slicing.intervals(splits[name], available)])
      per_class[name] = np.bincount(chosen, minlength=len(classes)).tolist()
  return Data(name='image_folder', origin=found.origin, classes=classes, splits=ready, prepare=prepare,
              scaling={'mean': mean, 'deviation': deviation}, available=available, checksums=checksums, place=found.place,
              per_class=per_class, left_out=found.left_out)


def named(classes: Sequence[str], names: str | Sequence[str] | None, *, numbered: bool) -> tuple[str, ...]:
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
    raise ValueError(f"config.data.class_names={names!r} is not a list of different names: write ('cat', 'dog'), or 'food11'")
  if len(names) != len(classes):
    raise ValueError(f'config.data.class_names has {len(names)} names, but the photographs have {len(classes)} classes: give a '
                     'name for each, or leave the key out')
  return tuple(names)


def read(folder, *, source='auto', name=None, data_dir=None) -> Photographs:
  """The photographs of a folder, or of its prepared copy.

  The order is fixed and spreads every class evenly, so that 'train[90%:]' has its share of each; it is the same in both.
  A copy is used only where it holds what the folder holds: `contents.difference` compares them.

  Args:
    folder: path of the folder of files; None where there is only the copy.
    source: 'folder' (no TensorFlow anywhere) | 'tfds' (the copy) | 'auto' (the copy where there is one, else the folder).
    name: str, under which the copy was prepared; None for any that holds the folder's photographs.
    data_dir: TFDS's folder, None for its default.

  Returns:
    Photographs.

  Raises:
    ValueError: an unknown source, neither folder nor name, a folder at fault (see `photographs.files.find`), or with
      source='tfds' a copy that differs from the folder.
    FileNotFoundError: neither the folder nor a copy is there.
  """
  if source not in ('auto', 'folder', 'tfds'):
    raise ValueError(f'config.data.source={source!r} is not a place of image_folder: use one of auto, folder, tfds')
  if folder is None and (source == 'folder' or name is None):
    raise ValueError('config.data.folder is missing: give the folder that holds train/<class>/*.jpg')
  root = tfds_arrays.root_folder(data_dir)
  place = None if folder is None else pathlib.Path(folder).expanduser()
  if place is None or not place.is_dir():
    return _without_folder(folder, source, name, root)
  found = _mixed(place)
  fault = None
  remark = found.remark(str(folder))
  left_out = () if remark is None else (remark,)
  if source != 'folder':
    version, fault = _matching_copy(root, name, place, found)
    if version is not None:
      return _prepared(version, root, folder=place, left_out=left_out)
    again = f'python -m jaxdl.data prepare image_folder --from={folder} --data_dir={root}'
    again += '' if name is None else ' and leave config.data.copy out'
    if source == 'tfds':
      missing = f'image_folder/{name or copy_name(folder)} is not prepared in {root}'
      instead = f'run {again}, or set config.data.source="folder"'
      if fault is None:
        raise FileNotFoundError(f'{missing}: {instead}')
      raise ValueError(f'{fault}: {instead}')
    if fault is not None:
      print(f'jaxdl: {fault}: reading the folder; to prepare it again: {again}', file=sys.stderr, flush=True)
  return Photographs('folder', {split: Files(files) for split, files in found.splits.items()}, found.classes, found.numbered,
                     entries_of(found, place), {'folder': str(place.absolute())}, left_out)


def _without_folder(folder, source, name, root):
  """The prepared copy of a folder that is not there, or not given."""
  fault = (f'config.data.folder={folder} is not there: give the folder that holds train/<class>/*.jpg, '
           '--config.data.folder=DIR')
  if source == 'folder':
    raise FileNotFoundError(fault)
  if name is not None:
    version = tfds_arrays.version_folder(root, f'image_folder/{name}')
    if version is not None:
      return _prepared(version, root)
    raise FileNotFoundError(f'image_folder/{name} is not prepared in {root}: run python -m jaxdl.data prepare image_folder '
                            f'--from={folder or "DIR"} --data_dir={root}')
  wanted, copies = pathlib.Path(folder).expanduser().resolve(), _copies(root, copy_name(folder))
  made_from_it = []
  for version in copies:
    copied = contents.read(version)
    if copied is not None and copied.folder == str(wanted):
      made_from_it.append(version)
  if made_from_it:
    return _prepared(max(made_from_it, key=lambda version: (version / contents.FILE).stat().st_mtime_ns), root)
  if copies:
    fault += f', or --config.data.copy={copies[0].parent.name} for the copy of that name in {root}'
  raise FileNotFoundError(fault)


def copy_name(folder):
  """The name under which a folder's first copy is prepared: its own, in letters that TFDS takes."""
  return re.sub(r'\W+', '_', pathlib.Path(folder).expanduser().resolve().name.lower()).strip('_') or 'photographs'


def prepared_copy(folder, root: pathlib.Path) -> pathlib.Path | None:
  """The prepared copy in TFDS's folder that holds what a folder holds now; None where there is none."""
  place = pathlib.Path(folder).expanduser()
  return _matching_copy(root, None, place, _mixed(place))[0]


def new_name(folder, root: pathlib.Path) -> str:
  """A name for a copy of a folder that no other copy has: the folder's own, or with a key of what it holds."""
  place, name = pathlib.Path(folder).expanduser(), copy_name(folder)
  if not (root / 'image_folder' / name).exists():
    return name
  return f'{name}_{contents.key(entries_of(_mixed(place), place))}'


def entries_of(found: photograph_files.Folder, root: pathlib.Path) -> dict[str, list[contents.Entry]]:
  """Split name → entries of the photographs below a folder."""
  return {split: contents.of_files(files, root) for split, files in found.splits.items()}


def _copies(root, name):
  """The versions of the copies that folders of one name have."""
  parent = root / 'image_folder'
  names = [path.name for path in sorted(parent.iterdir()) if re.fullmatch(rf'{re.escape(name)}(_[0-9a-f]{{8}})?', path.name)
           ] if parent.is_dir() else []
  versions = [tfds_arrays.version_folder(root, f'image_folder/{one}') for one in names]
  return [version for version in versions if version is not None]


def _matching_copy(root, name, folder, found):
  """(version of the copy that holds what a folder holds or None, why the last one looked at does not)."""
  if name is None:
    versions = _copies(root, copy_name(folder))
  else:
    versions = [version for version in [tfds_arrays.version_folder(root, f'image_folder/{name}')] if version is not None]
  if not versions:
    return None, None
  now, fault = entries_of(found, folder), None
  for version in versions:
    copied = contents.read(version)
    if copied is None:
      fault = f'the prepared copy {version} has no list of its photographs, so that it is not known to be of {folder}'
      continue
    differs = contents.difference(copied.splits, now, folder)
    if differs is None:
      return version, None
    fault = f'the prepared copy {version} is of other photographs than {folder} ({differs})'
  return None, fault


def _mixed(folder):
  """`photographs.files.find`, the files of each class, in the order of a hash of their names, spread over the split."""
  found = photograph_files.find(folder)

  def drawn(example):
    return hashlib.sha256(os.fsencode(example[0].relative_to(folder).as_posix())).digest()

  def spread(files):
    places = {}
    for label in range(len(found.classes)):
      own = sorted((file for file in files if file[1] == label), key=drawn)
      places |= {file: ((rank + 0.5) / len(own), drawn(file)) for rank, file in enumerate(own)}
    return sorted(files, key=places.get)

  return dataclasses.replace(found, splits={split: spread(files) for split, files in found.splits.items()})


def _prepared(version, root, folder=None, left_out=()):
  """The Photographs of a prepared copy; `folder` is the one that holds the same now, if any."""
  import tensorflow_datasets as tfds
  builder = tfds.builder_from_directory(str(version))
  skip = {'image': tfds.decode.SkipDecoding()}
  splits = {split: Records(builder.as_data_source(split, decoders=skip)) for split in builder.info.splits}
  copied = contents.read(version)
  if copied is not None:
    counts = {split: len(entries) for split, entries in copied.splits.items()}
    if counts != {split: len(records) for split, records in splits.items()}:
      raise ValueError(f'{version / contents.FILE} lists other photographs than the copy has: delete {version} and prepare it '
                       'again')
  place = {'data_dir': str(root.absolute()), 'copy': version.parent.name,
           'folder': None if folder is None else str(folder.absolute())}
  return Photographs('tfds', splits, tuple(builder.info.features['label'].names), copied is not None and copied.numbered,
                     None if copied is None else copied.splits, place, left_out)


def builder(folder, name=None):
  """The TFDS builder class of one folder; the files' bytes are kept as they are, whatever their format.

  Args:
    folder: path of the folder of files, as text.
    name: str, TFDS's config, so that two folders do not collide; None for the folder's own name.

  Returns:
    Builder class; give it data_dir and file_format='array_record'. It prepares DATA_DIR/image_folder/NAME, and writes there
    which photographs it holds.
  """
  import tensorflow_datasets as tfds
  root = pathlib.Path(folder).expanduser()
  found = _mixed(root)
  entries = {split: [] for split in found.splits}  # as they are read

  class ImageFolder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Photographs in class folders."""

    VERSION = tfds.core.Version('1.0.0')
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=name or copy_name(folder))]  # noqa: RUF012
    MANUAL_DOWNLOAD_INSTRUCTIONS = 'python -m jaxdl.data prepare image_folder --from=DIR'

    def _info(self):
      return tfds.core.DatasetInfo(
          builder=self, description='Photographs in class folders, such as Food-11.', citation=CITATION,
          homepage=HOMEPAGE, license=LICENCE, supervised_keys=('image', 'label'), disable_shuffling=True,
          features=tfds.features.FeaturesDict({
              'image': tfds.features.Image(shape=(None, None, 3)),
              'label': tfds.features.ClassLabel(names=[name.replace('\n', ' ') for name in found.classes]),
              'name': tfds.features.Text()}))

    def _split_generators(self, dl_manager):
      return {split: self._generate_examples(split, files) for split, files in found.splits.items()}

    def _generate_examples(self, split, files):
      entries[split].clear()
      for position, (path, label) in enumerate(files):
        entry, = contents.of_files([(path, label)], root)
        content = path.read_bytes()
        entries[split].append(dataclasses.replace(entry, checksum=hashlib.sha256(content).hexdigest()))
        yield position, {'image': content, 'label': label, 'name': path.name}

    def download_and_prepare(self, **options):
      super().download_and_prepare(**options)
      if any(entries.values()):  # it was not there already
        contents.write(pathlib.Path(self.data_dir), entries, root, numbered=found.numbered)

  return ImageFolder
