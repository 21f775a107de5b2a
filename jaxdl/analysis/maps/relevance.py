"""Layer-wise relevance propagation (LRP): a score, divided among the pixels layer by layer."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Shaped

from jaxdl.analysis import units
from jaxdl.analysis.maps import canonical, relevance_rules
from jaxdl.analysis.maps.gradients import batched, check, say_silent
from jaxdl.analysis.maps.relevance_rules import NO_EPSILON, Box, Epsilon, Flat, Gamma, Rules, ZPlus
from jaxdl.analysis.units import BATCH, AnyArray, ArrayLike, Target, Variables
from jaxdl.models.cnn import INPUTS

# ε a quarter of the root mean square of the outputs, as in section 10.4 of Montavon et al. 2019
EPSILON = Rules(*[Epsilon(deviation=0.25)] * 3)
EPSILON_PLUS = Rules(ZPlus(), ZPlus(), Epsilon())
EPSILON_PLUS_FLAT = Rules(Flat(), ZPlus(), Epsilon())


class Relevance(NamedTuple):
  """Relevance of the pixels.

  Attributes:
    maps: maps of the shape of the images.
    scores: what was divided: the target of each image.
    absorbed: layer → relevance that its bias and its ε took. Score = sum of the map + sum of all
      absorbed, up to rounding.
  """

  maps: Float[np.ndarray, 'B *pixels']
  scores: Float[np.ndarray, 'B']
  absorbed: dict[str, Float[np.ndarray, 'B']]


def epsilon_gamma_box(low: ArrayLike, high: ArrayLike, gamma: float = 0.25) -> Rules:
  """The composite of z^B at the input, γ in convolutions and ε in dense layers.

  Args:
    low: lowest number that a pixel can have, or that of each channel [C], on the scale of the
      images.
    high: highest number.
    gamma: γ of the convolutions.

  Returns:
    Rules.

  Raises:
    ValueError: a lowest number that is not below the highest one.

  Source: Montavon et al. 2019, Layer-wise relevance propagation: an overview, section 10.3.
  """
  lows, highs = np.asarray(low, float), np.asarray(high, float)
  if not np.all(lows <= highs):
    raise ValueError(f'low={low} is not below high={high}: give the range of the pixels')
  limits = [
    float(values) if values.ndim == 0 else tuple(values.tolist()) for values in (lows, highs)
  ]
  return Rules(Box(*limits), Gamma(gamma), Epsilon())


def lrp(
  model: nn.Module,
  variables: Variables,
  images: Shaped[AnyArray, 'B *pixels'],
  target: Target,
  rules: Rules = EPSILON,
  *,
  batch_size: int = BATCH,
) -> Relevance:
  """Divides the target among the pixels, from the last layer to the first.

  Each linear layer divides the relevance of its outputs among its inputs by its rule. Activations
  pass relevance on unchanged. Max-pooling gives it to the maximum (the first of equal ones); means
  and sums of branches divide it in proportion to what they add. Batch normalisation is folded into
  a linear layer right before it; elsewhere, such as after an activation, it passes relevance on
  unchanged. In a ReLU network without batch normalisation of the second kind, the ε rule with ε → 0
  is gradient × input.

  Args:
    model: linen module, a CNN.
    variables: its variables.
    images: [B, H, W, C] floating point, or other inputs of the model.
    target: classes [B] int, or Neuron.
    rules: the rule of each kind of layer: EPSILON, EPSILON_PLUS, EPSILON_PLUS_FLAT,
      `epsilon_gamma_box(low, high)`, or others.
    batch_size: images in one compiled call.

  Returns:
    Relevance(maps, scores, absorbed).

  Raises:
    ValueError: images or a target that do not fit; a model that is not a CNN, or has a layer
      without a rule, such as layer normalisation; a `Box` of another number of channels, or outside
      of which there is a pixel.

  Source: Bach et al. 2015, On pixel-wise explanations for non-linear classifier decisions by
  layer-wise relevance propagation. Of folding: Guillemot et al. 2020, Breaking batch normalization
  for better explainability of deep neural networks through layer-wise relevance propagation.
  """
  images = check(model, variables, images, target)
  canonical.nodes_until(model, target, 'LRP')
  _check_box(rules.first, images)
  for rule in rules[1:]:
    if isinstance(rule, Box):
      raise ValueError(f'{rule} is for pixels: use it as the first rule only')
  maps, scores, absorbed = batched(
    _relevance, model, variables, images, target, batch_size=batch_size, rules=rules
  )
  return Relevance(say_silent(maps, target), scores, absorbed)


def _check_box(rule, images):
  if not isinstance(rule, Box):
    return
  low, high = (np.asarray(limit, images.dtype) for limit in (rule.low, rule.high))
  if low.shape not in ((), images.shape[-1:]) or high.shape not in ((), images.shape[-1:]):
    raise ValueError(
      f'{rule} does not fit images of {images.shape[-1]} channels: give a number or one a channel'
    )
  room = 1e-5 * np.max(high - low)
  if (images < low - room).any() or (images > high + room).any():
    raise ValueError(
      f'images from {images.min():.4g} to {images.max():.4g} are outside of {rule}: give the '
      'lowest and the highest number that a pixel can have'
    )


def _relevance(model, variables, images, target, *, rules):
  parts = canonical.parts_of(canonical.nodes_until(model, target, 'LRP'), variables)
  values = canonical.values_of(parts, images)
  limits = _limits(parts, images, rules.first)
  last, absorbed = parts[-1].name, {}
  chosen = jax.grad(lambda output: units.selected(output, target).sum())(values[last])
  relevance = {last: values[last] * chosen}
  for part in reversed(parts):
    if part.name not in relevance:
      continue
    given = relevance.pop(part.name)
    inputs = [values[source] for source in part.sources]
    found = _of_inputs(part, inputs, given, rules, limits.get(part.sources[0]))
    for source, share in zip(part.sources, found, strict=False):
      relevance[source] = relevance.get(source, 0) + share
    if part.kind in (canonical.CONVOLUTION, canonical.DENSE, canonical.MEAN):
      absorbed[part.name] = _total(given) - sum(map(_total, found))
  return relevance[INPUTS], _total(values[last] * chosen), absorbed


def _of_inputs(
  part: canonical.Part, inputs: list, given: Any, rules: Rules, limits: tuple | None
) -> list:
  """Relevance of the inputs of a part; only of the first one of a linear layer."""
  if part.kind == canonical.PASSED:
    return [given]
  if part.kind in (canonical.MOVED, canonical.MAXIMUM):
    return list(jax.vjp(lambda *inputs: part.operation({}, *inputs), *inputs)[1](given))
  if part.kind == canonical.MEAN:
    outputs, pullback = jax.vjp(lambda *inputs: part.operation({}, *inputs), *inputs)
    ratio = given / relevance_rules.stabilised(outputs, NO_EPSILON)
    return [value * slope for value, slope in zip(inputs, pullback(ratio), strict=True)]
  rule = rules.convolution if part.kind == canonical.CONVOLUTION else rules.dense
  if limits is not None:
    rule = rules.first

  def linear(parameters, values):
    return part.operation(parameters, values, *inputs[1:])

  return [relevance_rules.back(rule, linear, part.parameters, inputs[0], given, limits)]


def _limits(parts, images, rule):
  """Lowest and highest value of the inputs of the first layers: source → (low, high).

  The inputs of the network, and what layers that only move them make of them, have entries.
  """
  low, high = (rule.low, rule.high) if isinstance(rule, Box) else (0.0, 0.0)
  shape = (1, *images.shape[1:])
  found = {
    INPUTS: tuple(
      jnp.broadcast_to(jnp.asarray(limit, images.dtype), shape) for limit in (low, high)
    )
  }
  for part in parts:
    moved = part.kind in (canonical.MOVED, canonical.MAXIMUM)
    if moved and all(source in found for source in part.sources):
      ends = zip(*(found[source] for source in part.sources), strict=True)
      found[part.name] = tuple(part.operation({}, *end) for end in ends)
  return found


def _total(relevance):
  return relevance.reshape(len(relevance), -1).sum(1)
