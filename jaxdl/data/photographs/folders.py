"""Finds photographs as files in folders: their splits and classes, and the files left out."""

import collections
import dataclasses
import os
import re
from collections.abc import Mapping
from os import PathLike
from pathlib import Path, PurePath

from jaxdl import stores
from jaxdl.config.paths import is_utf8
from jaxdl.data import names
from jaxdl.data.photographs import decode

# Files with these endings are not opened before they are decoded.
# fmt: off
SUFFIXES = frozenset((
  '.jpg', '.jpeg', '.jpe', '.jfif', '.mpo', '.png', '.apng', '.webp', '.gif', '.bmp', '.dib',
  '.tif', '.tiff', '.jp2', '.j2k', '.avif', '.avifs', '.ppm', '.pgm', '.pbm', '.pnm', '.tga',
  '.pcx', '.sgi', '.rgb', '.qoi', '.dds', '.psd', '.ico', '.icns'))
# fmt: on
SPLITS = {  # name of a folder, in lower case → split
  'train': 'train',
  'training': 'train',
  'validation': 'validation',
  'val': 'validation',
  'valid': 'validation',
  'test': 'test',
  'evaluation': 'test',
}
# Folders that operating systems and storage devices add to a folder or an archive.
OF_SYSTEMS = ('__MACOSX', '@eaDir', '#recycle', '$RECYCLE.BIN', 'System Volume Information')
NAMED = 3  # of the files left out for one reason, those that a message names

Example = tuple[Path, int]  # path of a photograph and its label
ByClass = dict[str, list[Path]]  # class name → paths, sorted
Listing = list[tuple[str, Path, bool]]  # (name, path, whether it is a folder), sorted


@dataclasses.dataclass(frozen=True)
class Folder:
  """The photographs below a folder.

  Attributes:
    splits: split name ('train', 'validation', 'test') → list of (path, label), sorted by class and
      file name.
    classes: class names in the order of the labels.
    numbered: whether files are named `<class number>_<id>`, as in Food-11, instead of being in
      class folders.
    left_out: reason → list of paths relative to the folder.
  """

  splits: dict[str, list[Example]]
  classes: tuple[str, ...]
  numbered: bool
  left_out: dict[str, list[str]]

  def remark(self, folder: str) -> str | None:
    """One line that names the files which are left out, None if there are none."""
    if not self.left_out:
      return None
    line = f'left out of {folder}: {_reasons(self.left_out)}'
    return line.encode(errors='backslashreplace').decode().replace('\n', '\\n')


def _reasons(left_out: Mapping[str, list[str]]) -> str:
  """The reasons for which files are left out, with their number and some names."""
  reasons = []
  for reason, paths in left_out.items():
    more = ', …' if len(paths) > NAMED else ''
    reasons.append(f'{len(paths):,} {reason} ({", ".join(paths[:NAMED])}{more})')
  return '; '.join(reasons)


def find(
  folder: str | PathLike[str], *, follow_links: bool = False, remote: stores.Folder | None = None
) -> Folder:
  """Finds the photographs below a folder.

  The folder has one of three layouts: `<split>/<class>/*.jpg`; `<class>/*.jpg`, where all are
  'train'; or that of Food-11, `<split>/<class number>_<id>.jpg`. A photograph is a file of any
  format of `decode.FORMATS`. A file with an unknown ending is opened to find out whether it is one.

  Args:
    folder: path of the folder.
    follow_links: whether links may lead out of the folder. Links inside the folder are always
      followed. Folders in a class folder are left out, so that a loop of links is never followed.
    remote: the folder in an object store whose root is `folder`; None for a folder on this machine.

  Returns:
    Folder.

  Raises:
    FileNotFoundError: the folder is missing, or holds no photographs.
    ValueError: a class is empty or not in the training split, a name does not fit the layout, or a
      link leads nowhere, or out of the folder without `follow_links`.
  """
  folder = Path(folder).expanduser()
  if remote is None and not folder.is_dir():
    raise FileNotFoundError(
      f'{folder} {missing(folder)}: give the folder that holds train/<class>/*.jpg'
    )
  search = _Search(folder, follow_links=follow_links)
  if remote is not None:
    search = _RemoteSearch(remote)
  entries = search.entries(folder)
  below = {name: path for name, path, is_folder in entries if is_folder}
  if any(name.lower() in SPLITS for name in below):
    named: dict[str, Path] = {}
    for path in below.values():
      split = _split_name(path)
      if split in named:
        raise ValueError(f'{path} and {named[split]} are both the {split} split: keep one of them')
      named[split] = path
    search.leave_out_files(entries, 'next to the split folders')
    found = {split: search.classes(search.entries(path)) for split, path in named.items()}
  else:
    found = {'train': search.classes(entries)}
  if not any(any(classes.values()) for classes in found.values()):
    others = f' ({_reasons(search.left_out)})' if search.left_out else ''
    raise FileNotFoundError(
      f'{folder} holds no photographs{others}: put image files, such as .jpg or .png, into '
      'train/<class>/'
    )
  splits, classes = _labelled(found, folder)
  return Folder(
    splits=splits, classes=classes, numbered=search.numbered, left_out=dict(search.left_out)
  )


def missing(folder: Path) -> str:
  """Why a path is not a folder: 'does not exist' or 'is a file'."""
  return 'is a file' if folder.exists() else 'does not exist'


