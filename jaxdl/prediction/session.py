"""Predicts all inputs of a command in one pass and writes the requested files."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from jaxdl.config.arguments import about
from jaxdl.data import appearance, own_images, recorded
from jaxdl.prediction import explained, results, rows, screen, stream
from jaxdl.prediction.inputs import Found
from jaxdl.prediction.page import Page
from jaxdl.prediction.predictor import Predictor, Total
from jaxdl.prediction.stream import Batch, Fault
from jaxdl.runs import packed
from jaxdl.step import metrics
from jaxdl.views import attributions
from jaxdl.views.subject import Subject

FAR, FAR_OF_ONE = 2.5, 2.5  # standard deviations; see `appearance_warning`
FOLDER, PICTURES, PAGE = 'predictions', 'explained', 'page.html'  # names in the folder of a run


@dataclasses.dataclass(frozen=True)
class Choice:
  """Options of a prediction.

  Attributes:
    out: file for the results, or None.
    explain: names of attribution methods, [] for the default ones; None draws no pictures.
    page: whether to write the HTML page.
    show_all: whether to print all rows.
    skip: whether to leave out inputs that cannot be read.
    invert, distort: as in `Run.predict`.
  """

  out: pathlib.Path | None = None
  explain: Sequence[str] | None = None
  page: bool = False
  show_all: bool = False
  skip: bool = False
  invert: bool = False
  distort: bool = False


@dataclasses.dataclass
class Outcome:
  """Result of a prediction.

  Attributes:
    count: number of predicted inputs.
    rows: the printed rows.
    counts: (class or label, number of inputs predicted as it), the most frequent first.
    metrics: metrics of the labelled inputs; of all inputs for an autoencoder.
    labelled: number of inputs over which the metrics are averaged.
    faults: inputs that cannot be read.
    files: the written files.
    warning: one line if the inputs look unlike the training images; otherwise ''.
  """

  count: int
  rows: list[rows.Row]
  counts: list[tuple[str, int]]
  metrics: dict[str, float]
  labelled: int
  faults: list[Fault]
  files: list[pathlib.Path]
  warning: str


class Session:
  """One pass over the inputs of a command.

  Args:
    subject: the network; its examples are not used.
    found: the inputs.
    choice: the options.

  Raises:
    ValueError: a method of `explain` is unknown or does not apply to the network.
  """

  def __init__(self, subject: Subject, found: Found, choice: Choice):
    self._subject, self._found, self._choice = subject, found, choice
    self._is_of_images = recorded.example(subject.config).column == 'image'
    if not self._is_of_images and (choice.page or choice.explain is not None):
      name, value = ('page', True) if choice.page else ('explain', ','.join(choice.explain or []))
      takes = recorded.noun(subject.config)
      error = ValueError(f'{name}={value} draws images, but the run takes {takes}: leave it out')
      raise about(error, name)
    self._predictor = Predictor(
      subject.config, subject.model, subject.variables, distort=choice.distort
    )
    self._preparation = own_images.preparation(subject.config, invert=choice.invert)
    self._rebuilds = subject.kind == 'autoencoder'
    self._rows = rows.of_kind(
      subject.kind,
      subject.config['dataset'],
      self._predictor.width(),
      has_labels=found.has_labels,
    )
    self._explainer = None
    self.columns, self.signed = [], []
    if choice.explain is not None and not self._rebuilds:
      self._explainer = explained.Explainer(
        subject.config,
        subject.model,
        subject.variables,
        choice.explain,
        explained.background(subject.workdir, subject.config),
      )
      self.columns, self.signed = self._explainer.columns, self._explainer.signed
    elif self._rebuilds:
      self.columns, self.signed = [explained.RECONSTRUCTION, explained.DIFFERENCE], [1]

  def run(self, advance: Callable[[int], Any]) -> Outcome:
    """Predicts all inputs.

    Args:
      advance: function that is called with the number of processed inputs.

    Returns:
      Outcome.

    Raises:
      ValueError: an input cannot be read, without `skip`, or no input can be read. Nothing is
        written.
      OSError: a file cannot be written.
    """
    kept, faults, total = [], [], Total(self._predictor.capacity)
    counts = np.zeros(len(self._rows.classes), int)
    looks, count = np.zeros(2), 0
    with contextlib.ExitStack() as stack:
      writer, pages, page = self._outputs(stack)
      for batch, (found, sums) in self._predictor.computed(self._batches()):
        faults += batch.faults
        if not batch.names:
          continue
        of_batch = self._rows.of(batch, found)
        for row in of_batch:
          counts[list(row.counted)] += 1
        total.add(sums)
        if self._is_of_images:
          looks += appearance.of_images(batch.images).sum(0)
        if writer:
          writer.rows(row.values for row in of_batch)
        self._draw(of_batch, found, pages, page)
        kept = self._shown(kept + of_batch)
        count += len(batch.names)
        advance(count + len(faults))
      if not count:
        raise ValueError(f'no input can be read: {faults[0]}; give image files')
    order = [number for number in np.argsort(-counts, kind='stable') if counts[number]]
    outcome = Outcome(
      count=count,
      rows=kept,
      counts=[(self._rows.classes[number], int(counts[number])) for number in order],
      metrics=total.metrics(),
      labelled=total.count,
      faults=faults,
      files=[self._choice.out] if self._choice.out else [],
      warning=self._warning(looks / count, count),
    )
    outcome.files += pages.files if pages else []
    if page:
      page.write(*_summary(self._subject, outcome))
      outcome.files.append(page.file)
    return outcome

  def _batches(self) -> Iterator[Batch]:
    for batch in stream.batches(self._found, self._preparation, self._predictor.batch_size):
      if batch.faults and not self._choice.skip:
        raise ValueError(f'{batch.faults[0]}: replace it, or add --skip to leave out such inputs')
      yield batch

  def _outputs(
    self, stack: contextlib.ExitStack
  ) -> tuple[results.Writer | None, explained.Pages | None, Page | None]:
    """Opens the results file and prepares the pictures and the page."""
    choice, subject = self._choice, self._subject
    writer = pages = page = None
    if choice.out:
      writer = stack.enter_context(results.Writer(choice.out, self._rows.columns))
    if choice.out:
      folder, stem = choice.out.parent, f'{choice.out.stem}-{PICTURES}'
      file = choice.out.with_suffix('.html')
    else:
      folder, stem = packed.results_of(subject.workdir) / FOLDER, PICTURES
      file = folder / PAGE
    title = f'{packed.name_of(subject.workdir)} at step {subject.step:,}'
    if choice.explain is not None:
      heading = f'{title}: {_heading(self.columns, self.signed, subject.kind)}'
      maker = explained.Pages(folder, stem, self.columns, self.signed, heading)
      pages = stack.enter_context(maker)
    if choice.page:
      page = Page(file, f'Predictions of {title}', self.columns, self.signed)
    return writer, pages, page

  def _draw(self, of_batch, found, pages, page):
    """Adds the inputs of a batch and their maps to the pictures and the page."""
    if pages is None and (page is None or page.is_full):
      return
    count = len(of_batch)
    shape = self._preparation.shape
    pictures = self._subject.seen(found['inputs'][:count].reshape(-1, *shape))
    maps = self._maps(of_batch, found)
    for row, picture, of_row in zip(of_batch, pictures, maps, strict=True):
      if pages:
        pages.add(_label(row), picture, of_row)
      if page:
        page.add(screen.short(row.name), row.cells, picture, of_row, wrong=row.wrong)

  def _maps(self, of_batch, found):
    """Returns the maps of the inputs of a batch, or the reconstructions of an autoencoder."""
    count = len(of_batch)
    if self._rebuilds:
      rebuilt, targets = (
        self._subject.seen(found[name][:count].reshape(-1, *self._preparation.shape))
        for name in ('outputs', 'target')
      )
      return [[new, (new - old).mean(-1)] for new, old in zip(rebuilt, targets, strict=True)]
    if self._explainer is None:
      return [[]] * count
    inputs = found['inputs'][:count]
    predicted = np.array([row.predicted for row in of_batch], np.int32)
    maps = []
    for first in range(0, count, explained.PER_PICTURE):
      part = slice(first, first + explained.PER_PICTURE)
      # Pad the last part, so that the programs are compiled only once.
      missing = explained.PER_PICTURE - len(inputs[part]) if count > explained.PER_PICTURE else 0
      padded = [
        np.concatenate([values[part], np.repeat(values[:1], missing, axis=0)])
        for values in (inputs, predicted)
      ]
      maps += self._explainer.maps(*padded)[: len(inputs[part])]
    return maps

  def _shown(self, kept: list[rows.Row]) -> list[rows.Row]:
    """Returns the rows to print: the first ones, or the largest errors of an autoencoder."""
    kept = [dataclasses.replace(row, values=row.brief()) for row in kept]
    if self._rebuilds:
      kept.sort(key=lambda row: -row.score)
    return kept if self._choice.show_all else kept[: screen.ROWS]

  def _warning(self, mean: np.ndarray, count: int) -> str:
    recorded = self._subject.config['dataset'].get('appearance')
    if not appearance.is_recorded(recorded):
      return ''
    return appearance_warning(mean, count, recorded, inverted=self._choice.invert)


def appearance_warning(
  mean: np.ndarray, count: int, recorded: dict[str, list[float]], *, inverted: bool = False
) -> str:
  """Warns if the average brightness or contrast of the inputs is unlike the training images.

  The limit is 2.5 + 2.5 / √count standard deviations of the training images; a single image may be
  unusual. The averages of each class of MNIST, Fashion-MNIST, CIFAR-10 and Hoda are within 2.3
  standard deviations.

  Args:
    mean: average of `appearance.of_images` over the inputs.
    count: number of inputs.
    recorded: statistics of the training images.
    inverted: whether the inputs were inverted.

  Returns:
    The warning, in one line; '' within the limit.
  """
  limit = FAR + FAR_OF_ONE / np.sqrt(count)
  brightness, contrast = appearance.distance(mean, recorded)
  opposite, _ = appearance.distance(np.array([1 - mean[0], mean[1]]), recorded)
  parts = []
  if abs(brightness) > limit:
    word = 'brighter' if brightness > 0 else 'darker'
    parts.append(f'{abs(brightness):.1f} standard deviations {word}')
  if abs(contrast) > limit:
    word = 'higher' if contrast > 0 else 'lower'
    parts.append(f'{abs(contrast):.1f} standard deviations {word} in contrast')
  if not parts:
    return ''
  line = f'on average, the inputs are {" and ".join(parts)} than the training images'
  if abs(brightness) > limit and abs(opposite) <= limit:
    return f'{line}: {"leave --invert out" if inverted else "add --invert"}'
  return f'{line}: the predictions may be wrong'


def _label(row: rows.Row) -> str:
  """Returns the text next to an input in a picture."""
  name = pathlib.PurePath(screen.short(row.name)).name
  if row.predicted < 0:
    return f'{name}\n{row.score:.4f}'
  if 'class' not in row.cells:
    return '\n'.join([name, *(f'{what} {text}' for what, text in row.cells.items())])
  text = f'{name}\n{row.cells["class"]} {row.score:.4f}'
  return f'{text}\nwrong: {row.cells["label"]}' if row.wrong else text


def _heading(columns: Sequence[str], signed: Sequence[int], kind: str) -> str:
  """Returns the heading of pictures, which explains the maps."""
  if explained.RECONSTRUCTION in columns:
    return 'inputs and reconstructions; red is brighter than expected, blue darker'
  why = attributions.WHY.get(kind, attributions.WHY['classifier'])
  text = f'attribution of {why}. Each map has its own scale, from dark to bright'
  with_sign = ' and '.join(columns[number] for number in signed)
  text += f'; {with_sign}: red supports it, blue opposes it' if with_sign else ''
  return f'{text}. A map of one colour is zero everywhere'


def _summary(subject: Subject, outcome: Outcome) -> tuple[str, list, list[str]]:
  """Returns (lead, counts, remarks) of the page."""
  inputs = f'{outcome.count:,} {recorded.noun(subject.config, outcome.count)}'
  lead = f'{inputs}, {subject.config["model"]["name"]} on {subject.name}'
  if outcome.metrics:
    lead += f': {described(outcome)}'
  remarks = [outcome.warning.capitalize() + '.'] if outcome.warning else []
  if outcome.faults:
    remarks.append(f'{len(outcome.faults)} inputs could not be read.')
  return lead, [(name, f'{count:,}') for name, count in outcome.counts], remarks


def described(outcome: Outcome) -> str:
  """Describes the metrics, such as 'accuracy 98.71 % of 10,000 labelled inputs'."""
  found, labelled = outcome.metrics, f'{outcome.labelled:,} labelled inputs'
  if 'accuracy' in found:
    return f'accuracy {100 * found["accuracy"]:.2f} % of {labelled}, loss {found["loss"]:.4f}'
  if found.keys() <= {'loss', 'mse'}:  # of an autoencoder
    return f'mean squared error {found["loss"]:.6f}'
  shown = (f'{name} {metrics.shown(name, value)}' for name, value in found.items())
  return f'{", ".join(shown)} of {labelled}'
