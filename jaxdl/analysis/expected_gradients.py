"""Expected gradients: integrated gradients averaged over baselines from the data."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float64, Shaped

from jaxdl.analysis import units
from jaxdl.analysis.gradients import batched, check, gradient, say_silent
from jaxdl.analysis.units import BATCH, AnyArray, Target, Variables


def expected_gradients(
  model: nn.Module,
  variables: Variables,
  images: Shaped[AnyArray, 'B *pixels'],
  target: Target,
  background: Shaped[AnyArray, 'N *pixels'],
  *,
  samples: int = 64,
  fixed_channels: int = 0,
  seed: int = 0,
  batch_size: int = BATCH,
) -> Float[np.ndarray, 'B *pixels']:
  """Mean of (image − baseline) × gradient between them, over baselines from the background.

  The background images are used in turn. The places between a baseline and the image are stratified
  over 0..1, in an order that depends on the seed and on the image's index, not on the batches.

  Args:
    model: linen module.
    variables: its variables.
    images: [B, H, W, C] floating point, or steps [B, T, I].
    target: classes [B] int, or Neuron.
    background: images of the same shape, such as training images.
    samples: gradients of each image; a multiple of N uses all background images equally.
    fixed_channels: number of the last channels that keep the image's values, such as a mask.
    seed: seed of the places.
    batch_size: images in one compiled call.

  Returns:
    maps. They sum to the score minus the mean score of the background, up to the error of the
    sampling; see `background_scores`.

  Raises:
    ValueError: images or a target that do not fit, a background of another shape, or fewer than one
      sample.

  Source: Erion et al. 2021, Improving performance of deep learning models with axiomatic
    attribution priors and expected gradients, equation 4.
  """
  images = check(model, variables, images, target)
  if samples < 1:
    raise ValueError(f'samples={samples} is too few: use at least 1')
  background = _checked(background, images)
  keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.PRNGKey(seed), np.arange(len(images)))
  maps = batched(
    _expected,
    model,
    {'model': variables, 'background': background},
    images,
    target,
    np.asarray(keys),
    batch_size=batch_size,
    samples=samples,
    fixed_channels=fixed_channels,
  )
  return say_silent(maps, target)


def background_scores(
  model: nn.Module,
  variables: Variables,
  images: Shaped[AnyArray, 'B *pixels'],
  target: Target,
  background: Shaped[AnyArray, 'N *pixels'],
  *,
  fixed_channels: int = 0,
  batch_size: int = BATCH,
) -> Float64[np.ndarray, 'B']:
  """Mean score of the background for each image's target.

  Arguments and errors as in `expected_gradients`.
  """
  images = check(model, variables, images, target)
  background = _checked(background, images)
  return batched(
    _mean_scores,
    model,
    {'model': variables, 'background': background},
    images,
    target,
    batch_size=batch_size,
    fixed_channels=fixed_channels,
  ).astype(np.float64)


def _checked(background, images):
  background = np.asarray(background, images.dtype)
  if background.shape[1:] != images.shape[1:] or not len(background):
    raise ValueError(
      f'background of shape {background.shape} does not fit images of shape {images.shape}: give '
      'at least one of the same shape'
    )
  return background


def _expected(model, variables, images, target, keys, *, samples, fixed_channels):
  background = variables['background']

  def places(key):  # one place in each of `samples` equal parts of 0..1, in a random order
    order, within = jax.random.split(key)
    parts = jax.random.permutation(order, samples)
    return ((parts + jax.random.uniform(within, (samples,))) / samples).astype(images.dtype)

  def add(total, sample):
    number, place = sample
    baseline = _baseline(images, background, number, fixed_channels)
    difference = images - baseline
    here = baseline + difference * place.reshape(-1, *(1 for _ in images.shape[1:]))
    return total + difference * gradient(model, variables['model'], here, target), None

  path = jnp.arange(samples), jax.vmap(places)(keys).T
  total, _ = jax.lax.scan(add, jnp.zeros_like(images), path)
  return total / samples


def _mean_scores(model, variables, images, target, *, fixed_channels):
  background = variables['background']

  def score(number):
    baseline = _baseline(images, background, number, fixed_channels)
    return units.scores(model, variables['model'], baseline, target)

  return jax.lax.map(score, jnp.arange(len(background))).mean(0)


def _baseline(images, background, number, fixed_channels):
  """A background image for each image, with the image's own fixed channels."""
  chosen = jnp.broadcast_to(background[number % len(background)], images.shape)
  if not fixed_channels:
    return chosen
  return jnp.concatenate([chosen[..., :-fixed_channels], images[..., -fixed_channels:]], axis=-1)
