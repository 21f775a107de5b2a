"""Finds inputs: image files, folders, glob patterns, arrays, text files and standard input."""

import dataclasses
import functools
import glob
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int32, Shaped

from jaxdl.config import memory, spelling
from jaxdl.data import text_files
from jaxdl.data.photographs import decode, folders

STANDARD_INPUT = '-'
ARRAYS = ('.npz', '.npy')
IMAGE_KEYS = ('image', 'images', 'x', 'x_test', 'data')  # names of the images in an .npz file
LABEL_KEYS = ('label', 'labels', 'y', 'y_test', 'target')  # names of their labels
NAMED = 3  # maximum number of file names in the message about other files


@dataclasses.dataclass(frozen=True)
class File:
  """An encoded input.

  Attributes:
    name: path as given or found; '-' for standard input.
    read: function () → content.
    label: index of the true class; -1 if it is unknown.
  """

  name: str
  read: Callable[[], bytes]
  label: int = -1


@dataclasses.dataclass(frozen=True)
class Files:
  """Files with one input each."""

  files: tuple[File, ...]

  def __len__(self) -> int:
    return len(self.files)

  @property
  def has_labels(self) -> bool:
    """Whether the class of any file is known."""
    return any(file.label >= 0 for file in self.files)


@dataclasses.dataclass(frozen=True, eq=False)
class Stack:
  """Images of one array.

  Attributes:
    name: file name; '' for an array in memory.
    images: [N, …], not checked yet; or vectors or sequences as stored.
    labels: [N], index of the true class of each image, -1 if it is unknown; or [N, D], the targets
      of a regression or the labels of an example, NaN if they are unknown.
  """

  name: str
  images: Shaped[np.ndarray, 'N ...']
  labels: Int32[np.ndarray, ' N'] | Float32[np.ndarray, 'N D']

  def __len__(self) -> int:
    return len(self.images)

  @property
  def has_labels(self) -> bool:
    """Whether the class of any image is known."""
    return bool((self.labels >= 0).any())


Source = Files | Stack


@dataclasses.dataclass(frozen=True)
class Found:
  """Inputs that the arguments of a command select.

  Attributes:
    sources: the inputs in order.
    left_out: messages about files in folders that are not inputs.
  """

  sources: tuple[Source, ...]
  left_out: tuple[str, ...] = ()

  def __len__(self) -> int:
    return sum(map(len, self.sources))

  @property
  def has_labels(self) -> bool:
    """Whether the class of any input is known."""
    return any(source.has_labels for source in self.sources)


def images(
  given: Sequence[str | os.PathLike],
  classes: Sequence[str],
  read: Callable[[Path], Stack] | None = None,
  endings: Sequence[str] = ARRAYS,
  *,
  follow_links: bool = False,
) -> Found:
  """Finds images.

  Args:
    given: image files, .npy and .npz files, folders (searched recursively, sorted by name), glob
      patterns, or '-' for an image from standard input.
    classes: names of the run's classes. If all subfolders of a given folder are named after
      classes, they label their images.
    read: function that reads an array file; None for files with images and labels of a built-in
      data set.
    endings: file name endings of the files that `read` reads.
    follow_links: whether to search folders that are links; a loop of links is searched once.

  Returns:
    Found.

  Raises:
    FileNotFoundError: a file does not exist, a pattern matches nothing, or a folder contains no
      images.
    ValueError: an array file cannot be read, or its labels are not classes.
  """
  sources: list[Source] = []
  left_out = []
  for path in _expanded(given):
    if path is None:
      sources.append(Files((_standard_input(),)))
    elif path.is_dir():
      found, others = _images_below(path, classes, follow_links)
      sources.append(found)
      left_out += others
    elif path.suffix.lower() in endings:
      sources.append(_stack(path, classes) if read is None else read(path))
    else:
      sources.append(Files((File(str(path), path.read_bytes),)))
  return Found(tuple(_joined(sources)), tuple(left_out))


