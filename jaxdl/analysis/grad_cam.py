"""Grad-CAM: where in a layer's map a class is found."""

from typing import NamedTuple

import flax.linen as nn
import jax
import numpy as np

from jaxdl.analysis import units
from jaxdl.analysis.gradients import batched, check, say_silent, score_from
from jaxdl.analysis.guided_backprop import guided_backprop
from jaxdl.analysis.units import BATCH


class GradCAM(NamedTuple):
  """Grad-CAM.

  Attributes:
    maps: [B, h, w], on the places of the layer.
    upsampled: [B, H, W], on the pixels of the image.
  """

  maps: np.ndarray
  upsampled: np.ndarray


def grad_cam(model, variables, images, target, layer, *, relu=True, batch_size=BATCH):
  """The channels of a layer, each times its gradient's mean over all places, summed.

  The mean over places is exact for networks that average before their last layer; where one
  flattens instead, each place has weights of its own and the map is rough. A layer of 2 × 2 places
  locates little: take an earlier one.

  Args:
    model, variables: linen module and its variables.
    images: [B, H, W, C] floating.
    target: [B] int, or Neuron of a later layer.
    layer: name of a layer with places, taken after its activation.
    relu: bool, whether only what speaks for the target is kept; a map that is negative everywhere
      is then 0, with a warning.
    batch_size: int, images of one compiled call.

  Returns:
    GradCAM(maps, upsampled): bilinear between the centres of the places, constant beyond the outer
    ones.

  Raises:
    ValueError: images, a target or a layer that do not fit, a layer without places, a Neuron that
      does not come after it.

  Source: Selvaraju et al. 2017, Grad-CAM, section 3.
  """
  images = check(model, variables, images, target)
  shapes = units.check_layers(model, variables, images, [layer])
  if images.ndim != 4 or len(shapes[layer]) != 3:
    places = [name for name, shape in shapes.items() if len(shape) == 3 and images.ndim == 4]
    raise ValueError(
      f'layer {layer!r} has no places, its output is {shapes[layer]}: use one of {", ".join(places)}'
    )
  following = list(shapes)[list(shapes).index(layer) + 1 :]
  if isinstance(target, units.Neuron) and target.layer not in following:
    raise ValueError(
      f'target {target} does not come after layer {layer!r}: use a Neuron of {", ".join(following)}'
    )
  maps, upsampled = batched(
    _cam, model, variables, images, target, batch_size=batch_size, layer=layer, relu=relu
  )
  return GradCAM(say_silent(maps, target), upsampled)


def guided_grad_cam(model, variables, images, target, layer, *, batch_size=BATCH):
  """Guided back-propagation times the upsampled Grad-CAM: [B, H, W, C].

  Arguments as in `grad_cam`; Raises also as `guided_backprop`.

  Source: Selvaraju et al. 2017, Grad-CAM, section 3.2.
  """
  guided = guided_backprop(model, variables, images, target, batch_size=batch_size)
  return (
    grad_cam(model, variables, images, target, layer, batch_size=batch_size).upsampled[..., None]
    * guided
  )


def _cam(model, variables, images, target, *, layer, relu):
  outputs = units.outputs(model, variables, images, [layer])[1][layer]  # [B, h, w, F]
  slope = jax.grad(
    lambda outputs: score_from(model, variables, images, target, layer, outputs).sum()
  )(outputs)
  maps = (slope.mean((1, 2), keepdims=True) * outputs).sum(-1)  # [B, h, w]
  maps = nn.relu(maps) if relu else maps
  return maps, jax.image.resize(maps, images.shape[:3], 'bilinear')
