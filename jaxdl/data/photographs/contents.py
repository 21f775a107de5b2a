"""Content of a folder of photographs: entries, checksum, and differences between two folders."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from jaxdl import stores

FILE = 'photographs.json'  # in a prepared copy, next to its records
READ = 1 << 28  # most bytes of the photographs of a split that are read for its checksum


@dataclasses.dataclass(frozen=True)
class Entry:
  """One photograph.

  Attributes:
    name: path relative to the folder, with '/'.
    label: its class.
    size: number of bytes.
    modified: time of the last change of the file that was read, or of its status, in ns.
    checksum: sha256 of its bytes, hexadecimal; '' if they were not read.
  """

  name: str
  label: int
  size: int
  modified: int
  checksum: str = ''


def of_files(
  files: Iterable[tuple[Path, int]], root: Path, remote: stores.Folder | None = None
) -> list[Entry]:
  """The entries of files below a folder; no file is opened (13 µs a file).

  Args:
    files: (path, label) of each.
    root: the folder.
    remote: the folder in an object store that `root` stands for, or None.
  """
  entries = []
  for path, label in files:
    if remote is None:
      found = path.stat()
      # A program may set the first time to an earlier one, but not the second.
      size, modified = found.st_size, max(found.st_mtime_ns, found.st_ctime_ns)
    else:
      there = remote.about(path)
      size, modified = there.size, int((there.modified or 0) * 1e9)
    entries.append(Entry(path.relative_to(root).as_posix(), label, size, modified))
  return entries


def checksum(entries: Iterable[Entry]) -> str:
  """sha256 over names, labels and sizes in order: the same for a moved folder and for a copy."""
  digest = hashlib.sha256()
  for entry in entries:
    digest.update(b'%s\0%d\0%d\0' % (os.fsencode(entry.name), entry.label, entry.size))
  return digest.hexdigest()


def checksum_of_bytes(
  entries: Sequence[Entry], root: Path | None, remote: stores.Folder | None = None
) -> str | None:
  """sha256 over the bytes of photographs in order, of a folder or of its copy.

  Args:
    entries: the photographs.
    root: their folder; None if the entries have checksums.
    remote: the folder in an object store that `root` stands for, or None.

  Returns:
    The checksum; None if the photographs have more than READ bytes, or one cannot be read.
  """
  if sum(entry.size for entry in entries) > READ:
    return None
  if remote is not None:
    remote.fetch(entry.name for entry in entries)
  digest = hashlib.sha256()
  for entry in entries:
    known = entry.checksum
    if not known:
      if root is None:
        return None
      try:
        path = root / entry.name
        content = path.read_bytes() if remote is None else remote.read(path)
        known = hashlib.sha256(content).hexdigest()
      except OSError:  # decoding it names the file
        return None
    digest.update(known.encode())
  return digest.hexdigest()


def key(splits: Mapping[str, list[Entry]]) -> str:
  """Eight letters for a copy's name, which differ between folders and after every change."""
  digest = hashlib.sha256()
  for split, entries in splits.items():
    digest.update(split.encode())
    for entry in entries:
      digest.update(
        b'%s\0%d\0%d\0%d\0' % (os.fsencode(entry.name), entry.label, entry.size, entry.modified)
      )
  return digest.hexdigest()[:8]


def write(version: Path, splits: Mapping[str, list[Entry]], root: Path, *, numbered: bool) -> None:
  """Writes a list of its photographs into a prepared copy; `read` reads it.

  Args:
    version: folder of the copy.
    splits: split name → entries, in the order of the records.
    root: the folder that the copy was made from.
    numbered: as in `folders.Folder`.
  """
  rows = {
    split: [
      [entry.name, entry.label, entry.size, entry.modified, entry.checksum] for entry in entries
    ]
    for split, entries in splits.items()
  }
  (version / FILE).write_text(
    json.dumps({'from': str(root.resolve()), 'numbered': numbered, 'splits': rows}) + '\n',
    encoding='utf-8',
  )


@dataclasses.dataclass(frozen=True)
class Copied:
  """Record of a prepared copy about its original folder.

  Attributes:
    folder: absolute path of the original folder.
    numbered: as in `folders.Folder`.
    splits: split name → entries, in the order of the records.
  """

  folder: str
  numbered: bool
  splits: dict[str, list[Entry]]


def read(version: Path) -> Copied | None:
  """Reads the record of a prepared copy; None if damaged, or missing as in older versions."""
  try:
    found = json.loads((version / FILE).read_text(encoding='utf-8'))
    splits = {split: [Entry(*row) for row in rows] for split, rows in found['splits'].items()}
    return Copied(folder=str(found['from']), numbered=bool(found['numbered']), splits=splits)
  except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
    return None


def difference(
  kept: Mapping[str, list[Entry]], now: Mapping[str, list[Entry]], root: Path
) -> str | None:
  """The first difference between a prepared copy and a folder.

  Names, labels and sizes are compared. A file whose time has changed is read and its checksum is
  compared.

  Args:
    kept: split name → entries of the copy, with checksums.
    now: split name → entries of the folder.
    root: the folder.

  Returns:
    A text such as 'train/cat/1.jpg is new', None if nothing differs.
  """
  before = {entry.name: (split, entry) for split, entries in kept.items() for entry in entries}
  after = {entry.name: (split, entry) for split, entries in now.items() for entry in entries}
  for name in after:
    if name not in before:
      return f'{name} is new'
  for name in before:
    if name not in after:
      return f'{name} is gone'
  for name, (split, entry) in after.items():
    earlier_split, earlier = before[name]
    if (split, entry.label) != (earlier_split, earlier.label):
      return f'{name} has another class'
    if _has_changed(entry, earlier, root / name):
      return f'{name} has changed'
  return None


def _has_changed(entry: Entry, earlier: Entry, path: Path) -> bool:
  if entry.size != earlier.size:
    return True
  if entry.modified == earlier.modified:
    return False
  return hashlib.sha256(path.read_bytes()).hexdigest() != earlier.checksum
