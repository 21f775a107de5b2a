"""Random changes of images on the device, each a pure function of a key and one image.

The key of an example is folded from the step's key and the example's index, so that its change does
not depend on the batch, its place in it or the number of devices. The changes that mix two images
are in `mixing`.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Integer, PRNGKeyArray

from jaxdl.config import binding, checks, named

FILLS = {'zero': 'constant', 'edge': 'edge', 'reflect': 'reflect'}  # our name → that of jnp.pad

Image = Float[jax.Array, 'H W C']
Array = jax.Array | np.ndarray
Images = Float[Array, 'B H W C']
Number = int | float
Pair = Sequence[Number]  # lowest and highest value


def flip(
  key: PRNGKeyArray,
  image: Image,
  odd: bool | Bool[jax.Array, ''] = False,
  *,
  probability: Number = 0.5,
  alternating: bool = False,
) -> Image:
  """Mirrors left and right with a probability.

  With `alternating`, whether an image is mirrored in the first epoch depends on its index alone; in
  every second epoch it is inverted, so two successive epochs contain both versions of every
  image. Source: Jordan 2024, '94% on CIFAR-10 in 3.29 seconds', section 3.6.

  Args:
    key: key of the example; with `alternating`, equal in all epochs.
    image: the image.
    odd: whether the epoch is the second, fourth, …; used with `alternating`.
    probability: share of the images that are mirrored; with `alternating`, in the first epoch.
    alternating: see above.
  """
  mirrored = jax.random.bernoulli(key, probability)
  if alternating:
    mirrored = mirrored ^ odd
  return jnp.where(mirrored, image[:, ::-1], image)


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


def random_resized_crop(
  key: PRNGKeyArray, image: Image, *, area: Pair = (0.08, 1.0), ratio: Pair = (3 / 4, 4 / 3)
) -> Image:
  """Cuts out a random rectangle and enlarges it to the old size; bilinear.

  A side that would be longer than the image is as long as the image. All places are equally likely.
  The image is resized by two matrix products, which a CPU computes faster than it gathers pixels.
  Source: Szegedy et al. 2015.

  Args:
    key, image: of an example.
    area: lowest and highest share of the image's area, drawn uniformly.
    ratio: lowest and highest width / height, whose logarithm is drawn uniformly.
  """
  height, width, _ = image.shape
  top, left, rows, columns = _rectangle(key, (height, width), area, ratio)
  return jnp.einsum(
    'ih,hwc,jw->ijc', _resizing(top, rows, height), image, _resizing(left, columns, width)
  )


def _rectangle(key, size, area, ratio):
  """A random rectangle inside an image of a size: (top, left, height, width) in pixels, floats."""
  height, width = size
  of_area, of_ratio, of_place = jax.random.split(key, 3)
  pixels = jax.random.uniform(of_area, minval=area[0], maxval=area[1]) * height * width
  logarithms = jnp.log(jnp.asarray(ratio, jnp.float32))
  side = jnp.exp(jax.random.uniform(of_ratio, minval=logarithms[0], maxval=logarithms[1]) / 2)
  rows = jnp.minimum(jnp.sqrt(pixels) / side, height)
  columns = jnp.minimum(jnp.sqrt(pixels) * side, width)
  place = jax.random.uniform(of_place, (2,))
  return place[0] * (height - rows), place[1] * (width - columns), rows, columns


def _resizing(start, length, size):
  """The matrix [size, size] that enlarges the pixels from `start` on, `length` long, to `size`."""
  places = start + (jnp.arange(size) + 0.5) * length / size - 0.5  # of the new pixels' centres
  places = jnp.clip(places, 0, size - 1)
  return jnp.maximum(0, 1 - jnp.abs(places[:, None] - jnp.arange(size)))


def color_jitter(
  key: PRNGKeyArray,
  image: Image,
  *,
  brightness: Number = 0.0,
  contrast: Number = 0.0,
  saturation: Number = 0.0,
  hue: Number = 0.0,
) -> Image:
  """Changes brightness, contrast, saturation and hue, in this order, as PyTorch's ColorJitter.

  Args:
    key, image: of an example.
    brightness: the pixels are multiplied by a factor from 1 - brightness to 1 + brightness.
    contrast: likewise for their distance from the mean of the gray image.
    saturation: likewise for their distance from the gray image; colour images only.
    hue: the hue is shifted by up to this share of the colour circle, 0 to 0.5; colour images only.

  The pixels are clipped to 0..1 after each change. A change of 0 draws nothing.
  """
  keys = jax.random.split(key, 4)

  def factor(number, change):
    return jax.random.uniform(keys[number], minval=1 - change, maxval=1 + change)

  if brightness:
    image = jnp.clip(factor(0, brightness) * image, 0, 1)
  if contrast:
    mean = _gray(image).mean()
    image = jnp.clip(mean + factor(1, contrast) * (image - mean), 0, 1)
  if saturation:
    gray = _gray(image)
    image = jnp.clip(gray + factor(2, saturation) * (image - gray), 0, 1)
  if hue:
    image = _hue_shifted(image, jax.random.uniform(keys[3], minval=-hue, maxval=hue))
  return image


def _gray(image):
  """Luma [H, W, 1] of a colour image; a gray image is unchanged."""
  if image.shape[-1] == 1:
    return image
  return image @ jnp.array([0.299, 0.587, 0.114])[:, None]  # ITU-R 601


def _hue_shifted(image, shift):
  """Turns the hue of a colour image [H, W, 3] in 0..1 by a share of the colour circle.

  Source: Smith 1978, 'Color gamut transform pairs' (HSV), written without branches.
  """
  high, low = image.max(-1), image.min(-1)
  chroma = high - low
  red, green, blue = image[..., 0], image[..., 1], image[..., 2]
  divisor = jnp.where(chroma > 0, chroma, 1)
  sixths = jnp.where(
    high == red,
    (green - blue) / divisor,
    jnp.where(high == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
  )
  sixths = sixths + 6 * shift
  places = (jnp.array([5.0, 3.0, 1.0]) + sixths[..., None]) % 6
  share = jnp.clip(jnp.minimum(places, 4 - places), 0, 1)
  return high[..., None] - chroma[..., None] * share


def random_erasing(
  key: PRNGKeyArray,
  image: Image,
  *,
  probability: Number = 0.5,
  area: Pair = (0.02, 0.33),
  ratio: Pair = (0.3, 1 / 0.3),
  fill: str = 'zero',
) -> Image:
  """Replaces a random rectangle, with a probability. Source: Zhong et al. 2020.

  Args:
    key, image: of an example.
    probability: share of the images that are changed.
    area, ratio: of the rectangle, as in `random_resized_crop`.
    fill: 'zero', 'mean' (of each channel of the image) or 'noise' (uniform in 0..1).
  """
  of_choice, of_place, of_fill = jax.random.split(key, 3)
  size = image.shape[:2]
  top, left, rows, columns = _rectangle(of_place, size, area, ratio)
  inside = _covered(top, rows, size[0])[:, None] & _covered(left, columns, size[1])
  erased = inside & jax.random.bernoulli(of_choice, probability)
  filled = {
    'zero': lambda: jnp.zeros(()),
    'mean': lambda: image.mean((0, 1)),
    'noise': lambda: jax.random.uniform(of_fill, image.shape),
  }[fill]()
  return jnp.where(erased[..., None], filled, image)


def _covered(start, length, size):
  """Whether the centre of each of `size` pixels lies between `start` and `start` + `length`."""
  centres = jnp.arange(size) + 0.5
  return (start <= centres) & (centres < start + length)


KINDS = {
  'flip': flip,
  'shift': shift,
  'rotate': rotate,
  'cutout': cutout,
  'brightness': brightness,
  'contrast': contrast,
  'random_resized_crop': random_resized_crop,
  'color_jitter': color_jitter,
  'random_erasing': random_erasing,
}
LIMITS: dict[str, tuple[type, float, float]] = {  # argument → type, lowest and highest value
  'probability': (float, 0, 1),
  'pixels': (int, 1, 512),
  'degrees': (float, 0, 180),
  'size': (int, 1, 1024),
  'change': (float, 0, 1),
  'brightness': (float, 0, 1),
  'contrast': (float, 0, 1),
  'saturation': (float, 0, 1),
  'hue': (float, 0, 0.5),
}
PAIRS: dict[str, tuple[float, float]] = {  # argument of two numbers → lowest and highest value
  'area': (0.001, 1),
  'ratio': (0.01, 100),
}
CHOICES = {'shift': list(FILLS), 'random_erasing': ['zero', 'mean', 'noise']}  # values of `fill`
OF_COLOUR = ('saturation', 'hue')  # arguments for images of three channels


def build(
  changes: Any, where: str, *, channels: int | None = None, names: Sequence[str] = tuple(KINDS)
) -> Callable[..., Images]:
  """Builds a function that applies changes to images, one after another.

  Args:
    changes: list of dicts: 'kind', a key of KINDS, and that function's keyword arguments.
    where: the list's place in the config, for messages.
    channels: number of channels of the images; None if not known.
    names: the kinds that the list of the config may have, for messages.

  Returns:
    A pure function (key, images [B, H, W, C] in 0..1, index [B] of the examples, epoch [] = 0) →
    images.

  Raises:
    ValueError: an unknown kind or argument, or a value outside its limits.
  """
  if not isinstance(changes, (list, tuple)) or not all(
    isinstance(change, dict) for change in changes
  ):
    raise ValueError(f"{where}={changes!r} is not a list of changes: write (dict(kind='flip'),)")
  bound = [
    _bind(change, f'{where}[{position}]', channels, names)
    for position, change in enumerate(changes)
  ]

  def apply(
    key: PRNGKeyArray,
    images: Images,
    index: Integer[Array, ' B'],
    epoch: int | Integer[Array, ''] = 0,
  ) -> Images:
    for position, change in enumerate(bound):
      if change.keywords.get('alternating'):  # the same key in all steps and runs
        keys = _keys(jax.random.key(0), position, index)
        images = jax.vmap(change, (0, 0, None))(keys, images, jnp.asarray(epoch % 2 == 1))
      else:
        images = jax.vmap(change)(_keys(key, position, index), images)
    return images

  return apply


def _keys(key, position, index):
  """The key of each example [B] for the change at a position of the list."""
  return jax.vmap(functools.partial(jax.random.fold_in, jax.random.fold_in(key, position)))(index)


def _bind(change, where, channels, names) -> functools.partial:
  """The function of a change with its keyword arguments, each of which is checked."""
  kind = str(change.get('kind'))
  bound = binding.bind(KINDS, change, where, by='kind', owner=kind, names=names)
  if isinstance(change.get('kind'), named.Reference):
    return bound
  for name, value in bound.keywords.items():
    _check(kind, name, value, f'{where}.{name}')
    if name in OF_COLOUR and value and channels not in (None, 3):
      raise ValueError(
        f'{where}.{name}={value!r} needs images of 3 channels, but these have {channels}: '
        f'leave {name} out'
      )
  return bound


def _check(kind: str, name: str, value: Any, where: str) -> None:
  """Raises ValueError if the value of an argument is outside its limits."""
  if name == 'fill':
    if value not in CHOICES[kind]:
      raise ValueError(f'{where}={value!r} is unknown: use one of {", ".join(CHOICES[kind])}')
    return
  if name == 'alternating':
    checks.check_flag(value, where)
    return
  if name in PAIRS:
    _check_pair(value, where, *PAIRS[name])
    return
  number, low, high = LIMITS[name]
  if number is int:
    checks.check_integer(value, where, int(low), int(high))
  elif not checks.is_number(value) or not low <= value <= high:
    raise ValueError(f'{where}={value!r} is not a number from {low:g} to {high:g}')


def _check_pair(value, where, low, high):
  """Raises ValueError unless a value is two ascending numbers within limits."""
  is_pair = (
    isinstance(value, (list, tuple)) and len(value) == 2 and all(map(checks.is_number, value))
  )
  if not is_pair or not low <= value[0] <= value[1] <= high:
    raise ValueError(
      f'{where}={value!r} is not a pair of ascending numbers from {low:g} to {high:g}: '
      f'write ({low:g}, {high:g})'
    )
