"""The attribution methods, by name, with the arguments that the analyses give them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from jaxdl.analysis import attribution
from jaxdl.analysis.units import AnyArray


class Method(NamedTuple):
  """An attribution method.

  Attributes:
    function: function (model, variables, inputs [B, …], target) → maps of the shape of the inputs,
      or [B, H, W] for a method without channels.
    signed: whether a positive number is evidence for the target and a negative one against it.
      Otherwise only the magnitude has a meaning.
  """

  function: Callable[..., Any]
  signed: bool = False


def of_images(layer: str, occluded: dict[str, Any]) -> dict[str, Method]:
  """The methods for convolutional networks.

  Args:
    layer: name of the layer for Grad-CAM.
    occluded: arguments of `attribution.occlusion`.

  Returns:
    Name → Method.
  """

  def integrated_gradients(model, variables, images, target):
    return attribution.integrated_gradients(model, variables, images, target).maps

  def grad_cam(model, variables, images, target):
    return attribution.grad_cam(model, variables, images, target, layer).upsampled

  def guided_grad_cam(model, variables, images, target):
    return attribution.guided_grad_cam(model, variables, images, target, layer)

  def occlusion(model, variables, images, target):
    return attribution.occlusion(model, variables, images, target, **occluded)

  return {
    'saliency': Method(attribution.saliency),
    'gradient × input': Method(attribution.input_x_gradient, signed=True),
    'SmoothGrad': Method(attribution.smooth_grad),
    'guided back-propagation': Method(attribution.guided_backprop),
    'deconvnet': Method(attribution.deconvnet),
    'integrated gradients': Method(integrated_gradients, signed=True),
    'Grad-CAM': Method(grad_cam),
    'guided Grad-CAM': Method(guided_grad_cam),
    'occlusion': Method(occlusion, signed=True),
  }


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
