"""Grad-CAM: where in a layer's map the evidence for a class is."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np
from jax import Array
from jaxtyping import Float, Shaped

from jaxdl.analysis import units
from jaxdl.analysis.maps.gradients import batched, check, say_silent, score_from
from jaxdl.analysis.maps.guided_backprop import guided_backprop
from jaxdl.analysis.units import BATCH, AnyArray, Target, Variables


class GradCAM(NamedTuple):
  """Grad-CAM maps.

  Attributes:
    maps: at the positions of the layer.
    upsampled: at the pixels of the image.
  """

  maps: Float[np.ndarray, 'B h w']
  upsampled: Float[np.ndarray, 'B H W']


def grad_cam(
  model: nn.Module,
  variables: Variables,
  images: Shaped[AnyArray, 'B ...'],
  target: Target,
  layer: str,
  *,
  relu: bool = True,
  batch_size: int = BATCH,
) -> GradCAM:
  """Sum of the channels of a layer, each weighted by the mean of its gradient over all positions.

  The mean over positions is exact for networks that average before their last layer; where one
  flattens instead, each position has its own weights and the map is coarse. A layer of 2 × 2
  positions locates little: use an earlier one.

  Args:
    model: linen module.
    variables: its variables.
    images: [B, H, W, C] floating point.
    target: classes [B] int, or Neuron of a later layer.
    layer: name of a layer with spatial positions, taken after its activation.
    relu: whether only positive evidence is kept; a map that is negative everywhere is then 0, with
      a warning.
    batch_size: images in one compiled call.

  Returns:
    GradCAM(maps, upsampled): bilinear between the centres of the positions, constant beyond the
    outer ones.

  Raises:
    ValueError: images, a target or a layer that do not fit, a layer without spatial positions, or
      a Neuron that does not come after it.

  Source: Selvaraju et al. 2017, Grad-CAM, section 3.
  """
  return class_activation(
    _cam, model, variables, images, target, layer, batch_size=batch_size, relu=relu
  )


def class_activation(
  function: Callable[..., Any],
  model: nn.Module,
  variables: Variables,
  images: Shaped[AnyArray, 'B ...'],
  target: Target,
  layer: str,
  *,
  batch_size: int = BATCH,
  **fixed: Any,
) -> GradCAM:
  """Applies a class activation map to images in batches.

  Args:
    function: module-level pure function (model, variables, images, target, *, layer, **fixed) →
      maps [B, h, w].
    model, variables, images, target, layer, batch_size: as in `grad_cam`.
    fixed: hashable keywords of the function.

  Returns, Raises: as `grad_cam`.
  """
  images = check_places(model, variables, images, target, layer)
  maps, upsampled = batched(
    _enlarged,
    model,
    variables,
    images,
    target,
    batch_size=batch_size,
    of_layer=function,
    layer=layer,
    **fixed,
  )
  return GradCAM(say_silent(maps, target), upsampled)


def _enlarged(model, variables, images, target, *, of_layer, layer, **fixed):
  """The maps, at the positions of the layer and enlarged to the images."""
  maps = of_layer(model, variables, images, target, layer=layer, **fixed)
  return maps, resized(maps, images)


def resized(
  maps: Float[Array, 'B h w'], images: Shaped[AnyArray, 'B H W C']
) -> Float[Array, 'B H W']:
  """Maps enlarged to the size of the images (a pure function)."""
  return jax.image.resize(maps, images.shape[:3], 'bilinear')


def slope(
  model: nn.Module,
  variables: Variables,
  images: Shaped[AnyArray, 'B H W C'],
  target: Target,
  layer: str,
) -> tuple[Float[Array, 'B h w F'], Float[Array, 'B h w F']]:
  """(output of the layer, gradient of the score with respect to it), a pure function."""
  outputs = units.outputs(model, variables, images, [layer])[1][layer]

  def score(outputs):
    return score_from(model, variables, images, target, layer, outputs).sum()

  return outputs, jax.grad(score)(outputs)


def check_places(
  model: nn.Module,
  variables: Variables,
  images: Shaped[AnyArray, '*shape'],
  target: Target,
  layer: str,
) -> Float[np.ndarray, '*shape']:
  """Checks that the positions of a layer can explain images and a target.

  Arguments, result and errors as in `grad_cam`.
  """
  images = check(model, variables, images, target)
  shapes = units.check_layers(model, variables, images, [layer])
  if images.ndim != 4 or len(shapes[layer]) != 3:
    places = [name for name, shape in shapes.items() if len(shape) == 3 and images.ndim == 4]
    raise ValueError(
      f'layer {layer!r} has no spatial positions, its output is {shapes[layer]}: '
      f'use one of {", ".join(places)}'
    )
  following = list(shapes)[list(shapes).index(layer) + 1 :]
  if isinstance(target, units.Neuron) and target.layer not in following:
    raise ValueError(
      f'target {target} does not come after layer {layer!r}: use a Neuron of {", ".join(following)}'
    )
  return images


def guided_grad_cam(
  model: nn.Module,
  variables: Variables,
  images: Shaped[AnyArray, 'B *pixels'],
  target: Target,
  layer: str,
  *,
  batch_size: int = BATCH,
) -> Float[np.ndarray, 'B *pixels']:
  """Guided back-propagation times the upsampled Grad-CAM.

  Arguments as in `grad_cam`; errors also as in `guided_backprop`.

  Source: Selvaraju et al. 2017, Grad-CAM, section 3.2.
  """
  guided = guided_backprop(model, variables, images, target, batch_size=batch_size)
  cam = grad_cam(model, variables, images, target, layer, batch_size=batch_size)
  return cam.upsampled[..., None] * guided


def _cam(model, variables, images, target, *, layer, relu):
  outputs, gradient = slope(model, variables, images, target, layer)
  maps = (gradient.mean((1, 2), keepdims=True) * outputs).sum(-1)  # [B, h, w]
  return nn.relu(maps) if relu else maps
