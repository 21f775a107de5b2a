"""Names of classes that people read as equal."""

import unicodedata


def alike(name: str) -> str:
  """A key that is equal for names that people may read as the same.

  Such names differ in case, spaces at the ends, leading zeros or their Unicode form only.

  Args:
    name: the name.
  """
  key = unicodedata.normalize('NFKC', unicodedata.normalize('NFKC', name).casefold()).strip()
  return str(int(key)) if key.isdecimal() and len(key) < 1000 else key
