"""The attribution methods, by name, with the arguments that the analyses give them."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from jaxdl.analysis import attribution
from jaxdl.analysis.units import AnyArray, ArrayLike


class Method(NamedTuple):
  """An attribution method.

  Attributes:
    function: function (model, variables, inputs [B, …], target) → maps of the shape of the inputs,
      or [B, H, W] for a method without channels.
    signed: whether a positive number is evidence for the target and a negative one against it.
      Otherwise only the magnitude has a meaning.
    slow: whether it computes the network for many masked or changed copies of each image.
  """

  function: Callable[..., Any]
  signed: bool = False
  slow: bool = False


FIRST = (  # shown by the analysis `attributions`
  'saliency',
  'gradient × input',
  'SmoothGrad',
  'guided back-propagation',
  'deconvnet',
  'integrated gradients',
  'Grad-CAM',
  'guided Grad-CAM',
  'occlusion',
)


def of_images(
  layer: str,
  occluded: dict[str, Any],
  *,
  limits: tuple[ArrayLike, ArrayLike] | None = None,
  background: Shaped[AnyArray, 'N ...'] | None = None,
) -> dict[str, Method]:
  """The methods for convolutional networks: first those of FIRST, in this order.

  Args:
    layer: name of the layer for the class activation maps.
    occluded: arguments of `attribution.occlusion`. Its 'fill' also fills what RISE masks.
    limits: lowest and highest number that a pixel can have, or those of each channel, for 'LRP
      composite'; None for the lowest and highest of each channel of the given images.
    background: images for 'expected gradients'; None for the given images.

  Returns:
    Name → Method.
  """

  def lrp_composite(model, variables, images, target):
    rules = attribution.epsilon_gamma_box(*(_range(images) if limits is None else limits))
    return attribution.lrp(model, variables, images, target, rules).maps

  def expected_gradients(model, variables, images, target):
    others = images if background is None else background
    return attribution.expected_gradients(model, variables, images, target, others).maps

  def of_layer(function):
    return _field('upsampled', functools.partial(function, layer=layer))

  guided_grad_cam = functools.partial(attribution.guided_grad_cam, layer=layer)
  occlusion = functools.partial(attribution.occlusion, **occluded)
  fill = occluded.get('fill')
  rise = functools.partial(attribution.rise, fill=0.0 if fill is None else fill)
  return {
    'saliency': Method(attribution.saliency),
    'gradient × input': Method(attribution.input_x_gradient, signed=True),
    'SmoothGrad': Method(attribution.smooth_grad),
    'guided back-propagation': Method(attribution.guided_backprop),
    'deconvnet': Method(attribution.deconvnet),
    'integrated gradients': Method(_field('maps', attribution.integrated_gradients), signed=True),
    'Grad-CAM': Method(of_layer(attribution.grad_cam)),
    'guided Grad-CAM': Method(guided_grad_cam),
    'occlusion': Method(occlusion, signed=True),
    'LRP-ε': Method(_field('maps', attribution.lrp), signed=True),
    'LRP composite': Method(lrp_composite, signed=True),
    'DeepLIFT': Method(_field('maps', attribution.deep_lift), signed=True),
    'expected gradients': Method(expected_gradients, signed=True),
    'HiResCAM': Method(of_layer(attribution.hires_cam)),
    'LayerCAM': Method(of_layer(attribution.layer_cam)),
    'Score-CAM': Method(of_layer(attribution.score_cam), slow=True),
    'Ablation-CAM': Method(of_layer(attribution.ablation_cam), slow=True),
    'RISE': Method(rise, signed=True, slow=True),
  }


def _field(name, function):
  """A function that returns one field of the result of another."""

  def field(model, variables, images, target):
    return getattr(function(model, variables, images, target), name)

  return field


def _range(images):
  """Lowest and highest number of each channel."""
  images = np.asarray(images)
  axes = tuple(range(images.ndim - 1))
  return images.min(axes), images.max(axes)


def without_channels(
  maps: Shaped[AnyArray, 'B ...'], method: Method, axes: int = 3
) -> Float[np.ndarray, 'B ...']:
  """Reduces the channels of maps.

  The channels of signed maps are added; of the others, the greatest magnitude is taken.

  Args:
    maps: [B, H, W, C] or [B, H, W] of images, or [B, T, I] or [B, T] of sequences.
    method: the method that made them.
    axes: number of axes of the result: 3 for images, 2 for sequences.

  Returns:
    maps [B, H, W] or [B, T].
  """
  maps = np.asarray(maps)
  if maps.ndim == axes:
    return maps
  return maps.sum(-1) if method.signed else np.abs(maps).max(-1)
