"""From stored bytes to the network's inputs.

What shrinks the data is done once, on the host; the rest is done inside the step.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, PRNGKeyArray, Shaped, UInt8

from jaxdl.config import memory
from jaxdl.data import augment as augmentation
from jaxdl.data import fits, mixing
from jaxdl.data.dataset import Batch

LUMA = np.array(fits.LUMA, np.uint32)
PIXELS = 1 << 15  # pixels converted or counted at a time, so that they stay in the cache

Array = jax.Array | np.ndarray
Images = UInt8[np.ndarray, 'N H W C'] | Float32[np.ndarray, 'N H W C']


def _image(pixels: Array) -> Array:
  return pixels  # [B, H, W, C]


def _rows(pixels: Array) -> Array:
  return pixels.reshape(pixels.shape[0], pixels.shape[1], -1)  # [B, H, W * C]: a row a time step


LAYOUTS = {'image': _image, 'rows': _rows}


def in_unit(images: Array) -> Array:
  """Pixels in 0..1 as float32: uint8 is divided by 255, float32 is in 0..1 already."""
  return images.astype(jnp.float32) / 255 if images.dtype == jnp.uint8 else images


def gray(images: Images) -> Shaped[np.ndarray, 'N H W 1']:
  """Luma of colour images: [N, H, W, 3] → [N, H, W, 1] of the same type; gray as they are."""
  if images.shape[-1] == 1:
    return images
  if images.dtype == np.float32:
    return _in_chunks(lambda part: (part @ (LUMA / 65536).astype(np.float32))[..., None], images)

  def convert(part: np.ndarray) -> np.ndarray:
    # Six times as fast as the matrix product.
    luma = part[..., 0] * LUMA[0]
    luma += part[..., 1] * LUMA[1]
    luma += part[..., 2] * LUMA[2]
    luma += 0x8000  # rounds
    return (luma >> 16)[..., None].astype(np.uint8)

  return _in_chunks(convert, images)


def fit(
  images: Images, size: int, how: Any, background: str | Sequence[int] = 'white'
) -> Shaped[np.ndarray, 'N size size C']:
  """Makes square images of another size.

  Args:
    images: [N, H, W, C] uint8 or float32.
    size: pixels of a side.
    how: 'crop' (the centre; an odd margin leaves its spare pixel at the bottom right) | 'area'
      (the largest square in the centre, scaled: each new pixel is the mean of the area that it
      covers, rounded if the pixels are uint8) | 'pad' (the complete image, scaled in the same way
      until its longer side fits; the margins have the background) | 'stretch' (both sides scaled
      to `size`).
    background: colour of the margins, as in `fits.background_colour`.

  Returns:
    [N, size, size, C] of the same type.

  Raises:
    ValueError: another `how`, a crop larger than the images, or an invalid background.
  """
  fits.check(how)
  height, width = images.shape[1:3]
  memory.check(len(images) * size * size * images.shape[-1], f'config.data.size={size}')
  if how == 'stretch':
    return _scaled(images, size, size)
  if how == 'pad':
    return _padded(images, size, background)
  if how == 'area':
    return _scaled(_centre(images, min(height, width)), size, size)
  if size > min(height, width):
    raise ValueError(
      f"config.data.size={size} is larger than the images ({height}×{width}): use fit='area'"
    )
  return _centre(images, size)


def _centre(images: Images, side: int) -> Shaped[np.ndarray, 'N side side C']:
  top, left = (fits.middle(length, side) for length in images.shape[1:3])
  return images[:, top : top + side, left : left + side]


def _padded(images: Images, size: int, background: Any) -> Shaped[np.ndarray, 'N size size C']:
  """Complete images in the middle of squares of the background."""
  channels = images.shape[-1]
  pixel = np.asarray(fits.background_pixel(background, channels), images.dtype)
  if images.dtype == np.float32:
    pixel = pixel / np.float32(255)
  height, width = fits.inside(images.shape[1], images.shape[2], size)
  top, left = fits.middle(size, height), fits.middle(size, width)
  squares = np.empty((len(images), size, size, channels), images.dtype)
  squares[:] = pixel
  squares[:, top : top + height, left : left + width] = _scaled(images, height, width)
  return squares


def _scaled(images: Images, height: int, width: int) -> Shaped[np.ndarray, 'N height width C']:
  """Images of another size: each new pixel is the mean of the area that it covers."""
  rows, columns = shares(images.shape[1], height), shares(images.shape[2], width)

  def convert(part: np.ndarray) -> np.ndarray:
    flat = part.astype(np.float32).reshape(len(part), part.shape[1], -1)  # [n, H, W · C]
    across = (rows @ flat).reshape(len(part), height, part.shape[2], -1)
    means = columns @ across  # [n, height, width, C]
    return means if part.dtype == np.float32 else np.rint(means).astype(np.uint8)

  return _in_chunks(convert, images)


def shares(old: int, new: int) -> Float32[np.ndarray, 'new old']:
  """How much of each old pixel lies in each new one: [new, old] float32, whose rows sum to 1."""
  edges = np.arange(new + 1) * old / new
  first, last = edges[:-1, None], edges[1:, None]
  pixel = np.arange(old)
  overlap = np.clip(np.minimum(last, pixel + 1) - np.maximum(first, pixel), 0, None)
  return (overlap * new / old).astype(np.float32)


def _in_chunks(convert: Callable[[np.ndarray], np.ndarray], images: np.ndarray) -> np.ndarray:
  """convert(images), a few images at a time, which stay in the cache."""
  chunk = max(1, PIXELS // (images.shape[1] * images.shape[2]))  # images
  part = convert(images[:chunk])
  converted = np.empty((len(images), *part.shape[1:]), part.dtype)
  converted[:chunk] = part
  for first in range(chunk, len(images), chunk):
    converted[first : first + chunk] = convert(images[first : first + chunk])
  return converted


def moments(images: Images) -> tuple[list[float], list[float]]:
  """Mean and standard deviation of each channel over all pixels, in 0..1: two lists of C floats."""
  if images.dtype == np.float32:
    flat = images.reshape(-1, images.shape[-1])
    return flat.mean(0, np.float64).tolist(), flat.std(0, np.float64).tolist()
  counts = np.zeros((images.shape[-1], 256), np.int64)
  pixels = images.reshape(-1, images.shape[-1])
  for first in range(0, len(pixels), PIXELS):
    for of_channel, levels in zip(counts, pixels[first : first + PIXELS].T, strict=True):
      of_channel += np.bincount(levels, minlength=256)
  shares_of = [of_channel / of_channel.sum() for of_channel in counts]
  values = np.arange(256) / 255
  means = [float(share @ values) for share in shares_of]
  deviations = [
    float(np.sqrt(share @ (values - mean) ** 2))
    for share, mean in zip(shares_of, means, strict=True)
  ]
  return means, deviations


def scaling(
  scale: Any, images: Images | None, channels: int = 3
) -> tuple[list[float], list[float]]:
  """The (mean, deviation) of each channel, in 0..1, by which inputs are scaled.

  The mean is subtracted from the pixels and the result is divided by the deviation.

  Args:
    scale: 'unit' (0..1) | 'symmetric' (-1..1, the (x - 0.5) / 0.5 of PyTorch's examples) |
      'standardized' (mean 0 and deviation 1 of each channel over the training split).
    images: [N, H, W, C] uint8, or float32 in 0..1, the training split; None for images that are
      not in memory.
    channels: number of channels of images that are not in memory.

  Returns:
    Two lists of C floats.

  Raises:
    ValueError: another scale, or a channel that is the same everywhere.
  """
  channels = channels if images is None else images.shape[-1]
  if scale == 'unit':
    return [0.0] * channels, [1.0] * channels
  if scale == 'symmetric':
    return [0.5] * channels, [0.5] * channels
  if scale != 'standardized':
    raise ValueError(
      f"config.data.scale={scale!r} is unknown: use one of 'unit', 'symmetric', 'standardized'"
    )
  if images is None:
    raise ValueError(
      "config.data.scale='standardized' needs every photograph in memory: use 'symmetric'"
    )
  mean, deviation = moments(images)
  if 0 in deviation:
    raise ValueError(
      "config.data.scale='standardized' divides by 0: a channel is constant; use 'unit'"
    )
  return mean, deviation


def inputs(
  *,
  mean: Sequence[float],
  deviation: Sequence[float],
  layout: Any = 'image',
  augment: Any = (),
  distort: Any = (),
) -> Callable[..., Batch]:
  """Builds the function that turns stored pixels into the network's inputs.

  With a key (training) the images are augmented; each change depends only on the key and the
  example's index, and an alternating flip on the epoch. Then they may be mixed in pairs. `distort`
  changes the inputs but not the target, with a key or without one (evaluation); without one it
  depends only on the example.

  Args:
    mean, deviation: of each channel, in 0..1, as returned by `scaling`.
    layout: 'image' [B, H, W, C] | 'rows' [B, H, W * C], of inputs and target.
    augment: list of dicts as in `augment.build`, which may end with some as in `mixing.build`.
    distort: list of dicts as in `augment.build`.

  Returns:
    A pure function (batch, key or None) → batch, which reads 'image' [B, H, W, C], uint8 or float32
    in 0..1, 'index' [B] and, with a key, 'epoch' [] (the first one is 0, which is also the
    default). It adds 'inputs' and 'target', float32, and, if the images are mixed, the columns of
    `mixing.build`.

  Raises:
    ValueError: an unknown layout, or what `augment.build` or `mixing.build` refuses.
  """
  if layout not in list(LAYOUTS):
    raise ValueError(f'config.data.layout={layout!r} is unknown: use one of {", ".join(LAYOUTS)}')
  single, mixes = mixing.separate(augment, 'config.data.augment')
  change = augmentation.build(
    single, 'config.data.augment', channels=len(mean), names=[*augmentation.KINDS, *mixing.KINDS]
  )
  mix = mixing.build(mixes, 'config.data.augment')
  disturb = augmentation.build(distort, 'config.data.distort', channels=len(mean))

  def ready(pixels: Array) -> Array:
    centred = pixels - jnp.asarray(mean, jnp.float32)
    return LAYOUTS[layout](centred / jnp.asarray(deviation, jnp.float32))

  def prepare(batch: Batch, key: PRNGKeyArray | None = None) -> Batch:
    pixels = in_unit(batch['image'])
    if key is not None:
      pixels = change(jax.random.fold_in(key, 0), pixels, batch['index'], batch.get('epoch', 0))
      if mixes:
        pixels, added = mix(jax.random.fold_in(key, 2), pixels, batch)
        batch = {**batch, **added}
    key = jax.random.key(0) if key is None else jax.random.fold_in(key, 1)
    return {**batch, 'inputs': ready(disturb(key, pixels, batch['index'])), 'target': ready(pixels)}

  return prepare
