"""The photographs of a folder, read from its files or from its prepared TFDS copy."""

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any

from jaxdl import stores
from jaxdl.config.paths import is_address
from jaxdl.data import tfds_arrays
from jaxdl.data.photographs import contents, copies, folders
from jaxdl.data.photographs.examples import Files, PhotographSource, Records


@dataclasses.dataclass(frozen=True)
class Photographs:
  """The photographs of a folder, or of its prepared copy.

  Attributes:
    origin: 'folder' or 'tfds', the kind of place that they are read from.
    splits: split name → random access to (bytes, label, name for messages).
    classes: class names in the order of the labels: those of the folders.
    numbered: whether the classes are the numbers before `_` in the files' names, as in Food-11.
    entries: split name → list of `contents.Entry`; None for a copy that an older version prepared.
    place: absolute paths by which they are found again: 'folder', 'data_dir', 'copy'; None for
      those that do not apply.
    left_out: lines that name the files which are not read.
    remote: the folder in an object store in which they are; None for files on this machine.
  """

  origin: str
  splits: Mapping[str, PhotographSource]
  classes: tuple[str, ...]
  numbered: bool
  entries: dict[str, list[contents.Entry]] | None
  place: dict[str, str | None]
  left_out: tuple[str, ...] = ()
  remote: stores.Folder | None = None


def read(
  folder: str | PathLike[str] | None,
  *,
  source: Any = 'auto',
  name: str | None = None,
  data_dir: tfds_arrays.DataDir = None,
  follow_links: bool = False,
) -> Photographs:
  """Finds the photographs of a folder, or of its prepared copy.

  Their order is the same in both. It is fixed and spreads every class evenly over the split, so
  that 'train[90%:]' has its share of each class. A copy is used only if it holds the same
  photographs as the folder, which `contents.difference` compares.

  Args:
    folder: path of the folder of files, or its address in an object store; None if there is only
      the copy.
    source: 'folder' (TensorFlow is not used) | 'tfds' (the copy) | 'auto' (the copy if there is
      one, else the folder).
    name: name under which the copy was prepared; None for any that holds the folder's photographs.
    data_dir: TFDS's folder, None for its default.
    follow_links: as in `folders.find`.

  Returns:
    Photographs.

  Raises:
    ValueError: an unknown source, neither folder nor name, an invalid folder (see `folders.find`),
      or with source='tfds' a copy that differs from the folder.
    FileNotFoundError: neither the folder nor a copy exists.
  """
  if source not in ('auto', 'folder', 'tfds'):
    raise ValueError(
      f'config.data.source={source!r} is not a source of image_folder: use one of auto, '
      'folder, tfds'
    )
  if folder is None and (source == 'folder' or name is None):
    raise ValueError(
      'config.data.folder is missing: give the folder that holds train/<class>/*.jpg'
    )
  root = tfds_arrays.root_folder(data_dir)
  if is_address(folder):
    return _in_store(folder, source)
  path = None if folder is None else Path(folder).expanduser()
  if folder is None or path is None or not path.is_dir():
    return _without_folder(folder, source, name, root)
  found = copies.mixed(path, follow_links=follow_links)
  remark = found.remark(str(folder))
  left_out = () if remark is None else (remark,)
  if source != 'folder':
    version, fault = copies.matching(root, name, path, found)
    if version is not None:
      return _prepared(version, root, folder=path, left_out=left_out)
    _no_copy(folder, source, name, root, fault)
  return Photographs(
    origin='folder',
    splits={split: Files(files) for split, files in found.splits.items()},
    classes=found.classes,
    numbered=found.numbered,
    entries=copies.entries_of(found, path),
    place={'folder': str(path.absolute())},
    left_out=left_out,
  )


