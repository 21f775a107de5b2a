"""Interactive feature map with a small image for every point."""

import base64
import io
import math
from collections.abc import Callable

import numpy as np

from jaxdl.config import memory
from jaxdl.figures.fitting import apart
from jaxdl.report import results
from jaxdl.runs.record import Run

SIDE, EDGE = 600, 12  # size and margin of the drawing, in its own units
LETTER = 11, 22  # width and height of a letter of a name
NAMED = 20  # number of most frequent classes whose names are shown in the map
LEGEND = 60  # maximum number of classes in a legend


def of_run(record: Run, name: str, caption_of: Callable[[dict, int], str]) -> dict | None:
  """Returns the data of a feature map for the page template and script.

  Args:
    record: Run.
    name: name of the result, with the arrays 'points' [N, 2] and 'labels' [N].
    caption_of: function (facts of the result, number of points) → caption.

  Returns:
    None if the run has no map or no images of its examples, else a dict:

      'caption': the caption.
      'points': list of [x, y, class].
      'classes': names of all classes.
      'names': [x, y, name] of the most frequent classes, placed at the median of their points.
      'legend': names of the classes; [] if there are too many.
      'sprite': data URI of one picture with all images.
      'columns': number of columns in the sprite.
      'size': [width, height] of an image in pixels.

  Raises:
    ValueError: a file of the result is damaged.
  """
  arrays = record.results / f'analysis/{name}.npz'
  sprite = record.results / 'tensorboard/projector/sprite.png'
  if not (arrays.is_file() and sprite.is_file()):
    return None
  with results.errors_naming(record, f'{name}.npz'):
    return _map(record, name, caption_of, arrays, sprite)


def _map(record, name, caption_of, arrays, sprite):
  from PIL import Image

  found = memory.load_arrays(arrays)
  points, labels = found['points'], found['labels']
  low, high = points.min(0), points.max(0)
  places = EDGE + (points - low) / np.where(high > low, high - low, 1) * (SIDE - 2 * EDGE)
  places[:, 1] = SIDE - places[:, 1]  # the y axis points upwards, as in the picture
  columns = math.ceil(math.sqrt(len(points)))  # as in TensorBoard sprites
  packed = io.BytesIO()
  with Image.open(sprite) as picture:
    size = [picture.width // columns, picture.height // columns]
    picture.convert('RGB').save(packed, 'JPEG', quality=60)
  caption = caption_of(results.of_analysis(record, name), len(points))
  dots = [
    [round(float(x), 1), round(float(y), 1), int(label)]
    for (x, y), label in zip(places, labels, strict=True)
  ]
  classes = list(record.classes)
  present, counts = np.unique(labels, return_counts=True)
  frequent = np.sort(present[np.argsort(-counts, kind='stable')[:NAMED]])
  middles = np.array([np.median(places[labels == label], axis=0) for label in frequent])
  sizes = np.array([[LETTER[0] * len(classes[label]), LETTER[1]] for label in frequent])
  names = [
    [*place, classes[label]]
    for label, place in zip(frequent, apart(middles, sizes).round(1).tolist(), strict=True)
  ]
  if len(present) > NAMED:
    caption += f'; the names are those of the {NAMED} most frequent of {len(present):,} classes'
  legend = classes if len(classes) <= LEGEND else []
  return {
    'caption': caption,
    'classes': classes,
    'legend': legend,
    'columns': columns,
    'size': size,
    'points': dots,
    'names': names,
    'sprite': f'data:image/jpeg;base64,{base64.b64encode(packed.getvalue()).decode()}',
  }
