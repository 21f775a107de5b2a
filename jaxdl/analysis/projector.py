"""Features as files that TensorBoard's projector reads."""

import math
import pathlib

import numpy as np

from jaxdl import figures

LARGEST = 8192  # pixels of a sprite's side that TensorBoard takes
# what would break a line or a cell, and what escapes it
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


def projector(folder, features, labels, classes, images=None):
  """Writes features for TensorBoard's tab Projector: points coloured by class, drawn as their
  images.

  Writes projector_config.pbtxt, which TensorBoard looks for in the folder of a run only, and below
  projector/ tensors.tsv, metadata.tsv (index and class) and, with images, sprite.png.

  Args:
    folder: of a TensorBoard run; made where it is absent.
    features: [N, D].
    labels: [N] int.
    classes: K names; tabs, line breaks and backslashes in them are written as \\t, \\n, \\\\.
    images: [N, H, W, C] uint8 or float 0..1, drawn as `figures.visible` says; made
      smaller where all together pass 8192 pixels a side.

  Returns:
    list of the files' paths.

  Raises:
    ValueError: arrays of unequal length, a label without a class, features not finite, or images of
      another kind.
    OSError: the folder cannot be written.
  """
  features, labels = np.asarray(features), np.asarray(labels)
  if (
    features.ndim != 2
    or labels.shape != features.shape[:1]
    or not len(features)
    or not np.isfinite(features).all()
  ):
    raise ValueError(
      f'features of shape {features.shape} and labels {labels.shape}: give finite [N, D] and [N]'
    )
  if (
    not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= len(classes)
  ):
    raise ValueError(
      f'labels from {labels.min()} to {labels.max()}: use 0 to {len(classes) - 1}, one for each class'
    )
  names = [str(name).translate(ESCAPES) for name in classes]
  rows = [f'{index}\t{names[label]}' for index, label in enumerate(labels)]
  texts = {
    'tensors.tsv': ''.join(
      '\t'.join(f'{number:.9g}' for number in row) + '\n' for row in features.tolist()
    ),
    'metadata.tsv': '\n'.join(['index\tclass', *rows]) + '\n',
  }
  picture = None if images is None else sprite(images, len(features))
  below = pathlib.Path(folder) / 'projector'
  below.mkdir(parents=True, exist_ok=True)
  entry = ''
  if picture is not None:
    image, width, height = picture
    image.save(below / 'sprite.png')
    entry = SPRITE.format(width=width, height=height)
  for name, text in texts.items():
    (below / name).write_text(text, encoding='utf-8', newline='\n')
  config = pathlib.Path(folder) / 'projector_config.pbtxt'
  config.write_text(CONFIG.format(sprite=entry), encoding='utf-8')
  return [config, *(below / name for name in (*texts, *(['sprite.png'] if entry else [])))]


def sprite(images, count):
  """All images in one, row by row in a square.

  Args:
    images: as in `projector`.
    count: int, how many there must be.

  Returns:
    (PIL image, width and height of a single one, pixels).

  Raises:
    ValueError: another number of images, or such as cannot be drawn.
  """
  from PIL import Image

  images = np.asarray(images)
  if images.ndim != 4 or len(images) != count or 0 in images.shape:
    raise ValueError(f'images of shape {images.shape} for {count} examples: give [N, H, W, C]')
  images = figures.visible(images)
  if images.dtype != np.uint8:
    if not (images.min() >= 0 and images.max() <= 1):
      raise ValueError(
        f'images from {images.min():.3g} to {images.max():.3g}: give uint8, or 0 to 1 as before scaling'
      )
    images = np.rint(images * 255).astype(np.uint8)
  side = math.ceil(math.sqrt(count))
  height, width = images.shape[1:3]
  shrink = min(LARGEST // side / max(height, width), 1)
  size = max(round(width * shrink), 1), max(round(height * shrink), 1)
  mode = 'L' if images.shape[-1] == 1 else 'RGB'
  whole = Image.new(mode, (side * size[0], side * size[1]))
  for place, image in enumerate(images):
    single = Image.fromarray(image[..., 0] if mode == 'L' else image)
    row, column = divmod(place, side)
    whole.paste(
      single if single.size == size else single.resize(size), (column * size[0], row * size[1])
    )
  return whole, *size
