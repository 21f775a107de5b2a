"""What the channels of a layer respond to: the images that excite them most, and which class these
are of.
"""

import functools
from typing import NamedTuple

import jax
import numpy as np

from jaxdl.analysis import batches, units
from jaxdl.analysis.fields import ReceptiveField, box, receptive_field

__all__ = [
  'Interesting',
  'ReceptiveField',
  'TopPatches',
  'box',
  'cut',
  'interesting',
  'receptive_field',
  'top_patches',
]

TOP = 50  # images among which the share of a class is measured


class TopPatches(NamedTuple):
  """The images in which channels are strongest, strongest first; without the axis n where one
  channel was asked for.

  Attributes:
    images: [n, k] int, which image.
    places: [n, k, 2] int, (row, column) of the unit; (0, 0) where the layer has no places.
    values: [n, k], the unit's output.
    patches: [n, k, h, w, C], its receptive field of the image, 0 outside the image and for a dead
      channel.
    inside: [n, k, h, w] bool, which pixels of a patch are of the image; none of a dead channel.
    dead: [n] bool, the strongest output is exactly 0: a rectified channel that nothing excites. A
      channel that is not rectified may be below 0 everywhere, and then is no less alive.
  """

  images: np.ndarray
  places: np.ndarray
  values: np.ndarray
  patches: np.ndarray
  inside: np.ndarray
  dead: np.ndarray


class Interesting(NamedTuple):
  """The most selective channels, first the best: channels [n] int, classes [n] int, scores [n] in
  0..1.
  """

  channels: np.ndarray
  classes: np.ndarray
  scores: np.ndarray


def top_patches(model, variables, images, layer, channels=None, k=9, batch_size=units.BATCH):
  """The k images in which each channel is strongest, one place each, and what its unit saw there.

  Equal values are ordered by image, row and column. All channels are found in one pass over the
  images; only the patches are kept, n · k · h · w · C numbers.

  Args:
    model: CNN.
    variables: its variables.
    images: [N, H, W, C], scaled as in training, or an iterable of such arrays of any lengths, read
      once.
    layer: name; a dense layer's unit sees the whole image.
    channels: int, a list of them, or None for all.
    k: int; fewer are returned where there are fewer images.
    batch_size: int, images of one compiled call.

  Returns:
    TopPatches.

  Raises:
    ValueError: an unknown layer or channel, k less than 1, no images or images that the model does
      not take, or a layer that has no receptive field.
  """
  _check_number(k, 'k')
  first, images = batches.first_of(images)
  chosen = _chosen(model, variables, first, layer, channels)
  field = receptive_field(model, first.shape[1:], layer)
  rows, best = np.arange(len(chosen))[:, None], None
  for start, batch, values, places in _peaks(model, variables, images, layer, chosen, batch_size):
    here = {
      'images': np.broadcast_to(start + np.arange(len(batch)), values.shape),
      'values': values,
      'places': places,
    }
    before = 0 if best is None else best['values'].shape[1]
    joined = {
      key: np.concatenate([best[key], here[key]], axis=1) if before else here[key] for key in here
    }
    kept = np.argsort(-joined['values'], axis=1, kind='stable')[
      :, :k
    ]  # [n, k]: of equal ones the earlier image
    patches = _empty_patches(kept.shape, field, batch)
    for key in patches if before else ():  # those of this batch are overwritten below
      patches[key][:] = best[key][rows, np.minimum(kept, before - 1)]
    for place in map(tuple, np.argwhere(kept >= before)):
      channel, number = place[0], kept[place] - before
      patches['patches'][place], patches['inside'][place] = cut(
        batch[number], field, places[channel, number]
      )
    best = {key: joined[key][rows, kept] for key in joined} | patches
  dead = best['values'][:, 0] == 0
  best['patches'][dead], best['inside'][dead] = 0, False
  found = TopPatches(**best, dead=dead)
  return (
    TopPatches(*(part[0] for part in found))
    if np.ndim(channels) == 0 and channels is not None
    else found
  )


