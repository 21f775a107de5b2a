"""Occlusion: the drop of a target when a window of the image is filled."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float64, Integer, Shaped

from jaxdl.analysis import units
from jaxdl.analysis.maps import local_forward
from jaxdl.analysis.maps.gradients import check, labels_of, program, say_silent, score_from
from jaxdl.analysis.units import AnyArray, ArrayLike, Target, Variables

WINDOWS = 64  # windows of each image in one compiled call


def occlusion(
  model: nn.Module,
  variables: Variables,
  images: Shaped[AnyArray, 'B ...'],
  target: Target,
  *,
  window: int | Sequence[int] = 5,
  stride: int | Sequence[int] = 1,
  fill: ArrayLike | None = None,
  batch_size: int = 1024,
) -> Float[np.ndarray, 'B H W']:
  """Mean drop of the target over the windows that cover a pixel; positive is evidence for it.

  Windows start at pixel 0 and every `stride` pixels; the last one is cut off at the edge, so that
  every pixel is covered. In a convolutional network only what a window reaches is recomputed, up
  to the layer that flattens. A Neuron without a position is taken at its strongest position of each
  filled image.

  Args:
    model: linen module.
    variables: its variables.
    images: [B, H, W, C] floating point.
    target: classes [B] int, or Neuron.
    window: pixels, or (rows, columns).
    stride: pixels, or (rows, columns), at most the window.
    fill: number, or one for each channel [C], on the scale of the images; None selects each
      channel's mean over the images.
    batch_size: filled images in one compiled call.

  Returns:
    maps.

  Raises:
    ValueError: images or a target that do not fit, a window that is larger than the image, a stride
      that leaves pixels out, or a fill of another number of channels.

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
  rows = _covers(starts[0], window[0], images.shape[1])
  columns = _covers(starts[1], window[1], images.shape[2])
  mean = np.einsum('hr,brs,ws->bhw', rows, drops, columns, optimize=True)
  return say_silent((mean / np.outer(rows.sum(1), columns.sum(1))).astype(images.dtype), target)


def _drops(
  model: nn.Module,
  variables: Variables,
  images: Float[np.ndarray, 'B H W C'],
  target: Target,
  corners: Integer[np.ndarray, 'N 2'],
  fill: Float[np.ndarray, 'C'],
  window: tuple[int, int],
  batch_size: int,
) -> Float64[np.ndarray, 'B N']:
  """Drop of each image's score with each window filled."""
  compiled = program(_drops_of_some, model, variables, target, window=window)
  labels, waiting = labels_of(images, target), []
  some_images = min(len(images), max(batch_size // WINDOWS, 1))
  some_windows = min(len(corners), WINDOWS)
  for first in range(0, len(images), some_images):
    # At the end the last image is repeated, and so is the last window below.
    chosen = np.arange(first, first + some_images).clip(max=len(images) - 1)
    arrays = jax.device_put((images[chosen], labels[chosen], fill))
    for window_first in range(0, len(corners), some_windows):
      places = np.arange(window_first, window_first + some_windows).clip(max=len(corners) - 1)
      # The result is not awaited here, so that the next call starts while this one runs.
      waiting.append((np.ix_(places, chosen), compiled(*arrays, corners[places])))
  drops = np.empty((len(corners), len(images)))
  for where, part in waiting:
    drops[where] = part
  return drops.T


def _drops_of_some(model, variables, images, target, fill, corners, *, window):
  """Drops [k, b] of the scores of images [b, H, W, C] with the windows at corners [k, 2] filled.

  The complete images are scored in the same products as the filled ones, so that a window that
  changes no map has a drop of exactly 0.
  """
  layer, steps = local_forward.chain(model, variables, images, target)
  if not steps:
    steps = [(images, images, lambda before, after, patch, start: (patch, start))]

  def filled(corner):
    start = [jnp.minimum(corner[axis], images.shape[1 + axis] - window[axis]) for axis in (0, 1)]
    patch = jax.lax.dynamic_slice(images, (0, *start, 0), (len(images), *window, images.shape[-1]))
    rows, columns = (start[axis] + jnp.arange(window[axis]) >= corner[axis] for axis in (0, 1))
    changed = jnp.where((rows[:, None] & columns)[..., None], fill, patch)
    return local_forward.follow(steps, changed, start)

  maps = jnp.concatenate([steps[-1][1][None], jax.lax.map(filled, corners)])  # [1 + k, b, …]
  maps = maps.reshape(-1, *maps.shape[2:])
  targets = units.tiled(target, 1 + len(corners))
  if layer is None:
    scores = units.scores(model, variables, maps, targets)
  else:
    inputs = jnp.zeros((len(maps), *images.shape[1:]), images.dtype)  # not computed
    scores = score_from(model, variables, inputs, targets, layer, maps)
  scores = scores.reshape(-1, len(images))
  return scores[0] - scores[1:]


def _covers(
  begins: Integer[np.ndarray, 'windows'], window: int, size: int
) -> Float64[np.ndarray, 'size windows']:
  """Which windows cover which pixel of an axis: 0 or 1."""
  place = np.arange(size)[:, None]
  return ((begins <= place) & (place < begins + window)).astype(np.float64)


def _pair(size: int | Sequence[int]) -> tuple[int, int]:
  rows, columns = np.broadcast_to(size, 2).tolist()
  return int(rows), int(columns)


def _check(images: np.ndarray, window: tuple[int, int], stride: tuple[int, int]) -> None:
  if images.ndim != 4:
    raise ValueError(f'images of shape {images.shape} have no windows: give [B, H, W, C]')
  for axis, size in enumerate(images.shape[1:3]):
    if not 1 <= window[axis] <= size:
      raise ValueError(
        f'window={window} does not fit images of {images.shape[1]} × {images.shape[2]} pixels: '
        f'use 1 to {size} along axis {axis}'
      )
    if not 1 <= stride[axis] <= window[axis]:
      raise ValueError(
        f'stride={stride} leaves pixels out with window={window}: use 1 to {window[axis]} along '
        f'axis {axis}'
      )


def _channels(
  images: Float[np.ndarray, 'B H W C'], fill: ArrayLike | None
) -> Float[np.ndarray, 'C']:
  """The fill of each channel."""
  channels = images.shape[-1]
  values = images.mean((0, 1, 2), dtype=np.float64) if fill is None else np.asarray(fill)
  if values.shape not in ((), (1,), (channels,)):
    raise ValueError(
      f'fill of shape {values.shape} does not fit images of {channels} channels: '
      'give a number or one a channel'
    )
  return np.broadcast_to(values, channels).astype(images.dtype)
