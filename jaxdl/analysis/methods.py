"""The attribution methods, by name, with the arguments that the analyses give them."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import numpy as np
from jaxtyping import Float, Shaped

from jaxdl.analysis import attribution, units
from jaxdl.analysis.grading.completeness import background_scores
from jaxdl.analysis.maps import recurrent_lrp
from jaxdl.analysis.maps.expected_gradients import expected_gradients
from jaxdl.analysis.maps.gradients import batched, check
from jaxdl.analysis.maps.last_character import LastCharacter, differentiable, vectors
from jaxdl.analysis.maps.step_occlusion import step_occlusion
from jaxdl.analysis.units import AnyArray, ArrayLike


class Method(NamedTuple):
  """An attribution method.

  Attributes:
    function: function (model, variables, inputs [B, …], target) → maps of the shape of the inputs,
      or [B, H, W] for a method without channels.
    signed: whether a positive number is evidence for the target and a negative one against it.
      Otherwise only the magnitude has a meaning.
    baseline_score: function of the same arguments → scores [B]. A complete map sums to the score of
      its input minus this; None for a method whose sum has no meaning.
    slow: whether it computes the network for many masked or changed copies of each image.
  """

  function: Callable[..., Any]
  signed: bool = False
  baseline_score: Callable[..., Any] | None = None
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

  def of_background(model, variables, images, target):
    others = images if background is None else background
    return background_scores(model, variables, images, target, others)

  def of_layer(function):
    return _field('upsampled', functools.partial(function, layer=layer))

  guided_grad_cam = functools.partial(attribution.guided_grad_cam, layer=layer)
  occlusion = functools.partial(attribution.occlusion, **occluded)
  fill = occluded.get('fill')
  rise = functools.partial(attribution.rise, fill=0.0 if fill is None else fill)
  return {
    'saliency': Method(attribution.saliency),
    'gradient × input': Method(attribution.input_x_gradient, True, _of_zeros),
    'SmoothGrad': Method(attribution.smooth_grad),
    'guided back-propagation': Method(attribution.guided_backprop),
    'deconvnet': Method(attribution.deconvnet),
    'integrated gradients': Method(
      _field('maps', attribution.integrated_gradients), True, _of_zeros
    ),
    'Grad-CAM': Method(of_layer(attribution.grad_cam)),
    'guided Grad-CAM': Method(guided_grad_cam),
    'occlusion': Method(occlusion, True, _of_zeros),
    'LRP-ε': Method(_field('maps', attribution.lrp), True, _zero),
    'LRP composite': Method(lrp_composite, True, _zero),
    'DeepLIFT': Method(_field('maps', attribution.deep_lift), True, _of_zeros),
    'expected gradients': Method(expected_gradients, True, of_background),
    'HiResCAM': Method(of_layer(attribution.hires_cam)),
    'LayerCAM': Method(of_layer(attribution.layer_cam)),
    'Score-CAM': Method(of_layer(attribution.score_cam), slow=True),
    'Ablation-CAM': Method(of_layer(attribution.ablation_cam), slow=True),
    'RISE': Method(rise, signed=True, slow=True),
  }


def of_sequences(
  model: nn.Module,
  background: Shaped[AnyArray, 'N T ...'] | None = None,
  *,
  baseline: ArrayLike = 0.0,
  seed: int = 0,
) -> dict[str, Method]:
  """The methods for networks that read steps, and for models of characters.

  The function of a method takes (model, variables, inputs, target). For a classifier, inputs are
  steps [B, T, I] and target the classes [B]. For a character model, inputs are characters [B, T]
  int, read from a state of zeros, and target the characters [B] whose logits after the last
  position are explained; maps are with respect to the characters' vectors, [B, T, E], and
  `without_channels(maps, method, axes=2)` gives one number for each character. Occlusion returns
  [B, T]. The mask of sequences of different lengths is never changed, and its map is 0.

  The score is the logit, not the logarithm of the probability: it is what LRP starts from, and its
  gradient does not vanish where the network is certain.

  Args:
    model: a network of steps, LanguageModel, Transformer, or LastCharacter, whose inputs are
      vectors. 'LRP' is in the table for recurrent networks only; see `recurrent_lrp.lacking`.
    background: inputs for 'expected gradients', such as training examples; None leaves it out.
    baseline: number or array that broadcasts to steps or vectors [B, T, I]: the start of the path
      of integrated gradients, and what occlusion writes.
    seed: seed of the random draws.

  Returns:
    Name → Method.
  """
  fixed = 1 if getattr(model, 'masked', False) else 0  # the last channel is the mask

  def start(inputs):
    return _with_mask(inputs, baseline, fixed)

  def smooth_grad(model, variables, inputs, target):
    return attribution.smooth_grad(
      model, variables, inputs, target, fixed_channels=fixed, seed=seed
    )

  def integrated_gradients(model, variables, inputs, target):
    from_here = start(inputs)
    return attribution.integrated_gradients(
      model, variables, inputs, target, baseline=from_here
    ).maps

  def occlusion(model, variables, inputs, target):
    return step_occlusion(model, variables, inputs, target, fill=start(inputs))

  def of_baseline(model, variables, inputs, target):
    return _scores(model, variables, start(inputs), target)

  def of_zeros(model, variables, inputs, target):
    return _scores(model, variables, _with_mask(inputs, 0.0, fixed), target)

  def lrp(model, variables, inputs, target):
    return recurrent_lrp.recurrent_lrp(model, variables, inputs, target).maps

  found = {
    'saliency': Method(attribution.saliency),
    'gradient × input': Method(attribution.input_x_gradient, signed=True, baseline_score=of_zeros),
    'SmoothGrad': Method(smooth_grad),
    'integrated gradients': Method(integrated_gradients, signed=True, baseline_score=of_baseline),
  }
  if background is not None:
    found['expected gradients'] = _expected_gradients(background, fixed, seed)
  found['occlusion'] = Method(occlusion, signed=True, baseline_score=of_baseline)
  if not recurrent_lrp.lacking(model):
    found['LRP'] = Method(lrp, signed=True, baseline_score=_zero)
  return {name: _of_vectors(method) for name, method in found.items()}


def _with_mask(inputs, values, fixed):
  """Values in the shape of the inputs, whose mask is kept."""
  inputs = np.asarray(inputs)
  try:
    filled = np.broadcast_to(np.asarray(values, inputs.dtype), inputs.shape)
  except ValueError:
    raise ValueError(
      f'baseline of shape {np.shape(values)} does not fit inputs of shape {inputs.shape}: give a '
      'number, one a channel, or inputs'
    ) from None
  if not fixed:
    return filled
  return np.concatenate([filled[..., :-fixed], inputs[..., -fixed:]], axis=-1)


def _of_zeros(model, variables, images, target):
  return _scores(model, variables, np.zeros_like(images), target)


def _zero(model, variables, inputs, target):
  """LRP divides the score itself."""
  return np.zeros(len(inputs))


def _scores(model, variables, inputs, target):
  inputs = check(model, variables, inputs, target)
  return batched(units.scores, model, variables, inputs, target, batch_size=units.BATCH)


def _expected_gradients(background, fixed, seed):
  """Expected gradients with this background, of steps, vectors or characters."""

  def of(model, variables):
    if isinstance(model, LastCharacter) and np.ndim(background) == 2:
      return vectors(model.network, variables, background)
    return background

  def maps(model, variables, inputs, target):
    others = of(model, variables)
    return expected_gradients(
      model, variables, inputs, target, others, fixed_channels=fixed, seed=seed
    ).maps

  def scores(model, variables, inputs, target):
    return background_scores(
      model, variables, inputs, target, of(model, variables), fixed_channels=fixed
    )

  return Method(maps, signed=True, baseline_score=scores)


def _of_vectors(method):
  """The method, whose functions also take a character model and characters."""

  def taking_characters(function):
    def applied(model, variables, inputs, target):
      explained, given = differentiable(model, variables, inputs)
      return function(explained, variables, given, target)

    return applied

  score = method.baseline_score
  return method._replace(
    function=taking_characters(method.function),
    baseline_score=None if score is None else taking_characters(score),
  )


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
