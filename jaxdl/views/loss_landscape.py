"""The views `loss_line` and `loss_plane`: the loss of networks near a run and between two runs."""

from collections.abc import Callable, Iterator

import jax
import numpy as np
import optax

from jaxdl import figures
from jaxdl.analysis import batches, loss_landscape
from jaxdl.config import paths
from jaxdl.views import other_runs
from jaxdl.views.subject import Subject
from jaxdl.views.view import Choice, Display, Result, View

LINE, PLANE = 1000, 256  # most examples of a line and of a plane
POINTS, SIDE = 21, 11  # networks on a line, and along each side of a plane


def line(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Measures the loss along the line from this run to each of the others."""
  if not choice.against:
    raise ValueError('it compares runs: give another run of the same network, --against=DIR')
  loss, count = _loss(subject, LINE)
  positions = np.linspace(0, 1, POINTS)
  found, facts = {}, []
  for folder in choice.against:
    other = other_runs.read(subject, folder, choice.step)
    values = loss_landscape.along_line(loss, subject.variables, other.variables, positions)
    found[paths.shown(folder)] = values
    straight = np.linspace(values[0, 0], values[-1, 0], POINTS)
    facts.append(
      {
        'against': paths.shown(folder),
        'barrier': float((values[:, 0] - straight).max()),
        'loss': values[:, 0],
        'accuracy': values[:, 1],
      }
    )
  names = {folder: folder.rstrip('/').rpartition('/')[2] for folder in found}
  short = len(set(names.values())) == len(names)
  barriers = ', '.join(f'{fact["barrier"]:.3g}' for fact in facts)
  figure = figures.lines(
    {
      f'to {names[folder] if short else folder}': (positions, values[:, 0])
      for folder, values in found.items()
    },
    xlabel=f'0: {subject.workdir.name} (step {subject.step:,}); 1: the other run',
    ylabel='cross-entropy (nats)',
    heading=(
      f'Loss along the line between two runs, {count:,} {subject.split} examples\n'
      f'(barrier above the straight line: {barriers} nats)'
    ),
    markers=True,
  )
  arrays = {f'values_{number}': values for number, values in enumerate(found.values(), 1)}
  yield Result(
    'loss_line',
    figure,
    {'positions': positions, **arrays},
    {'split': subject.split, 'examples': count, 'runs': facts},
  )


def plane(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Measures the loss on a plane of two random directions, normalised for each filter."""
  loss, count = _loss(subject, PLANE)
  parameters = subject.variables['params']
  first, second = (loss_landscape.direction(parameters, 2 * choice.seed + n) for n in (0, 1))
  positions = np.linspace(-1, 1, SIDE)
  values = loss_landscape.on_plane(loss, subject.variables, first, second, positions)
  middle = values[SIDE // 2, SIDE // 2]
  figure = figures.contours(
    positions,
    values[..., 0],
    label='cross-entropy (nats)',
    axes=('second direction', 'first direction'),
    heading=(
      f'Loss around the network (+: {middle[0]:.3g} nats), {count:,} {subject.split} examples\n'
      '(two random directions; 1 moves every filter\nby its own norm)'
    ),
  )
  yield Result(
    'loss_plane',
    figure,
    {'positions': positions, 'loss': values[..., 0], 'accuracy': values[..., 1]},
    {'split': subject.split, 'examples': count, 'loss': middle[0], 'accuracy': middle[1]},
  )


def _loss(subject: Subject, most: int) -> tuple[Callable, int]:
  """(function variables → (loss, accuracy) over the first examples, their number)."""
  inputs, labels = subject.inputs[:most], subject.labels[:most]

  @jax.jit
  def of_batch(variables, inputs, labels):
    logits = subject.model.apply(variables, inputs)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return losses, logits.argmax(-1) == labels

  def loss(variables):
    def run(*batch):
      return of_batch(variables, *batch)

    parts = [part for _, part in batches.in_batches(run, inputs, labels)]
    losses, right = (np.concatenate(each) for each in zip(*parts, strict=True))
    return float(losses.mean(dtype=np.float64)), float(right.mean())

  return loss, len(inputs)


KINDS = ('cnn', 'recurrent', 'classifier')
VIEWS = {
  'loss_line': View(
    'the loss along the line to another run',
    KINDS,
    line,
    section='Layers compared',
    displays={
      'loss_line': Display(
        'Loss between two runs',
        'A flat line: both networks are in one valley; a barrier: in different ones, as is usual '
        'for different seeds. The statistics of batch normalisation are interpolated too',
        entry='loss_landscape',
      )
    },
    uses=('against',),
    named_only=True,
  ),
  'loss_plane': View(
    'the loss on a plane of two random directions',
    KINDS,
    plane,
    section='Layers compared',
    displays={
      'loss_plane': Display(
        'Loss around the network',
        'Wide valleys change little. It is one random plane of very many; the scale of its '
        'contours is logarithmic',
        entry='loss_landscape',
      )
    },
    named_only=True,
    slow_part=f'the loss of {SIDE * SIDE} networks',
  ),
}
