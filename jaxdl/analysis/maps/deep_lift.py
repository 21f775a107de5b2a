"""DeepLIFT: the difference of a target from that of a baseline, divided among the pixels."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Float64, Shaped

from jaxdl.analysis import units
from jaxdl.analysis.maps import canonical
from jaxdl.analysis.maps.gradients import baselines_of, batched, check, say_silent
from jaxdl.analysis.units import BATCH, AnyArray, ArrayLike, Target, Variables

SMALL = 1e-6  # difference of an activation's input below which its gradient is used


class DeepLift(NamedTuple):
  """DeepLIFT contributions.

  Attributes:
    maps: maps of the shape of the images.
    gap: sum of each map minus the difference of the target between image and baseline: 0 up to
      rounding.
  """

  maps: Float[np.ndarray, 'B *pixels']
  gap: Float64[np.ndarray, 'B']


def deep_lift(
  model: nn.Module,
  variables: Variables,
  images: Shaped[AnyArray, 'B ...'],
  target: Target,
  *,
  baseline: ArrayLike = 0.0,
  batch_size: int = BATCH,
) -> DeepLift:
  """Image minus baseline, times the multipliers of the rescale rule.

  The multiplier of an activation is the difference of its outputs divided by that of its inputs,
  between image and baseline. Linear layers multiply by their weights. Max-pooling of values a with
  baseline values b has the difference (max(a, b) − b) + (a − max(a, b)) of the two maxima a and b:
  the first term goes to the position of the maximum in the image, the second to that in the
  baseline. A Neuron without a position is taken at its strongest position in the image.

  Args:
    model: linen module, a CNN.
    variables: its variables.
    images: [B, H, W, C] floating point, or other inputs of the model.
    target: classes [B] int, or Neuron.
    baseline: number or array that broadcasts to the images, on their scale.
    batch_size: images in one compiled call.

  Returns:
    DeepLift(maps, gap).

  Raises:
    ValueError: images, a target or a baseline that do not fit; a model that is not a CNN, or has a
      layer without a rule, such as layer normalisation.

  Source: Shrikumar et al. 2017, Learning important features through propagating activation
  differences, sections 3.3 and 3.5.1. Max-pooling as in SHAP and Captum; the paper has no rule for
  it.
  """
  images = check(model, variables, images, target)
  canonical.nodes_until(model, target, 'DeepLIFT')
  baselines = baselines_of(baseline, images)
  maps, change = batched(_lift, model, variables, images, target, baselines, batch_size=batch_size)
  total = maps.reshape(len(maps), -1).sum(1, dtype=np.float64)
  return DeepLift(say_silent(maps, target), total - change)


def _lift(model, variables, images, target, baselines):
  parts = canonical.parts_of(canonical.nodes_until(model, target, 'DeepLIFT'), variables)
  parts = [_of_pairs(part) for part in parts]

  def output(images):
    return canonical.values_of(parts, jnp.concatenate([images, baselines]))[parts[-1].name]

  outputs, pullback = jax.vjp(output, images)
  of_image, of_baseline = jnp.split(outputs, 2)
  chosen = jax.grad(lambda output: units.selected(output, target).sum())(of_image)
  multipliers = pullback(jnp.concatenate([chosen, jnp.zeros_like(chosen)]))[0]
  change = (chosen * (of_image - of_baseline)).reshape(len(images), -1).sum(1)
  return (images - baselines) * multipliers, change


def _of_pairs(part):
  """A part for [images; baselines] whose gradient is its multiplier."""
  if part.activation is not None:
    part = dataclasses.replace(part, activation=_with_multiplier(part.activation))
  if part.kind == canonical.MAXIMUM:
    part = dataclasses.replace(part, operation=_maximum_of_pairs(part.operation))
  return part


def _with_multiplier(activation: Callable[[Array], Array]) -> Callable[[Array], Array]:
  """An activation of [images; baselines] whose gradient is the multiplier of the rescale rule."""

  @jax.custom_vjp
  def of_pairs(pairs):
    return activation(pairs)

  def backward(pairs, signal):
    outputs, pullback = jax.vjp(activation, pairs)
    of_image, of_baseline = jnp.split(pairs, 2)
    step, change = of_image - of_baseline, jnp.subtract(*jnp.split(outputs, 2))
    given = jnp.split(signal, 2)[0]
    plain = jnp.split(pullback(signal)[0], 2)[0]
    return (_both(_ratio(given * change, step, plain, SMALL)),)

  of_pairs.defvjp(lambda pairs: (activation(pairs), pairs), backward)
  return of_pairs


def _maximum_of_pairs(operation: Callable[..., Array]) -> Callable[..., Array]:
  """Max-pooling of [images; baselines] whose gradient is its multiplier."""

  def pool(inputs):
    return operation({}, inputs)

  @jax.custom_vjp
  def of_pairs(pairs):
    return pool(pairs)

  def backward(pairs, signal):
    of_image, of_baseline = jnp.split(pairs, 2)
    given = jnp.split(signal, 2)[0]
    maximum, to_image = jax.vjp(pool, of_image)
    baseline, to_baseline = jax.vjp(pool, of_baseline)
    higher = jnp.maximum(maximum, baseline)
    contribution = to_image(given * (higher - baseline))[0]
    contribution += to_baseline(given * (maximum - higher))[0]
    return (_both(_ratio(contribution, of_image - of_baseline, to_image(given)[0])),)

  of_pairs.defvjp(lambda pairs: (pool(pairs), pairs), backward)
  return lambda _, pairs: of_pairs(pairs)


def _ratio(contribution, step, plain, least=0.0):
  """Contribution divided by the step of the input; the plain gradient of steps up to `least`."""
  moves = jnp.abs(step) > least
  return jnp.where(moves, contribution / jnp.where(moves, step, 1), plain)


def _both(multipliers):
  """The multipliers for the images, and no gradient for the baselines."""
  return jnp.concatenate([multipliers, jnp.zeros_like(multipliers)])
