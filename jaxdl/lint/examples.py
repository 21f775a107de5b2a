"""Checks of the training, validation and test examples. Each check yields its warnings."""

import itertools
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from jaxdl.data import duplicates, names, slicing, stand_ins
from jaxdl.devices import parallel
from jaxdl.step import tasks

REPEATED = 0.001  # share of a split from which identical examples are reported
SHOWN = 10  # maximum number of class names in one line


def changed_in_evaluation(experiment: Any) -> Iterator[str]:
  """Warns if `distort` changes evaluation images, as in report 004, which flips test photographs.

  In reconstruction tasks the distortion is part of the task and gives no warning.
  """
  measured = [name for name in experiment.data.splits if name != 'train']
  if (
    experiment.config['data'].get('distort')
    and measured
    and experiment.evaluation_task is not tasks.reconstruct
  ):
    yield (
      f'config.data.distort also changes the images of {" and ".join(measured)}, so the results '
      'are not those of the original images: move it to config.data.augment, which applies only '
      'in training'
    )


def shared_examples(experiment: Any) -> Iterator[str]:
  """Warns if two splits share examples.

  Splits share training examples only with `overlap=True`; validation and test may always overlap.
  """
  why = _consequences(experiment)
  expressions = _expressions(experiment)
  for first, second in itertools.combinations(experiment.data.splits, 2):
    if both := slicing.shared(expressions[first], expressions[second], experiment.data.available):
      yield (
        f'config.data.splits.{second}={expressions[second]!r} shares {both:,} {_unit(experiment)} '
        f'with {first}={expressions[first]!r}, so {why[first, second]}: make them disjoint'
      )


def repeated_examples(experiment: Any) -> Iterator[str]:
  """Warns if 0.1 % or more of the examples of a split are identical to examples of another split.

  The built-in data sets are not compared, since their splits are fixed. Rows of tables are not
  compared either: in columns of few categories, different rows are often equal. Splits that share
  examples by their slices are reported by `shared_examples`.
  """
  data, name = experiment.data, experiment.config['data']['name']
  if data.origin == stand_ins.ABSENT or name == 'table' or name in stand_ins.SETS:
    return
  why, expressions = _consequences(experiment), _expressions(experiment)
  for found in duplicates.of_data(data):
    count = data.splits[found.second].count
    by_slices = slicing.shared(expressions[found.first], expressions[found.second], data.available)
    if by_slices or found.count < REPEATED * count:
      continue
    one, other = found.pair
    yield (
      f'{found.count:,} of {count:,} {found.second} examples are identical to examples of '
      f'{found.first} (the first: {other} and {one}), so {why[found.first, found.second]}: remove '
      'them from one of the splits'
    )


def balanced_twice(experiment: Any) -> Iterator[str]:
  """Warns if both the sampling and the loss balance the classes."""
  config = experiment.config
  if config['data'].get('sampling') == 'balanced' and config['task'].get('class_weights'):
    yield (
      "config.data.sampling='balanced' draws every class equally often, and "
      'config.task.class_weights weights the classes again: leave one of them out'
    )


def chosen_by_test(experiment: Any) -> Iterator[str]:
  """Warns if validation uses the data set's test examples, or if only the test is evaluated."""
  expressions, available = _expressions(experiment), experiment.data.available
  validation, test = expressions.get('validation'), expressions.get('test')
  if validation is None:
    if test is not None:
      yield (
        'config.data.splits has no validation split, so the last checkpoint is used and only the '
        'test shows when to stop: take one from train, such as '
        "train='train[:90%]', validation='train[90%:]'"
      )
    return
  # True if `shared_examples` reports the overlap.
  is_reported = test is not None and slicing.shared(validation, test, available) > 0
  taken = slicing.shared(validation, 'test', available) if 'test' in available else 0
  if taken and not is_reported:
    yield (
      f'config.data.splits.validation={validation!r} takes {taken:,} {_unit(experiment)} of the '
      f"data set's test split, which then {_choice(experiment)}: take it from train, such as "
      "'train[90%:]'"
    )


