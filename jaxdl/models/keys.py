"""The values that the keys of a config's model section may have, in the model and in its layers."""

import re
from collections.abc import Mapping
from typing import Any

from jaxdl.config import checks, named

SIZE = 1 << 20  # units, classes or pixels: a larger layer does not fit into memory
WINDOW = 128  # pixels: a compiled program contains every position of a window
LAYERS = 1024
LONGEST = 100  # bytes of a name in UTF-8


def check(section: Mapping[str, Any], where: str) -> None:
  """Checks the values of a section; unknown keys are left to `binding.bind`.

  The arguments of own code are not checked, except the name of a layer.

  Args:
    section: section of a model or of one of its layers.
    where: its place in the config, for messages.

  Raises:
    ValueError: a value is not valid for its key.
  """
  own = [key for key in named.NAMES if named.is_reference(section.get(key))]
  of_model = {}
  if 'kind' not in section:  # the section of a model
    of_model = KEYS_OF_MODELS.get(str(section.get('name')), {})
  for key, value in section.items():
    check_value = of_model.get(key, KEYS.get(key))
    if key == 'name' and own == ['kind']:
      _word(value, f'{where}.{key}')  # of a layer
    elif check_value is not None and not own:
      check_value(value, f'{where}.{key}')


def _size(value, where):
  checks.check_integer(value, where, 1, SIZE)


def _features(value, where):
  """An integer, or one for each recurrent layer."""
  if not isinstance(value, (list, tuple)):
    _size(value, where)
    return
  if not 1 <= len(value) <= LAYERS:
    raise ValueError(f'{where}={value!r} has no layer: write (128, 64)')
  for number, width in enumerate(value):
    _size(width, f'{where}[{number}]')


def _window(value, where):
  """An integer, or one for each axis: one of a sequence, rows and columns of an image."""
  if isinstance(value, (list, tuple)) and len(value) in (1, 2):
    for number, length in enumerate(value):
      checks.check_integer(length, f'{where}[{number}]', 1, WINDOW)
  elif value is not None:  # None: the strides are the window
    checks.check_integer(value, where, 1, WINDOW)


def _padding(value, where):
  if value in ('SAME', 'VALID'):
    return
  lengths = []
  if isinstance(value, (list, tuple)):
    lengths = [len(pads) if isinstance(pads, (list, tuple)) else 0 for pads in value]
  if lengths not in ([2, 2], [2]):
    raise ValueError(
      f"{where}={value!r} is unknown: use 'SAME', 'VALID' or ((top, bottom), (left, right)), and "
      '((before, after),) for sequences'
    )
  for pads in value:
    for pixels in pads:
      checks.check_integer(pixels, where, -WINDOW, WINDOW)  # a negative value crops


def _shape(value, where):
  if not isinstance(value, (list, tuple)) or not value:
    raise ValueError(f'{where}={value!r} is not a shape: write (8, 8, 64)')
  for number, length in enumerate(value):
    _size(length, f'{where}[{number}]')


def _layers(value, where):
  """The layers of a CNN, or the number of layers of another model."""
  if not isinstance(value, (list, tuple)):
    checks.check_integer(value, where, 1, LAYERS)
    return
  for position, layer in enumerate(value):
    if not isinstance(layer, dict):
      raise ValueError(
        f"{where}[{position}]={layer!r} is not a layer: write dict(kind='dense', features=10)"
      )
    check(layer, f'{where}[{position}]')


def _branches(value, where):
  """The lists of layers of a parallel layer."""
  if not isinstance(value, (list, tuple)) or not value:
    raise ValueError(
      f'{where}={value!r} is not a list of branches: write ((dict(…), …), (dict(…), …))'
    )
  for number, branch in enumerate(value):
    if not isinstance(branch, (list, tuple)):
      raise ValueError(f'{where}[{number}]={branch!r} is not a list of layers: write (dict(…), …)')
    _layers(branch, f'{where}[{number}]')


def _word(value, where):
  """A name; the names of layers become names of files."""
  if not isinstance(value, str) or not re.fullmatch(r'\w[\w-]*', value):
    raise ValueError(f'{where}={value!r} is not a name: use letters, digits and _')
  if len(value.encode()) > LONGEST:
    raise ValueError(f'{where}={value[:20]!r}… is too long for a file: use at most {LONGEST} bytes')


def _share(value, where):
  checks.check_range(value, where, 0, 1)


def _embedding(value, where):
  checks.check_integer(value, where, 0, SIZE)


def _context(value, where):
  checks.check_integer(value, where, 2, SIZE)


def _epsilon(value, where):
  checks.check_range(value, where, 0)


KEYS = {
  'features': _size,
  'classes': _size,
  'kernel': _window,
  'window': _window,
  'strides': _window,
  'padding': _padding,
  'shape': _shape,
  'layers': _layers,
  'branches': _branches,
  'groups': _size,
  'multiplier': _size,
  'heads': _size,
  'context': _context,
  'embedding': _embedding,
  'rate': _share,
  'dropout': _share,
  'recurrent_dropout': _share,
  'momentum': _share,
  'epsilon': _epsilon,
  **dict.fromkeys(
    (
      'activate',
      'bidirectional',
      'locked_dropout',
      'masked',
      'project',
      'tie',
      'whole_channels',
    ),
    checks.check_flag,
  ),
  **dict.fromkeys(
    (
      'name',
      'kind',
      'cell',
      'pool',
      'join',
      'positions',
      'activation',
      'initializer',
      'recurrent_initializer',
    ),
    _word,
  ),
}
# Model → keys that have other values than in KEYS.
KEYS_OF_MODELS = {'recurrent': {'features': _features}}
