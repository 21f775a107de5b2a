"""The map of features with the image of every dot, small enough for a page."""

import base64
import io
import math
from collections.abc import Callable

import numpy as np

from jaxdl.report import results
from jaxdl.runs.record import Record

SIDE, EDGE = 600, 12  # of the drawing, in its own units
NAMED = 20  # the most frequent classes, whose names are in the map
LEGEND = 60  # classes of a legend, at most


def of_run(record: Record, name: str, caption_of: Callable[[dict, int], str]) -> dict | None:
  """What the page's template and script need of a map; None for a run without one, or without the
  images of its examples.

  Args:
    record: of the run.
    name: of the result whose arrays are 'points' [N, 2] and 'labels' [N].
    caption_of: function (facts of the result, number of points) → caption.

  Returns:
    dict: 'caption', 'points' [x, y, class], 'classes', 'names' [x, y, name of a class in its midst]
    of the most frequent classes, 'legend' (names, [] for too many classes), 'sprite' (a data URI of
    all images), 'columns' of it and 'size' of an image, [width, height] in pixels.

  Raises:
    ValueError: a file of the result is damaged.
  """
  arrays = record.folder / f'analysis/{name}.npz'
  sprite = record.folder / 'tensorboard/projector/sprite.png'
  if not (arrays.is_file() and sprite.is_file()):
    return None
  with results.sound(record.folder, f'{name}.npz'):
    return _map(record, name, caption_of, arrays, sprite)


def _map(record, name, caption_of, arrays, sprite):
  from PIL import Image

  with np.load(arrays) as found:
    points, labels = found['points'], found['labels']
  low, high = points.min(0), points.max(0)
  places = EDGE + (points - low) / np.where(high > low, high - low, 1) * (SIDE - 2 * EDGE)
  places[:, 1] = SIDE - places[:, 1]  # upwards, as in the picture
  columns = math.ceil(math.sqrt(len(points)))  # as TensorBoard's sprites have them
  packed = io.BytesIO()
  with Image.open(sprite) as picture:
    size = [picture.width // columns, picture.height // columns]
    picture.convert('RGB').save(packed, 'JPEG', quality=60)
  caption = caption_of(results.of_analysis(record, name), len(points))
  dots = [
    [round(float(x), 1), round(float(y), 1), int(label)]
    for (x, y), label in zip(places, labels, strict=True)
  ]
  classes = list(record.config['dataset']['classes'])
  present, counts = np.unique(labels, return_counts=True)
  frequent = np.sort(present[np.argsort(-counts, kind='stable')[:NAMED]])
  names = [
    [*np.median(places[labels == label], axis=0).round(1).tolist(), classes[label]]
    for label in frequent
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
