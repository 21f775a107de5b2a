"""Data sets by name. To add one: a function that returns a `Source`, and its line in DATA_SETS."""

import dataclasses
from collections.abc import Callable

import jax

from jaxdl.data import preprocess
from jaxdl.data.mnist import mnist
from jaxdl.data.split import Split, cut, resident

DATA_SETS = {'mnist': mnist}
SPLITS = ('train', 'validation', 'test')


@dataclasses.dataclass(frozen=True)
class Data:
  """A data set ready for training.

  Attributes:
    name, origin: the data set and where it was read from ('tfds', 'bundled', …).
    classes: class names in the order of the labels.
    splits: 'train' (shuffled) and the others (in their own order) → Split.
    prepare: pure (batch, step key or None) → batch that adds 'inputs', on the device.
  """

  name: str
  origin: str
  classes: tuple[str, ...]
  splits: dict[str, Split]
  prepare: Callable

  def input_shape(self):
    """Shape of one example as the network sees it, without the batch axis."""
    split = self.splits['train']
    feed = {name: values[0] for name, values in split.feed(0, 1).items()}
    batch = jax.eval_shape(lambda: self.prepare(split.fetch(split.arrays, feed)))
    return batch['inputs'].shape[1:]


def load(*, seed, name, splits, batch_size, evaluation_batch_size=1000, source='auto', data_dir=None,
         scale='unit', layout='image'):
  """Reads a data set as a config's data section describes it.

  Args:
    seed: int, the order of the training examples.
    name: str, a key of DATA_SETS.
    splits: dict with 'train' and any of 'validation', 'test' → TFDS slicing, such as 'train[:45000]'.
    batch_size: int, examples in a training batch, over all devices.
    evaluation_batch_size: int, examples in an evaluation batch, over all devices.
    source: 'auto' (a prepared TFDS copy, else the bundled one, else a download) | 'tfds' | 'bundled'.
    data_dir: TFDS's folder; None for its default.
    scale, layout: as in `preprocess.images`.

  Returns:
    Data.

  Raises:
    ValueError: an unknown name, source, split or choice of preprocessing.
    OSError: a file is missing or cannot be downloaded.
  """
  if name not in DATA_SETS:
    raise ValueError(f'config.data.name={name!r} is unknown: use one of {", ".join(DATA_SETS)}')
  if 'train' not in splits:
    raise ValueError('config.data.splits has no train split: add one, such as train="train"')
  if unknown := set(splits) - set(SPLITS):
    raise ValueError(f'config.data.splits.{min(unknown)} is unknown: use {", ".join(SPLITS)}')
  for key, size in (('batch_size', batch_size), ('evaluation_batch_size', evaluation_batch_size)):
    if not isinstance(size, int) or size < 1:
      raise ValueError(f'config.data.{key}={size!r} is not a number of examples: use a whole number of at least 1')
  prepare = preprocess.images(scale=scale, layout=layout)
  found = DATA_SETS[name](source=source, data_dir=data_dir)
  ready = {}
  for split in sorted(splits, key=SPLITS.index):
    shuffle = dict(batch_size=batch_size, seed=seed) if split == 'train' else dict(batch_size=evaluation_batch_size)
    ready[split] = resident(cut(found.columns, splits[split]), **shuffle)
  return Data(name=name, origin=found.origin, classes=found.classes, splits=ready, prepare=prepare)
