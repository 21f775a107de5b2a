"""Class activation maps of a layer, weighted by gradients at each position or by masked images.

`grad_cam.grad_cam` has one weight for each channel, the mean of its gradient.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float, Shaped

from jaxdl.analysis import units
from jaxdl.analysis.maps.grad_cam import GradCAM, class_activation, resized, slope
from jaxdl.analysis.maps.gradients import score_from
from jaxdl.analysis.units import BATCH, AnyArray, Target, Variables


def hires_cam(
  model: nn.Module,
  variables: Variables,
  images: Shaped[AnyArray, 'B ...'],
  target: Target,
  layer: str,
  *,
  relu: bool = True,
  batch_size: int = BATCH,
) -> GradCAM:
  """Sum over the channels of a layer of its output times its gradient (HiResCAM).

  In a network whose layer is followed by one dense layer, the map without ReLU sums to the target
  minus the bias. Grad-CAM averages the gradients over the positions first, and may then mark
  positions that the network does not use.

  Arguments, result and errors as in `grad_cam`.

  Source: Draelos & Carin 2020, Use HiResCAM instead of Grad-CAM, section 3.
  """
  return class_activation(
    _hires, model, variables, images, target, layer, batch_size=batch_size, relu=relu
  )


def _hires(model, variables, images, target, *, layer, relu):
  outputs, gradient = slope(model, variables, images, target, layer)
  maps = (gradient * outputs).sum(-1)
  return nn.relu(maps) if relu else maps


def layer_cam(
  model: nn.Module,
  variables: Variables,
  images: Shaped[AnyArray, 'B ...'],
  target: Target,
  layer: str,
  *,
  batch_size: int = BATCH,
) -> GradCAM:
  """Sum over the channels of a layer of its output times its positive gradient (LayerCAM).

  It also suits earlier layers, whose positions are finer. A map of zeros gives a warning.

  Arguments, result and errors as in `grad_cam`.

  Source: Jiang et al. 2021, LayerCAM, section III-B.
  """
  return class_activation(
    _layer_cam, model, variables, images, target, layer, batch_size=batch_size
  )


def _layer_cam(model, variables, images, target, *, layer):
  outputs, gradient = slope(model, variables, images, target, layer)
  return nn.relu((nn.relu(gradient) * outputs).sum(-1))


def score_cam(
  model: nn.Module,
  variables: Variables,
  images: Shaped[AnyArray, 'B ...'],
  target: Target,
  layer: str,
  *,
  batch_size: int = BATCH,
) -> GradCAM:
  """Sum of the channels of a layer, each weighted by the score of the image that it masks.

  Each channel is enlarged to the image, scaled to 0..1 and multiplied with the image. The weights
  are the softmax over the channels of the increase of the score over that of an image of zeros
  (Score-CAM). It needs one forward pass for each channel.

  Arguments, result and errors as in `grad_cam`. A constant channel masks the complete image.

  Source: Wang et al. 2020, Score-CAM: score-weighted visual explanations, algorithm 1.
  """
  return class_activation(
    _score_cam, model, variables, images, target, layer, batch_size=batch_size
  )


def _score_cam(model, variables, images, target, *, layer):
  outputs = units.outputs(model, variables, images, [layer])[1][layer]  # [B, h, w, F]
  blank = units.scores(model, variables, jnp.zeros_like(images), target)

  def increase(channel):
    mask = resized(outputs[..., channel], images)
    low, high = mask.min((1, 2), keepdims=True), mask.max((1, 2), keepdims=True)
    span = jnp.where(high > low, high - low, 1)
    mask = jnp.where(high > low, (mask - low) / span, 1)[..., None]
    return units.scores(model, variables, images * mask, target) - blank

  weights = _of_channels(increase, outputs)  # [F, B]
  weights = jax.nn.softmax(weights, axis=0).T[:, None, None]
  return nn.relu((weights * outputs).sum(-1))


def ablation_cam(
  model: nn.Module,
  variables: Variables,
  images: Shaped[AnyArray, 'B ...'],
  target: Target,
  layer: str,
  *,
  batch_size: int = BATCH,
) -> GradCAM:
  """Sum of the channels of a layer, each weighted by the drop of the score without the channel.

  It needs one forward pass from the layer for each channel (Ablation-CAM). The paper divides the
  drop by the score, which reverses the map where a logit is negative. Here it is divided by the
  magnitude of the score; a score of 0 leaves the drop as it is.

  Arguments, result and errors as in `grad_cam`.

  Source: Desai & Ramaswamy 2020, Ablation-CAM: visual explanations for deep convolutional network
  via gradient-free localization, section 3.
  """
  return class_activation(
    _ablation_cam, model, variables, images, target, layer, batch_size=batch_size
  )


def _ablation_cam(model, variables, images, target, *, layer):
  outputs = units.outputs(model, variables, images, [layer])[1][layer]  # [B, h, w, F]
  before = score_from(model, variables, images, target, layer, outputs)
  channels = jnp.arange(outputs.shape[-1])

  def drop(channel):
    without = jnp.where(channels == channel, 0, outputs)
    return before - score_from(model, variables, images, target, layer, without)

  weights = _of_channels(drop, outputs)  # [F, B]
  weights = weights / jnp.where(before == 0, 1, jnp.abs(before))
  return nn.relu((weights.T[:, None, None] * outputs).sum(-1))


def _of_channels(
  function: Callable[..., Float[jax.Array, 'B']], outputs: Float[jax.Array, 'B h w F']
) -> Float[jax.Array, 'F B']:
  """A function of each channel's number, one after another, so that memory is that of one."""
  return jax.lax.map(function, jnp.arange(outputs.shape[-1]))
