"""Text files in any encoding."""

import codecs
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jaxdl import stores
from jaxdl.config import spelling

UTF_8 = 'utf-8'


def check_encoding(encoding: Any) -> None:
  """Raises ValueError if a value is not the name of an encoding."""
  try:
    codecs.lookup(encoding)
    known = codecs.lookup(encoding)._is_text_encoding  # 'base64' and others decode no text
  except (LookupError, TypeError, ValueError):
    known = False
  if not known:
    raise ValueError(
      f"config.data.encoding={encoding!r} is not an encoding: use 'utf-8', 'latin-1', 'cp1252' or "
      'another of Python'
    )


def existing(file: str | os.PathLike[str], fix: str) -> Path:
  """Returns the path of an existing file or folder; '~' is the home folder.

  Args:
    file: the path, or an address, which is copied.
    fix: what to give, for messages.

  Raises:
    FileNotFoundError: it does not exist; the message names the closest name beside it.
  """
  path = Path(os.path.expanduser(stores.copied(file)))
  if path.exists():
    return path
  raise FileNotFoundError(spelling.missing(path, fix))


def check_links(folder: Path, files: Iterable[Path]) -> None:
  """Raises ValueError if a file is a link that leads out of the folder in which it was found.

  Args:
    folder: the folder that the user gave.
    files: files in it.
  """
  for file in files:
    if file != folder and not file.resolve().is_relative_to(folder.resolve()):
      raise ValueError(f'{file} is a link that leads out of {folder}: put a copy there')


def decoded(content: bytes, encoding: str, name: object) -> str:
  """Decodes the text of a file, without a byte order mark.

  Args:
    content: the bytes of the file.
    encoding: its encoding, as accepted by `check_encoding`.
    name: the file, for messages.

  Raises:
    ValueError: the bytes are not text in this encoding; the message names the first invalid byte.
  """
  if codecs.lookup(encoding).name == UTF_8:
    encoding = 'utf-8-sig'
  try:
    return content.decode(encoding)
  except UnicodeDecodeError as error:
    other = 'latin-1' if encoding == 'utf-8-sig' else 'utf-8'
    raise ValueError(
      f'{name} is not {shown(encoding)} text (invalid byte {content[error.start]:#04x} at offset '
      f"{error.start:,}): set config.data.encoding, such as '{other}'"
    ) from error


def shown(encoding: str) -> str:
  """An encoding in messages, such as 'UTF-8'."""
  return 'UTF-8' if codecs.lookup(encoding).name in (UTF_8, 'utf-8-sig') else encoding
