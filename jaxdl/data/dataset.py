"""A data set and its splits, as used by training and evaluation."""

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxdl.data import checksum, order

SPLITS = ('train', 'validation', 'test')
FEW_CLASSES = 5  # most classes for which a line lists every class with its number of examples
NAME_LETTERS = 24  # most characters of a class name in such a line
LARGEST = 1 << 20  # most examples of a batch, characters of a step or pixels of a side

Batch = dict[str, Any]  # name → array: NumPy on the host, JAX on the device
Feed = dict[str, np.ndarray]  # name → [steps, batch, …]


@dataclasses.dataclass(frozen=True)
class Split:
  """A split: the arrays that stay on the device, and how a step gets its batch.

  Attributes:
    arrays: column name → array that stays on the device.
    count: number of examples in an epoch.
    batches: number of batches in an epoch; the last one may be partly padding.
    feed: (first step, steps) → name → [steps, batch, …] NumPy array, this process's part of each
      batch. It has everything that a step needs from the host.
    fetch: pure (arrays, one step's feed) → batch with 'index' [B] int32, 'mask' [B] or [B, T]
      float32 and the columns.
    capacity: the largest number of steps that a feed should have; None if a feed has only indices,
      which cost nothing.
  """

  arrays: Mapping[str, Any]
  count: int
  batches: int
  feed: Callable[[int, int], Feed]
  fetch: Callable[[Mapping[str, Any], Batch], Batch]
  capacity: int | None = None


SAMPLINGS = ('shuffled', 'balanced')


def check_sampling(sampling: Any) -> None:
  """Raises ValueError if a config's `sampling` is unknown."""
  if sampling not in SAMPLINGS:
    raise ValueError(
      f'config.data.sampling={sampling!r} is unknown: use shuffled (each example once in an epoch) '
      'or balanced (every class equally often)'
    )


def classes_to_balance(sampling: str, labels: Any) -> order.Classes | None:
  """The classes of the training examples that a config's `sampling` balances.

  Args:
    sampling: one of SAMPLINGS.
    labels: [N] integers; None or another array if the examples do not have one class each.

  Returns:
    Classes; None for 'shuffled'.

  Raises:
    ValueError: 'balanced' without classes.
  """
  if sampling == 'shuffled':
    return None
  if labels is None or np.ndim(labels) != 1:
    raise ValueError(
      "config.data.sampling='balanced' needs one class for each example, which these data do not "
      'have: leave it out'
    )
  return order.Classes(np.asarray(labels, np.int32))


def resident(
  columns: Mapping[str, np.ndarray],
  *,
  batch_size: int,
  seed: int | None = None,
  sampling: str = 'shuffled',
) -> Split:
  """Builds a split that fits on the device; its feed has only the indices.

  Args:
    columns: column name → [N, …] array.
    batch_size: examples in a batch, over all devices.
    seed: int for a new permutation in each epoch (training); None for the original order of the
      examples (evaluation).
    sampling: one of SAMPLINGS, in training; 'balanced' needs the column 'label' [N].

  Returns:
    Split.

  Raises:
    ValueError: as `classes_to_balance`.
  """
  count = len(next(iter(columns.values())))
  classes = None if seed is None else classes_to_balance(sampling, columns.get('label'))

  def feed(first_step: int, steps: int) -> Feed:
    index, mask = order.batches_at(
      seed, first_step, steps, count=count, batch_size=batch_size, classes=classes
    )
    return process_shard({'index': index, 'mask': mask})  # [S, B] each

  batches = order.batches_per_epoch(count, batch_size)
  return Split(arrays=columns, count=count, batches=batches, feed=feed, fetch=_gather)


def process_shard(feed: Feed) -> Feed:
  """This process's part of a feed: name → [S, B, …] of all processes → [S, B / processes, …]."""
  processes, process = jax.process_count(), jax.process_index()
  return {name: np.split(values, processes, axis=1)[process] for name, values in feed.items()}


def _gather(arrays: Mapping[str, Any], feed: Batch) -> Batch:
  return {**feed, **{name: values[feed['index']] for name, values in arrays.items()}}


