"""From stored bytes to what the network sees: once on the host what shrinks the data, the rest
inside the step.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.data import augment as augmentation
from jaxdl.data import memory

LUMA = np.array(
  [19595, 38470, 7471], np.uint32
)  # ITU-R 601 in 65536ths, as Pillow and OpenCV round it
CHUNK = 5000  # images converted at a time
LAYOUTS = {
  'image': lambda pixels: pixels,  # [B, H, W, C]
  'rows': lambda pixels: pixels.reshape(
    pixels.shape[0], pixels.shape[1], -1
  ),  # [B, H, W * C], a row a time step
}


def gray(images):
  """Luma of colour images: [N, H, W, 3] uint8 → [N, H, W, 1] uint8; gray ones stay as they are."""
  if images.shape[-1] == 1:
    return images

  def convert(part):
    weighted = sum(
      part[..., channel] * LUMA[channel] for channel in range(3)
    )  # six times as fast as the product
    return ((weighted + 0x8000) >> 16)[..., None].astype(np.uint8)

  return _in_chunks(convert, images)


def fit(images, size, how):
  """Makes square images of another size.

  Args:
    images: [N, H, W, C] uint8.
    size: int, pixels.
    how: 'crop' (the centre; the odd pixel is left at the bottom right) | 'area' (each new pixel is
      the mean of the area that it covers, rounded).

  Returns:
    [N, size, size, C] uint8.

  Raises:
    ValueError: another `how`, or a crop larger than the images.
  """
  height, width = images.shape[1:3]
  memory.check(len(images) * size * size * images.shape[-1], f'config.data.size={size}')
  if how == 'crop':
    if size > min(height, width):
      raise ValueError(
        f"config.data.size={size} is larger than the images ({height}×{width}): use fit='area'"
      )
    top, left = (height - size) // 2, (width - size) // 2
    return images[:, top : top + size, left : left + size]
  if how != 'area':
    raise ValueError(f"config.data.fit={how!r} is unknown: use one of 'crop', 'area'")
  rows, columns = shares(height, size), shares(width, size)

  def convert(part):
    flat = part.astype(np.float32).reshape(len(part), height, -1)  # [n, H, W · C]
    means = columns @ (rows @ flat).reshape(len(part), size, width, -1)  # [n, size, size, C]
    return np.rint(means).astype(np.uint8)

  return _in_chunks(convert, images)


def shares(old, new):
  """How much of each old pixel lies in each new one: [new, old] float32, whose rows sum to 1."""
  edges = np.arange(new + 1) * old / new
  first, last = edges[:-1, None], edges[1:, None]
  pixel = np.arange(old)
  overlap = np.clip(np.minimum(last, pixel + 1) - np.maximum(first, pixel), 0, None)
  return (overlap * new / old).astype(np.float32)


def _in_chunks(convert, images):
  return np.concatenate(
    [convert(images[first : first + CHUNK]) for first in range(0, len(images), CHUNK)]
  )


def moments(images):
  """Mean and standard deviation of each channel over all pixels, in 0..1: two lists of C floats."""
  values = np.arange(256) / 255
  shares_of = [
    np.bincount(images[..., channel].ravel(), minlength=256) / images[..., channel].size
    for channel in range(images.shape[-1])
  ]
  means = [float(share @ values) for share in shares_of]
  return means, [
    float(np.sqrt(share @ (values - mean) ** 2))
    for share, mean in zip(shares_of, means, strict=True)
  ]


def scaling(scale, images):
  """(mean, deviation) of each channel, in 0..1, that a choice of scale takes off and divides by.

  Args:
    scale: 'unit' (0..1) | 'symmetric' (-1..1, the (x - 0.5) / 0.5 of PyTorch's examples) |
      'standardized' (mean 0 and deviation 1 of each channel over the training split).
    images: [N, H, W, C] uint8, the training split; None where they are not in memory, and have 3
      channels.

  Returns:
    two lists of C floats.

  Raises:
    ValueError: another scale, or a channel that is the same everywhere.
  """
  channels = 3 if images is None else images.shape[-1]
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
      "config.data.scale='standardized' divides by 0: a channel is the same everywhere; use 'unit'"
    )
  return mean, deviation


def inputs(*, mean, deviation, layout='image', augment=(), distort=()):
  """Returns a pure function (batch, key) → batch with 'inputs' and 'target', float32, from 'image'
  [B, H, W, C] uint8.

  With a key (training) the images are augmented, by key and each example's index alone. `distort`
  changes the inputs but not the target, with a key or without one (evaluation), where it depends on
  the example alone.

  Args:
    mean, deviation: of each channel, in 0..1, as `scaling` gives them.
    layout: 'image' [B, H, W, C] | 'rows' [B, H, W * C]; the target has the same.
    augment, distort: lists of dicts as in `augment.build`.

  Raises:
    ValueError: an unknown layout, or what `augment.build` refuses.
  """
  if layout not in list(LAYOUTS):
    raise ValueError(f'config.data.layout={layout!r} is unknown: use one of {", ".join(LAYOUTS)}')
  change = augmentation.build(augment, 'config.data.augment')
  disturb = augmentation.build(distort, 'config.data.distort')

  def ready(pixels):
    return LAYOUTS[layout](
      (pixels - jnp.asarray(mean, jnp.float32)) / jnp.asarray(deviation, jnp.float32)
    )

  def prepare(batch, key=None):
    pixels = batch['image'].astype(jnp.float32) / 255  # [B, H, W, C]
    if key is not None:
      pixels = change(jax.random.fold_in(key, 0), pixels, batch['index'])
    key = jax.random.key(0) if key is None else jax.random.fold_in(key, 1)
    return {**batch, 'inputs': ready(disturb(key, pixels, batch['index'])), 'target': ready(pixels)}

  return prepare
