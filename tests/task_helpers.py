"""Small data sets for the tasks `regress` and `multi_label`, made from the digits of the package."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from jaxdl.data import DATA_SETS, dataset

TARGETS = ('ink', 'digit')
LABELS = ('even', 'above 4', 'multiple of 3')


def _of_digits(load, columns_of, **changes):
  """The digits of the package with other columns in the place of the classes."""
  digits = DATA_SETS['mnist'](**load)
  splits = {}
  for name, split in digits.splits.items():
    columns = {'image': split.arrays['image'], **columns_of(split.arrays)}
    size = load['batch_size' if name == 'train' else 'evaluation_batch_size']
    seed = load['seed'] if name == 'train' else None
    splits[name] = dataset.resident(columns, batch_size=size, seed=seed)
  return dataclasses.replace(digits, splits=splits, per_class={}, **changes)


def load_values(
  *, seed, batch_size, splits, evaluation_batch_size=48, layout='image', source='bundled', fit=None
):
  """Digits with two targets: the mean of the pixels and the digit itself."""

  def values(arrays):
    ink = arrays['image'].mean((1, 2, 3))
    return {'value': np.stack([ink, arrays['label']], axis=1).astype(np.float32)}

  load = dict(
    seed=seed,
    batch_size=batch_size,
    splits=splits,
    evaluation_batch_size=evaluation_batch_size,
    layout=layout,
    source=source,
  )
  made = _of_digits(load, values, name='digit_values', classes=())
  known = made.splits['train'].arrays['value']
  mean, deviation = known.mean(0), known.std(0)
  pixels = made.prepare

  def prepare(batch, key=None):
    target = (batch['value'] - mean) / deviation
    return {**pixels(batch, key), 'target': target, 'target_scale': jnp.asarray(deviation)}

  targets = {'names': list(TARGETS), 'mean': mean.tolist(), 'deviation': deviation.tolist()}
  return dataclasses.replace(made, prepare=prepare, targets=targets)


def load_labels(
  *, seed, batch_size, splits, evaluation_batch_size=48, layout='image', source='bundled', fit=None
):
  """Digits with three labels."""

  def labels(arrays):
    digit = arrays['label']
    return {
      'label': np.stack([digit % 2 == 0, digit > 4, digit % 3 == 0], axis=1).astype(np.float32)
    }

  load = dict(
    seed=seed,
    batch_size=batch_size,
    splits=splits,
    evaluation_batch_size=evaluation_batch_size,
    layout=layout,
    source=source,
  )
  return _of_digits(load, labels, name='digit_labels', classes=LABELS)


OWN = {'digit_values': load_values, 'digit_labels': load_labels}


def register():
  """Adds the data sets to those of configs."""
  DATA_SETS.update(OWN)


def config_of(small, task, **keys):
  """The small config with a task and its data set."""
  data = {**small['data'], 'name': 'digit_values' if 'regress' in str(task) else 'digit_labels'}
  model = {**small['model'], 'classes': 'classes'}
  return {**small, 'task': task, 'data': data, 'model': model, **keys}
