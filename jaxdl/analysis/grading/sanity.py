"""Sanity check of a map: whether it depends on what the network learned."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import Float64, Shaped

from jaxdl.analysis import units
from jaxdl.analysis.maps.last_character import LastCharacter
from jaxdl.analysis.units import AnyArray, ArrayLike, Number, Target, Variables


class Sanity(NamedTuple):
  """How a method's maps change as the layers are randomised one after another from the head down.

  Attributes:
    layers: '' for the trained network, then the name of the layer that was randomised in addition.
    correlations: Spearman's rank correlation of the absolute maps with the original ones; NaN where
      either map is constant.
    flagged: whether the mean correlation stays above the threshold when all layers, or all but the
      first, are random: such a map shows the image more than what was learned.
  """

  layers: tuple[str, ...]
  correlations: Float64[np.ndarray, 'stages B']
  flagged: bool


def sanity(
  method: Callable[..., Any],
  model: nn.Module,
  variables: Variables,
  images: Shaped[AnyArray, 'B ...'],
  target: Target,
  *,
  threshold: Number = 0.5,
  seed: int = 0,
  **arguments: Any,
) -> Sanity:
  """Cascading randomisation: compares a method's maps before and after layers are randomised.

  Layers are randomised one after another from the head down. A layer's parameters are drawn from
  their initial distribution, and the running averages of batch normalisation are reset.

  Args:
    method: function (model, variables, images, target, **arguments) → maps [B, …], or a tuple whose
      first entry they are.
    model: linen module.
    variables: its variables.
    images: [B, H, W, C] floating point.
    target: classes [B] int, or Neuron.
    threshold: mean correlation above which a method is flagged.
    seed: seed of the random weights.
    arguments: further arguments of the method.

  Returns:
    Sanity(layers, correlations, flagged).

  Raises:
    ValueError: as raised by the method.

  Source: Adebayo et al. 2018, Sanity checks for saliency maps, section 3.
  """
  order = [
    layer for layer in units.shapes(model, variables, images) if layer in variables['params']
  ]
  drawn = _drawn(model, images, seed)
  stages, current = ['', *reversed(order)], variables
  original, correlations = None, []
  for layer in stages:
    current = _with_random(current, drawn, {layer})
    maps = method(model, current, images, target, **arguments)
    if isinstance(maps, tuple):
      maps = maps[0]
    if original is None:
      original = maps
    correlations.append(rank_correlations(original, maps))
  correlations = np.asarray(correlations)
  last = correlations[1:][-2:]  # all layers but the first are random, and all layers
  flagged = any(_mean_exceeds(row[np.isfinite(row)], threshold) for row in last)
  return Sanity(tuple(stages), correlations, flagged)


def with_random_weights(
  model: nn.Module, variables: Variables, images: Shaped[AnyArray, 'B ...'], *, seed: int = 0
) -> Variables:
  """The variables with all layers randomised: the last stage of `sanity`.

  Args:
    model, variables, images, seed: as in `sanity`.

  Returns:
    variables of the same shapes and types.
  """
  return _with_random(variables, _drawn(model, images, seed), set(variables['params']))


def _drawn(model, images, seed):
  # Folded, so that the weights differ from the initial weights of training with the same seed.
  key = jax.random.fold_in(jax.random.PRNGKey(seed), 2018)
  inputs = np.asarray(images)[:1]
  if isinstance(model, LastCharacter):  # its network also has the vectors of the characters
    model, inputs = model.network, np.zeros(inputs.shape[:2], np.int32)
  return jax.device_get(_draw(units.Fixed(model), key, inputs))


def _with_random(variables, drawn, chosen):
  """Variables whose chosen layers are the drawn ones."""
  return {
    kind: {
      name: jax.tree.map(_like, drawn[kind][name], old) if name in chosen else old
      for name, old in layers.items()
    }
    for kind, layers in variables.items()
  }


def rank_correlations(
  first: Shaped[AnyArray, 'B ...'], second: Shaped[AnyArray, 'B ...']
) -> Float64[np.ndarray, 'B']:
  """Spearman's rank correlation of the absolute values of two maps; NaN where one is constant."""
  flat = (np.abs(maps).reshape(len(maps), -1) for maps in (first, second))
  return np.array([spearman(*pair) for pair in zip(*flat, strict=True)])


def _mean_exceeds(numbers: Float64[np.ndarray, 'N'], threshold: Number) -> bool:
  return len(numbers) > 0 and bool(numbers.mean() > threshold)


@functools.partial(jax.jit, static_argnums=0)
def _draw(fixed, key, images):
  return fixed.model.init(key, images)


def _like(drawn: np.ndarray, old: AnyArray) -> AnyArray:
  """An array with the type and devices of another one, so that no program is compiled again."""
  drawn = drawn.astype(old.dtype)
  if isinstance(old, jax.Array) and old.committed:
    return jax.device_put(drawn, old.sharding)
  return drawn


def spearman(first: ArrayLike, second: ArrayLike) -> float:
  """Rank correlation of two arrays [N]; ties share their mean rank; NaN where one is constant.

  Source: Spearman 1904, The proof and measurement of association between two things.
  """
  ranks = [rank - rank.mean() for rank in (mean_ranks(first), mean_ranks(second))]
  length = np.sqrt(np.square(ranks[0]).sum() * np.square(ranks[1]).sum())
  return float(ranks[0] @ ranks[1] / length) if length else float('nan')


def mean_ranks(numbers: ArrayLike) -> Float64[np.ndarray, 'N']:
  """Rank of each of N numbers from 0; ties share their mean rank."""
  _, which, counts = np.unique(numbers, return_inverse=True, return_counts=True)
  return (np.cumsum(counts) - (counts + 1) / 2)[which]
