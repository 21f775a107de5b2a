"""Occlusion: what a target loses when a window of the image is filled."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.analysis import units
from jaxdl.analysis.gradients import batched, check, labels_of, program, say_silent
from jaxdl.analysis.units import BATCH, Neuron


def occlusion(model, variables, images, target, *, window=5, stride=1, fill=None, batch_size=BATCH):
  """The mean drop of the target over the windows that cover a pixel: positive where the pixel speaks for the target.

  Windows begin at pixel 0 and every `stride` pixels; the last one is cut off at the edge, so that every pixel is covered.
  A Neuron without a position is taken at its strongest place of each filled image.

  Args:
    model, variables: linen module and its variables.
    images: [B, H, W, C] floating.
    target: [B] int or Neuron.
    window: int or (rows, columns), pixels.
    stride: int or (rows, columns), pixels, at most the window.
    fill: number, or one a channel [C], on the scale of the images; None for each channel's mean over the images.
    batch_size: int, filled images of one compiled call.

  Returns:
    [B, H, W].

  Raises:
    ValueError: images or a target that do not fit, a window that is larger than the image, a stride that leaves pixels
      out, a fill of another number of channels.

  Source: Zeiler & Fergus 2014, Visualizing and understanding convolutional networks, section 4.2.
  """
  images = check(model, variables, images, target)
  window, stride = _pair(window), _pair(stride)
  _check(images, window, stride)
  fill = _channels(images, fill)
  starts = [np.arange(-(-(size - window[axis]) // stride[axis]) + 1) * stride[axis]
            for axis, size in enumerate(images.shape[1:3])]
  corners = np.stack(np.meshgrid(*starts, indexing='ij'), -1).reshape(-1, 2)  # [N, 2]
  whole = batched(units.scores, model, variables, images, target, batch_size=batch_size)  # [B]
  filled = _filled_scores(model, variables, images, target, corners, fill, window, batch_size)  # [B, N]
  drops = (whole[:, None].astype(np.float64) - filled).reshape(len(images), *map(len, starts))  # [B, R, S]
  rows, columns = (_covers(begin, window[axis], images.shape[1 + axis]) for axis, begin in enumerate(starts))
  mean = np.einsum('hr,brs,ws->bhw', rows, drops, columns, optimize=True)
  return say_silent((mean / np.outer(rows.sum(1), columns.sum(1))).astype(images.dtype), target)


def _filled_scores(model, variables, images, target, corners, fill, window, batch_size):
  """The score of each image with each window filled: [B, N]."""
  compiled = program(_score_filled, model, variables, target, window=window)
  arrays = jax.device_put((images, labels_of(images, target), fill))
  image, corner = np.divmod(np.arange(len(images) * len(corners), dtype=np.int32), np.int32(len(corners)))
  scores = np.empty(len(image), images.dtype)
  for where, part in units.in_batches(lambda *chosen: compiled(*arrays, *chosen), image, corners[corner],
                                      batch_size=batch_size):
    scores[where] = part
  return scores.reshape(len(images), len(corners))


def _score_filled(model, variables, images, target, fill, image, corner, *, window):
  inside = True
  for axis in (0, 1):
    begin = corner[:, axis].reshape(-1, 1, 1, 1)
    place = jnp.arange(images.shape[1 + axis]).reshape((1, -1, 1, 1) if axis == 0 else (1, 1, -1, 1))
    inside &= (begin <= place) & (place < begin + window[axis])  # [b, H, W, 1]
  chosen = target if isinstance(target, Neuron) else target[image]
  return units.scores(model, variables, jnp.where(inside, fill, images[image]), chosen)


def _covers(begins, window, size):
  """Which windows cover which pixel of an axis: [size, windows] 0/1."""
  place = np.arange(size)[:, None]
  return ((begins <= place) & (place < begins + window)).astype(np.float64)


def _pair(size):
  return (int(size),) * 2 if np.ndim(size) == 0 else tuple(map(int, size))


def _check(images, window, stride):
  if images.ndim != 4:
    raise ValueError(f'images of shape {images.shape} have no windows: give [B, H, W, C]')
  for axis, size in enumerate(images.shape[1:3]):
    if not 1 <= window[axis] <= size:
      raise ValueError(f'window={window} does not fit images of {images.shape[1]} × {images.shape[2]} pixels: use 1 to '
                       f'{size} along axis {axis}')
    if not 1 <= stride[axis] <= window[axis]:
      raise ValueError(f'stride={stride} leaves pixels out with window={window}: use 1 to {window[axis]} along axis {axis}')


def _channels(images, fill):
  """The fill of each channel: [C]."""
  channels = images.shape[-1]
  fill = images.mean((0, 1, 2), dtype=np.float64) if fill is None else np.asarray(fill)
  if fill.shape not in ((), (1,), (channels,)):
    raise ValueError(f'fill of shape {fill.shape} does not fit images of {channels} channels: give a number or one a channel')
  return np.broadcast_to(fill, channels).astype(images.dtype)
