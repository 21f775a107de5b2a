"""The map of features with the image of every dot, small enough for a page."""

import base64
import io
import math

import numpy as np

from jaxdl.report import results

SIDE, EDGE = 600, 12  # of the drawing, in its own units
NAMED = 20  # classes whose names are in the map, those of the most examples
LEGEND = 60  # classes that a legend has room for


def of_run(record):
  """What the page's template and script need of a run's t-SNE; None where the run has none with
  images.

  Args:
    record: Record.

  Returns:
    dict: 'caption', 'points' [x, y, class], 'classes', 'names' [x, y, name of a class in its midst]
    of the most frequent classes, 'legend' (names, [] where there are too many), 'sprite' (a data
    URI of all images), 'columns' of it and 'size' of an image, [width, height] in pixels.
  """
  arrays, sprite = (
    record.folder / 'analysis/embedding_tsne.npz',
    record.folder / 'tensorboard/projector/sprite.png',
  )
  if not (arrays.is_file() and sprite.is_file()):
    return None
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
  found = results.of_analysis(record, 'embedding_tsne')
  caption = (
    f't-SNE of the {found["what"]} of {len(points):,} examples: trustworthiness {found["trustworthiness"]:.3f}, '
    f'class of the nearest neighbour right for {100 * found["accuracy"]:.1f} %'
  )
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
