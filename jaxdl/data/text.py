"""A user's own text as a data set: a file or a folder of files, split by position."""

import dataclasses
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, no_type_check

from jaxdl.config.paths import absolute
from jaxdl.data import characters, division, slicing, text_files
from jaxdl.data.dataset import SPLITS, Data, batch_sizes, check_sizes
from jaxdl.data.source import Source

SHARES = '80/10/10'  # per cent of each split by default


@no_type_check  # a config may hold anything: the function checks it, and its errors name the key
def load(
  *,
  seed: int,
  batch_size: int,
  time_step: int,
  splits: Mapping[str, str] | str | None = None,
  evaluation_batch_size: int = 8,
  file: str | PathLike[str] | None = None,
  encoding: str = text_files.UTF_8,
  overlap: bool = False,
  random_length: bool = False,
) -> Data:
  """Reads a text as described by a config's data section.

  Args:
    seed, batch_size, time_step, evaluation_batch_size, overlap, random_length: as in
      `characters.load`.
    splits: None or a text such as '80/10/10', the per cent of the characters of train, validation
      and test, in this order; or a dict of split → TFDS slicing of 'train', the complete text.
    file: a text file; or a folder, whose files are joined with a newline in the order of their
      paths. Hidden files are left out.
    encoding: encoding of the files, as named in Python.

  Returns:
    Data, whose vocabulary consists of the characters of the complete text.

  Raises:
    ValueError: a key of the config, a file that is not text in this encoding, or a text that is
      too short.
    FileNotFoundError: the file does not exist.
  """
  text_files.check_encoding(encoding)
  division.check(splits)
  is_divided = splits is None or isinstance(splits, str)
  shares = (splits or SHARES) if is_divided else ''
  chosen = slices(shares) if is_divided else splits
  sizes = batch_sizes(chosen, batch_size=batch_size, evaluation_batch_size=evaluation_batch_size)
  check_sizes(time_step=time_step)
  path = _path(file)
  columns, vocabulary = characters.columns({'train': read(path, encoding)})
  _check_length(path, slicing.counts(columns), chosen, sizes, time_step)
  if shares:
    columns = {name: slicing.cut(columns, chosen[name]) for name in chosen}
    chosen = {name: name for name in chosen}
  found = Source(origin=path.name, columns=columns, classes=vocabulary)

  def text(source, data_dir):
    return found

  data = characters.load(
    text,
    seed=seed,
    splits=chosen,
    batch_size=batch_size,
    time_step=time_step,
    evaluation_batch_size=evaluation_batch_size,
    overlap=overlap,
    random_length=random_length,
  )
  note = f'splits: {_named(shares)}, by position (config.data.splits={shares!r})' if shares else ''
  return dataclasses.replace(
    data, place={'file': absolute(path)}, division=shares, division_note=note
  )


def read(path: Path, encoding: str) -> str:
  r"""Reads a text; line ends of Windows become '\n'.

  Args:
    path: file or folder.
    encoding: encoding of the files.

  Returns:
    The text; those of several files are joined with a newline.

  Raises:
    ValueError: a file is not text in this encoding or is a link that leads out of the folder, or
      the text is empty.
    FileNotFoundError: the folder has no files.
  """
  files = _files(path) if path.is_dir() else [path]
  text_files.check_links(path, files)
  if not files:
    raise FileNotFoundError(f'{path} has no files: give a text file, or a folder with some')
  texts = [text_files.decoded(file.read_bytes(), encoding, file) for file in files]
  text = '\n'.join(texts).replace('\r\n', '\n')
  if not text.strip():
    raise ValueError(f'{path} is empty: give a text')
  return text


def slices(shares: str) -> dict[str, str]:
  """The slices of a text by position.

  Args:
    shares: such as '80/10/10', per cent of train, validation and test.

  Returns:
    Split → TFDS slicing, for the splits whose part is not 0.
  """
  found, start = {}, 0
  for name, part in zip(SPLITS, division.parts_of(shares), strict=False):
    if part:
      found[name] = f'train[{start}%:{start + part}%]'
    start += part
  return found


def _path(file: Any) -> Path:
  if file is None:
    raise ValueError(
      "config.data.file is missing: give a text file or a folder, such as file='my.txt'"
    )
  if not isinstance(file, (str, PathLike)) or not str(file) or '\0' in str(file):
    raise ValueError(f"config.data.file={file!r} is not a path: write 'my.txt'")
  return text_files.existing(file, 'give a text file or a folder of text files')


def _files(folder):
  """The files in a folder and its folders, in the order of their paths; hidden ones left out."""
  found = {path.relative_to(folder): path for path in folder.rglob('*') if path.is_file()}
  visible = [name for name in found if not any(part.startswith('.') for part in name.parts)]
  return [found[name] for name in sorted(visible, key=Path.as_posix)]


def _check_length(path, available, splits, sizes, time_step):
  """Raises ValueError if a split is too short for its streams."""
  for split, streams in sizes.items():
    count = sum(stop - start for _, start, stop in slicing.intervals(splits[split], available))
    key = 'batch_size' if split == 'train' else 'evaluation_batch_size'
    if count < 2 * streams:
      raise ValueError(
        f'the {split} split of {path} has {count:,} characters, too few for {streams} streams: set '
        f'config.data.{key} to at most {max(1, count // 2)}, or give a longer text'
      )
    if split == 'train' and count // streams <= time_step:
      raise ValueError(
        f'the {split} split of {path} has {count:,} characters, {count // streams:,} in each of '
        f'{streams} streams, fewer than config.data.time_step={time_step} and the next one: make '
        f'time_step or {key} smaller, or give a longer text'
      )


def _named(shares):
  parts = zip(division.parts_of(shares), SPLITS, strict=False)
  return ', '.join(f'{part} % {name}' for part, name in parts if part)
