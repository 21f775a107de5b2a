"""What an analysis looks at: a run's network, and examples of its data as the network and as people see them."""

import dataclasses
import math
import pathlib
from typing import Any

import jax
import numpy as np

from jaxdl import checkpoint
from jaxdl import config as configuration
from jaxdl.data import DATA_SETS

BYTES = 1 << 30  # of network inputs in memory, at most
OF_TASKS = {'reconstruct': 'autoencoder', 'next_char': 'language_model'}  # the kinds that a task tells


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
  """A trained network and examples.

  Attributes:
    workdir: of the run, pathlib.Path.
    name: of the data set.
    split: which of its splits the examples come from.
    step: int, of the checkpoint.
    kind: 'cnn' | 'recurrent' | 'classifier' (any other) | 'language_model' | 'autoencoder'.
    model, variables, config: as `checkpoint.load_model` returns them.
    classes: class names, or the vocabulary of a text.
    inputs: [N, …] as the network takes them; [B, N] int for a text, one contiguous stream.
    labels: [N] int, or the next characters [B, N].
    images: [N, H, W, C] in 0..1, what a person would be shown of each input; None for a text.
    targets: [N, H, W, C] in 0..1, what an autoencoder should make of them, else None.
    available: int, examples of the split, of which there may be more than are here.
  """

  workdir: pathlib.Path
  name: str
  split: str
  step: int
  kind: str
  model: Any
  variables: Any
  config: dict
  classes: tuple
  inputs: np.ndarray
  labels: np.ndarray
  images: np.ndarray | None
  targets: np.ndarray | None
  available: int

  def seen(self, values):
    """What the network takes or gives, […, C], as a person would be shown it: the scaling undone, 0..1."""
    return np.clip(values * self._scaling('deviation') + self._scaling('mean'), 0, 1)

  def scaled(self, pictures):
    """Pictures in 0..1, […, C], as the network takes them."""
    return (pictures - self._scaling('mean')) / self._scaling('deviation')

  def _scaling(self, key):
    return np.asarray(self.config['dataset'][key], np.float32)


def read(workdir, *, step='best', count=None, data_dir=None):
  """The network of a run, and examples of its test split: the validation or training split where it has none.

  Args:
    workdir: the run's folder.
    step: 'best' | 'last' | int.
    count: int, examples at most; None for all that fit into 1 GiB.
    data_dir: folder of the prepared data sets; None for that of the config.

  Returns:
    Subject.

  Raises:
    ValueError: a count below 1, or data of other classes than those the network was trained on.
    OSError: there is no checkpoint, or the data cannot be read.
  """
  if count is not None and count < 1:
    raise ValueError(f'--images={count} is too few: use at least 1')
  found_step, model, variables, config = checkpoint.load_step(workdir, step)
  if 'dataset' not in config:
    raise ValueError(f'{workdir} was trained by an older version, which kept nothing of its data: train it again')
  section = {**config['data'], **({'data_dir': data_dir} if data_dir else {})}
  data = configuration.bind(DATA_SETS, section, 'config.data', seed=config.get('seed', 0))()
  if list(data.classes) != list(config['dataset']['classes']):
    raise ValueError(f'the data of {workdir} have other classes than those it was trained on: give the same data set')
  name = next(name for name in ('test', 'validation', 'train') if name in data.splits)
  split, kind = data.splits[name], _kind(config)
  size = math.prod(data.input_shape()) * 4
  wanted = min(count or split.count, split.count, max(1, BYTES // size))
  found = _text(split, wanted) if kind == 'language_model' else _examples(data, split, wanted)
  subject = Subject(workdir=pathlib.Path(workdir), name=data.name, split=name, step=found_step, kind=kind,
                    model=model, variables=variables, config=config, classes=data.classes, available=split.count, **found)
  if kind == 'language_model':
    return subject
  return dataclasses.replace(subject, images=subject.seen(found['images']), targets=subject.seen(found['targets']))


def _kind(config):
  task = config['task'] if isinstance(config['task'], str) else config['task']['name']
  if task in OF_TASKS:
    return OF_TASKS[task]
  return config['model']['name'] if config['model']['name'] in ('cnn', 'recurrent') else 'classifier'


def _examples(data, split, wanted):
  """The first examples of a split, batch by batch; training examples in the order of the first epoch."""
  prepare = jax.jit(lambda arrays, feed: data.prepare(split.fetch(arrays, feed)))
  parts, have = [], 0
  for number in range(split.batches):
    feed = {key: values[0] for key, values in split.feed(number, 1).items() if key != 'faults'}
    batch = jax.device_get(prepare(split.arrays, feed))
    real = batch['mask'] > 0
    parts.append({key: batch[key][real] for key in ('inputs', 'target', 'label', 'image')})
    have += int(real.sum())
    if have >= wanted:
      break
  whole = {key: np.concatenate([part[key] for part in parts])[:wanted] for key in parts[0]}
  shape = whole['image'].shape
  return {'inputs': whole['inputs'], 'labels': whole['label'], 'images': whole['inputs'].reshape(shape),
          'targets': whole['target'].reshape(shape)}


def _text(split, wanted):
  """One contiguous stream from the start of a text."""
  characters = np.asarray(split.arrays['character'][:wanted + 1]).astype(np.int32)
  return {'inputs': characters[None, :-1], 'labels': characters[None, 1:], 'images': None, 'targets': None}
