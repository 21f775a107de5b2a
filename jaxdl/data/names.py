"""Names of classes: whether they are valid text, and which of them people read as equal."""

import unicodedata


def is_utf8(name: str) -> bool:
  """Whether a name from the file system is valid UTF-8, so that it can be printed and written."""
  return not any('\ud800' <= character <= '\udfff' for character in name)


def alike(name: str) -> str:
  """A key that is equal for names that people may read as the same.

  Such names differ in case, spaces at the ends, leading zeros or their Unicode form only.

  Args:
    name: the name.
  """
  key = unicodedata.normalize('NFKC', unicodedata.normalize('NFKC', name).casefold()).strip()
  return str(int(key)) if key.isdecimal() and len(key) < 1000 else key
