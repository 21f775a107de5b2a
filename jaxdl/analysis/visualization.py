"""Feature visualisation: images that excite a unit more than every image of the data."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Float32, Integer

from jaxdl.analysis import maximization, units
from jaxdl.analysis.fields import receptive_field
from jaxdl.analysis.units import AnyArray, ArrayLike, Neuron, Variables

STARTS = 3  # images of a unit that start from noise; one more starts from the real image
STEPS = 256
DIVERSITY = 0.3
SMOOTHNESS = 2.0
CLIMB, CLIMBS = 0.05, 100  # first step of a pixel, as a share of the range; number of steps
MOVES = {'jitter': 1, 'turn': 5.0, 'zoom': 0.05}  # for images of about 30 pixels


class Visualization(NamedTuple):
  """Images made for units, and the outputs of the units.

  Attributes:
    smooth: variants, smooth and unlike each other; the last one of each unit starts from the real
      image. Pixels that the unit does not see are in the middle of the range.
    strongest: the image with the greatest output, without regard to smoothness.
    real: output of the unit for the real image.
    smooth_values: output for each variant.
    strongest_value: output for the strongest image; never below `real`.
  """

  smooth: Float32[np.ndarray, 'n S H W C']
  strongest: Float32[np.ndarray, 'n H W C']
  real: Float[np.ndarray, 'n']
  smooth_values: Float[np.ndarray, 'n S']
  strongest_value: Float[np.ndarray, 'n']


def visualize(
  model: nn.Module,
  variables: Variables,
  layer: str,
  channels: Integer[AnyArray, 'n'],
  places: Integer[AnyArray, 'n 2'],
  pictures: Float[AnyArray, 'n H W C'],
  *,
  low: ArrayLike,
  high: ArrayLike,
  starts: int = STARTS,
  steps: int = STEPS,
  diversity: float = DIVERSITY,
  smoothness: float = SMOOTHNESS,
  seed: int = 0,
) -> Visualization:
  """Images that excite units, from several noises and from the best real image of each unit.

  Waves (`parametrisation`) are fitted by `maximization.maximize`, first under small shifts,
  rotations and changes of size, then without. The strongest image is sought without regularisation;
  if none exceeds the real image, as for a linear filter that a real patch matches, their pixels
  climb further. The variants have a penalty on total variation, and images of a unit are moved
  apart.

  One program is compiled for all units and starts. The made and the real images are measured by the
  same program, so that equal images have equal outputs.

  Args:
    model: CNN.
    variables: its variables.
    layer: name of a convolution.
    channels: channels of the layer.
    places: (row, column) of the unit of each channel: that of its best real image, since units at
      the border see less.
    pictures: the best real image of each unit, scaled as in training.
    low: lower bound of the images, a number or [C]; the least number of the data.
    high: upper bound of the images, a number or [C]; the greatest number of the data.
    starts: images of each unit that start from noise.
    steps: as in `maximize`.
    diversity: as in `maximize`.
    smoothness: weight of the total variation of the variants. A variant gives up this multiple of
      the strongest output if its neighbouring pixels differ by the complete range on average.
    seed: as in `maximize`.

  Returns:
    Visualization.

  Raises:
    ValueError: as `maximize`; no channels; or a layer that has no receptive field.

  Source: Olah et al. 2017, Feature visualization.
  """
  pictures = np.asarray(pictures, np.float32)
  if not len(pictures):
    raise ValueError(f'there is no channel of {layer} to visualise: give at least one')
  channels, places = np.asarray(channels), np.asarray(places)
  shape, of_each = pictures.shape[1:], starts + 1
  inside = seen_by(model, shape, layer, places)

  def made(some, **settings):
    """Images of some of the units, [n, S, H, W, C]."""
    begin = np.full((len(some), of_each, *shape), np.nan, np.float32)
    begin[:, -1] = pictures[some]
    return maximization.maximize(
      model,
      variables,
      _units(layer, channels[some], places[some], of_each),
      shape=shape,
      n=len(some) * of_each,
      steps=steps,
      low=low,
      high=high,
      start=begin.reshape(-1, *shape),
      inside=np.repeat(inside[some], of_each, axis=0),
      seed=seed,
      **settings,
    ).reshape(len(some), of_each, *shape)

  def measured(images):
    """Outputs for images [n, S, H, W, C] and for the real ones."""
    every = np.concatenate([images, pictures[:, None]], axis=1)
    values = _outputs(model, variables, layer, channels, places, every)
    return values[:, :-1], values[:, -1]

  every = np.arange(len(pictures))
  # The weights are arrays and the diversity above 0, so that both calls use one program.
  none = np.zeros(len(pictures) * of_each)
  strong = made(every, total_variation=none, diversity=np.finfo(np.float32).tiny, **MOVES).copy()
  values, real = measured(strong)
  weak = np.flatnonzero(values.max(1) <= real)
  if len(weak):
    target = _units(layer, channels[weak], places[weak], of_each)
    bounds = maximization.bounds_of(low, high, shape[-1])
    climbed = _climbed(
      model, variables, target, strong[weak].reshape(-1, *shape), inside[weak], bounds
    )
    strong[weak] = climbed.reshape(len(weak), of_each, *shape)
    values, real = measured(strong)
  differences = 2 * inside.sum((1, 2)) * np.mean(np.subtract(high, low)) * shape[-1]
  weights = np.repeat(smoothness * np.maximum(values.max(1), 0) / differences, of_each)
  smooth = made(every, total_variation=weights, diversity=diversity, **MOVES)
  return Visualization(
    smooth, strong[every, values.argmax(1)], real, measured(smooth)[0], values.max(1)
  )


def _climbed(model, variables, target, images, inside, bounds):
  """The images after sign-gradient ascent of their pixels, which reaches the bounds exactly."""
  inside = np.repeat(inside, len(images) // len(inside), axis=0)[..., None]

  def ascend(state, share):
    images, best, most = state
    values, pullback = jax.vjp(lambda each: units.scores(model, variables, each, target), images)
    better = values > most
    best = jnp.where(better[:, None, None, None], images, best)
    direction = jnp.sign(pullback(jnp.ones_like(values))[0]) * inside
    images = jnp.clip(images + CLIMB * share * (bounds[1] - bounds[0]) * direction, *bounds)
    return (images, best, jnp.maximum(values, most)), None

  shares = np.linspace(1, 0, CLIMBS, dtype=np.float32)
  start = images, images, np.full(len(images), -np.inf, np.float32)
  run = jax.jit(lambda start: jax.lax.scan(ascend, start, shares)[0][1])
  return np.asarray(run(start))


def _units(layer, channels, places, count):
  """The units, each of them for `count` images."""
  return Neuron(layer, np.repeat(channels, count), np.repeat(places, count, axis=0))


def _outputs(model, variables, layer, channels, places, images):
  """Outputs [n, S] of the unit of each row of images [n, S, H, W, C]."""
  count = images.shape[1]
  unit = _units(layer, channels, places, count)
  measure = jax.jit(lambda flat: units.scores(model, variables, flat, unit))
  return np.asarray(measure(images.reshape(-1, *images.shape[2:]))).reshape(-1, count)


def seen_by(
  model: nn.Module, shape: tuple[int, ...], layer: str, places: Integer[AnyArray, 'n 2']
) -> Bool[np.ndarray, 'n H W']:
  """The pixels of an image in the receptive field of units.

  Args:
    model: CNN.
    shape: (H, W, C) of an image.
    layer: name.
    places: (row, column) of each unit.

  Returns:
    Whether a pixel is in the receptive field.

  Raises:
    ValueError: as `fields.receptive_field`.
  """
  field = receptive_field(model, shape, layer)
  along = []
  for axis in range(2):
    first = field.start[axis] + field.stride[axis] * np.asarray(places)[:, axis, None]
    pixels = np.arange(shape[axis])
    along.append((pixels >= first) & (pixels < first + field.size[axis]))
  return along[0][:, :, None] & along[1][:, None, :]
