"""A data set and its splits as training and evaluation use them."""

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence

import jax
import numpy as np

from jaxdl.data import order

SPLITS = ('train', 'validation', 'test')
FEW_CLASSES = 5  # that a line lists with the examples of each
NAME_LETTERS = 24  # of a class in such a line
LARGEST = 1 << 20  # examples of a batch, characters of a step or pixels of a side


@dataclasses.dataclass(frozen=True)
class Split:
  """What stays on the device, and how a step finds its batch in it.

  Attributes:
    arrays: column name → array that stays on the device.
    count: examples in an epoch.
    batches: batches in an epoch, the last one perhaps partly padding.
    feed: (first step, steps) → name → [steps, batch, …] NumPy array, this process's part of each
      batch: all that a step needs from the host.
    fetch: pure (arrays, one step's feed) → batch with 'index' [B] int32, 'mask' [B] or [B, T]
      float32 and the columns.
    capacity: most steps that one feed should have; None where a feed is only indices and costs
      nothing.
  """

  arrays: dict[str, np.ndarray]
  count: int
  batches: int
  feed: Callable
  fetch: Callable
  capacity: int | None = None


def resident(columns, *, batch_size, seed=None):
  """A split that fits on the device: the feed is only the indices.

  Args:
    columns: column name → [N, …] array.
    batch_size: int, examples in a batch, over all devices.
    seed: int for a new permutation in each epoch (training), None for the examples' own order
      (evaluation).

  Returns:
    Split.
  """
  count = len(next(iter(columns.values())))

  def feed(first_step, steps):
    index, mask = order.batches_at(seed, first_step, steps, count=count, batch_size=batch_size)
    return process_shard({'index': index, 'mask': mask})  # [S, B] each

  batches = order.batches_per_epoch(count, batch_size)
  return Split(arrays=columns, count=count, batches=batches, feed=feed, fetch=_gather)


def process_shard(feed):
  """This process's part of a feed: name → [S, B, …] of all processes → [S, B / processes, …]."""
  processes, process = jax.process_count(), jax.process_index()
  return {name: np.split(values, processes, axis=1)[process] for name, values in feed.items()}


def _gather(arrays, feed):
  return {**feed, **{name: values[feed['index']] for name, values in arrays.items()}}


@dataclasses.dataclass(frozen=True)
class Data:
  """A data set ready for training.

  Attributes:
    name, origin: the data set and where it was read from ('tfds', 'bundled', …).
    classes: class names in the order of the labels, or the vocabulary of a text.
    splits: 'train' (shuffled) and the others (in their own order) → Split.
    prepare: pure (batch, key or None) → batch that adds 'inputs', on the device; no key means
      evaluation.
    scaling: what a network of this run expects of its inputs: plain JSON data, kept with the
      checkpoint.
    available: the data set's own splits → examples in each, of which the run takes what its config
      says.
    checksums: the data set's own splits that the config uses → checksum of their examples; {} where
      it is not known.
    place: absolute paths by which the data are found again, such as {'folder': …}; None for those
      that do not apply.
    per_class: split name → examples of each class, in the order of the labels; {} for a text, or
      where it is not known.
    left_out: lines that name the files which were not read.
  """

  name: str
  origin: str
  classes: tuple[str, ...]
  splits: dict[str, Split]
  prepare: Callable
  scaling: dict
  available: dict[str, int]
  checksums: dict[str, str] = dataclasses.field(default_factory=dict)
  place: dict[str, str | None] = dataclasses.field(default_factory=dict)
  per_class: dict[str, list[int]] = dataclasses.field(default_factory=dict)
  left_out: tuple[str, ...] = ()

  @functools.cached_property
  def inputs(self):
    """What the network sees of a training batch, as jax.ShapeDtypeStruct [B, …]; nothing is read."""
    split = self.splits['train']
    feed = {
      name: jax.ShapeDtypeStruct(values.shape[1:], values.dtype)
      for name, values in split.feed(0, 0).items()
    }
    batch = jax.eval_shape(lambda *parts: self.prepare(split.fetch(*parts)), split.arrays, feed)
    return batch['inputs']

  def input_shape(self):
    """Shape of one example as the network sees it, without the batch axis."""
    return self.inputs.shape[1:]

  def streams(self):
    """How many streams go on from one training batch to the next; 0 where each batch stands alone."""
    feed = self.splits['train'].feed(0, 0)
    return feed['reset'].shape[1] * jax.process_count() if 'reset' in feed else 0

  def facts(self):
    """What the checkpoint keeps of the data: plain JSON data."""
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
      **{key: path for key, path in self.place.items() if path is not None},
    }

  def described(self) -> str:
    """The data set and its place, for messages."""
    if self.origin == 'folder':
      return self.place['folder']
    name = f'{self.name}/{self.place["copy"]}' if self.place.get('copy') else self.name
    return (
      f'{name} in {self.place["data_dir"]}'
      if self.place.get('data_dir')
      else f'{name} ({self.origin})'
    )

  def differs(self, checksums: dict[str, str] | None) -> str | None:
    """The splits whose examples are not those of earlier checksums, 'test, train'; None where all
    are, or none are known.
    """
    if not checksums:
      return None
    return (
      ', '.join(
        sorted(split for split in checksums if self.checksums.get(split) != checksums[split])
      )
      or None
    )

  def counted(self) -> list[str]:
    """A line for each split: its examples, and how they are divided over the classes."""
    unit = 'characters' if 'character' in self.splits['train'].arrays else 'examples'
    return count_lines(
      {name: split.count for name, split in self.splits.items()}, self.per_class, self.classes, unit
    )