def texts(given: Sequence[str | os.PathLike]) -> list[File]:
  """Finds texts.

  Args:
    given: text files, folders (all files inside them, recursively, sorted by name), glob patterns,
      or '-' for standard input.

  Returns:
    The texts in order.

  Raises:
    FileNotFoundError: a file does not exist, a pattern matches nothing, or a folder is empty.
    ValueError: a file is an image or an array.
  """
  found = []
  for path in _expanded(given):
    if path is None:
      found.append(_standard_input())
      continue
    files = list(map(Path, _files_below(path))) if path.is_dir() else [path]
    text_files.check_links(path, files)
    if not files:
      raise FileNotFoundError(
        f'{path} contains no texts: give text files, or a folder that contains some'
      )
    for file in files:
      if file.suffix.lower() in ARRAYS or decode.is_photograph(file):
        raise ValueError(f'{file} is not a text, but the run is a language model: give text files')
      found.append(File(str(file), file.read_bytes))
  return found


def _expanded(given: Sequence[str | os.PathLike]) -> Iterable[Path | None]:
  """Yields the files and folders of the arguments; None for standard input."""
  if list(map(str, given)).count(STANDARD_INPUT) > 1:
    raise ValueError("'-' is given twice: standard input can be read only once")
  for one in map(str, given):
    path = Path(one)
    if one == STANDARD_INPUT:
      yield None
    elif os.path.exists(path):
      yield path
    elif glob.has_magic(one):
      matching = sorted(glob.glob(_pattern(path), recursive=True))
      if not matching:
        raise FileNotFoundError(f'{one} matches nothing: give files, or another pattern')
      yield from map(Path, matching)
    else:
      raise FileNotFoundError(spelling.missing(path, 'give files or folders that exist'))


def _pattern(path: Path) -> str:
  """The pattern of a path, in which the names of folders that exist stand for themselves."""
  folder = next(parent for parent in path.parents if parent.is_dir())
  return os.path.join(glob.escape(str(folder)), path.relative_to(folder))


def _standard_input() -> File:
  content = sys.stdin.buffer.read()
  return File(STANDARD_INPUT, lambda: content)


def _files_below(
  folder: str | os.PathLike, *, follow_links: bool = False, above: frozenset[str] = frozenset()
) -> Iterable[str]:
  """Yields the paths of the files in a folder and its subfolders, sorted by name.

  Hidden files and folders are left out.

  Args:
    folder: the folder.
    follow_links: as in `images`.
    above: real paths of the folders that contain it.
  """
  with os.scandir(folder) as entries:
    found = sorted(entries, key=lambda entry: entry.name)
  above = above | {os.path.realpath(folder)}
  for entry in found:
    if entry.name.startswith('.'):
      continue
    if entry.is_dir(follow_symlinks=follow_links):
      if os.path.realpath(entry.path) not in above:
        yield from _files_below(entry.path, follow_links=follow_links, above=above)
    elif entry.is_file():
      yield entry.path


def _images_below(
  folder: Path, classes: Sequence[str], follow_links: bool
) -> tuple[Files, list[str]]:
  """Returns the images in a folder, and a message about its other files."""
  found, others = [], []
  labels = _labels_of_folders(folder, classes)
  for path in _files_below(folder, follow_links=follow_links):
    ending = os.path.splitext(path)[1].lower()
    if ending in folders.SUFFIXES or decode.is_photograph(Path(path)):
      label = labels.get(Path(path).relative_to(folder).parts[0], -1) if labels else -1
      found.append(File(path, functools.partial(_content, path), label))
    else:
      others.append(Path(path).relative_to(folder).as_posix())
  if not found:
    raise FileNotFoundError(
      f'{folder} contains no images: give image files, such as .png or .jpg, or a folder that '
      'contains some'
    )
  if not others:
    return Files(tuple(found)), []
  named = ', '.join(others[:NAMED]) + (', …' if len(others) > NAMED else '')
  return Files(tuple(found)), [f'left out of {folder}: {len(others):,} not an image ({named})']


def _content(path: str) -> bytes:
  with open(path, 'rb', buffering=0) as file:
    return file.readall()


