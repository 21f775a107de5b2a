"""Which pixels a logit or a unit depends on: every method by its name, those of the gradient alone
written here.

All take (model, variables, images, target, …): images [B, H, W, C] scaled as in training, target
the classes [B] int whose logits are explained, or a Neuron. All run in evaluation mode, as one
compiled program over a batch. A map that is zero everywhere, as that of a dead unit, comes with a
warning, and `silent(maps)` tells which ones are.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.analysis.grad_cam import GradCAM, grad_cam, guided_grad_cam
from jaxdl.analysis.gradients import batched, check, gradient, say_silent, silent
from jaxdl.analysis.guided_backprop import deconvnet, guided_backprop
from jaxdl.analysis.integrated_gradients import Integrated, integrated_gradients
from jaxdl.analysis.occlusion import occlusion
from jaxdl.analysis.sanity import Sanity, sanity
from jaxdl.analysis.units import BATCH, Neuron

__all__ = [
  'GradCAM',
  'Integrated',
  'Neuron',
  'Sanity',
  'deconvnet',
  'grad_cam',
  'guided_backprop',
  'guided_grad_cam',
  'input_x_gradient',
  'integrated_gradients',
  'occlusion',
  'saliency',
  'sanity',
  'silent',
  'smooth_grad',
]


def saliency(model, variables, images, target, *, batch_size=BATCH):
  """The gradient of the target, with its sign.

  Args:
    model, variables: linen module and its variables.
    images: [B, H, W, C] floating; rows [B, T, I] of a recurrent model do too.
    target: [B] int or Neuron.
    batch_size: int, images of one compiled call.

  Returns:
    [B, H, W, C], in units of the target for one of the pixel.

  Raises:
    ValueError: images or a target that do not fit.

  Source: Simonyan et al. 2014, Deep inside convolutional networks, section 3; they draw the
    greatest absolute channel.
  """
  images = check(model, variables, images, target)
  return say_silent(
    batched(gradient, model, variables, images, target, batch_size=batch_size), target
  )


def input_x_gradient(model, variables, images, target, *, batch_size=BATCH):
  """`saliency` times the image: of a ReLU network without biases it sums to the target.

  Arguments, result and errors as in `saliency`.

  Source: Shrikumar et al. 2016, Not just a black box, section 3.
  """
  images = check(model, variables, images, target)
  return images * say_silent(
    batched(gradient, model, variables, images, target, batch_size=batch_size), target
  )


def smooth_grad(
  model, variables, images, target, *, samples=32, noise=0.15, seed=0, batch_size=BATCH
):
  """`saliency` averaged over Gaussian noise on the image.

  Args:
    model, variables, images, target, batch_size: as in `saliency`.
    samples: int, noisy copies of an image.
    noise: the noise's deviation, as a share of the image's greatest minus its least number.
    seed: int; the noise follows it and the image's place among the images, not the batches.

  Returns:
    [B, H, W, C].

  Raises:
    ValueError: as `saliency`; fewer than one sample, or negative noise.

  Source: Smilkov et al. 2017, SmoothGrad, section 3.
  """
  if samples < 1 or noise < 0:
    raise ValueError(
      f'samples={samples} and noise={noise}: use at least one sample and noise of 0 or more'
    )
  images = check(model, variables, images, target)
  keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.PRNGKey(seed), np.arange(len(images)))
  return say_silent(
    batched(
      _smooth,
      model,
      variables,
      images,
      target,
      np.asarray(keys),
      np.full(len(images), noise),
      batch_size=batch_size,
      samples=samples,
    ),
    target,
  )


def _smooth(model, variables, images, target, keys, noise, *, samples):
  axes = tuple(range(1, images.ndim))
  extent = images.max(axes, keepdims=True) - images.min(axes, keepdims=True)
  deviation = extent * noise.reshape(-1, *(1 for _ in axes))

  def add(total, sample):
    key = jax.vmap(jax.random.fold_in, (0, None))(keys, sample)
    drawn = jax.vmap(lambda key: jax.random.normal(key, images.shape[1:], images.dtype))(key)
    return total + gradient(
      model, variables, images + (deviation * drawn).astype(images.dtype), target
    ), None

  return jax.lax.scan(add, jnp.zeros_like(images), jnp.arange(samples))[0] / samples