def count_lines(
  examples: dict[str, int],
  per_class: dict[str, list[int]],
  classes: Sequence[str],
  unit: str = 'examples',
) -> list[str]:
  """Describes the size of every split, in a line each.

  Args:
    examples: split name → examples.
    per_class: split name → examples of each class; a split that is missing is described by its size
      alone.
    classes: class names in the order of the labels.
    unit: what is counted.

  Returns:
    list of str, such as 'train: 400 examples, cat 150, dog 250'; of many classes only the smallest
    and the largest.
  """
  lines = []
  for name, count in examples.items():
    sizes = per_class.get(name)
    if not sizes:
      lines.append(f'{name}: {count:,} {unit}')
      continue
    if len(set(sizes)) == 1:
      divided = f'{sizes[0]:,} of each of {len(sizes):,} classes'
    elif len(sizes) <= FEW_CLASSES:
      divided = ', '.join(
        f'{_shortened(kind)} {size:,}' for kind, size in zip(classes, sizes, strict=True)
      )
    else:
      least, most = sizes.index(min(sizes)), sizes.index(max(sizes))
      divided = (
        f'{len(sizes):,} classes of {sizes[least]:,} ({_shortened(classes[least])}) '
        f'to {sizes[most]:,} ({_shortened(classes[most])})'
      )
    lines.append(f'{name}: {count:,} {unit}, {divided}')
  return lines


def _shortened(name):
  name = ' '.join(name.split())
  return name if len(name) <= NAME_LETTERS else f'{name[: NAME_LETTERS - 1]}…'


def batch_sizes(splits, *, batch_size, evaluation_batch_size):
  """The split names of a config in their fixed order, training first → examples in a batch.

  Raises:
    ValueError: 'train' is missing, a split has a name that training does not know, or a size is not
      one.
  """
  if not isinstance(splits, dict) or 'train' not in splits:
    raise ValueError('config.data.splits has no train split: add one, such as train="train"')
  if unknown := set(splits) - set(SPLITS):
    raise ValueError(f'config.data.splits.{min(unknown)} is unknown: use {", ".join(SPLITS)}')
  check_sizes(batch_size=batch_size, evaluation_batch_size=evaluation_batch_size)
  return {
    name: batch_size if name == 'train' else evaluation_batch_size
    for name in SPLITS
    if name in splits
  }


def check_sizes(**sizes):
  """Raises ValueError where one of the named sizes is not a whole number of at least 1, or larger
  than any use.
  """
  for key, size in sizes.items():
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= LARGEST:
      raise ValueError(
        f'config.data.{key}={size!r} is not a size: use a whole number of at least 1 and at most {LARGEST:,}'
      )


def check_texts(**texts):
  """Raises ValueError where one of the named texts, such as a folder, is neither a text nor None."""
  for key, text in texts.items():
    if not isinstance(text, (str, os.PathLike, type(None))) or '\0' in str(text):
      raise ValueError(f"config.data.{key}={text!r} is not a text: write {key}='…'")