def _labels_of_folders(folder: Path, classes: Sequence[str]) -> dict[str, int]:
  """Returns name of a subfolder → label; {} unless all subfolders are named after classes."""
  with os.scandir(folder) as entries:
    below = [entry.name for entry in entries if entry.is_dir() and not entry.name.startswith('.')]
  known = {name: label for label, name in enumerate(classes)}
  if not below or not set(below) <= known.keys():
    return {}
  return {name: known[name] for name in below}


def _joined(sources: Sequence[Source]) -> Iterable[Source]:
  """Joins consecutive files, so that batches contain files of several arguments."""
  files: list[File] = []
  for source in sources:
    if isinstance(source, Files):
      files += source.files
      continue
    if files:
      yield Files(tuple(files))
      files = []
    yield source
  if files:
    yield Files(tuple(files))


def _stack(path: Path, classes: Sequence[str]) -> Stack:
  """Reads the images and labels of an .npy or .npz file."""
  try:
    if path.suffix.lower() == '.npy':
      # A memory map reads only the images of one batch at a time.
      return Stack(str(path), *checked(np.load(path, mmap_mode='r'), None, path, classes))
    memory.check_zip(path)
    with np.load(path, allow_pickle=False) as content:
      image, label = _keys(path, content.files)
      labels = None if label is None else content[label]
      return Stack(str(path), *checked(content[image], labels, path, classes))
  except Exception as error:  # damaged files raise many types of errors
    if isinstance(error, ValueError) and str(error).startswith(str(path)):
      raise
    reason = str(error).partition('\n')[0] or type(error).__name__
    raise ValueError(
      f'{path} is not a readable array ({reason}): write it with numpy.save or numpy.savez'
    ) from error


def _keys(path: Path, names: Sequence[str]) -> tuple[str, str | None]:
  """Returns the names of the arrays of images and of labels in an .npz file."""
  label = next((name for name in LABEL_KEYS if name in names), None)
  image = next((name for name in IMAGE_KEYS if name in names), None)
  others = [name for name in names if name != label]
  if image is None and len(others) == 1:
    (image,) = others
  if image is None:
    raise ValueError(
      f'{path} has no array of images, only {", ".join(names) or "empty content"}: name the array '
      f'of images {IMAGE_KEYS[0]!r}'
    )
  return image, label


def checked(
  images: np.ndarray, labels: np.ndarray | None, name: object, classes: Sequence[str]
) -> tuple[np.ndarray, Int32[np.ndarray, ' N']]:
  """Checks the labels of images.

  Args:
    images: [N, …].
    labels: [N] or [N, 1], indices or names of classes; None if they are unknown.
    name: name of the file, for messages.
    classes: names of the run's classes.

  Returns:
    (images, labels [N] int32, -1 if they are unknown).

  Raises:
    ValueError: the number of labels differs from the number of images, or a label is not a class.
  """
  if images.ndim == 0 or not len(images):
    raise ValueError(f'{name} is empty: give at least one image')
  if labels is None:
    return images, np.full(len(images), -1, np.int32)
  labels = np.asarray(labels)
  if labels.shape not in ((len(images),), (len(images), 1)):
    raise ValueError(
      f'{name} has labels of shape {labels.shape} for {len(images)} images: give one label each'
    )
  labels = labels.reshape(-1)
  if labels.dtype.kind == 'U':
    unknown = sorted(set(labels.tolist()) - set(classes))
    if unknown:
      raise ValueError(f'{name} has the label {unknown[0]!r}: use {", ".join(classes)}')
    return images, np.array([list(classes).index(label) for label in labels], np.int32)
  if labels.dtype.kind not in 'iu':
    raise ValueError(f'{name} has labels of type {labels.dtype}: give integers, or class names')
  if labels.min() < 0 or labels.max() >= len(classes):
    raise ValueError(
      f'{name} has labels from {labels.min()} to {labels.max()}: use 0 to {len(classes) - 1}'
    )
  return images, labels.astype(np.int32)
