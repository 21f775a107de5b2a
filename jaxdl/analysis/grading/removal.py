"""Inputs from which places are removed: the score of the network as places disappear.

A place is what a map gives one number for: a pixel of an image [B, H, W, C], a step of a sequence
[B, T, I]. A removed place has the numbers of a fill in all its channels.
"""

from collections.abc import Sequence
from typing import NamedTuple, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Float64, Integer, Shaped

from jaxdl.analysis import units
from jaxdl.analysis.maps import gradients
from jaxdl.analysis.units import AnyArray, ArrayLike, Target, Variables

FORWARD = 2048  # inputs with removed places in one compiled call


class Curve(NamedTuple):
  """The score of each input while its places are removed or inserted one after another.

  Attributes:
    shares: share of the places that are removed or inserted, from 0 to 1.
    scores: score of each input at each share.
  """

  shares: Float64[np.ndarray, 'S']
  scores: Float[np.ndarray, 'B S']

  def area(self) -> Float64[np.ndarray, 'B']:
    """Mean score over the shares: the area under the curve, by trapezoids."""
    width = np.diff(self.shares)
    scores = self.scores.astype(np.float64)
    return ((scores[:, 1:] + scores[:, :-1]) / 2 * width).sum(1) / width.sum()


class Removed(NamedTuple):
  """What the score loses if a subset of the places is removed.

  Attributes:
    subsets: [K, P], which of the P places each of the K subsets has.
    drops: score of the complete input minus that without the subset.
  """

  subsets: Bool[np.ndarray, 'K P']
  drops: Float[np.ndarray, 'B K']


def ranks(maps: Shaped[AnyArray, 'B ...'], *, seed: int = 0) -> Integer[np.ndarray, 'B ...']:
  """Rank of each place of a map, from 0 for the greatest number.

  Places with equal numbers, such as the zeros of Grad-CAM, are in a random order, the same for all
  maps: in the order of the places, a cue in the upper left corner would come first.

  Args:
    maps: [B, …], one number for each place.
    seed: seed of the order of equal numbers.

  Returns:
    ranks of the shape of the maps.
  """
  flat = np.asarray(maps).reshape(len(maps), -1)
  shuffled = np.random.default_rng(seed).permutation(flat.shape[1])
  order = shuffled[np.argsort(-flat[:, shuffled], axis=1, kind='stable')]
  found = np.empty_like(order)
  np.put_along_axis(found, order, np.arange(flat.shape[1])[None], axis=1)
  return found.reshape(np.shape(maps))


def fills(inputs: Float[np.ndarray, 'B ...'], fill: ArrayLike | None) -> Float[np.ndarray, '...']:
  """The numbers of removed places.

  Args:
    inputs: [B, …, C].
    fill: a number, or an array that broadcasts to one input or to all; None for the mean of each
      channel over the inputs and places.

  Returns:
    an array of the shape of the inputs.

  Raises:
    ValueError: a fill of another shape.
  """
  given = inputs.mean(tuple(range(inputs.ndim - 1)), dtype=np.float64) if fill is None else fill
  try:
    return np.broadcast_to(np.asarray(given, inputs.dtype), inputs.shape)
  except ValueError:
    raise ValueError(
      f'fill of shape {np.shape(given)} does not fit inputs of shape {inputs.shape}: '
      'give a number, one for each channel, or an input'
    ) from None


def check_maps(inputs: Shaped[AnyArray, 'B ...'], maps: Shaped[AnyArray, 'B ...']) -> None:
  """Raises ValueError for maps that do not have one number for each place of the inputs."""
  if maps.ndim < 2 or maps.shape != inputs.shape[: maps.ndim]:
    raise ValueError(
      f'maps of shape {maps.shape} do not fit inputs of shape {inputs.shape}: give [B, H, W] for '
      'images [B, H, W, C], or [B, T] for sequences [B, T, I]'
    )
  if not np.isfinite(np.asarray(maps)).all():
    raise ValueError('maps have numbers that are not finite: give finite ones')