def _in_store(address: str, source: str) -> Photographs:
  """The photographs of a folder in an object store, which are fetched when they are read."""
  if source == 'tfds':
    raise ValueError(
      f'config.data.source="tfds" reads a prepared copy, but config.data.folder={address} is an '
      'address: leave config.data.source out'
    )
  remote = stores.listed(address)
  found = copies.mixed(remote.root, remote=remote)
  remark = found.remark(address)
  return Photographs(
    origin='folder',
    splits={split: Files(files, remote) for split, files in found.splits.items()},
    classes=found.classes,
    numbered=found.numbered,
    entries=copies.entries_of(found, remote.root, remote),
    place={'folder': remote.address},
    left_out=() if remark is None else (remark,),
    remote=remote,
  )


def _no_copy(
  folder: str | PathLike[str], source: str, name: str | None, root: Path, fault: str | None
) -> None:
  """Reports that a folder has no copy with the same photographs; an error with source='tfds'.

  Args:
    folder, source, name: as in `read`.
    root: TFDS's folder.
    fault: how the folder's copy differs; None if there is no copy.
  """
  command = f'python -m jaxdl.data prepare image_folder --from={folder} --data_dir={root}'
  if name is not None:
    command += ' and leave config.data.copy out'
  if source == 'tfds':
    instead = f'run {command}, or set config.data.source="folder"'
    if fault is not None:
      raise ValueError(f'{fault}: {instead}')
    copy = name or copies.copy_name(folder)
    raise FileNotFoundError(f'image_folder/{copy} is not prepared in {root}: {instead}')
  if fault is not None:
    print(
      f'jaxdl: {fault}: reading the folder; to prepare it again: {command}',
      file=sys.stderr,
      flush=True,
    )


def _without_folder(
  folder: str | PathLike[str] | None, source: str, name: str | None, root: Path
) -> Photographs:
  """The prepared copy of a folder that does not exist, or is not given."""
  fault = (
    f'config.data.folder={folder} {folders.missing(Path(folder or "").expanduser())}: give the '
    'folder that holds train/<class>/*.jpg, --config.data.folder=DIR'
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
  assert folder is not None, '`read` refuses neither folder nor name'
  wanted = str(Path(folder).expanduser().resolve())
  versions = copies.versions_of(root, copies.copy_name(folder))
  made_from_it = []
  for version in versions:
    copied = contents.read(version)
    if copied is not None and copied.folder == wanted:
      made_from_it.append(version)
  if made_from_it:
    return _prepared(max(made_from_it, key=_written_at), root)
  if versions:
    copy = versions[0].parent.name
    fault += f', or --config.data.copy={copy} for the copy of that name in {root}'
  raise FileNotFoundError(fault)


def _written_at(version: Path) -> int:
  return (version / contents.FILE).stat().st_mtime_ns


def _prepared(
  version: Path, root: Path, folder: Path | None = None, left_out: tuple[str, ...] = ()
) -> Photographs:
  """The Photographs of a prepared copy.

  Args:
    version: folder of the copy.
    root: TFDS's folder.
    folder: the folder that holds the same photographs now; None if there is none.
    left_out: as in `Photographs`.
  """
  import tensorflow_datasets as tfds

  builder: Any = tfds.builder_from_directory(str(version))
  skip = {'image': tfds.decode.SkipDecoding()}  # pyright: ignore[reportCallIssue]
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
  return Photographs(
    origin='tfds',
    splits=splits,
    classes=_classes(builder.info.features['label'].names, copied),
    numbered=copied is not None and copied.numbered,
    entries=None if copied is None else copied.splits,
    place={
      'data_dir': str(root.absolute()),
      'copy': version.parent.name,
      'folder': None if folder is None else str(folder.absolute()),
    },
    left_out=left_out,
  )


def _classes(names: Sequence[str], copied: contents.Copied | None) -> tuple[str, ...]:
  """The class names of a prepared copy.

  TFDS's list of names has a line for each, so it changes names with line breaks or spaces at the
  ends. Those of class folders are taken from the list of photographs.

  Args:
    names: the names in TFDS's list.
    copied: the list of photographs; None if the copy has none.
  """
  classes = list(names)
  if copied is not None and not copied.numbered:
    for entries in copied.splits.values():
      for entry in entries:
        classes[entry.label] = PurePosixPath(entry.name).parent.name
  return tuple(classes)
