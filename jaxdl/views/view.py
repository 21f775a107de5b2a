"""What `jaxdl.analyze` shows: a view is a question put to a network, and the pictures and numbers
that answer it.
"""

import contextlib
import dataclasses
import functools
import json
import pathlib
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from jaxdl import figures
from jaxdl.config.arguments import about
from jaxdl.models import table


@dataclasses.dataclass(frozen=True)
class View:
  """One of the analyses of a command.

  Attributes:
    title: str, what it shows, for the command's help.
    kinds: of Subject, that it applies to.
    make: function (Subject, Choice) → iterable of Result and, where `separately` made it, of
      Failure.
    heeds: of a Choice, what is not for all views: 'layer', 'channel', 'against'.
    lacking: function Subject → what it lacks for this view, '' for nothing.
    examples: whether it looks at examples; the others can be made where the data are gone.
    load: function () → None that imports the libraries which `make` imports; it is called before
      several views are made in threads.
  """

  title: str
  kinds: tuple[str, ...]
  make: Callable
  heeds: tuple[str, ...] = ()
  lacking: Callable = lambda subject: ''
  examples: bool = True
  load: Callable = lambda: None


@dataclasses.dataclass(frozen=True)
class Choice:
  """What the command line asks for.

  Attributes:
    layer: name, or None for what the view takes by itself.
    channel: int or None.
    seed: int, of what is drawn at random.
    against: folders of further runs, whose weights are laid over this one's.
    step: of the checkpoints, 'best' | 'last' | int.
  """

  layer: str | None = None
  channel: int | None = None
  seed: int = 0
  against: tuple[str, ...] = ()
  step: str | int = 'best'


def once(function):
  """Keeps a function's last result for views that are made at the same time: the second one waits
  instead of computing it.
  """
  kept, lock = functools.lru_cache(1)(function), threading.Lock()

  @functools.wraps(function)
  def result(*arguments):
    with lock:
      return kept(*arguments)

  return result


@dataclasses.dataclass(frozen=True)
class Result:
  """A picture and the numbers that it was made from.

  Attributes:
    name: of its files.
    figure: matplotlib Figure, None where there is no picture.
    arrays: name → array, for the .npz.
    facts: plain JSON data, for the .json: what is shown, how it was scaled, and the figures to
      quote.
  """

  name: str
  figure: Any
  arrays: dict
  facts: dict


@dataclasses.dataclass(frozen=True)
class Failure:
  """A part of an analysis that could not be made: its name and the exception."""

  name: str
  error: Exception


def separately(*parts):
  """A view's `make` of several functions, each of which may fail without the others.

  Args:
    *parts: functions (Subject, Choice) → iterable of Result.

  Returns:
    function (Subject, Choice) → iterator of Result and Failure.
  """

  def make(subject, choice):
    for part in parts:
      try:
        yield from part(subject, choice)
      except Exception as error:
        yield Failure(part.__name__.strip('_'), error)

  return make


def write(result, folder, *, step, analysis, flags):
  """Writes NAME.png, NAME.npz and NAME.json.

  Args:
    result: Result.
    folder: of all analyses of a run, made where it is absent.
    step: int, of the checkpoint that was looked at.
    analysis: str, the view that made it.
    flags: str, of `jaxdl.analyze`, that ask for it as it is.

  Returns:
    list of the files' names.

  Raises:
    OSError: the folder cannot be written.
  """
  folder = pathlib.Path(folder)
  folder.mkdir(parents=True, exist_ok=True)
  written = []
  if result.figure is not None:
    figures.save(result.figure, folder / f'{result.name}.png')
    written.append(f'{result.name}.png')
  if result.arrays:
    arrays = {name.replace('/', '.'): array for name, array in result.arrays.items()}
    np.savez_compressed(folder / f'{result.name}.npz', **arrays)
    written.append(f'{result.name}.npz')
  drawn = {'step': step, 'analysis': analysis, 'flags': flags}
  (folder / f'{result.name}.json').write_text(
    json.dumps({**result.facts, **drawn}, indent=2, default=_plain) + '\n'
  )
  return [*written, f'{result.name}.json']


def remove_older(folder, analysis, files):
  """Removes what an analysis left before and does not make any more, as of the units of another
  layer.
  """
  for kept in pathlib.Path(folder).glob('*.json'):
    with contextlib.suppress(
      ValueError, AttributeError
    ):  # a file of somebody else's, or a damaged one
      if kept.name not in files and json.loads(kept.read_text()).get('analysis') == analysis:
        for ending in ('.png', '.npz', '.json'):
          kept.with_suffix(ending).unlink(missing_ok=True)


def _plain(value):
  """NumPy's numbers and arrays as JSON's."""
  if isinstance(value, (np.ndarray, np.generic)):
    return value.tolist()
  raise TypeError(f'{type(value).__name__} is no JSON data')


def layers_of(subject, *types):
  """Names of the network's layers of some types, in order; 'Conv' is not 'ConvTranspose'; of all
  where none is given.
  """
  shape, dtype = subject.inputs.shape[1:], subject.inputs.dtype
  if subject.kind == 'language_model':
    shape = (1,)
  return [
    row['name']
    for row in table.layers(subject.model, shape, dtype)
    if not types or row['type'] in types
  ]


def chosen_layer(choice, names, default):
  """The layer of the command line, or the default one; ValueError where the view cannot take it."""
  if choice.layer is None:
    return default
  if choice.layer not in names:
    fitting = ', '.join(names) or 'none'
    raise about(ValueError(f'layer={choice.layer} does not fit: use one of {fitting}'), 'layer')
  return choice.layer


def shown(pixels):
  """Signed pixels [H, W, C] as a picture in 0..1: 0 is mid-grey, the greatest magnitude black or
  white.
  """
  limit = float(np.abs(pixels).max()) or 1.0
  return pixels / (2 * limit) + 0.5


def occlusion_of(subject):
  """How `attribution.occlusion` covers images of this size: every place of small ones, an eighth of
  large ones in steps.
  """
  side = min(subject.inputs.shape[1:3])
  sizes = {'window': 5, 'stride': 1} if side <= 64 else {'window': side // 8, 'stride': side // 16}
  return {**sizes, 'fill': subject.inputs.mean((0, 1, 2))}
