"""Feature visualisation: images that excite a unit more than every image of the data."""

from typing import NamedTuple

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import Bool, Float, Float32, Integer

from jaxdl.analysis import maximization, units
from jaxdl.analysis.fields import receptive_field
from jaxdl.analysis.units import AnyArray, ArrayLike, Neuron, Variables

STARTS = 4  # images of a unit that start from noise; one more starts from the real image
STEPS = 256
DIVERSITY = 0.3
MOVES = {'jitter': 1, 'turn': 5.0, 'zoom': 0.05}  # for images of about 30 pixels


class Visualization(NamedTuple):
  """Images made for units, and the outputs of the units.

  Attributes:
    images: the images; the last one of each unit starts from the real image. Pixels that the unit
      does not see are in the middle of the range.
    values: output of the unit for each image.
    real: output of the unit for the real image.
    best: index of the made image with the greatest output.
  """

  images: Float32[np.ndarray, 'n S H W C']
  values: Float[np.ndarray, 'n S']
  real: Float[np.ndarray, 'n']
  best: Integer[np.ndarray, 'n']


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
  seed: int = 0,
) -> Visualization:
  """Images that excite units, from several noises and from the best real image of each unit.

  Waves (`parametrisation`) are fitted by `maximization.maximize`: first under small shifts,
  rotations and changes of size, with the images of a unit moved apart, then without either. One
  program is compiled for all units and starts. The made and the real images are measured by the
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
  count, shape = len(pictures), pictures.shape[1:]
  of_each = starts + 1
  target = Neuron(layer, np.repeat(channels, of_each), np.repeat(places, of_each, axis=0))
  inside = seen_by(model, shape, layer, places)
  begin = np.full((count, of_each, *shape), np.nan, np.float32)
  begin[:, -1] = pictures
  made = maximization.maximize(
    model,
    variables,
    target,
    shape=shape,
    n=count * of_each,
    steps=steps,
    low=low,
    high=high,
    diversity=diversity,
    start=begin.reshape(-1, *shape),
    inside=np.repeat(inside, of_each, axis=0),
    seed=seed,
    **MOVES,
  ).reshape(count, of_each, *shape)
  every = np.concatenate([made, pictures[:, None]], axis=1)
  compared = Neuron(layer, np.repeat(channels, of_each + 1), np.repeat(places, of_each + 1, axis=0))
  measure = jax.jit(lambda images: units.scores(model, variables, images, compared))
  values = np.asarray(measure(every.reshape(-1, *shape))).reshape(count, -1)
  values, real = values[:, :-1], values[:, -1]
  return Visualization(made, values, real, values.argmax(1))


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
