"""Random changes of images on the device, each a pure function of a key and one image.

The key of an example is folded from the step's key and the example's index, so that its change does
not depend on the batch, its place in it or the number of devices.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Integer, PRNGKeyArray

from jaxdl.config import binding, checks, named

FILLS = {'zero': 'constant', 'edge': 'edge', 'reflect': 'reflect'}  # our name → that of jnp.pad

Image = Float[jax.Array, 'H W C']
Array = jax.Array | np.ndarray
Images = Float[Array, 'B H W C']
Number = int | float


def flip(key: PRNGKeyArray, image: Image, *, probability: Number = 0.5) -> Image:
  """Mirrors left and right with a probability."""
  return jnp.where(jax.random.bernoulli(key, probability), image[:, ::-1], image)


def shift(key: PRNGKeyArray, image: Image, *, pixels: int, fill: str = 'zero') -> Image:
  """Moves the image by up to `pixels` in each direction.

  The image is padded by `pixels` on every side, then the old size is cut out at a random place;
  all places are equally likely. `fill` is 'zero', 'edge' or 'reflect'. Source: He et al. 2016,
  section 4.2.
  """
  height, width, channels = image.shape
  padded = jnp.pad(image, ((pixels, pixels), (pixels, pixels), (0, 0)), mode=FILLS[fill])
  top, left = jax.random.randint(key, (2,), 0, 2 * pixels + 1)
  return jax.lax.dynamic_slice(padded, (top, left, 0), (height, width, channels))


def rotate(key: PRNGKeyArray, image: Image, *, degrees: Number) -> Image:
  """Rotates by an angle drawn uniformly from -degrees to degrees."""
  return rotated(image, jax.random.uniform(key, minval=-degrees, maxval=degrees))


def rotated(image: Image, degrees: Number | Float[jax.Array, '']) -> Image:
  """Rotates an image counter-clockwise about its centre; bilinear, zero outside.

  Args:
    image: [H, W, C].
    degrees: the angle, a scalar.

  Returns:
    [H, W, C].
  """
  height, width, _ = image.shape
  angle = jnp.deg2rad(degrees)
  y, x = jnp.arange(height) - (height - 1) / 2, jnp.arange(width) - (width - 1) / 2
  source_y = jnp.cos(angle) * y[:, None] + jnp.sin(angle) * x + (height - 1) / 2  # [H, W]
  source_x = jnp.cos(angle) * x - jnp.sin(angle) * y[:, None] + (width - 1) / 2
  return _bilinear(image, source_y, source_x)


def _bilinear(image: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
  """Reads an image [H, W, C] at places [H', W'] between its pixels; zero outside."""
  height, width, _ = image.shape
  top, left = jnp.floor(y), jnp.floor(x)
  flat = image.reshape(height * width, -1)
  total: Any = 0.0
  for row, weight_y in ((top, 1 - (y - top)), (top + 1, y - top)):
    for column, weight_x in ((left, 1 - (x - left)), (left + 1, x - left)):
      inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
      place = jnp.clip(row, 0, height - 1) * width + jnp.clip(column, 0, width - 1)
      total += (weight_y * weight_x * inside)[..., None] * flat[place.astype(jnp.int32)]
  return total


def cutout(key: PRNGKeyArray, image: Image, *, size: int) -> Image:
  """Blackens a square of `size` pixels about a random pixel; it may reach beyond the edge.

  Source: DeVries & Taylor 2017.
  """
  height, width, _ = image.shape
  y, x = (
    jax.random.randint(part, (), 0, extent)
    for part, extent in zip(jax.random.split(key), (height, width), strict=True)
  )
  rows, columns = jnp.arange(height) - (y - size // 2), jnp.arange(width) - (x - size // 2)
  inside = ((rows >= 0) & (rows < size))[:, None] & (columns >= 0) & (columns < size)
  return jnp.where(inside[..., None], 0, image)


def brightness(key: PRNGKeyArray, image: Image, *, change: Number) -> Image:
  """Adds a number drawn uniformly from -change to change to all pixels, then clips to 0..1."""
  return jnp.clip(image + jax.random.uniform(key, minval=-change, maxval=change), 0, 1)


def contrast(key: PRNGKeyArray, image: Image, *, change: Number) -> Image:
  """Scales the distance of each pixel from its channel's mean, then clips to 0..1.

  The factor is drawn uniformly from 1 - change to 1 + change.
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
LIMITS: dict[str, tuple[type, int, int]] = {  # argument → type, lowest and highest value
  'probability': (float, 0, 1),
  'pixels': (int, 1, 512),
  'degrees': (float, 0, 180),
  'size': (int, 1, 1024),
  'change': (float, 0, 1),
}


def build(
  changes: Any, where: str
) -> Callable[[PRNGKeyArray, Images, Integer[Array, ' B']], Images]:
  """Builds a function that applies changes to images, one after another.

  Args:
    changes: list of dicts: 'kind', a key of KINDS, and that function's keyword arguments.
    where: the list's place in the config, for messages.

  Returns:
    A pure function (key, images [B, H, W, C] in 0..1, index [B] of the examples) → images.

  Raises:
    ValueError: an unknown kind or argument, or a value outside its limits.
  """
  if not isinstance(changes, (list, tuple)) or not all(
    isinstance(change, dict) for change in changes
  ):
    raise ValueError(f"{where}={changes!r} is not a list of changes: write (dict(kind='flip'),)")
  bound = [_bind(change, f'{where}[{position}]') for position, change in enumerate(changes)]

  def apply(key: PRNGKeyArray, images: Images, index: Integer[Array, ' B']) -> Images:
    for position, change in enumerate(bound):
      step_key = jax.random.fold_in(key, position)
      keys = jax.vmap(functools.partial(jax.random.fold_in, step_key))(index)
      images = jax.vmap(change)(keys, images)
    return images

  return apply


def _bind(change: dict[str, Any], where: str) -> functools.partial:
  """The function of a change with its keyword arguments, each of which is checked."""
  bound = binding.bind(KINDS, change, where, by='kind', owner=str(change.get('kind')))
  if not isinstance(change.get('kind'), named.Reference):
    for name, value in bound.keywords.items():
      _check(name, value, f'{where}.{name}')
  return bound


def _check(name: str, value: Any, where: str) -> None:
  """Raises ValueError if the value of an argument is outside its limits."""
  if name == 'fill':
    if value not in list(FILLS):
      raise ValueError(f'{where}={value!r} is unknown: use one of {", ".join(FILLS)}')
    return
  kind, low, high = LIMITS[name]
  if kind is int:
    checks.check_integer(value, where, low, high)
    return
  is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
  if not is_number or not low <= value <= high:
    raise ValueError(f'{where}={value!r} is not a number from {low} to {high}')
