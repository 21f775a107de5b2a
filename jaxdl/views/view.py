"""The parts of an analysis: its description, its options, and its pictures and numbers."""

import contextlib
import dataclasses
import functools
import json
import pathlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from jaxdl import figures
from jaxdl.config.arguments import about
from jaxdl.models import table
from jaxdl.views.subject import Subject

# Headings of the report, in the order of the report and of the analyses. Other headings come last.
SECTIONS = (
  'Filters',
  'Feature maps',
  'Activations',
  'Weights',
  'Neurons',
  'Why these classes',
  'Which attribution to trust',
  'Ablation',
  'Training examples',
  'Layers compared',
  'Features',
  'Errors',
  'Reconstructions',
  'Step by step',
  'Characters',
  'Features in the plane',
  'The forward pass in NumPy',
  'Generated text',
)
UNCHANGED = ('Dropout', 'Flatten', 'Reshape')  # types of layers whose outputs are their inputs
ANY = 'any'  # kind of an analysis that applies to every Subject
OTHER = 'Other analyses'  # the last section of the report
Default = TypeVar('Default', str, None)


@dataclasses.dataclass(frozen=True)
class Display:
  """How the report displays a result of an analysis; by default, as a picture.

  Functions get the facts of the result.

  Attributes:
    caption: title of the picture; '{0}' stands for what the '*' of the result's name matches. The
      heading of the figure (`View.make`) follows it.
    reading: how to read the picture, in one sentence; '' for no explanation.
    entry: key of `glossary.ENTRIES`; '' for no entry.
    folded: function (facts) → text on which the reader clicks to see the picture; '' to show it.
    table: function (facts) → {'columns': list of str, 'rows': list of lists of str, 'numbers': the
      columns that are numbers}.
    texts: function (facts) → list of {'caption': str, 'text': str}.
    note: function (facts) → str, a remark below the heading.
    map_caption: function (facts, number of dots) → caption of a map whose dots show their images;
      the result's arrays are 'points' [N, 2] and 'labels' [N]. Without the images, the map is a
      picture.
  """

  caption: str = ''
  reading: str = ''
  entry: str = ''
  folded: Callable[[dict], str] | None = None
  table: Callable[[dict], dict] | None = None
  texts: Callable[[dict], list[dict]] | None = None
  note: Callable[[dict], str] | None = None
  map_caption: Callable[[dict, int], str] | None = None


@dataclasses.dataclass(frozen=True)
class View:
  """An analysis, as used by `jaxdl.analyze` and the report.

  Attributes:
    title: what it shows, for the command's output.
    kinds: kinds of Subject to which it applies; ANY for all.
    make: function (Subject, Choice) → iterable of Result; also of Failure if it was built by
      `separately`.
    section: heading of the report for its results.
    displays: name of a result → Display, in the order of the report; a '*' in a name matches any
      text. A picture without a Display is shown under the other analyses.
    uses: the fields of Choice that it uses, besides the seed: 'layer', 'channel', 'against',
      'concepts'.
    lacking: function (Subject) → what the Subject lacks for this analysis; '' if nothing.
    examples: whether it uses examples; if False, it works without the data.
    pictures: whether it draws the inputs of the network as pictures. It then applies to networks
      that take images [H, W, C] only.
    named_only: whether it takes long, so that it is made only if `--only` names it.
    slow_part: what takes most of the time, for a line before it starts; '' if nothing stands out.
      Analyses with a slow part start first.
    load: function () → None that imports the libraries used by `make`; it is called before several
      analyses run in threads.
  """

  title: str
  kinds: tuple[str, ...]
  make: Callable[..., Iterable]
  section: str = OTHER
  displays: dict[str, Display] = dataclasses.field(default_factory=dict)
  uses: tuple[str, ...] = ()
  lacking: Callable[[Subject], str] = lambda subject: ''
  examples: bool = True
  pictures: bool = False
  named_only: bool = False
  slow_part: str = ''
  load: Callable[[], None] = lambda: None

  def fits(self, kind: str) -> bool:
    """Whether it applies to a kind of Subject."""
    return kind in self.kinds or ANY in self.kinds

  def left_out(self, subject: Subject) -> str:
    """Why the analysis does not apply to a Subject of one of its kinds; '' if it does."""
    if self.pictures and subject.inputs.ndim != 4:
      form = subject.config['dataset'].get('form') or 'the rows of images'
      return f'it draws images, but the inputs are {form}'
    return self.lacking(subject)


@dataclasses.dataclass(frozen=True)
class Choice:
  """The options of an analysis.

  Attributes:
    layer: name of a layer; None for the default of the analysis.
    channel: number of a channel, or None.
    seed: seed of every random draw.
    against: folders of other runs, which are compared with this one.
    step: step of the checkpoints: 'best' | 'last' | int.
    concepts: folder with one folder of images for each concept, or None.
  """

  layer: str | None = None
  channel: int | None = None
  seed: int = 0
  against: tuple[str, ...] = ()
  step: str | int = 'best'
  concepts: str | None = None


def once(function: Callable) -> Callable:
  """Caches a function's last result. Thread-safe.

  If several analyses need the result at the same time, the first computes it and the others wait.
  """
  kept, lock = functools.lru_cache(1)(function), threading.Lock()

  @functools.wraps(function)
  def result(*arguments):
    with lock:
      return kept(*arguments)

  return result


@dataclasses.dataclass(frozen=True)
class Result:
  """A picture and the numbers from which it was made.

  Attributes:
    name: name of its files.
    figure: matplotlib Figure; None for no picture.
    arrays: name → array, for the .npz.
    facts: plain JSON data, for the .json: what is shown, how it was scaled, and the numbers to
      quote.
  """

  name: str
  figure: Any
  arrays: dict[str, Any]
  facts: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Failure:
  """A part of an analysis that failed: its name and the exception."""

  name: str
  error: Exception


