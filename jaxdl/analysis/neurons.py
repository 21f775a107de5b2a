"""What channels respond to: the images that excite them most, and the classes of these images."""

import functools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import Bool, Float, Integer, Shaped

from jaxdl.analysis import batches, units
from jaxdl.analysis.batches import Examples
from jaxdl.analysis.fields import ReceptiveField, box, receptive_field
from jaxdl.analysis.units import AnyArray, ArrayLike, Int, Variables

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

TOP = 50  # strongest images of a channel in which the share of a class is measured


class TopPatches(NamedTuple):
  """The images in which channels are strongest, the strongest first.

  The arrays have no axis n where one channel was requested.

  Attributes:
    images: index of the image.
    places: (row, column) of the unit; (0, 0) for a layer without spatial positions.
    values: output of the unit.
    patches: the unit's receptive field of the image; 0 outside the image and for a dead channel.
    inside: which pixels of a patch are inside the image; none for a dead channel.
    dead: whether the strongest output is exactly 0: a rectified channel that no image activates. A
      channel that is not rectified may be below 0 everywhere without being dead.
  """

  images: Integer[np.ndarray, '*n k']
  places: Integer[np.ndarray, '*n k 2']
  values: Float[np.ndarray, '*n k']
  patches: Shaped[np.ndarray, '*n k h w C']
  inside: Bool[np.ndarray, '*n k h w']
  dead: Bool[np.ndarray, '*n']


class Interesting(NamedTuple):
  """The most selective channels, the best first.

  Attributes:
    channels: index of the channel.
    classes: class to which it responds.
    scores: share of this class, 0 to 1.
  """

  channels: Integer[np.ndarray, 'n']
  classes: Integer[np.ndarray, 'n']
  scores: Float[np.ndarray, 'n']


def top_patches(
  model: nn.Module,
  variables: Variables,
  images: Examples,
  layer: str,
  channels: Int | Sequence[Int] | Integer[AnyArray, '...'] | None = None,
  k: int = 9,
  batch_size: int = units.BATCH,
) -> TopPatches:
  """The k images in which each channel is strongest, at one position each, and what its unit sees.

  Ties are ordered by image, row and column. All channels are found in one pass over the images;
  only the patches are kept, n · k · h · w · C numbers.

  Args:
    model: CNN.
    variables: its variables.
    images: [N, H, W, C], scaled as in training, or an iterable of such arrays of any lengths,
      which is read once.
    layer: name; a unit of a dense layer sees the complete image.
    channels: one channel, several, or None for all.
    k: number of images; fewer are returned where there are fewer images.
    batch_size: images in one compiled call.

  Returns:
    TopPatches.

  Raises:
    ValueError: an unknown layer or channel, k less than 1, no images or images that the model does
      not accept, or a layer that has no receptive field.
  """
  _check_number(k, 'k')
  first, images = batches.first_of(images)
  chosen = _chosen(model, variables, first, layer, channels)
  field = receptive_field(model, first.shape[1:], layer)
  best = {
    'images': np.empty((len(chosen), 0), int),
    'values': np.empty((len(chosen), 0), np.float32),
    'places': np.empty((len(chosen), 0, 2), np.int32),
    **_empty_patches((len(chosen), 0), field, first),
  }
  for start, batch, values, places in _peaks(model, variables, images, layer, chosen, batch_size):
    indices = np.broadcast_to(start + np.arange(len(batch)), values.shape)
    best = _best(best, field, batch, {'images': indices, 'values': values, 'places': places}, k)
  dead = best['values'][:, 0] == 0
  best['patches'][dead], best['inside'][dead] = 0, False
  found = TopPatches(**best, dead=dead)
  if channels is not None and np.asarray(channels).ndim == 0:
    return TopPatches(*(part[0] for part in found))
  return found


def _best(
  best: dict[str, np.ndarray],
  field: ReceptiveField,
  batch: np.ndarray,
  here: dict[str, np.ndarray],
  k: int,
) -> dict[str, np.ndarray]:
  """The k strongest images of each channel so far [n, k, …], with those of a further batch."""
  before = best['values'].shape[1]
  joined = {key: np.concatenate([best[key], here[key]], axis=1) for key in here}
  # [n, k], the earlier image of equal ones
  kept = np.argsort(-joined['values'], axis=1, kind='stable')[:, :k]
  rows = np.arange(len(kept))[:, None]
  patches = _empty_patches(kept.shape, field, batch)
  if before:  # patches of this batch are overwritten below
    for key in patches:
      patches[key][:] = best[key][rows, np.minimum(kept, before - 1)]
  for place in map(tuple, np.argwhere(kept >= before)):
    number = kept[place] - before
    patches['patches'][place], patches['inside'][place] = cut(
      batch[number], field, here['places'][place[0], number]
    )
  return {key: values[rows, kept] for key, values in joined.items()} | patches


