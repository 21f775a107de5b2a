"""Random changes of images on the device, each a pure function of a key and one image.

The key of an example is folded from the step's key and the example's index, so that its change does
not depend on the batch, its place in it or the number of devices.
"""

import functools

import jax
import jax.numpy as jnp

from jaxdl.config import binding

FILLS = {'zero': 'constant', 'edge': 'edge', 'reflect': 'reflect'}


def flip(key, image, *, probability=0.5):
  """Mirrors left and right with a probability."""
  return jnp.where(jax.random.bernoulli(key, probability), image[:, ::-1], image)


def shift(key, image, *, pixels, fill='zero'):
  """Pads by `pixels` on every side and cuts the old size out at a random place, each equally
  likely.

  `fill` is 'zero', 'edge' or 'reflect'. Source: He et al. 2016, section 4.2.
  """
  height, width, channels = image.shape
  padded = jnp.pad(image, ((pixels, pixels), (pixels, pixels), (0, 0)), mode=FILLS[fill])
  top, left = jax.random.randint(key, (2,), 0, 2 * pixels + 1)
  return jax.lax.dynamic_slice(padded, (top, left, 0), (height, width, channels))


def rotate(key, image, *, degrees):
  """Turns by an angle drawn evenly from -degrees to degrees."""
  return rotated(image, jax.random.uniform(key, minval=-degrees, maxval=degrees))


def rotated(image, degrees):
  """Turns an image counter-clockwise about its centre; bilinear, zero outside.

  Args:
    image: [H, W, C].
    degrees: scalar.

  Returns:
    [H, W, C].
  """
  height, width, _ = image.shape
  angle = jnp.deg2rad(degrees)
  y, x = jnp.arange(height) - (height - 1) / 2, jnp.arange(width) - (width - 1) / 2
  source_y = jnp.cos(angle) * y[:, None] + jnp.sin(angle) * x + (height - 1) / 2  # [H, W]
  source_x = jnp.cos(angle) * x - jnp.sin(angle) * y[:, None] + (width - 1) / 2
  return _bilinear(image, source_y, source_x)


def _bilinear(image, y, x):
  """Reads an image [H, W, C] at places [H', W'] between its pixels; zero outside."""
  height, width, _ = image.shape
  top, left = jnp.floor(y), jnp.floor(x)
  total = 0.0
  for row, weight_y in ((top, 1 - (y - top)), (top + 1, y - top)):
    for column, weight_x in ((left, 1 - (x - left)), (left + 1, x - left)):
      inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
      place = (jnp.clip(row, 0, height - 1) * width + jnp.clip(column, 0, width - 1)).astype(
        jnp.int32
      )
      total += (weight_y * weight_x * inside)[..., None] * image.reshape(height * width, -1)[place]
  return total


def cutout(key, image, *, size):
  """Blackens a square of `size` pixels about a random pixel; it may reach beyond the edge. Source:
  DeVries & Taylor 2017.
  """
  height, width, _ = image.shape
  y, x = (
    jax.random.randint(part, (), 0, extent)
    for part, extent in zip(jax.random.split(key), (height, width), strict=True)
  )
  rows, columns = jnp.arange(height) - (y - size // 2), jnp.arange(width) - (x - size // 2)
  inside = ((rows >= 0) & (rows < size))[:, None] & (columns >= 0) & (columns < size)
  return jnp.where(inside[..., None], 0, image)


def brightness(key, image, *, change):
  """Adds one number drawn evenly from -change to change to all pixels (0..1) and clips to 0..1."""
  return jnp.clip(image + jax.random.uniform(key, minval=-change, maxval=change), 0, 1)


def contrast(key, image, *, change):
  """Stretches about the mean of each channel by a factor drawn evenly from 1 - change to 1 +
  change, clips to 0..1.
  """
  factor = jax.random.uniform(key, minval=1 - change, maxval=1 + change)
  mean = image.mean((0, 1))
  return jnp.clip(mean + factor * (image - mean), 0, 1)


KINDS = {
  'flip': flip,
  'shift': shift,
  'rotate': rotate,
  'cutout': cutout,
  'brightness': brightness,
  'contrast': contrast,
}
LIMITS = {
  'probability': (float, 0, 1),
  'pixels': (int, 1, 512),
  'degrees': (float, 0, 180),
  'size': (int, 1, 1024),
  'change': (float, 0, 1),
}


def build(changes, where):
  """Returns a pure function (key, images [B, H, W, C] in 0..1, index [B]) → images, one change
  after another.

  Args:
    changes: list of dicts: 'kind', a key of KINDS, and that function's keyword arguments.
    where: str, the list's place in the config, for messages.

  Raises:
    ValueError: an unknown kind or argument, or a value outside its limits.
  """
  if not isinstance(changes, (list, tuple)) or not all(
    isinstance(change, dict) for change in changes
  ):
    raise ValueError(f"{where}={changes!r} is not a list of changes: write (dict(kind='flip'),)")
  bound = [_bind(change, f'{where}[{position}]') for position, change in enumerate(changes)]

  def apply(key, images, index):
    for position, change in enumerate(bound):
      step_key = jax.random.fold_in(key, position)
      keys = jax.vmap(functools.partial(jax.random.fold_in, step_key))(index)
      images = jax.vmap(change)(keys, images)
    return images

  return apply


def _bind(change, where):
  bound = binding.bind(KINDS, change, where, by='kind')
  for name, value in bound.keywords.items():
    _check(name, value, f'{where}.{name}')
  return bound


def _check(name, value, where):
  if name == 'fill':
    if value not in list(FILLS):
      raise ValueError(f'{where}={value!r} is unknown: use one of {", ".join(FILLS)}')
    return
  kind, low, high = LIMITS[name]
  if isinstance(value, bool) or not isinstance(value, (int, kind)) or not low <= value <= high:
    number = 'whole number' if kind is int else 'number'
    raise ValueError(f'{where}={value!r} is not a {number} from {low} to {high}')
