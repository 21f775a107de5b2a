"""Atomic writes, readable JSON, creation of folders, and checks of free disk space."""

import json
import os
import pathlib
import shutil
from typing import Any

from jaxdl.config import paths

SPARE = 1 << 18  # bytes reserved for logs
LINE = 110  # characters


def write_atomic(file: str | os.PathLike, text: str | bytes) -> None:
  """Writes a text or bytes to a temporary file and renames it.

  After a crash or on a full disk, the file keeps its previous content.

  Args:
    file: path of the file.
    text: its new content.

  Raises:
    OSError: the folder cannot be written or the disk is full.
  """
  file = pathlib.Path(file)
  aside = file.with_name(f'{file.name}.new')
  try:
    if isinstance(text, bytes):
      aside.write_bytes(text)
    else:
      aside.write_text(text, encoding='utf-8')
    aside.replace(file)
  except OSError:
    aside.unlink(missing_ok=True)
    raise


def readable_json(value: Any, indent: int = 0) -> str:
  """Formats JSON for people: a value that fits, or a list of plain values, is on one line.

  Args:
    value: plain JSON data.
    indent: spaces before each line except the first.

  Returns:
    The JSON text.
  """
  line, space, nested = json.dumps(value), ' ' * indent, (dict, list, tuple)
  if len(line) <= LINE - indent:
    return line
  if isinstance(value, dict):
    parts = [f'{json.dumps(key)}: {readable_json(part, indent + 2)}' for key, part in value.items()]
  elif isinstance(value, nested) and any(isinstance(part, nested) for part in value):
    parts = [readable_json(part, indent + 2) for part in value]
  else:
    return line
  return f'{line[0]}\n' + ',\n'.join(f'{space}  {part}' for part in parts) + f'\n{space}{line[-1]}'


def make_folder(folder: str | os.PathLike) -> pathlib.Path:
  """Creates a folder and its missing parents; returns its path.

  Raises:
    ValueError: its name is not UTF-8, so that messages cannot show it, or it is a packed run.
    OSError: it cannot be created.
  """
  folder = pathlib.Path(folder)
  if paths.is_packed(folder):
    raise ValueError(f'{folder} is a packed run, which is read-only: name a folder')
  real = os.path.realpath(folder)  # other commands may be given another path to the same folder
  if not paths.is_utf8(real):
    raise ValueError(f'the folder {real!a} has a name that is not UTF-8: name another')
  try:
    folder.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    why = 'a file has that name' if folder.exists() else error.strerror
    raise type(error)(f'the folder {folder} cannot be created ({why}): name another') from None
  return folder


def check_space(folder: str | os.PathLike, size: int, what: str) -> None:
  """Raises OSError if a file system has no space for a file and a reserve.

  Args:
    folder: a folder of the file system.
    size: size of the file in bytes.
    what: description of the file, for the message.
  """
  free = shutil.disk_usage(folder).free
  if free < size * 1.1 + SPARE:
    raise OSError(
      f'the disk of {folder} is full: {what} needs {size / 1e6:,.1f} MB and '
      f'{free / 1e6:,.1f} MB are free; make room and rerun the command'
    )
