"""Data sets of images and labels from TFDS, by name."""

import functools
import re
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, no_type_check

from jaxdl.data import array_cache, labelled_images, tfds_arrays
from jaxdl.data.array_cache import Decoded
from jaxdl.data.dataset import Data, check_texts
from jaxdl.data.images import Changes


@no_type_check  # a config may hold anything: the function checks it, and its errors name the key
def load(
  *,
  seed: int,
  batch_size: int,
  dataset: str | None = None,
  image: str | None = None,
  label: str | None = None,
  splits: Mapping[str, str] | str | None = None,
  evaluation_batch_size: int = 1000,
  source: str = 'auto',
  data_dir: str | PathLike[str] | None = None,
  overlap: bool = False,
  sampling: str = 'shuffled',
  scale: str = 'unit',
  color: str = 'original',
  size: int | None = None,
  fit: str = 'area',
  background: str | Sequence[int] = 'white',
  layout: str = 'image',
  augment: Changes = (),
  distort: Changes = (),
) -> Data:
  """Reads a data set of TFDS as described by a config's data section.

  Args:
    dataset: TFDS's name, such as 'kmnist', 'name/config' or 'name/config:1.0.0'.
    image, label: names of the features; None for the only image and the only class label.
    splits: as in `division.of_columns`.
    source: 'auto' or 'tfds': a prepared copy in `data_dir`, else a download.
    seed, batch_size, evaluation_batch_size, data_dir, overlap, sampling, scale, color, size, fit,
      background, layout, augment, distort: as in `images.load`.

  Returns:
    Data.

  Raises:
    ValueError: a key of the config, or a data set without images and labels.
    OSError: it is not prepared and cannot be downloaded.
  """
  if not isinstance(dataset, str) or not re.fullmatch(r'\w+(/[\w.-]+)?(:\d+\.\d+\.\d+)?', dataset):
    raise ValueError(
      f"config.data.dataset={dataset!r} is not the name of a data set: write 'kmnist', or "
      "'name/config:1.0.0'"
    )
  check_texts(image=image, label=label, data_dir=data_dir)
  if source not in ('auto', 'tfds'):
    raise ValueError(f"config.data.source={source!r} is unknown: use one of 'auto', 'tfds'")
  found = tfds_arrays.read(
    dataset,
    data_dir=data_dir,
    required=True,
    decode=functools.partial(decode, name=dataset, image=image, label=label),
    cache=_cache(image, label),
  )
  return labelled_images.load(
    found,
    name=dataset,
    splits=splits,
    seed=seed,
    batch_size=batch_size,
    evaluation_batch_size=evaluation_batch_size,
    overlap=overlap,
    sampling=sampling,
    scale=scale,
    color=color,
    size=size,
    fit=fit,
    background=background,
    layout=layout,
    augment=augment,
    distort=distort,
  )


def _cache(image, label):
  """The name of the array cache of a choice of features."""
  chosen = [f'{kind}={name}' for kind, name in (('image', image), ('label', label)) if name]
  return '-'.join([array_cache.FOLDER, *(re.sub(r'[^\w=]', '_', one) for one in chosen)])


def decode(builder: Any, *, name: str, image: str | None, label: str | None) -> Decoded:
  """Images and labels of every split of a prepared data set.

  Splits whose examples have no label are left out.

  Args:
    builder: TFDS builder.
    name: the data set, for messages.
    image, label: as in `load`.

  Returns:
    (columns, classes): 'image' [N, H, W, C] uint8 and 'label' [N] int32 of each split, and the
    names of the classes.

  Raises:
    ValueError: no or several features are images or labels, or images of other sizes or types.
  """
  import tensorflow_datasets as tfds

  features = builder.info.features
  kinds = dict(features.items()) if isinstance(features, tfds.features.FeaturesDict) else {}
  types = {feature: type(kind).__name__ for feature, kind in kinds.items()}
  of_image, of_label = (
    labelled_images.chosen(
      types, wanted, [feature for feature, of in kinds.items() if isinstance(of, kind)], key, name
    )
    for key, wanted, kind in (
      ('image', image, tfds.features.Image),
      ('label', label, tfds.features.ClassLabel),
    )
  )
  rows = {split: tfds_arrays.rows(builder, split) for split in builder.info.splits}
  return labelled_images.columns(
    lambda split: [row[of_image] for row in rows[split]],
    {split: [row[of_label] for row in part] for split, part in rows.items()},
    _names(kinds[of_label]),
    name,
  )


def _names(feature):
  """The names of the classes of a ClassLabel; None for another feature."""
  names = getattr(feature, 'names', None)
  if names is None and getattr(feature, 'num_classes', None):
    names = [str(number) for number in range(feature.num_classes)]
  return None if names is None else tuple(names)
