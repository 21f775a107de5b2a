"""Files that are there whole or not at all."""

import pathlib


def write_whole(file, text):
  """Writes a text aside and renames it, so that a crash or a full disk leaves what stood in the file before.

  Args:
    file: path.
    text: str.

  Raises:
    OSError: the folder cannot be written or the disk is full.
  """
  file = pathlib.Path(file)
  aside = file.with_name(f'{file.name}.new')
  try:
    aside.write_text(text)
    aside.replace(file)
  except OSError:
    aside.unlink(missing_ok=True)
    raise
