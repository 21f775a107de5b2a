"""Files that are there whole or not at all, and what is written for people into some."""

import json
import pathlib
import shutil

SPARE = 1 << 18  # bytes left for logs
LINE = 110  # letters


def write_atomic(file, text):
  """Writes a text aside and renames it, so that a crash or a full disk leaves what stood in the
  file before.

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


def readable_json(value, indent=0):
  """JSON for people: what fits into a line stands in one, as does a list of plain values.

  Args:
    value: plain JSON data.
    indent: int, letters that its lines are moved to the right.

  Returns:
    str.
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


def make_folder(folder):
  """Makes a folder and those above it; returns its path.

  Raises:
    ValueError: its name is not UTF-8, so that no message could name it.
    OSError: it cannot be made.
  """
  folder = pathlib.Path(folder)
  try:
    str(folder).encode()
  except UnicodeEncodeError:
    raise ValueError(
      f'the folder {ascii(str(folder))} has a name that is not UTF-8: name another'
    ) from None
  try:
    folder.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    why = 'a file of that name is there' if folder.exists() else error.strerror
    raise type(error)(f'the folder {folder} cannot be made ({why}): name another') from None
  return folder


def check_space(folder, size, what):
  """Raises OSError where a file system has no room for `size` bytes and some to spare: what is
  there stays whole.
  """
  free = shutil.disk_usage(folder).free
  if free < size * 1.1 + SPARE:
    raise OSError(
      f'the disk of {folder} is full: {what} needs {size / 1e6:,.1f} MB and {free / 1e6:,.1f} MB are free; make '
      'room and give the same command again'
    )
