"""Expected gradients: integrated gradients averaged over baselines from the data."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float64, Shaped

from jaxdl.analysis import batches, units
from jaxdl.analysis.maps.gradients import check, gradient, labels_of, program, say_silent
from jaxdl.analysis.units import BATCH, AnyArray, Target, Variables


class Expected(NamedTuple):
  """Expected gradients.

  Attributes:
    maps: maps of the shape of the images.
    gap: sum of each map minus the mean difference of the target between the image and the
      background images that were drawn for it: the error of the sampling of positions.
  """

  maps: Float[np.ndarray, 'B *pixels']
  gap: Float64[np.ndarray, 'B']


def expected_gradients(
  model: nn.Module,
  variables: Variables,
  images: Shaped[AnyArray, 'B *pixels'],
  target: Target,
  background: Shaped[AnyArray, 'N ...'],
  *,
  samples: int = 64,
  fixed_channels: int = 0,
  seed: int = 0,
  batch_size: int = BATCH,
) -> Expected:
  """Image minus a background image, times the gradient at a point between them; mean over both.

  Each sample draws one background image and one position on the straight line to the image. The
  positions are stratified: one in each of `samples` equal parts of the line. No single baseline has
  to be chosen, such as black, in which black pixels get no attribution.

  Args:
    model: linen module.
    variables: its variables.
    images: [B, H, W, C] floating point, or other inputs of the model.
    target: classes [B] int, or Neuron.
    background: images from the data, on the same scale.
    samples: pairs of a background image and a position for each image.
    fixed_channels: number of the last channels that keep the image's values, such as the mask of a
      sequence.
    seed: seed of the draws, which depend on it and on the image's index, not on the batches.
    batch_size: images in one compiled call.

  Returns:
    Expected(maps, gap).

  Raises:
    ValueError: images or a target that do not fit, background images of another shape or none, or
      fewer than one sample.

  Source: Erion et al. 2021, Improving performance of deep learning models with axiomatic
  attribution priors and expected gradients, section 'Expected gradients'.
  """
  images = check(model, variables, images, target)
  background = np.asarray(background, images.dtype)
  if background.shape[1:] != images.shape[1:] or not len(background):
    raise ValueError(
      f'background of shape {background.shape} does not fit images of shape {images.shape}: give '
      f'at least one image of shape {images.shape[1:]}'
    )
  if samples < 1:
    raise ValueError(f'samples={samples} is not a number of samples: use at least 1')
  keys = units.keys_of(jax.random.PRNGKey(seed), len(images))
  compiled = program(
    _expect, model, variables, target, samples=samples, fixed_channels=fixed_channels
  )
  background = jax.device_put(background)
  parts = batches.in_batches(
    lambda *arrays: compiled(*arrays, background),
    images,
    labels_of(images, target),
    np.asarray(keys),
    batch_size=batch_size,
  )
  found = [part for _, part in parts]
  maps, change = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
  total = maps.reshape(len(maps), -1).sum(1, dtype=np.float64)
  return Expected(say_silent(maps, target), total - change)


def drawn(
  key: Shaped[AnyArray, '2'], sample: int | jax.Array, samples: int, count: int
) -> tuple[Shaped[jax.Array, ''], Float[jax.Array, '']]:
  """(index of a background image, position in 0..1) of a sample of one image (a pure function).

  Args:
    key: key of the image.
    sample: number of the sample.
    samples: number of samples.
    count: number of background images.
  """
  of_image, of_position = jax.random.split(jax.random.fold_in(key, sample))
  index = jax.random.randint(of_image, (), 0, count)
  return index, (sample + jax.random.uniform(of_position)) / samples


def with_fixed(
  baselines: Shaped[AnyArray, 'B ... C'], images: Shaped[AnyArray, 'B ... C'], channels: int
) -> Shaped[AnyArray, 'B ... C']:
  """Baselines with the last channels of the images (a pure function).

  Args:
    baselines: arrays of the shape of the images.
    images: the images.
    channels: number of the last channels that are taken from the images.
  """
  if not channels:
    return baselines
  return jnp.concatenate([baselines[..., :-channels], images[..., -channels:]], axis=-1)


def _expect(model, variables, images, target, keys, background, *, samples, fixed_channels):
  def add(total, sample):
    index, position = jax.vmap(lambda key: drawn(key, sample, samples, len(background)))(keys)
    position = position.reshape(-1, *(1 for _ in images.shape[1:])).astype(images.dtype)
    baselines = with_fixed(background[index], images, fixed_channels)
    way = images - baselines
    found = way * gradient(model, variables, baselines + position * way, target)
    scores = units.scores(model, variables, baselines, target)
    return (total[0] + found, total[1] + scores), None

  start = jnp.zeros_like(images), jnp.zeros(len(images), images.dtype)
  (maps, scores), _ = jax.lax.scan(add, start, jnp.arange(samples))
  change = units.scores(model, variables, images, target) - scores / samples
  return maps / samples, change
