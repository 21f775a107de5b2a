"""Examples of a run's data in the page: images in one picture, texts, vectors and sequences."""

import base64
import functools
import io
import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Shaped

from jaxdl.config import memory
from jaxdl.report import results
from jaxdl.runs.record import Run

NAME = 'examples.npz'
FIRST = 150  # examples before those of the mistakes; if there is no space, the last are left out
BYTES = 600_000  # most bytes of the picture
SIDE = 64  # pixels: larger images are stored as JPEG
QUALITY = 90


def of_run(record: Run, most: int | None = None) -> dict | None:
  """Returns the examples of a run for the page.

  Args:
    record: Run.
    most: maximum number of images, vectors or sequences; None for as many as fit.

  Returns:
    None if the run has none, else a dict of plain data:

      'split': name of the split.
      'index': positions of the examples in the split.
      'label': classes of the examples; of several labels, a list for each example.
      'value': targets of a regression, a list for each example.
      'size': [H, W] of an image.
      'columns': number of columns in the picture.
      'sprite': data URI of one picture with all images.
      'exact': whether the picture has the pixels of the data: PNG of 8-bit images.
      'characters': of a text, positions in the vocabulary.
      'inputs': of vectors and sequences, the network's inputs, a list for each example.

  Raises:
    ValueError: the file is damaged.
  """
  file = next((folder / NAME for folder in _folders(record) if (folder / NAME).is_file()), None)
  if file is None:
    return None
  try:
    if most is not None:
      return _first(file, file.stat().st_mtime_ns, most)
    return shown(_with_mistakes(record, memory.load_arrays(file)))
  except Exception as error:  # zipfile, zlib, NumPy and Pillow raise different exceptions
    raise ValueError(
      f'{file} is damaged ({type(error).__name__}: {error}): delete it and rerun jaxdl.analyze'
    ) from error


@functools.lru_cache(1)  # the page of a run that trains is written again and again
def _first(file, written, most):
  """The first examples of a file; `written` is the time at which it was written."""
  arrays = memory.load_arrays(file)
  if 'character' not in arrays:
    arrays = {name: array[:most] if array.ndim else array for name, array in arrays.items()}
  return shown(arrays)


def _folders(record):
  """Folders that may have the file: that of the results, and of a packed run the unpacked files."""
  return record.results, record.folder


def _with_mistakes(record, found):
  """Adds the images of the worst mistakes, which the analysis of errors recorded, after the FIRST.

  They are not added if they are of another form, such as other sizes.
  """
  file = record.results / 'analysis/predictions.npz'
  if 'image' not in found or not file.is_file():
    return found
  with results.errors_naming(record, file.name):
    recorded = memory.load_arrays(file)
    if str(found['split']) != results.of_analysis(record, 'predictions').get('split'):
      return found
    labels = recorded['label']
  label = found.get('label')
  if not {'image', 'image_index'} <= recorded.keys() or label is None or label.ndim != 1:
    return found
  image = recorded['image']
  if (image.shape[1:], image.dtype) != (found['image'].shape[1:], found['image'].dtype):
    return found
  index = recorded['image_index']
  added = {'index': index, 'image': image, 'label': labels[index].astype(label.dtype)}
  new = ~np.isin(added['index'], found['index'][:FIRST])
  rest = ~np.isin(found['index'][FIRST:], added['index'])
  return {
    'split': found['split'],
    **{
      key: np.concatenate([found[key][:FIRST], added[key][new], found[key][FIRST:][rest]])
      for key in ('index', 'image', 'label')
    },
  }


def shown(found: Mapping[str, np.ndarray]) -> dict:
  """Converts the arrays of a file of examples to the data of `of_run`."""
  split = str(found['split'])
  if 'character' in found:
    return {'split': split, 'characters': found['character'].tolist()}
  made = {'split': split, 'index': found['index'].tolist()}
  if 'inputs' in found:
    made['inputs'] = found['inputs'].tolist()
  else:
    sprite = _sprite(found['image'])
    count = sprite.pop('count')
    made |= sprite
    made['index'] = made['index'][:count]
  rows = len(made['index'])
  if 'value' in found:
    made['value'] = found['value'][:rows].tolist()
  elif found['label'].ndim == 2:
    made['label'] = [np.flatnonzero(row).tolist() for row in found['label'][:rows]]
  else:
    made['label'] = found['label'][:rows].tolist()
  return made


def _sprite(images: Shaped[np.ndarray, 'N H W C']) -> dict:
  """Encodes as many of the first images as fit into `BYTES`, side by side in one picture."""
  pixels = images
  if images.dtype == np.float32:
    pixels = np.rint(images * 255).astype(np.uint8)
  height, width = pixels.shape[1:3]
  form = 'PNG' if max(height, width) <= SIDE else 'JPEG'
  count = len(pixels)
  while True:
    columns = math.ceil(math.sqrt(count))
    encoded = _encoded(_tiled(pixels[:count], columns), form)
    if len(encoded) <= BYTES or count == 1:
      break
    count = max(1, min(count - 1, int(0.97 * count * BYTES / len(encoded))))
  return {
    'count': count,
    'size': [height, width],
    'columns': columns,
    'exact': form == 'PNG' and images.dtype == np.uint8,
    'sprite': f'data:image/{form.lower()};base64,{base64.b64encode(encoded).decode()}',
  }


def _tiled(images, columns):
  """Images [N, H, W, C] side by side: [rows · H, columns · W, C]."""
  rows = math.ceil(len(images) / columns)
  height, width, channels = images.shape[1:]
  tiles = np.zeros((rows * columns, height, width, channels), np.uint8)
  tiles[: len(images)] = images
  tiles = tiles.reshape(rows, columns, height, width, channels)
  return tiles.swapaxes(1, 2).reshape(rows * height, columns * width, channels)


def _encoded(pixels, form):
  from PIL import Image

  packed = io.BytesIO()
  picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
  picture.save(packed, form, **({'quality': QUALITY} if form == 'JPEG' else {'optimize': True}))
  return packed.getvalue()
