"""Stability: what changes a map that should not, and what does not change it that should."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import Float, Float64, Num

from jaxdl.analysis import units
from jaxdl.analysis.grading.sanity import rank_correlations
from jaxdl.analysis.maps import gradients
from jaxdl.analysis.units import AnyArray, Number, Target, Variables
from jaxdl.config.named import Reference
from jaxdl.models import CNN

MapFunction = Callable[..., Any]  # (model, variables, inputs, target) → maps [B, …]


def max_sensitivity(
  method: MapFunction,
  model: nn.Module,
  variables: Variables,
  inputs: Float[AnyArray, 'B ...'],
  target: Target,
  *,
  radius: Number = 0.05,
  samples: int = 8,
  seed: int = 0,
  maps: Float[AnyArray, 'B ...'] | None = None,
) -> Float64[np.ndarray, 'B']:
  """Largest relative change of a map under small uniform noise on the input.

  Args:
    method: function (model, variables, inputs, target) → maps [B, …].
    model: linen module.
    variables: its variables.
    inputs: [B, H, W, C] or [B, T, I], scaled as in training.
    target: classes [B] int, or Neuron.
    radius: the noise is uniform in ±radius, as a share of the input's range (its greatest minus its
      least number).
    samples: noisy copies of each input.
    seed: seed of the noise, which depends on it and on the input's index.
    maps: maps of the inputs, [B, …]; None to compute them.

  Returns:
    the largest |map of the copy − map| / |map| (Euclidean norms): 0 is best; NaN for a map of
    zeros.

  Raises:
    ValueError: as raised by the method; no sample, or a radius that is not positive.

  Source: Yeh et al. 2019, On the (in)fidelity and sensitivity of explanations, definition 3.1,
    relative to the norm of the map.
  """
  if samples < 1 or not radius > 0:
    raise ValueError(
      f'samples={samples} and radius={radius}: use at least one sample and a positive radius'
    )
  inputs = np.asarray(inputs)
  axes = tuple(range(1, inputs.ndim))
  extent = radius * (inputs.max(axes, keepdims=True) - inputs.min(axes, keepdims=True))
  key = jax.random.PRNGKey(seed)
  original = method(model, variables, inputs, target) if maps is None else maps
  changes = []
  for sample in range(samples):
    noise = extent * _uniform(jax.random.fold_in(key, sample), inputs)
    noisy = method(model, variables, (inputs + noise).astype(inputs.dtype), target)
    changes.append(_relative(noisy, original))
  return np.max(changes, 0)


def _uniform(key, inputs):
  """Numbers in −1..1 of the shape of the inputs; those of an input depend on its index only."""
  keys = units.keys_of(key, len(inputs))
  return np.asarray(
    jax.vmap(lambda key: jax.random.uniform(key, inputs.shape[1:], inputs.dtype, -1, 1))(keys)
  )


def _relative(maps, original):
  """|maps − original| / |original| of each example; NaN where the original is zero."""
  maps, original = (np.asarray(one, np.float64).reshape(len(one), -1) for one in (maps, original))
  size = np.sqrt(np.square(original).sum(1))
  change = np.sqrt(np.square(maps - original).sum(1))
  return np.divide(change, size, out=np.full(len(size), np.nan), where=size > 0)


class Shift(nn.Module):
  """Subtracts a number from its inputs.

  Attributes:
    by: the number.
  """

  by: float

  def __call__(self, inputs: Num[AnyArray, 'B ...']) -> Num[AnyArray, 'B ...']:
    """Inputs [B, …] minus the number."""
    return inputs - self.by


class ShiftedInputs(nn.Module):
  """A network whose inputs are shifted first; it has the variables of the network.

  Attributes:
    unshifted: the network.
    by: the number that is subtracted.
  """

  unshifted: nn.Module
  by: float

  def setup(self) -> None:
    nn.share_scope(self, self.unshifted)

  def __call__(self, inputs: Num[AnyArray, 'B ...']) -> Num[AnyArray, 'B ...']:
    """Applies the network to inputs [B, …] minus the number."""
    return self.unshifted(inputs - self.by)


def shifted(model: nn.Module, by: float) -> nn.Module:
  """A network that computes for inputs + `by` what the model computes for the inputs.

  It has the variables of the model, and its layers have the same names. A CNN gets one more layer
  at its start, so that methods that replace its activation or follow its layers still find them.

  Args:
    model: linen module.
    by: the number.

  Returns:
    linen module.
  """
  if isinstance(model, CNN) and not isinstance(model.layers, int) and not model.masked:
    kind = Reference('jaxdl.analysis.grading.stability:Shift', Shift)
    return model.clone(layers=({'kind': kind, 'by': by, 'name': 'shift'}, *model.layers))
  return ShiftedInputs(model, by)


def input_invariance_error(
  method: MapFunction,
  model: nn.Module,
  variables: Variables,
  inputs: Float[AnyArray, 'B ...'],
  target: Target,
  *,
  by: float = -1.0,
  maps: Float[AnyArray, 'B ...'] | None = None,
) -> Float64[np.ndarray, 'B']:
  """Relative change of a map if the inputs are shifted and the network shifts them back.

  Both networks compute the same outputs: a change of the map comes from the method alone, such as
  from a fixed baseline.

  Args:
    method: function (model, variables, inputs, target) → maps [B, …].
    model: linen module.
    variables: its variables.
    inputs: [B, H, W, C] or [B, T, I], scaled as in training.
    target: classes [B] int, or Neuron.
    by: number that is added to the inputs, on their scale.
    maps: as in `max_sensitivity`.

  Returns:
    |map of the shifted network − map| / |map| (Euclidean norms): 0 is invariant; NaN for a map of
    zeros.

  Raises:
    ValueError: as raised by the method, also because it does not know a layer that shifts.

  Source: Kindermans et al. 2019, The (un)reliability of saliency methods, section 2.
  """
  inputs = np.asarray(inputs)
  original = method(model, variables, inputs, target) if maps is None else maps
  moved = (inputs + by).astype(inputs.dtype)
  return _relative(method(shifted(model, by), variables, moved, target), original)


def random_logit(
  method: MapFunction,
  model: nn.Module,
  variables: Variables,
  inputs: Float[AnyArray, 'B ...'],
  target: Target,
  *,
  seed: int = 0,
  maps: Float[AnyArray, 'B ...'] | None = None,
) -> Float64[np.ndarray, 'B']:
  """Similarity of the map of the class with that of another class.

  Args:
    method: function (model, variables, inputs, target) → maps [B, …].
    model: linen module.
    variables: its variables.
    inputs: [B, H, W, C] or [B, T, I], scaled as in training.
    target: classes [B] int.
    seed: seed of the other class of each input.
    maps: as in `max_sensitivity`.

  Returns:
    Spearman's rank correlation of the absolute maps: 1 for a map that does not depend on the class;
    NaN where either map is constant.

  Raises:
    ValueError: as raised by the method; a network with one class.

  Source: Sixt et al. 2020, When explanations lie, section 4, with the rank correlation instead of
    the structural similarity.
  """
  inputs = gradients.check(model, variables, inputs, target)
  classes = list(units.shapes(model, variables, inputs).values())[-1][-1]
  if classes < 2:
    raise ValueError('the network has one class: the random logit needs at least two')
  steps = np.random.default_rng(seed).integers(1, classes, len(inputs))
  other = (np.asarray(target) + steps) % classes
  original = method(model, variables, inputs, np.asarray(target)) if maps is None else maps
  return rank_correlations(original, method(model, variables, inputs, other))