def interesting(
  model: nn.Module,
  variables: Variables,
  images: Examples,
  labels: ArrayLike,
  layer: str,
  n: int = 10,
  at_least: int = 1,
  batch_size: int = units.BATCH,
) -> Interesting:
  """The channels that respond mostly to one class.

  A channel's score is the share of its best class in the outputs of the 50 images in which it is
  strongest: 1 where all images that excite it are of one class. Dead channels are left out, and
  ties are ordered by channel.

  Args:
    model: linen module.
    variables: its variables.
    images: [N, …] inputs, scaled as in training, or an iterable of such arrays.
    labels: [N] int, 0 or more.
    layer: name; the strongest position of each image counts.
    n: number of channels; fewer are returned where fewer are alive.
    at_least: 1 to 50; a channel that is above 0 in fewer images counts as dead. A channel that a
      single image excites has the score 1.
    batch_size: images in one compiled call.

  Returns:
    Interesting.

  Raises:
    ValueError: an unknown layer, n less than 1, at_least out of range, no images or images that the
      model does not accept, or labels that are not one class for each image.
  """
  _check_number(n, 'n')
  if not 1 <= at_least <= TOP:
    raise ValueError(f'at_least={at_least} is out of range: use 1 to {TOP}')
  labels = _checked_labels(labels)
  first, images = batches.first_of(images)
  chosen = _chosen(model, variables, first, layer, None)
  values, seen = np.zeros((len(chosen), 0), np.float32), np.zeros((len(chosen), 0), int)
  count = 0
  for start, batch, here, _ in _peaks(model, variables, images, layer, chosen, batch_size):
    count = start + len(batch)
    values = np.concatenate([values, here], axis=1)
    indices = np.broadcast_to(start + np.arange(len(batch)), here.shape)
    seen = np.concatenate([seen, indices], axis=1)
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


def _checked_labels(labels: ArrayLike) -> Integer[np.ndarray, 'N']:
  labels = np.asarray(labels)
  is_integers = labels.ndim == 1 and np.issubdtype(labels.dtype, np.integer)
  if not is_integers or (len(labels) and labels.min() < 0):
    raise ValueError(
      f'labels of shape {labels.shape} and type {labels.dtype} are not classes: '
      'give integers from 0 on'
    )
  return labels


def cut(
  image: Shaped[np.ndarray, 'H W C'],
  field: ReceptiveField,
  place: Sequence[Int] | Integer[np.ndarray, '2'],
) -> tuple[Shaped[np.ndarray, 'h w C'], Bool[np.ndarray, 'h w']]:
  """The part of an image that a unit sees.

  Args:
    image: pixels.
    field: receptive field of the unit's layer.
    place: (row, column) of the unit.

  Returns:
    (patch, which of its pixels are inside the image); pixels outside are 0.
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


def _peaks(
  model: nn.Module,
  variables: Variables,
  images: Examples,
  layer: str,
  channels: Integer[np.ndarray, 'n'],
  batch_size: int,
) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
  """Strongest outputs of channels batch by batch, without the padding.

  Yields:
    (index of the first image, batch [b, …], values [n, b], places [n, b, 2]).
  """
  start = 0
  for batch, real in batches.rebatched(images, batch_size):
    values, places, width = jax.device_get(
      _strongest(units.Fixed(model), layer, variables, batch, channels)
    )
    rows_and_columns = np.stack(np.divmod(places[:, :real], width), axis=-1)
    yield start, batch[:real], values[:, :real], rows_and_columns
    start += real


@functools.partial(jax.jit, static_argnums=(0, 1))
def _strongest(fixed, layer, variables, images, channels):
  """Greatest outputs of channels in images [n, B], their flat positions [n, B], and the width."""
  outputs = units.outputs(fixed.model, variables, images, [layer])[1][layer]
  flat = outputs.reshape(len(images), -1, outputs.shape[-1])  # [B, H · W, C]
  return (
    flat.max(1).T[channels],
    flat.argmax(1).T[channels],
    outputs.shape[-2] if outputs.ndim > 3 else flat.shape[1],
  )


def _empty_patches(
  shape: tuple[int, ...], field: ReceptiveField, images: AnyArray
) -> dict[str, np.ndarray]:
  return {
    'patches': np.zeros((*shape, *field.size, images.shape[-1]), images.dtype),
    'inside': np.zeros((*shape, *field.size), bool),
  }


def _chosen(model, variables, images, layer, channels) -> Integer[np.ndarray, 'n']:
  """The requested channels as an array; raises ValueError for an unknown layer or channel."""
  count = units.check_layers(model, variables, images, [layer])[layer][-1]
  chosen = np.arange(count) if channels is None else np.atleast_1d(np.asarray(channels, int))
  for channel in chosen:
    if not 0 <= channel < count:
      raise ValueError(
        f'channel {channel} of layer {layer!r} is out of range: use 0 to {count - 1}'
      )
  return chosen


def _check_number(value: int, name: str) -> None:
  if value < 1:
    raise ValueError(f'{name}={value} is too few: use at least 1')