def curve(
  model: nn.Module,
  variables: Variables,
  inputs: Float[AnyArray, 'B ...'],
  target: Target,
  maps: Float[AnyArray, 'B ...'],
  counts: Sequence[int],
  *,
  fill: ArrayLike | None = None,
  inserts: bool = False,
  probability: bool = True,
  seed: int = 0,
) -> Curve:
  """The score of each input without its places of the greatest numbers of the map.

  Args:
    model: linen module.
    variables: its variables.
    inputs: [B, H, W, C] or [B, T, I], scaled as in training.
    target: classes [B] int; also a Neuron without `probability`.
    maps: [B, H, W] or [B, T]; the place of the greatest number is the first.
    counts: numbers of places that are removed.
    fill: as in `fills`.
    inserts: whether the places are inserted into an input of removed ones instead.
    probability: whether the score is the probability of the class, as in most papers; otherwise its
      logit.
    seed: as in `ranks`.

  Returns:
    Curve.

  Raises:
    ValueError: inputs, a target, maps or a fill that do not fit.
  """
  inputs = gradients.check(model, variables, inputs, target)
  check_maps(inputs, np.asarray(maps))
  scores = gradients.batched(
    _curve,
    model,
    variables,
    inputs,
    target,
    ranks(maps, seed=seed).astype(np.int32),
    fills(inputs, fill),
    batch_size=max(1, FORWARD // len(counts)),
    counts=tuple(int(count) for count in counts),
    inserts=inserts,
    probability=probability,
  )
  return Curve(np.asarray(counts) / maps[0].size, scores)


def steps_of(places: int, steps: int) -> list[int]:
  """Numbers of places from 0 to all in about equal steps, each once."""
  return sorted(set(np.linspace(0, places, steps + 1).round().astype(int).tolist()))


def subsets_of(
  places: int, sizes: Sequence[int], each: int, *, seed: int = 0
) -> Bool[np.ndarray, 'K P']:
  """Random subsets of places.

  Args:
    places: number P of places.
    sizes: numbers of places in a subset, each from 1 to P − 1.
    each: subsets of each size.
    seed: seed of the draw.

  Returns:
    [K, P], K = number of sizes × each.

  Raises:
    ValueError: a size out of range, or no subset.
  """
  wrong = [size for size in sizes if not 1 <= size < places]
  if wrong or each < 1 or not sizes:
    raise ValueError(
      f'sizes={list(sizes)} and each={each} of {places} places: use sizes from 1 to {places - 1} '
      'and at least one subset'
    )
  draw = np.random.default_rng(seed)
  found = np.zeros((len(sizes) * each, places), bool)
  for number, size in enumerate(size for size in sizes for _ in range(each)):
    found[number, draw.choice(places, size, replace=False)] = True
  return found


def windows_of(places: tuple[int, ...], count: int, *, seed: int = 0) -> Bool[np.ndarray, 'K P']:
  """Random windows: rectangles of an image, or parts of a sequence.

  Args:
    places: (H, W) or (T,).
    count: number K of windows.
    seed: seed of the draw. Each side is from 1 to a third of its axis, rounded up.

  Returns:
    [K, P], P = H × W or T.
  """
  draw = np.random.default_rng(seed)
  found = np.ones((count, *places), bool)
  for axis, size in enumerate(places):
    side = draw.integers(1, -(-size // 3), count, endpoint=True)
    first = draw.integers(0, size - side, endpoint=True)
    place = np.arange(size)
    inside = (place >= first[:, None]) & (place < (first + side)[:, None])  # [K, size]
    shape = [1] * (1 + len(places))
    shape[0], shape[1 + axis] = count, size
    found &= inside.reshape(shape)
  return found.reshape(count, -1)


def remove(
  model: nn.Module,
  variables: Variables,
  inputs: Float[AnyArray, 'B ...'],
  target: Target,
  subsets: Bool[np.ndarray, 'K P'],
  *,
  fill: ArrayLike | None = None,
) -> Removed:
  """Removes each subset of the places from each input.

  Args:
    model: linen module.
    variables: its variables.
    inputs: [B, H, W, C] or [B, T, I], scaled as in training.
    target: classes [B] int, or Neuron.
    subsets: [K, P] bool, P = H × W or T.
    fill: as in `fills`.

  Returns:
    Removed, in units of the logit.

  Raises:
    ValueError: inputs, a target, subsets or a fill that do not fit.
  """
  inputs = gradients.check(model, variables, inputs, target)
  if subsets.shape[1] != np.prod(inputs.shape[1:-1]):
    raise ValueError(
      f'subsets of {subsets.shape[1]} places do not fit inputs of shape {inputs.shape}: give one '
      'entry for each place'
    )
  size = max(1, FORWARD // len(subsets))
  program = gradients.program(_drops, model, variables, target)
  labels, filled = gradients.labels_of(inputs, target), fills(inputs, fill)
  parts = []
  for first in range(0, len(inputs), size):
    # At the end the last input is repeated, so that one program takes all batches.
    chosen = np.arange(first, first + size).clip(max=len(inputs) - 1)
    found = program(inputs[chosen], labels[chosen], filled[chosen], subsets)
    parts.append(np.asarray(found)[: len(inputs) - first])
  return Removed(subsets, np.concatenate(parts))


def _curve(model, variables, inputs, target, ranks, fills, *, counts, inserts, probability):
  ranks = ranks.reshape(*ranks.shape, *(1,) * (inputs.ndim - ranks.ndim))
  limits = jnp.asarray(counts).reshape(-1, *(1,) * inputs.ndim)
  removed = ranks >= limits if inserts else ranks < limits
  changed = jnp.where(removed, fills, inputs)  # [S, B, …]
  return _scores(model, variables, changed, target, probability).T


def _drops(model, variables, inputs, target, fills, subsets):
  places = inputs.shape[1:-1]
  removed = subsets.reshape(-1, 1, *places, 1)
  changed = jnp.concatenate([inputs[None], jnp.where(removed, fills, inputs)])  # [1 + K, B, …]
  scores = _scores(model, variables, changed, target, False)
  return (scores[0] - scores[1:]).T


def _scores(model, variables, changed, target, probability):
  """Scores [S, B] of inputs [S, B, …]."""
  steps, count = changed.shape[:2]
  flat = changed.reshape(steps * count, *changed.shape[2:])
  targets = units.tiled(target, steps)
  if probability:
    found = probabilities(model, variables, flat, jnp.asarray(targets))
  else:
    found = units.scores(model, variables, flat, targets)
  return found.reshape(steps, count)


def probabilities(
  model: nn.Module,
  variables: Variables,
  inputs: Shaped[AnyArray, 'B ...'],
  target: Integer[AnyArray, 'B'],
) -> Float[jax.Array, 'B']:
  """Probability of the class of each input, by softmax (a pure function)."""
  logits = cast(jax.Array, model.apply(variables, inputs))
  return jnp.take_along_axis(jax.nn.softmax(logits), target[:, None], axis=-1)[:, 0]
