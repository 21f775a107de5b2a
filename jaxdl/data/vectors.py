"""Vectors [N, F] and sequences [N, T, F] as inputs of a network, and targets of a regression.

The last channel of sequences of different lengths is 1 for real steps and 0 for padding.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, Int, PRNGKeyArray, Shaped

from jaxdl.data import checksum, slicing
from jaxdl.data.dataset import Batch, Data, batch_sizes, class_counts, resident
from jaxdl.data.source import Source

SCALES = ('standardized', 'none')
CONSTANT = 1e-12  # a deviation below this share of the mean is a rounding error


def with_mask(
  values: Float32[np.ndarray, 'N T F'], lengths: Int[np.ndarray, ' N']
) -> Float32[np.ndarray, 'N T F+1']:
  """Adds the channel that marks real steps; the padding of all channels is set to 0.

  Args:
    values: sequences; values after the end of a sequence are ignored.
    lengths: number of real steps of each, from 1 to T.
  """
  real = np.arange(values.shape[1]) < np.asarray(lengths)[:, None]  # [N, T]
  found = np.concatenate([values, np.ones_like(values[..., :1])], axis=-1)
  found[~real] = 0
  return found


def scaling(
  scale: Any, values: Float32[np.ndarray, 'N ... F'], *, masked: bool = False
) -> tuple[list[float], list[float]]:
  """The (mean, deviation) of each feature by which inputs are scaled.

  Args:
    scale: 'standardized' (mean 0 and deviation 1 of each feature over the training split) | 'none'.
    values: the training split.
    masked: whether the last channel marks real steps; padding is left out, and that channel is not
      scaled.

  Returns:
    Two lists of F floats. The deviation of a feature that is the same everywhere is 1.

  Raises:
    ValueError: another scale.
  """
  if scale not in list(SCALES):
    raise ValueError(
      f'config.data.scale={scale!r} is not for vectors and sequences: use one of '
      f'{", ".join(map(repr, SCALES))}'
    )
  width = values.shape[-1]
  if scale == 'none':
    return [0.0] * width, [1.0] * width
  rows = values[values[..., -1] > 0] if masked else values.reshape(-1, width)  # [n, F]
  mean, deviation = moments(rows)
  return ([*mean[:-1], 0.0], [*deviation[:-1], 1.0]) if masked else (mean, deviation)


def moments(rows: Float32[np.ndarray, 'N D']) -> tuple[list[float], list[float]]:
  """Mean and standard deviation of each column; the deviation of a constant column is 1."""
  mean = rows.mean(0, np.float64)
  deviation = rows.std(0, np.float64)
  deviation[deviation <= CONSTANT * np.abs(mean)] = 1
  return mean.tolist(), deviation.tolist()


def inputs(
  *, mean: Sequence[float], deviation: Sequence[float], masked: bool = False
) -> Callable[..., Batch]:
  """Builds the function that scales vectors or sequences.

  Args:
    mean, deviation: as returned by `scaling`.
    masked: whether the last channel marks real steps; the inputs are 0 in padding.

  Returns:
    A pure function (batch, key or None) → batch, which reads 'input' [B, …, F] float32 and adds
    'inputs' and the same as 'target', float32. It has no random part.
  """
  middle, spread = (jnp.asarray(values, jnp.float32) for values in (mean, deviation))

  def prepare(batch: Batch, key: PRNGKeyArray | None = None) -> Batch:
    del key
    values = (batch['input'] - middle) / spread
    if masked:
      values = values * batch['input'][..., -1:]
    return {**batch, 'inputs': values, 'target': values}

  return prepare


def with_targets(
  prepare: Callable[..., Batch], targets: Mapping[str, Sequence[Any]]
) -> Callable[..., Batch]:
  """Adds the standardised targets of a regression to what `prepare` returns.

  Args:
    prepare: pure function (batch, key or None) → batch.
    targets: 'mean' and 'deviation' of each target over the training split, as in `Data.targets`; {}
      for no regression.

  Returns:
    `prepare` without targets; otherwise a function that also reads 'value' [B, D] and adds 'target'
    [B, D] and 'target_scale' [D], the deviation.
  """
  if not targets:
    return prepare
  middle, spread = (jnp.asarray(targets[name], jnp.float32) for name in ('mean', 'deviation'))

  def with_both(batch: Batch, key: PRNGKeyArray | None = None) -> Batch:
    found = prepare(batch, key)
    if 'value' not in batch:  # a prediction
      return found
    return {**found, 'target': (batch['value'] - middle) / spread, 'target_scale': spread}

  return with_both


def targets_of(
  train: Mapping[str, np.ndarray], names: Sequence[str] | None
) -> dict[str, list[Any]]:
  """`Data.targets`: of a regression, what is known about its targets.

  Args:
    train: the training split; 'value' [N, D] are the targets of a regression.
    names: their names; None for '0', '1', ….

  Returns:
    'names', 'mean' and 'deviation', each of D items; {} without targets.
  """
  if 'value' not in train:
    return {}
  mean, deviation = moments(train['value'])
  return {
    'names': [str(name) for name in (names or range(len(mean)))],
    'mean': mean,
    'deviation': deviation,
  }


def pad(values: Shaped[np.ndarray, 'N t F'], steps: int) -> Shaped[np.ndarray, 'N T F']:
  """Sequences with zeros appended, so that they have `steps` steps."""
  return np.pad(values, ((0, 0), (0, steps - values.shape[1]), (0, 0)))


def load(
  found: Source,
  *,
  name: str,
  seed: int,
  splits: Mapping[str, str],
  batch_size: int,
  evaluation_batch_size: int,
  overlap: bool = False,
  sampling: str = 'shuffled',
  scale: str = 'standardized',
) -> Data:
  """Builds a data set of vectors or sequences, which stays on the device.

  Args:
    found: the examples, with the columns 'input' and 'label' or 'value'.
    name: name of the data set.
    seed, splits, batch_size, evaluation_batch_size, overlap, sampling: as in `images.load`.
    scale: as in `scaling`.

  Returns:
    Data.

  Raises:
    ValueError: an unknown scale, or splits as in `images.load`.
  """
  sizes = batch_sizes(splits, batch_size=batch_size, evaluation_batch_size=evaluation_batch_size)
  available = slicing.counts(found.columns)
  if not overlap:
    slicing.refuse_overlap(splits, available)
  parts = {split: slicing.cut(found.columns, splits[split]) for split in sizes}
  train = parts['train']
  mean, deviation = scaling(scale, train['input'], masked=found.masked)
  targets = targets_of(train, found.target_names)
  prepare = inputs(mean=mean, deviation=deviation, masked=found.masked)
  return Data(
    name=name,
    origin=found.origin,
    classes=found.classes,
    splits={
      split: resident(
        part, batch_size=sizes[split], seed=seed if split == 'train' else None, sampling=sampling
      )
      for split, part in parts.items()
    },
    prepare=with_targets(prepare, targets),
    scaling={'mean': mean, 'deviation': deviation},
    available=available,
    checksums=checksum.of_splits(found.columns, splits.values()),
    per_class=class_counts(parts, len(found.classes)),
    form='vectors' if train['input'].ndim == 2 else 'sequences',
    masked=found.masked,
    targets=targets,
    labels=found.labels,
  )
