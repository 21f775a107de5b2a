"""Whether a map depends on what the network learned: the cascading randomisation of its weights."""

import functools
from typing import NamedTuple

import jax
import numpy as np

from jaxdl.analysis import units


class Sanity(NamedTuple):
  """What becomes of a method's maps as the network's layers are randomised, from the head downward.

  Attributes:
    layers: names; '' for the network as it is, then the layer that was randomised in addition.
    correlations: [stages, B], Spearman's rank correlation of the absolute maps with the original
      ones; NaN where either map is the same everywhere.
    flagged: bool, whether the mean correlation stays above the threshold when all layers, or all
      but the first, are random: such a map shows the image more than what was learned.
  """

  layers: tuple[str, ...]
  correlations: np.ndarray
  flagged: bool


def sanity(method, model, variables, images, target, *, threshold=0.5, seed=0, **arguments):
  """Randomises the layers one after another from the head downward and compares a method's maps
  with the original ones.

  A layer's parameters are drawn as at the start of training; batch normalisation's running averages
  go back to it too.

  Args:
    method: function (model, variables, images, target, **arguments) → maps [B, …], or a tuple whose
      first part they are.
    model, variables: linen module and its variables.
    images: [B, H, W, C] floating.
    target: [B] int or Neuron.
    threshold: the mean correlation above which a method is flagged.
    seed: int, of the random weights.
    arguments: the method's.

  Returns:
    Sanity(layers, correlations, flagged).

  Raises:
    ValueError: as the method.

  Source: Adebayo et al. 2018, Sanity checks for saliency maps, section 3.
  """
  order = [
    layer for layer in units.shapes(model, variables, images) if layer in variables['params']
  ]
  key = jax.random.fold_in(
    jax.random.PRNGKey(seed), 2018
  )  # not the weights that training of the same seed began with
  current, drawn = variables, jax.device_get(_draw(units.Fixed(model), key, np.asarray(images)[:1]))
  stages, original = ['', *reversed(order)], None
  correlations = []
  for layer in stages:
    current = {
      kind: {
        name: jax.tree.map(_like, drawn[kind][name], old) if name == layer else old
        for name, old in layers.items()
      }
      for kind, layers in current.items()
    }
    maps = method(model, current, images, target, **arguments)
    maps = np.abs(maps[0] if isinstance(maps, tuple) else maps).reshape(len(images), -1)
    original = maps if original is None else original
    correlations.append([spearman(*pair) for pair in zip(original, maps, strict=True)])
  correlations = np.asarray(correlations)
  late = [
    row[np.isfinite(row)] for row in correlations[1:][-2:]
  ]  # all but the first layer, and all
  return Sanity(
    tuple(stages), correlations, any(len(row) and bool(row.mean() > threshold) for row in late)
  )


@functools.partial(jax.jit, static_argnums=0)
def _draw(fixed, key, images):
  return fixed.model.init(key, images)


def _like(drawn, old):
  """An array where and as another one is: for a mixture of places a program would be compiled anew."""
  drawn = drawn.astype(old.dtype)
  return (
    jax.device_put(drawn, old.sharding) if isinstance(old, jax.Array) and old.committed else drawn
  )


def spearman(first, second):
  """The rank correlation of two arrays [N], equal numbers sharing their mean rank; NaN where one is
  constant.

  Source: Spearman 1904, The proof and measurement of association between two things.
  """
  ranks = [rank - rank.mean() for rank in map(mean_ranks, (first, second))]
  length = np.sqrt(np.square(ranks[0]).sum() * np.square(ranks[1]).sum())
  return float(ranks[0] @ ranks[1] / length) if length else float('nan')


def mean_ranks(numbers):
  """The rank of each number from 0, equal ones sharing the mean of theirs: [N] → [N]."""
  _, which, counts = np.unique(numbers, return_inverse=True, return_counts=True)
  return (np.cumsum(counts) - (counts + 1) / 2)[which]
