"""Data sets of small images, which stay on the device."""

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any, no_type_check

import numpy as np

from jaxdl.config import checks
from jaxdl.data import appearance, checksum, fits, preprocess, slicing, stand_ins, vectors
from jaxdl.data.dataset import (
  Data,
  batch_sizes,
  check_sampling,
  check_sizes,
  check_texts,
  class_counts,
  resident,
)
from jaxdl.data.source import Source, check_images

Changes = Sequence[Mapping[str, Any]]


@no_type_check  # a config may hold anything: the function checks it, and its errors name the key
def load(
  read: Callable[..., Source],
  *,
  seed: int,
  splits: Mapping[str, str],
  batch_size: int,
  evaluation_batch_size: int = 1000,
  source: str = 'auto',
  data_dir: str | PathLike[str] | None = None,
  overlap: bool = False,
  sampling: str = 'shuffled',
  color: str = 'original',
  size: int | None = None,
  fit: str = 'area',
  background: str | Sequence[int] = 'white',
  scale: str = 'unit',
  layout: str = 'image',
  augment: Changes = (),
  distort: Changes = (),
) -> Data:
  """Reads images and labels as a config's data section describes them.

  Args:
    read: function(source, data_dir) → Source with the columns 'image' and 'label' or 'value'.
    seed: determines the order of the training examples.
    splits: 'train' and any of 'validation', 'test' → TFDS slicing, such as 'train[:45000]'.
    batch_size: examples in a training batch, over all devices.
    evaluation_batch_size: examples in an evaluation batch, over all devices.
    source: 'auto' (a prepared TFDS copy, else the bundled one, else a download) | 'tfds' |
      'bundled'.
    data_dir: TFDS's folder; None for its default.
    overlap: whether the training split may share examples with the others.
    sampling: order of the training examples: 'shuffled' (each once in an epoch) | 'balanced' (every
      class equally often, as in `order.balanced`).
    color: 'original' | 'gray' (luma).
    size, fit, background: None, or square images of so many pixels, made as in `preprocess.fit`.
    scale: as in `preprocess.scaling`.
    layout, augment, distort: as in `preprocess.inputs`.

  Returns:
    Data.

  Raises:
    ValueError: images or labels of another shape or type, an unknown source, split or choice of
      preprocessing, or splits that overlap.
    OSError: a file is missing or cannot be downloaded.
  """
  sizes = batch_sizes(splits, batch_size=batch_size, evaluation_batch_size=evaluation_batch_size)
  check_sizes(size=1 if size is None else size)
  check_texts(source=source, data_dir=data_dir)
  checks.check_flag(overlap, 'config.data.overlap')
  check_sampling(sampling)
  fits.check(fit)
  fits.check_color(color)
  fits.background_colour(background)
  found = read(source=source, data_dir=data_dir)
  check_images(read.__name__, found)
  available = slicing.counts(found.columns)
  if not overlap:
    slicing.refuse_overlap(splits, available)
  parts = {name: slicing.cut(found.columns, splits[name]) for name in sizes}
  evidence = {name: part.pop('evidence') for name, part in parts.items() if 'evidence' in part}

  def convert(images):
    if color == 'gray':
      images = preprocess.gray(images)
    return images if size is None else preprocess.fit(images, size, fit, background)

  checksums, per_class, looks = {}, {}, {}
  if found.origin == stand_ins.ABSENT:
    for part in parts.values():
      part['image'] = stand_ins.convert_one(convert, part['image'])
    mean, deviation = preprocess.scaling(
      'unit' if scale == 'standardized' else scale, part['image']
    )
  else:
    checksums = checksum.of_splits(found.columns, splits.values())
    per_class = class_counts(parts, len(found.classes))
    for part in parts.values():
      part['image'] = convert(part['image'])
    mean, deviation = preprocess.scaling(scale, parts['train']['image'])
    looks = appearance.of_split(parts['train']['image'])
  targets = vectors.targets_of(parts['train'], found.target_names)
  prepare = vectors.with_targets(
    preprocess.inputs(
      mean=mean, deviation=deviation, layout=layout, augment=augment, distort=distort
    ),
    targets,
  )
  scaled = {'mean': mean, 'deviation': deviation}
  if parts['train']['image'].dtype == np.float32:
    scaled['dtype'] = 'float32'
  ready = {
    name: resident(
      part, batch_size=sizes[name], seed=seed if name == 'train' else None, sampling=sampling
    )
    for name, part in parts.items()
  }
  return Data(
    name=read.__name__,
    origin=found.origin,
    classes=found.classes,
    splits=ready,
    prepare=prepare,
    scaling=scaled,
    available=available,
    checksums=checksums,
    place={'data_dir': found.data_dir},
    per_class=per_class,
    appearance=looks,
    targets=targets,
    labels=found.labels,
    evidence=evidence,
  )