@dataclasses.dataclass(frozen=True)
class Data:
  """A data set ready for training.

  Attributes:
    name, origin: the data set, and where it was read from ('tfds', 'bundled', …).
    classes: class names in the order of the labels, or the vocabulary of a text.
    splits: name → Split: 'train' (shuffled) and the others (in their original order).
    prepare: pure function (batch, key or None) → batch with 'inputs' added, on the device. No key
      means evaluation.
    scaling: how the network's inputs are scaled; plain JSON data, saved with the checkpoint.
    available: original split of the data set → number of its examples. The config's splits are cut
      from these.
    checksums: original split that the config uses → checksum of its examples; {} if not known. For
      photographs also the split with `checksum.OF_BYTES`.
    place: absolute paths of the data, such as {'folder': …}, for reading them again, or a list of
      paths; None for those that do not apply.
    per_class: split name → number of examples of each class, in the order of the labels; {} for a
      text, or if not known.
    left_out: lines that name the skipped files.
    division: text such as '80/10/10' by which a folder was divided into splits; '' if it was not.
    division_note: one line that describes the splits; '' if the data set defines them.
    appearance: brightness and contrast of the training images, as returned by
      `appearance.of_split`; {} if not known.
    form: 'vectors' [N, F] or 'sequences' [N, T, F]; '' for images and texts.
    masked: whether the last channel of sequences is 1 for real steps and 0 for padding.
    targets: 'names', 'mean' and 'deviation' of the targets of a regression, over the training
      split; plain JSON data. {} for other tasks.
    labels: as in `Source`.
    files: split name → `contents.Entry` of each photograph; {} for arrays, or if not known.
    further: other facts of this data set that the checkpoint saves, as plain JSON data.
    evidence: split name → the column 'evidence' (`Source`), where the data set has it.
  """

  name: str
  origin: str
  classes: tuple[str, ...]
  splits: dict[str, Split]
  prepare: Callable[..., Batch]
  scaling: dict[str, Any]
  available: dict[str, int]
  checksums: dict[str, str] = dataclasses.field(default_factory=dict)
  place: dict[str, Any] = dataclasses.field(default_factory=dict)
  per_class: dict[str, list[int]] = dataclasses.field(default_factory=dict)
  left_out: tuple[str, ...] = ()
  division: str = ''
  division_note: str = ''
  appearance: dict[str, list[float]] = dataclasses.field(default_factory=dict)
  form: str = ''
  masked: bool = False
  targets: dict[str, list[Any]] = dataclasses.field(default_factory=dict)
  labels: tuple[str, ...] | None = None
  files: Mapping[str, Sequence[Any]] = dataclasses.field(default_factory=dict)
  further: dict[str, Any] = dataclasses.field(default_factory=dict)
  evidence: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

  @functools.cached_property
  def batch(self) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes and types [B, …] of the arrays of a training batch; reads no examples."""
    split = self.splits['train']
    feed = {
      name: jax.ShapeDtypeStruct(values.shape[1:], values.dtype)
      for name, values in split.feed(0, 0).items()
    }
    return jax.eval_shape(lambda *parts: self.prepare(split.fetch(*parts)), split.arrays, feed)

  @property
  def inputs(self) -> jax.ShapeDtypeStruct:
    """Shape and type [B, …] of the network's inputs in a training batch."""
    return self.batch['inputs']

  def outputs(self) -> int:
    """Number of classes, labels, characters or targets: the size 'classes' of a network."""
    return len(self.targets['names']) if self.targets else len(self.classes)

  def input_shape(self) -> tuple[int, ...]:
    """Shape of one example's inputs to the network, without the batch axis."""
    return self.inputs.shape[1:]

  def streams(self) -> int:
    """Number of streams that continue in the next training batch; 0 for independent batches."""
    feed = self.splits['train'].feed(0, 0)
    return feed['reset'].shape[1] * jax.process_count() if 'reset' in feed else 0

  def facts(self) -> dict[str, Any]:
    """The facts about the data that the checkpoint saves, as plain JSON data."""
    return {
      'name': self.name,
      'origin': self.origin,
      'classes': list(self.classes),
      'input_shape': list(self.input_shape()),
      'steps_per_epoch': self.splits['train'].batches,
      **self.scaling,
      'examples': {name: split.count for name, split in self.splits.items()},
      'examples_per_class': self.per_class,
      'checksums': self.checksums,
      **({'division': self.division} if self.division else {}),
      **({'appearance': self.appearance} if self.appearance else {}),
      **({'form': self.form} if self.form else {}),
      **({'masked': True} if self.masked else {}),
      **({'targets': self.targets} if self.targets else {}),
      **({} if self.labels is None else {'labels': list(self.labels)}),
      **self.further,
      **{key: path for key, path in self.place.items() if path is not None},
    }

  def described(self) -> str:
    """The data set and its location, for messages."""
    folder, data_dir, copy = (self.place.get(key) for key in ('folder', 'data_dir', 'copy'))
    if self.origin == 'folder':
      return str(folder)
    if self.place.get('file'):
      return str(self.place['file'])
    name = f'{self.name}/{copy}' if copy else self.name
    return f'{name} in {data_dir}' if data_dir else f'{name} ({self.origin})'

  def differs(self, checksums: dict[str, str] | None) -> str | None:
    """Compares the examples with those of an earlier run.

    Args:
      checksums: `checksums` of the earlier run; None if not known.

    Returns:
      The splits whose examples differ, such as 'test, train'; None if there are none, or if no
      checksums are known.
    """
    known = {} if checksums is None else checksums
    changed = {
      split.removesuffix(checksum.OF_BYTES)
      for split in known
      if self.checksums.get(split) != known[split]
    }
    return ', '.join(sorted(changed)) if changed else None

  def counted(self) -> list[str]:
    """One line for each split: its number of examples, in total and of each class."""
    unit = 'characters' if 'character' in self.splits['train'].arrays else 'examples'
    return count_lines(
      {name: split.count for name, split in self.splits.items()}, self.per_class, self.classes, unit
    )

  def described_splits(self) -> list[str]:
    """Returns `division_note`, if any, and the lines of `counted`."""
    return [*([self.division_note] if self.division_note else []), *self.counted()]


