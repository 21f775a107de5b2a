"""Checks of the layers of a network. Each check yields its warnings."""

from collections.abc import Iterator
from typing import Any

from jaxdl.models import CNN, decoding, geometry, layers
from jaxdl.step import tasks

# Layers that keep the range of values.
SHAPING = (
  layers.Flatten,
  decoding.Reshape,
  layers.Dropout,
  layers.MaxPool,
  layers.AveragePool,
  layers.GlobalMaxPool,
  layers.GlobalAveragePool,
)


def unseen_pixels(experiment: Any) -> Iterator[str]:
  """Warns if strides and pooling skip rows or columns, such as the last two in report 000."""
  shape = experiment.data.input_shape()
  if not isinstance(experiment.recipe.model, CNN) or len(shape) != 3:
    return
  height, width, _ = shape
  try:
    rows, columns, names = geometry.unseen(experiment.recipe.model, (height, width))
  except ValueError:  # the receptive field of a layer is unknown
    return
  if names:
    lines = {'rows': rows, 'columns': columns}
    where = ' and '.join(f'{name} {_ranges(places)}' for name, places in lines.items() if places)
    count = height * width - (height - len(rows)) * (width - len(columns))
    yield (
      f'config.model.layers do not use {where} of the images, {count:,} of {height * width:,} '
      f"pixels: give {' and '.join(names)} padding='SAME' and a stride no longer than the window"
    )


def activated_logits(experiment: Any) -> Iterator[str]:
  """Warns if the last layer has an activation, which restricts the range of the logits."""
  if experiment.evaluation_task is tasks.reconstruct:
    return
  for node, layer in reversed(_layers(experiment)):
    if isinstance(layer, SHAPING):
      continue
    if getattr(layer, 'activation', None) is not None:
      fix = 'remove it' if isinstance(layer, layers.Activation) else 'set activate=False'
      yield f'{node.where} ({node.name}) applies an activation to the logits: {fix}'
    return


def dropout_before_batch_norm(experiment: Any) -> Iterator[str]:
  """Warns if dropout directly precedes batch normalisation.

  Dropout increases the variance in training only. Batch normalisation then divides by the larger
  variance in evaluation too.

  Source: Li et al. 2019, Understanding the disharmony between dropout and batch normalization by
    variance shift.
  """
  built = {node.name: (node, layer) for node, layer in _layers(experiment)}
  for following, after in built.values():
    node, layer = built.get(following.sources[0], (following, after))
    if isinstance(layer, layers.Dropout) and layer.rate > 0 and isinstance(after, layers.BatchNorm):
      yield (
        f'{node.where} ({node.name}) directly precedes {following.name}, whose running '
        'variance is then that of training, too large in evaluation: put the dropout after it'
      )


def lone_example(experiment: Any) -> Iterator[str]:
  """Warns if the last batch has one real example, which has no variance for batch normalisation."""
  split, batch_size = experiment.data.splits['train'], experiment.config['data']['batch_size']
  normalised = [row['name'] for row in experiment.layers if row['type'] == 'BatchNorm']
  if (
    normalised
    and split.count - (split.batches - 1) * batch_size == 1
    and experiment.steps >= split.batches
  ):
    yield (
      f'config.data.batch_size={batch_size} leaves a last batch of 1 of the {split.count:,} '
      f'training examples, which has no variance for {" and ".join(normalised)}: '
      'use another batch size'
    )


def no_gradient_through_time(experiment: Any) -> Iterator[str]:
  """Warns if a text is read with one character per step.

  The state is carried to the next step, but the gradient is not propagated.
  """
  if experiment.config['data'].get('time_step') == 1:
    yield (
      'config.data.time_step=1 passes no gradient from a character to the previous ones, so the '
      'network does not learn what to remember: use more, such as 50'
    )


def _layers(experiment):
  """Returns (node, layer) of each layer of a CNN; [] for any other model."""
  if not isinstance(experiment.recipe.model, CNN):
    return []
  return [(node, node.build()) for node in experiment.recipe.model.nodes()]


def _ranges(numbers):
  """Formats numbers as ranges: [3, 30, 31] → '3, 30–31'."""
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
