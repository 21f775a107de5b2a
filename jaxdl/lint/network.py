"""Mistakes in a network that its layers show. Each check yields its warnings."""

import itertools
from collections.abc import Iterator
from typing import Any

from jaxdl.models import CNN, decoding, geometry, layers
from jaxdl.step import tasks

SHAPING = (
  layers.Flatten,
  decoding.Reshape,
  layers.Dropout,
  layers.MaxPool,
  layers.AveragePool,
)  # they keep the range


def unseen_pixels(experiment: Any) -> Iterator[str]:
  """Rows and columns that strides and pooling leave out, such as the last two of report 000's
  network.
  """
  shape = experiment.data.input_shape()
  if not isinstance(experiment.recipe.model, CNN) or len(shape) != 3:
    return
  height, width, _ = shape
  try:
    rows, columns, names = geometry.unseen(experiment.recipe.model, (height, width))
  except ValueError:  # a layer that does not say what it sees
    return
  if names:
    lines = {'rows': rows, 'columns': columns}
    where = ' and '.join(f'{name} {_ranges(places)}' for name, places in lines.items() if places)
    count = height * width - (height - len(rows)) * (width - len(columns))
    yield (
      f'config.model.layers never look at {where} of the images, {count:,} of {height * width:,} '
      'pixels: give '
      f"{' and '.join(names)} padding='SAME' and a stride no longer than the window"
    )


def activated_logits(experiment: Any) -> Iterator[str]:
  """A last layer whose activation keeps the logits from being any number, such as negative ones."""
  if experiment.evaluation_task is tasks.reconstruct:
    return
  for position, name, layer in reversed(_layers(experiment)):
    if isinstance(layer, SHAPING):
      continue
    if getattr(layer, 'activation', None) is not None:
      fix = 'remove it' if isinstance(layer, layers.Activation) else 'set activate=False'
      yield f'config.model.layers[{position}] ({name}) puts an activation on the logits: {fix}'
    return


def dropout_before_batch_norm(experiment: Any) -> Iterator[str]:
  """Dropout makes the variance larger in training alone, and batch normalisation then divides by
  the larger one.

  Source: Li et al. 2019, Understanding the disharmony between dropout and batch normalization by
    variance shift.
  """
  for (position, name, layer), (_, following, after) in itertools.pairwise(_layers(experiment)):
    if isinstance(layer, layers.Dropout) and layer.rate > 0 and isinstance(after, layers.BatchNorm):
      yield (
        f'config.model.layers[{position}] ({name}) stands right before {following}, whose running '
        'variance then '
        'is that of training, too large in evaluation: put the dropout after it'
      )


def lone_example(experiment: Any) -> Iterator[str]:
  """A last batch of one real example, which batch normalisation compares with nothing but
  itself.
  """
  split, batch_size = experiment.data.splits['train'], experiment.config['data']['batch_size']
  normalised = [row['name'] for row in experiment.layers if row['type'] == 'BatchNorm']
  if (
    normalised
    and split.count - (split.batches - 1) * batch_size == 1
    and experiment.steps >= split.batches
  ):
    yield (
      f'config.data.batch_size={batch_size} leaves a last batch of 1 of the {split.count:,} '
      'training examples, '
      f'which {" and ".join(normalised)} can only compare with itself: take another'
    )


def no_gradient_through_time(experiment: Any) -> Iterator[str]:
  """Streams read one character a step: the state is carried on, the gradient is not."""
  if experiment.config['data'].get('time_step') == 1:
    yield (
      'config.data.time_step=1 lets no gradient pass from a character to those before it, so that '
      'nothing teaches '
      'the network what to remember: take more, such as 50'
    )


def _layers(experiment):
  """(position, name, layer) of each layer of a CNN; of another model none."""
  if not isinstance(experiment.recipe.model, CNN):
    return []
  return [
    (position, name, build())
    for position, (name, build) in enumerate(experiment.recipe.model.named_layers())
  ]


def _ranges(numbers):
  """[3, 30, 31] → '3, 30–31'."""
  runs = []
  for number in numbers:
    if runs and number == runs[-1][-1] + 1:
      runs[-1].append(number)
    else:
      runs.append([number])
  return ', '.join(f'{run[0]}–{run[-1]}' if len(run) > 1 else str(run[0]) for run in runs)


CHECKS = (
  unseen_pixels,
  activated_logits,
  dropout_before_batch_norm,
  lone_example,
  no_gradient_through_time,
)
