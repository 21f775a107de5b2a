"""Files of features for TensorBoard's projector."""

import math
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxdl import figures
from jaxdl.analysis.units import ArrayLike

LARGEST = 8192  # pixels of the longest side of a sprite that TensorBoard accepts
# Characters that would end a line or a cell, and their escape sequences.
SEPARATORS = '\\\t\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029'
ESCAPES = {ord(character): character.encode('unicode_escape').decode() for character in SEPARATORS}
CONFIG = """embeddings {{
  tensor_name: "features"
  tensor_path: "projector/tensors.tsv"
  metadata_path: "projector/metadata.tsv"
{sprite}}}
"""
SPRITE = """  sprite {{
    image_path: "projector/sprite.png"
    single_image_dim: {width}
    single_image_dim: {height}
  }}
"""


def projector(
  folder: str | os.PathLike[str],
  features: ArrayLike,
  labels: ArrayLike,
  classes: Sequence[Any],
  images: ArrayLike | None = None,
) -> list[pathlib.Path]:
  """Writes features for TensorBoard's Projector: points coloured by class, drawn as their images.

  Writes projector_config.pbtxt, which TensorBoard expects in the folder of a run, and in its folder
  projector/ tensors.tsv, metadata.tsv (index and class) and, with images, sprite.png.

  Args:
    folder: folder of a TensorBoard run; created if it does not exist.
    features: [N, D].
    labels: [N] int.
    classes: K names; tabs, line breaks and backslashes in them are written as \\t, \\n, \\\\.
    images: [N, H, W, C] uint8 or float 0..1, drawn as by `figures.visible`; shrunk where the sprite
      would exceed 8192 pixels a side.

  Returns:
    paths of the files.

  Raises:
    ValueError: arrays of unequal length, a label without a class, features that are not finite, or
      images of another kind.
    OSError: the folder cannot be written.
  """
  features, labels = _checked(features, labels, len(classes))
  names = [str(name).translate(ESCAPES) for name in classes]
  rows = [f'{index}\t{names[label]}' for index, label in enumerate(labels)]
  lines = ['\t'.join(f'{number:.9g}' for number in row) for row in features.tolist()]
  texts = {
    'tensors.tsv': '\n'.join([*lines, '']),
    'metadata.tsv': '\n'.join(['index\tclass', *rows, '']),
  }
  picture = None if images is None else sprite(images, len(features))
  below = pathlib.Path(folder) / 'projector'
  below.mkdir(parents=True, exist_ok=True)
  entry, written = '', [below / name for name in texts]
  for path, text in zip(written, texts.values(), strict=True):
    path.write_text(text, encoding='utf-8', newline='\n')
  if picture is not None:
    image, width, height = picture
    image.save(below / 'sprite.png')
    entry = SPRITE.format(width=width, height=height)
    written.append(below / 'sprite.png')
  config = pathlib.Path(folder) / 'projector_config.pbtxt'
  config.write_text(CONFIG.format(sprite=entry), encoding='utf-8')
  return [config, *written]


def _checked(features: ArrayLike, labels: ArrayLike, classes: int) -> tuple[np.ndarray, np.ndarray]:
  """Features [N, D] and labels [N] as arrays; raises ValueError where they do not fit together."""
  features, labels = np.asarray(features), np.asarray(labels)
  is_matrix = features.ndim == 2 and len(features) > 0
  if not is_matrix or labels.shape != features.shape[:1] or not np.isfinite(features).all():
    raise ValueError(
      f'features of shape {features.shape} and labels {labels.shape}: give finite [N, D] and [N]'
    )
  is_integers = np.issubdtype(labels.dtype, np.integer)
  if not is_integers or labels.min() < 0 or labels.max() >= classes:
    raise ValueError(
      f'labels from {labels.min()} to {labels.max()}: use 0 to {classes - 1}, one for each class'
    )
  return features, labels


def sprite(images: ArrayLike, count: int) -> tuple[Any, int, int]:
  """All images in one, row by row in a square.

  Args:
    images: as in `projector`.
    count: expected number of images.

  Returns:
    (PIL image, width and height of a single image in pixels).

  Raises:
    ValueError: another number of images, or images that cannot be drawn.
  """
  from PIL import Image

  images = _drawable(np.asarray(images), count)
  side = math.ceil(math.sqrt(count))
  height, width = images.shape[1:3]
  shrink = min(LARGEST // side / max(height, width), 1)
  size = max(round(width * shrink), 1), max(round(height * shrink), 1)
  mode = 'L' if images.shape[-1] == 1 else 'RGB'
  square = Image.new(mode, (side * size[0], side * size[1]))
  for place, image in enumerate(images):
    single = Image.fromarray(image[..., 0] if mode == 'L' else image)
    if single.size != size:
      single = single.resize(size)
    row, column = divmod(place, side)
    square.paste(single, (column * size[0], row * size[1]))
  return square, *size


def _drawable(images: np.ndarray, count: int) -> np.ndarray:
  """Images as uint8 of one or three channels."""
  if images.ndim != 4 or len(images) != count or 0 in images.shape:
    raise ValueError(f'images of shape {images.shape} for {count} examples: give [N, H, W, C]')
  images = figures.visible(images)
  if images.dtype == np.uint8:
    return images
  if not (images.min() >= 0 and images.max() <= 1):
    raise ValueError(
      f'images from {images.min():.3g} to {images.max():.3g}: '
      'give uint8, or 0 to 1 as before scaling'
    )
  return np.rint(images * 255).astype(np.uint8)