def _split_name(path: Path) -> str:
  if path.name.lower() not in SPLITS:
    raise ValueError(
      f'{path} is next to the split folders but is not a split: '
      f'move it away, or name it {", ".join(SPLITS)}'
    )
  return SPLITS[path.name.lower()]


def _labelled(
  found: Mapping[str, ByClass], folder: Path
) -> tuple[dict[str, list[Example]], tuple[str, ...]]:
  """(split → [(path, label)], class names) from split → class → paths."""
  order = [split for split in ('train', 'validation', 'test') if split in found]
  known = list(found[order[0]])
  for split in order:
    for name, paths in found[split].items():
      if not paths:
        raise ValueError(
          f'class {name!r} has no photographs in the {split} split of {folder}: put some there, '
          'or give the folder that holds train/<class>/ and nothing else'
        )
      if not is_utf8(name):
        raise ValueError(f'class {name!a} of {folder} has a name that is not UTF-8: rename it')
      if name not in known:
        alike = [other for other in known if names.alike(name) == names.alike(other)]
        fix = f'rename it to {alike[0]!a}' if alike else 'move it away, or add it there'
        shown = f'{name!a}' if alike else repr(name)
        raise ValueError(
          f'class {shown} of the {split} split ({paths[0]}) is not in {order[0]}, which has '
          f'{len(known)} classes: {fix}'
        )
  numbered = all(name.isdecimal() for name in known)
  if numbered:
    known.sort(key=lambda name: (int(name), name))
  else:
    known.sort()
  labels = {name: label for label, name in enumerate(known)}
  splits = {
    split: [(path, labels[name]) for name in known for path in found[split].get(name, ())]
    for split in order
  }
  return splits, tuple(known)


class _Search:
  """Lists folders and records the files left out."""

  def __init__(self, root: Path, *, follow_links: bool) -> None:
    self.root = root
    self.follow_links = follow_links
    self.numbered = False
    self.left_out: dict[str, list[str]] = collections.defaultdict(list)

  def classes(self, entries: Listing) -> ByClass:
    """Class name → sorted paths, of class folders or of files named after their class."""
    if any(is_folder for _, _, is_folder in entries):
      self.leave_out_files(entries, 'next to the class folders')
      return {
        name: self.photographs(self.entries(path)) for name, path, is_folder in entries if is_folder
      }
    classes = collections.defaultdict(list)
    for path in self.photographs(entries):
      number = re.match(r'(\d+)_', path.name)
      if not number:
        raise ValueError(
          f'{path} is not in a class folder and is not named <class number>_<id>.jpg: '
          'move it into one'
        )
      classes[number[1]].append(path)
      self.numbered = True
    return dict(classes)

  def photographs(self, entries: Listing) -> list[Path]:
    """The photographs among some entries; the others are left out."""
    found = []
    for name, path, is_folder in entries:
      if is_folder:
        self.leave_out(path, 'folders inside a class folder')
      elif PurePath(name).suffix.lower() in SUFFIXES or self.is_photograph(path):
        found.append(path)
      else:
        self.leave_out(path, 'not an image')
    return found

  def is_photograph(self, path: Path) -> bool:
    """Whether a file with an unknown ending is a photograph."""
    return decode.is_photograph(path)

  def leave_out_files(self, entries: Listing, reason: str) -> None:
    """Records the files among some entries as left out."""
    for _, path, is_folder in entries:
      if not is_folder:
        self.leave_out(path, reason)

  def leave_out(self, path: Path, reason: str) -> None:
    """Records a file or folder as left out."""
    self.left_out[reason].append(path.relative_to(self.root).as_posix())

  def entries(self, folder: Path) -> Listing:
    """Sorted (name, path, whether it is a folder) of everything that is not hidden."""
    with os.scandir(folder) as found:
      entries = sorted(found, key=lambda entry: entry.name)
    shown = []
    for entry in entries:
      path = folder / entry.name
      if entry.name.startswith('.') or entry.name in OF_SYSTEMS:
        self.leave_out(path, 'hidden')
        continue
      if entry.is_symlink():
        self.check_link(path)
      if entry.is_dir() or entry.is_file():
        shown.append((entry.name, path, entry.is_dir()))
      else:
        self.leave_out(path, 'not a file')  # reading a pipe would wait for its writer
    return shown

  def check_link(self, path: Path) -> None:
    """Raises ValueError if a link leads nowhere, or out of the folder without `follow_links`."""
    try:
      target = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:  # Python 3.11 reports a loop as a RuntimeError
      raise ValueError(
        f'{path} is a link that leads nowhere (its target is missing, or a loop of links): '
        'delete it, or restore its target'
      ) from error
    if not self.follow_links and not target.is_relative_to(self.root.resolve()):
      raise ValueError(
        f'{path} is a link that leads out of {self.root}: put a copy there, or set '
        'config.data.follow_links=True'
      )


class _RemoteSearch(_Search):
  """The same for a folder in an object store, which has no links."""

  def __init__(self, remote: stores.Folder) -> None:
    super().__init__(remote.root, follow_links=False)
    self.remote = remote

  def is_photograph(self, path: Path) -> bool:
    return decode.begins_as_photograph(self.remote.read(path))

  def entries(self, folder: Path) -> Listing:
    shown = []
    for name, path, is_folder in self.remote.below(folder):
      if name.startswith('.') or name in OF_SYSTEMS:
        self.leave_out(path, 'hidden')
      else:
        shown.append((name, path, is_folder))
    return shown
