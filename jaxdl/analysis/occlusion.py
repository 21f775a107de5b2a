"""Occlusion: what a target loses when a window of the image is filled."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.analysis import local_forward, units
from jaxdl.analysis.gradients import check, labels_of, program, say_silent, score_from

WINDOWS = 64  # of each image in one compiled call


def occlusion(model, variables, images, target, *, window=5, stride=1, fill=None, batch_size=1024):
  """The mean drop of the target over the windows that cover a pixel: positive where the pixel
  speaks for the target.

  Windows begin at pixel 0 and every `stride` pixels; the last one is cut off at the edge, so that
  every pixel is covered. In a convolutional network only what a window reaches is computed anew, up
  to the layer that flattens. A Neuron without a position is taken at its strongest place of each
  filled image.

  Args:
    model, variables: linen module and its variables.
    images: [B, H, W, C] floating.
    target: [B] int or Neuron.
    window: int or (rows, columns), pixels.
    stride: int or (rows, columns), pixels, at most the window.
    fill: number, or one a channel [C], on the scale of the images; None for each channel's mean
      over the images.
    batch_size: int, filled images of one compiled call.

  Returns:
    [B, H, W].

  Raises:
    ValueError: images or a target that do not fit, a window that is larger than the image, a stride
      that leaves pixels out, a fill of another number of channels.

  Source: Zeiler & Fergus 2014, Visualizing and understanding convolutional networks, section 4.2.
  """
  images = check(model, variables, images, target)
  window, stride = _pair(window), _pair(stride)
  _check(images, window, stride)
  fill = _channels(images, fill)
  starts = [
    np.arange(-(-(size - window[axis]) // stride[axis]) + 1) * stride[axis]
    for axis, size in enumerate(images.shape[1:3])
  ]
  corners = np.stack(np.meshgrid(*starts, indexing='ij'), -1).reshape(-1, 2)  # [N, 2]
  drops = _drops(model, variables, images, target, corners, fill, window, batch_size)  # [B, N]
  drops = drops.reshape(len(images), *map(len, starts))  # [B, R, S]
  rows, columns = (
    _covers(begin, window[axis], images.shape[1 + axis]) for axis, begin in enumerate(starts)
  )
  mean = np.einsum('hr,brs,ws->bhw', rows, drops, columns, optimize=True)
  return say_silent((mean / np.outer(rows.sum(1), columns.sum(1))).astype(images.dtype), target)


def _drops(model, variables, images, target, corners, fill, window, batch_size):
  """What each image's score loses with each window filled: [B, N] float64."""
  compiled = program(_drops_of_some, model, variables, target, window=window)
  labels, waiting = labels_of(images, target), []
  count = min(len(images), max(batch_size // WINDOWS, 1)), min(len(corners), WINDOWS)
  for first in range(0, len(images), count[0]):
    chosen = np.arange(first, first + count[0]).clip(
      max=len(images) - 1
    )  # the last one again and again at the end
    arrays = jax.device_put((images[chosen], labels[chosen], fill))
    for window_first in range(0, len(corners), count[1]):
      places = np.arange(window_first, window_first + count[1]).clip(max=len(corners) - 1)
      # The result is not awaited here, so that the next call begins beside it.
      waiting.append((np.ix_(places, chosen), compiled(*arrays, corners[places])))
  drops = np.empty((len(corners), len(images)))
  for where, part in waiting:
    drops[where] = part
  return drops.T


def _drops_of_some(model, variables, images, target, fill, corners, *, window):
  """What the scores of images [b, H, W, C] lose with the windows at corners [k, 2] filled: [k, b].

  The whole images are scored beside the filled ones, by the same products: a window that changes no
    map loses 0.
  """
  layer, steps = local_forward.chain(model, variables, images, target)
  steps = steps or [(images, images, lambda before, after, patch, start: (patch, start))]

  def filled(corner):
    start = [jnp.minimum(corner[axis], images.shape[1 + axis] - window[axis]) for axis in (0, 1)]
    patch = jax.lax.dynamic_slice(images, (0, *start, 0), (len(images), *window, images.shape[-1]))
    rows, columns = (start[axis] + jnp.arange(window[axis]) >= corner[axis] for axis in (0, 1))
    return local_forward.follow(
      steps, jnp.where((rows[:, None] & columns)[..., None], fill, patch), start
    )

  maps = jnp.concatenate([steps[-1][1][None], jax.lax.map(filled, corners)])  # [1 + k, b, …]
  maps = maps.reshape(-1, *maps.shape[2:])
  targets = units.tiled(target, 1 + len(corners))
  if layer is None:
    scores = units.scores(model, variables, maps, targets)
  else:
    inputs = jnp.zeros((len(maps), *images.shape[1:]), images.dtype)  # nothing of them is computed
    scores = score_from(model, variables, inputs, targets, layer, maps)
  scores = scores.reshape(-1, len(images))
  return scores[0] - scores[1:]


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
      raise ValueError(
        f'window={window} does not fit images of {images.shape[1]} × {images.shape[2]} pixels: use 1 to '
        f'{size} along axis {axis}'
      )
    if not 1 <= stride[axis] <= window[axis]:
      raise ValueError(
        f'stride={stride} leaves pixels out with window={window}: use 1 to {window[axis]} along '
        f'axis {axis}'
      )


def _channels(images, fill):
  """The fill of each channel: [C]."""
  channels = images.shape[-1]
  fill = images.mean((0, 1, 2), dtype=np.float64) if fill is None else np.asarray(fill)
  if fill.shape not in ((), (1,), (channels,)):
    raise ValueError(
      f'fill of shape {fill.shape} does not fit images of {channels} channels: give a number or one '
      'a channel'
    )
  return np.broadcast_to(fill, channels).astype(images.dtype)