def in_no_split(experiment: Any) -> Iterator[str]:
  """Warns if slices leave examples unused, in the splits of the data set that are used."""
  expressions = _expressions(experiment)
  used = slicing.taken(
    [expressions[name] for name in experiment.data.splits], experiment.data.available
  )
  for name, taken in used.items():
    if dropped := int((~taken).sum()):
      yield (
        f'config.data.splits leaves {dropped:,} of the {len(taken):,} {_unit(experiment)} of '
        f'{name!r} unused: let the slices cover all of it'
      )


def never_reached(experiment: Any) -> Iterator[str]:
  """Warns if a run ends within its first epoch."""
  split = experiment.data.splits['train']
  if experiment.steps < split.batches:
    # Only the last step of an epoch may contain padding.
    seen = experiment.steps * experiment.config['data']['batch_size']
    if 'character' in split.arrays:
      seen = int(split.feed(0, experiment.steps)['length'].sum()) * jax.process_count()
    yield (
      f'config.train_for={experiment.config["train_for"]!r} ends within the first epoch: '
      f'{split.count - seen:,} of {split.count:,} training {_unit(experiment)} are never seen; '
      f'an epoch has {split.batches:,} steps'
    )


def absent_classes(experiment: Any) -> Iterator[str]:
  """Warns if classes or characters of the vocabulary do not occur in the training examples.

  Photographs are not opened.
  """
  arrays, classes = experiment.data.splits['train'].arrays, experiment.data.classes
  labels = arrays.get('label', arrays.get('character'))
  if labels is None or labels.ndim > 1:
    return
  absent = [
    classes[label] for label in np.flatnonzero(np.bincount(labels, minlength=len(classes)) == 0)
  ]
  if absent:
    named = ', '.join(map(repr, absent[:SHOWN])) + (', …' if len(absent) > SHOWN else '')
    yield (
      f'config.data.splits.train={_expressions(experiment)["train"]!r} has no example of '
      f'{len(absent)} of {len(classes)} classes ({named}): use more of the data set'
    )


def similar_classes(experiment: Any) -> Iterator[str]:
  """Warns if two classes differ only in case, spaces, leading zeros or their Unicode form.

  Single characters are not compared, since 'a' and 'A' may be different classes.
  """
  data = experiment.data
  if data.streams():
    return
  by_key: dict[str, list[str]] = {}
  for name in data.classes:
    if len(name) > 1:
      by_key.setdefault(names.alike(name), []).append(name)
  if same := [found for found in by_key.values() if len(found) > 1]:
    first, second, *_ = map(ascii, same[0])
    others = f' and {len(same) - 1} other pairs' if len(same) > 1 else ''
    yield (
      f'the classes {first} and {second}{others} differ only in case, spaces, zeros or Unicode '
      'form: join them if they are one class'
    )


def fewer_devices(experiment: Any) -> Iterator[str]:
  """Warns if the batch size is not divisible by `cpu_devices`, so that fewer devices are used."""
  size, wanted = experiment.config['data']['batch_size'], experiment.config.get('cpu_devices', 1)
  if jax.default_backend() == 'cpu' and size % wanted:
    yield (
      f'config.data.batch_size={size} does not divide over config.cpu_devices={wanted}, so a CPU '
      f'uses fewer devices: use {parallel.near_sizes(size, wanted)}'
    )


def _expressions(experiment):
  """Split name → TFDS slicing; the split's own name if the config leaves it to the data."""
  given = experiment.config['data'].get('splits')
  return given if isinstance(given, dict) else {name: name for name in experiment.data.splits}


def _consequences(experiment):
  """(split, split) → what follows if both have the same examples."""
  return {
    ('train', 'validation'): f'training examples {_choice(experiment)}',
    ('train', 'test'): 'the test uses training examples',
    ('validation', 'test'): f'test examples {_choice(experiment)}',
  }


def _unit(experiment):
  return 'characters' if experiment.data.streams() else 'examples'


def _choice(experiment):
  """Decisions in this run that depend on the validation split."""
  deeds = [
    'choose the checkpoint',
    *['cut the learning rate'] * (experiment.config.get('plateau') is not None),
    *['end the run'] * (experiment.early_stopping > 0),
  ]
  return ' and '.join(deeds)


CHECKS = (
  changed_in_evaluation,
  shared_examples,
  repeated_examples,
  balanced_twice,
  chosen_by_test,
  in_no_split,
  never_reached,
  absent_classes,
  similar_classes,
  fewer_devices,
)