def interesting(model, variables, images, labels, layer, n=10, at_least=1, batch_size=units.BATCH):
  """The channels that respond to one class above all.

  A channel's score is the share of its best class in the outputs of the 50 images in which it is
  strongest: 1 where all that excite it are of one class. Dead channels are left out, equal scores
  ordered by channel.

  Args:
    model: linen module.
    variables: its variables.
    images: [N, …] inputs, scaled as in training, or an iterable of such arrays.
    labels: [N] int from 0 on.
    layer: name; where it has places, the strongest one of each image counts.
    n: int; fewer are returned where fewer channels are alive.
    at_least: int from 1 to 50; a channel that is above 0 in fewer images counts as dead. One that a
      single image excites has the score 1.
    batch_size: int, images of one compiled call.

  Returns:
    Interesting.

  Raises:
    ValueError: an unknown layer, n less than 1, at_least out of its range, no images or images that
      the model does not take, or labels that are no classes or of another number than the images.
  """
  _check_number(n, 'n')
  if not 1 <= at_least <= TOP:
    raise ValueError(f'at_least={at_least} is out of range: use 1 to {TOP}')
  first, images = batches.first_of(images)
  labels = np.asarray(labels)
  if (
    labels.ndim != 1
    or not np.issubdtype(labels.dtype, np.integer)
    or (len(labels) and labels.min() < 0)
  ):
    raise ValueError(
      f'labels of shape {labels.shape} and type {labels.dtype} are no classes: give integers from 0 on'
    )
  chosen = _chosen(model, variables, first, layer, None)
  values, seen = np.zeros((len(chosen), 0), np.float32), np.zeros((len(chosen), 0), int)
  for start, batch, here, _ in _peaks(model, variables, images, layer, chosen, batch_size):
    count = start + len(batch)
    values = np.concatenate([values, here], axis=1)
    seen = np.concatenate(
      [seen, np.broadcast_to(start + np.arange(len(batch)), here.shape)], axis=1
    )
    kept = np.argsort(-values, axis=1, kind='stable')[:, :TOP]
    values, seen = np.take_along_axis(values, kept, 1), np.take_along_axis(seen, kept, 1)  # [C, 50]
  if count != len(labels):
    raise ValueError(f'{len(labels)} labels for {count} images: give one each')
  weights = np.maximum(values, 0, dtype=np.float64)
  shares = np.stack(
    [(weights * (labels[seen] == label)).sum(1) for label in range(labels.max() + 1)], axis=1
  )  # [C, K]
  alive = np.flatnonzero((values > 0).sum(1) >= at_least)
  scores = shares[alive].max(1) / weights[alive].sum(1)
  order = np.argsort(-scores, kind='stable')[:n]
  return Interesting(alive[order], shares[alive].argmax(1)[order], scores[order])


def cut(image, field, place):
  """What a unit sees of an image.

  Args:
    image: [H, W, C].
    field: ReceptiveField of the unit's layer.
    place: (row, column) of the unit.

  Returns:
    [h, w, C], 0 outside the image, and [h, w] bool, which pixels are inside.
  """
  seen = [
    start + stride * at + np.arange(size)
    for size, stride, start, at in zip(*field, place, strict=True)
  ]
  inside = [
    (pixels >= 0) & (pixels < length) for pixels, length in zip(seen, image.shape, strict=False)
  ]
  rows, columns = (
    np.clip(pixels, 0, length - 1) for pixels, length in zip(seen, image.shape, strict=False)
  )
  inside = inside[0][:, None] & inside[1]
  return np.where(inside[..., None], image[rows][:, columns], 0), inside


def _peaks(model, variables, images, layer, channels, batch_size):
  """Yields (first image, batch [b, …], values [n, b], places [n, b, 2]) of the channels, padding
  taken off.
  """
  start = 0
  for batch, real in batches.rebatched(images, batch_size):
    values, places, width = jax.device_get(
      _strongest(units.Fixed(model), layer, variables, batch, channels)
    )
    yield (
      start,
      batch[:real],
      values[:, :real],
      np.stack(np.divmod(places[:, :real], width), axis=-1),
    )
    start += real


@functools.partial(jax.jit, static_argnums=(0, 1))
def _strongest(fixed, layer, variables, images, channels):
  """The greatest output of each channel in each image [n, B], its place [n, B], and the places in a
  row.
  """
  outputs = units.outputs(fixed.model, variables, images, [layer])[1][layer]
  flat = outputs.reshape(len(images), -1, outputs.shape[-1])  # [B, H · W, C]
  return (
    flat.max(1).T[channels],
    flat.argmax(1).T[channels],
    outputs.shape[-2] if outputs.ndim > 3 else flat.shape[1],
  )


def _empty_patches(shape, field, images):
  return {
    'patches': np.zeros((*shape, *field.size, images.shape[-1]), images.dtype),
    'inside': np.zeros((*shape, *field.size), bool),
  }


def _chosen(model, variables, images, layer, channels):
  """The channels asked for, as an array; ValueError where there is no such layer or channel."""
  count = units.check_layers(model, variables, images, [layer])[layer][-1]
  chosen = np.arange(count) if channels is None else np.atleast_1d(np.asarray(channels, int))
  for channel in chosen:
    if not 0 <= channel < count:
      raise ValueError(
        f'channel {channel} of layer {layer!r} is out of range: use 0 to {count - 1}'
      )
  return chosen


def _check_number(value, name):
  if value < 1:
    raise ValueError(f'{name}={value} is too few: use at least 1')