def separately(*parts: Callable) -> Callable[..., Iterator]:
  """Combines functions into the `make` of one analysis; a failed part does not stop the others.

  Args:
    *parts: functions (Subject, Choice) → iterable of Result.

  Returns:
    Function (Subject, Choice) → iterator of Result and Failure.
  """

  def make(subject, choice):
    for part in parts:
      try:
        yield from part(subject, choice)
      except Exception as error:
        yield Failure(part.__name__.strip('_'), error)

  return make


def write(
  result: Result,
  folder: str | pathlib.Path,
  *,
  step: int,
  analysis: str,
  flags: str,
  display: dict[str, Any] | None = None,
) -> list[str]:
  """Writes NAME.png, NAME.svg (for the report), NAME.npz and NAME.json.

  Args:
    result: the Result to write.
    folder: folder of all analyses of a run, created if it is missing.
    step: step of the checkpoint.
    analysis: name of the analysis.
    flags: flags of `jaxdl.analyze` that repeat the analysis.
    display: how the report displays a result of own code (`own.displayed`); otherwise None.

  Returns:
    The names of the files.

  Raises:
    OSError: the folder cannot be written.
  """
  folder = pathlib.Path(folder)
  folder.mkdir(parents=True, exist_ok=True)
  written = []
  drawn: dict[str, Any] = {'step': step, 'analysis': analysis, 'flags': flags}
  if result.figure is not None:
    drawn['heading'] = figures.described(result.figure)
    figures.save(result.figure, folder / f'{result.name}.png')
    figures.save_svg(result.figure, folder / f'{result.name}.svg')
    written += [f'{result.name}.png', f'{result.name}.svg']
  if result.arrays:
    arrays = {name.replace('/', '.'): array for name, array in result.arrays.items()}
    np.savez_compressed(folder / f'{result.name}.npz', **arrays)
    written.append(f'{result.name}.npz')
  if display is not None:
    drawn['display'] = display
  (folder / f'{result.name}.json').write_text(
    json.dumps({**result.facts, **drawn}, indent=2, default=_plain) + '\n', encoding='utf-8'
  )
  return [*written, f'{result.name}.json']


def remove_older(folder: str | pathlib.Path, analysis: str, files: Sequence[str]) -> None:
  """Removes outdated results of an analysis, such as units of another layer.

  Args:
    folder: folder of all analyses of a run.
    analysis: name of the analysis.
    files: names of the files that its last call wrote; they are kept.
  """
  for kept in pathlib.Path(folder).glob('*.json'):
    # damaged files and those of other programs are kept
    with contextlib.suppress(ValueError, AttributeError, RecursionError):
      facts = json.loads(kept.read_text(encoding='utf-8'))
      if kept.name not in files and facts.get('analysis') == analysis:
        for ending in ('.png', '.svg', '.npz', '.json'):
          kept.with_suffix(ending).unlink(missing_ok=True)


def _plain(value):
  """Converts NumPy numbers and arrays to JSON data."""
  if isinstance(value, (np.ndarray, np.generic)):
    return value.tolist()
  raise TypeError(f'{type(value).__name__} is not JSON data')


def layers_of(subject: Subject, *types: str) -> list[str]:
  """Names of the network's layers of the given types, in order; of all types if none is given."""
  shape, dtype = subject.inputs.shape[1:], subject.inputs.dtype
  if subject.kind == 'language_model':
    shape = (1,)
  return [
    row['name']
    for row in table.layers(subject.model, shape, dtype)
    if not types or row['type'] in types
  ]


def computing_layers(subject: Subject) -> list[str]:
  """Names of the layers that compute something: without those that only reshape, and dropout."""
  shape, dtype = subject.inputs.shape[1:], subject.inputs.dtype
  rows = table.layers(subject.model, shape, dtype)
  return [row['name'] for row in rows if row['type'] not in UNCHANGED]


def without_convolution(subject: Subject) -> str:
  """What a Subject lacks for an analysis of convolutions; '' if nothing."""
  return '' if layers_of(subject, 'Conv', 'DepthwiseConv') else 'the network has no convolution'


def without_pictures(subject: Subject) -> str:
  """What a Subject lacks for an analysis of images; '' if nothing."""
  return 'the inputs are not images' if subject.images is None else ''


def chosen_layer(choice: Choice, names: Sequence[str], default: Default) -> str | Default:
  """The requested layer, or the default one.

  Raises:
    ValueError: the requested layer is not one of the names.
  """
  if choice.layer is None:
    return default
  if choice.layer not in names:
    fitting = ', '.join(names) or 'none'
    raise about(ValueError(f'layer={choice.layer} does not fit: use one of {fitting}'), 'layer')
  return choice.layer


def shown(pixels: np.ndarray) -> np.ndarray:
  """Converts signed pixels [H, W, C] to a picture in 0..1.

  0 becomes mid-grey; the greatest magnitude becomes black or white.
  """
  limit = float(np.abs(pixels).max()) or 1.0
  return pixels / (2 * limit) + 0.5


def occlusion_of(inputs: np.ndarray) -> dict[str, Any]:
  """Arguments of `attribution.occlusion` for inputs [N, H, W, C] of this size.

  For images of up to 32 pixels, the window has 5 pixels and visits every place. For larger images,
  the window is an eighth of the size and moves in steps of a sixteenth, so that the number of
  windows does not grow with the image.
  """
  side = min(inputs.shape[1:3])
  sizes = {'window': 5, 'stride': 1}
  if side > 32:
    sizes = {'window': side // 8, 'stride': side // 16}
  return {**sizes, 'fill': inputs.mean((0, 1, 2))}
