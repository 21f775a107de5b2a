"""What the keys of a config's model section take, in whichever layer they stand."""

import re

from jaxdl.config import checks

SIZE = 1 << 20  # units, classes or pixels: a layer of more fits into no machine
WINDOW = 128  # pixels: compiling writes a window out place by place
LAYERS = 1024


def check(section, where):
  """Raises ValueError where a value is not what its key takes; unknown keys are those of
  `binding.bind` to refuse.

  Args:
    section: dict, of a model or of one of its layers.
    where: str, its place in the config, for messages.
  """
  for key, value in section.items():
    if key in KEYS:
      KEYS[key](value, f'{where}.{key}')


def _size(value, where):
  checks.check_whole(value, where, 1, SIZE)


def _window(value, where):
  """A whole number, or one for the rows and one for the columns."""
  if isinstance(value, (list, tuple)) and len(value) == 2:
    for number, length in enumerate(value):
      checks.check_whole(length, f'{where}[{number}]', 1, WINDOW)
  elif value is not None:  # strides as long as the window
    checks.check_whole(value, where, 1, WINDOW)


def _padding(value, where):
  if value in ('SAME', 'VALID'):
    return
  if not isinstance(value, (list, tuple)) or [
    len(pads) if isinstance(pads, (list, tuple)) else 0 for pads in value
  ] != [2, 2]:
    raise ValueError(
      f"{where}={value!r} is unknown: use 'SAME', 'VALID' or ((top, bottom), (left, right))"
    )
  for pads in value:
    for pixels in pads:
      checks.check_whole(pixels, where, -WINDOW, WINDOW)  # a negative one crops


def _shape(value, where):
  if not isinstance(value, (list, tuple)) or not value:
    raise ValueError(f'{where}={value!r} is not a shape: write (8, 8, 64)')
  for number, length in enumerate(value):
    _size(length, f'{where}[{number}]')


def _layers(value, where):
  """The layers of a CNN, or how many a language model has."""
  if not isinstance(value, (list, tuple)):
    checks.check_whole(value, where, 1, LAYERS)
    return
  for position, layer in enumerate(value):
    if not isinstance(layer, dict):
      raise ValueError(
        f"{where}[{position}]={layer!r} is not a layer: write dict(kind='dense', features=10)"
      )
    check(layer, f'{where}[{position}]')


def _word(value, where):
  """Names of layers become those of files."""
  if not isinstance(value, str) or not re.fullmatch(r'\w[\w-]{0,99}', value):
    raise ValueError(f'{where}={value!r} is not a name: use letters, digits and _')


def _share(value, where):
  checks.check_range(value, where, 0, 1)


KEYS = {
  'features': _size,
  'classes': _size,
  'kernel': _window,
  'window': _window,
  'strides': _window,
  'padding': _padding,
  'shape': _shape,
  'layers': _layers,
  'embedding': lambda value, where: checks.check_whole(value, where, 0, SIZE),
  'rate': _share,
  'dropout': _share,
  'recurrent_dropout': _share,
  'momentum': _share,
  'epsilon': lambda value, where: checks.check_range(value, where, 0),
  'activate': checks.check_flag,
  **dict.fromkeys(
    ('name', 'kind', 'cell', 'activation', 'initializer', 'recurrent_initializer'), _word
  ),
}
