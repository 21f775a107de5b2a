"""Attribution: which pixels a logit or a unit depends on.

Every method is found here by its name. All take (model, variables, images, target, …): images
[B, H, W, C] scaled as in training, target the classes [B] int whose logits are explained, or a
Neuron. All run in evaluation mode, as one compiled program for each batch. A map that is zero
everywhere, such as that of a dead unit, raises a warning; `silent(maps)` finds these maps.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Shaped

from jaxdl.analysis import units
from jaxdl.analysis.grading.sanity import Sanity, sanity
from jaxdl.analysis.maps.class_activation import ablation_cam, hires_cam, layer_cam, score_cam
from jaxdl.analysis.maps.deep_lift import DeepLift, deep_lift
from jaxdl.analysis.maps.expected_gradients import Expected, expected_gradients
from jaxdl.analysis.maps.grad_cam import GradCAM, grad_cam, guided_grad_cam
from jaxdl.analysis.maps.gradients import batched, check, gradient, say_silent, silent
from jaxdl.analysis.maps.guided_backprop import deconvnet, guided_backprop
from jaxdl.analysis.maps.integrated_gradients import Integrated, integrated_gradients
from jaxdl.analysis.maps.occlusion import occlusion
from jaxdl.analysis.maps.relevance import Relevance, epsilon_gamma_box, lrp
from jaxdl.analysis.maps.rise import rise
from jaxdl.analysis.units import BATCH, AnyArray, Neuron, Number, Target, Variables

__all__ = [
  'DeepLift',
  'Expected',
  'GradCAM',
  'Integrated',
  'Neuron',
  'Relevance',
  'Sanity',
  'ablation_cam',
  'deconvnet',
  'deep_lift',
  'epsilon_gamma_box',
  'expected_gradients',
  'grad_cam',
  'guided_backprop',
  'guided_grad_cam',
  'hires_cam',
  'input_x_gradient',
  'integrated_gradients',
  'layer_cam',
  'lrp',
  'occlusion',
  'rise',
  'saliency',
  'sanity',
  'score_cam',
  'silent',
  'smooth_grad',
]


def saliency(
  model: nn.Module,
  variables: Variables,
  images: Shaped[AnyArray, 'B *pixels'],
  target: Target,
  *,
  batch_size: int = BATCH,
) -> Float[np.ndarray, 'B *pixels']:
  """Gradient of the target with respect to the pixels, with its sign.

  Args:
    model: linen module.
    variables: its variables.
    images: [B, H, W, C] floating point, or rows [B, T, I] of a recurrent model.
    target: classes [B] int, or Neuron.
    batch_size: images in one compiled call.

  Returns:
    maps, in units of the target per unit of the pixel.

  Raises:
    ValueError: images or a target that do not fit the model.

  Source: Simonyan et al. 2014, Deep inside convolutional networks, section 3; their figures show
    the channel of the greatest absolute value.
  """
  images = check(model, variables, images, target)
  maps = batched(gradient, model, variables, images, target, batch_size=batch_size)
  return say_silent(maps, target)


def input_x_gradient(
  model: nn.Module,
  variables: Variables,
  images: Shaped[AnyArray, 'B *pixels'],
  target: Target,
  *,
  batch_size: int = BATCH,
) -> Float[np.ndarray, 'B *pixels']:
  """`saliency` times the image; it sums to the target for a ReLU network without biases.

  Arguments, result and errors as in `saliency`.

  Source: Shrikumar et al. 2016, Not just a black box, section 3.
  """
  images = check(model, variables, images, target)
  maps = batched(gradient, model, variables, images, target, batch_size=batch_size)
  return images * say_silent(maps, target)


def smooth_grad(
  model: nn.Module,
  variables: Variables,
  images: Shaped[AnyArray, 'B *pixels'],
  target: Target,
  *,
  samples: int = 32,
  noise: Number = 0.15,
  fixed_channels: int = 0,
  seed: int = 0,
  batch_size: int = BATCH,
) -> Float[np.ndarray, 'B *pixels']:
  """`saliency` averaged over Gaussian noise on the image (SmoothGrad).

  Args:
    model: linen module.
    variables: its variables.
    images: as in `saliency`.
    target: as in `saliency`.
    samples: noisy copies of each image.
    noise: standard deviation of the noise, as a fraction of the image's range (its greatest minus
      its least number).
    fixed_channels: number of the last channels that have no noise, such as the mask of a sequence.
    seed: seed of the noise, which depends on it and on the image's index, not on the batches.
    batch_size: images in one compiled call.

  Returns:
    maps.

  Raises:
    ValueError: as in `saliency`; fewer than one sample, or negative noise.

  Source: Smilkov et al. 2017, SmoothGrad, section 3.
  """
  if samples < 1 or noise < 0:
    raise ValueError(
      f'samples={samples} and noise={noise}: use at least one sample and noise of 0 or more'
    )
  images = check(model, variables, images, target)
  keys = units.keys_of(jax.random.PRNGKey(seed), len(images))
  maps = batched(
    _smooth,
    model,
    variables,
    images,
    target,
    np.asarray(keys),
    np.full(len(images), noise),
    batch_size=batch_size,
    samples=samples,
    fixed_channels=fixed_channels,
  )
  return say_silent(maps, target)


def _smooth(model, variables, images, target, keys, noise, *, samples, fixed_channels):
  axes = tuple(range(1, images.ndim))
  channels = images.shape[-1]
  noisy_part = images[..., : channels - fixed_channels]
  extent = noisy_part.max(axes, keepdims=True) - noisy_part.min(axes, keepdims=True)
  deviation = extent * noise.reshape(-1, *(1 for _ in axes))
  if fixed_channels:
    deviation = deviation * (jnp.arange(channels) < channels - fixed_channels)

  def add(total, sample):
    of_sample = jax.vmap(jax.random.fold_in, (0, None))(keys, sample)
    normal = jax.vmap(lambda key: jax.random.normal(key, images.shape[1:], images.dtype))(of_sample)
    noisy = images + (deviation * normal).astype(images.dtype)
    return total + gradient(model, variables, noisy, target), None

  total, _ = jax.lax.scan(add, jnp.zeros_like(images), jnp.arange(samples))
  return total / samples