def count_lines(
  examples: Mapping[str, int],
  per_class: Mapping[str, list[int]],
  classes: Sequence[str],
  unit: str = 'examples',
) -> list[str]:
  """Describes the size of every split, one line each.

  Args:
    examples: split name → number of examples.
    per_class: split name → examples of each class; for a missing split, only the size is described.
    classes: class names in the order of the labels.
    unit: what is counted.

  Returns:
    Lines such as 'train: 400 examples, cat 150, dog 250'. If there are many classes, only the
    smallest and the largest are named.
  """
  lines = []
  for name, count in examples.items():
    sizes = per_class.get(name)
    line = f'{name}: {count:,} {unit}'
    lines.append(f'{line}, {_divided(sizes, classes)}' if sizes else line)
  return lines


def _divided(sizes: list[int], classes: Sequence[str]) -> str:
  """Describes how the examples of a split are divided into classes."""
  if len(set(sizes)) == 1:
    return f'{sizes[0]:,} of each of {len(sizes):,} classes'
  if len(sizes) <= FEW_CLASSES:
    return ', '.join(
      f'{_shortened(name)} {size:,}' for name, size in zip(classes, sizes, strict=True)
    )
  fewest, most = sizes.index(min(sizes)), sizes.index(max(sizes))
  return (
    f'{len(sizes):,} classes of {sizes[fewest]:,} ({_shortened(classes[fewest])}) '
    f'to {sizes[most]:,} ({_shortened(classes[most])})'
  )


def _shortened(name: str) -> str:
  name = ' '.join(name.split())
  return name if len(name) <= NAME_LETTERS else f'{name[: NAME_LETTERS - 1]}…'


def class_counts(
  parts: Mapping[str, Mapping[str, np.ndarray]], classes: int
) -> dict[str, list[int]]:
  """Split → number of examples with each label, in the order of the labels.

  Args:
    parts: split → column → [N, …] array.
    classes: number of classes or labels.

  Returns:
    {} for a regression.
  """
  found = {}
  for name, part in parts.items():
    if 'label' not in part:
      continue
    label = part['label']
    counts = np.bincount(label, minlength=classes) if label.ndim == 1 else label.sum(0)
    found[name] = counts.astype(int).tolist()
  return found


def batch_sizes(splits: Any, *, batch_size: Any, evaluation_batch_size: Any) -> dict[str, int]:
  """Checks the splits and batch sizes of a config.

  Args:
    splits: dict of split name → TFDS slicing.
    batch_size: examples in a training batch, over all devices.
    evaluation_batch_size: examples in an evaluation batch, over all devices.

  Returns:
    Split name → examples in a batch, in the order of `SPLITS`.

  Raises:
    ValueError: 'train' is missing, a split's name is unknown, or a size is invalid.
  """
  if isinstance(splits, str):
    raise ValueError(
      f'config.data.splits={splits!r} is for data without splits (image_folder, arrays): write '
      "dict(train='train[:90%]', validation='train[90%:]')"
    )
  if not isinstance(splits, dict) or 'train' not in splits:
    raise ValueError('config.data.splits has no train split: add one, such as train="train"')
  unknown = set(splits) - set(SPLITS)
  if unknown:
    raise ValueError(f'config.data.splits.{min(unknown)} is unknown: use {", ".join(SPLITS)}')
  check_sizes(batch_size=batch_size, evaluation_batch_size=evaluation_batch_size)
  return {
    name: batch_size if name == 'train' else evaluation_batch_size
    for name in SPLITS
    if name in splits
  }


def check_sizes(**sizes: Any) -> None:
  """Raises ValueError if a named size is not an integer from 1 to `LARGEST`."""
  for key, size in sizes.items():
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= LARGEST:
      raise ValueError(
        f'config.data.{key}={size!r} is not a size: '
        f'use an integer of at least 1 and at most {LARGEST:,}'
      )


def check_texts(**texts: Any) -> None:
  """Raises ValueError if a named text, such as a folder, is not a string, a path or None."""
  for key, text in texts.items():
    if not isinstance(text, (str, os.PathLike, type(None))) or '\0' in str(text):
      raise ValueError(f"config.data.{key}={text!r} is not a text: write {key}='…'")
