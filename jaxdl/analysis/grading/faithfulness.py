"""Faithfulness: whether a map ranks and weighs places as the network does.

All functions take maps with one number for each place: [B, H, W] of images [B, H, W, C], [B, T] of
sequences [B, T, I] (`methods.without_channels`). A removed place has the mean of each channel over
the inputs, if no fill is given. The network has not been trained on such inputs: a change of the
score has two causes, the missing evidence and the unusual input. Compare methods, not networks.
"""

from typing import NamedTuple

import flax.linen as nn
import numpy as np
from jaxtyping import Float, Float64

from jaxdl.analysis.grading import completeness, imputation, removal
from jaxdl.analysis.grading.removal import Curve, Removed
from jaxdl.analysis.maps import gradients
from jaxdl.analysis.units import AnyArray, ArrayLike, Number, Target, Variables

STEPS = 32  # of a curve, besides its start
FLIPPED = 0.25  # share of the places that `pixel_flipping` removes
CONSTANT = 1e-9  # relative spread of numbers that are equal up to rounding
SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)  # of the places that `road` removes


def deletion(
  model: nn.Module,
  variables: Variables,
  inputs: Float[AnyArray, 'B ...'],
  target: Target,
  maps: Float[AnyArray, 'B ...'],
  *,
  fill: ArrayLike | None = None,
  steps: int = STEPS,
  seed: int = 0,
) -> Curve:
  """Probability of the class while the places are removed, the greatest number first.

  Args:
    model: linen module.
    variables: its variables.
    inputs: [B, H, W, C] or [B, T, I], scaled as in training.
    target: classes [B] int.
    maps: [B, H, W] or [B, T].
    fill: number of removed places, or one for each channel; None for the mean of the inputs.
    steps: steps from no place to all.
    seed: seed of the order of places with equal numbers.

  Returns:
    Curve; its `area` is the deletion AUC, from 0 to 1: less is better.

  Raises:
    ValueError: inputs, a target, maps or a fill that do not fit.

  Source: Petsiuk et al. 2018, RISE, section 4.1.
  """
  counts = removal.steps_of(maps[0].size, steps)
  return removal.curve(model, variables, inputs, target, maps, counts, fill=fill, seed=seed)


def insertion(
  model: nn.Module,
  variables: Variables,
  inputs: Float[AnyArray, 'B ...'],
  target: Target,
  maps: Float[AnyArray, 'B ...'],
  *,
  fill: ArrayLike | None = None,
  steps: int = STEPS,
  seed: int = 0,
) -> Curve:
  """Probability of the class while the places are inserted, the greatest number first.

  Arguments and errors as in `deletion`.

  Returns:
    Curve; its `area` is the insertion AUC, from 0 to 1: more is better.

  Source: Petsiuk et al. 2018, RISE, section 4.1; they insert into a blurred image, here into the
    fill.
  """
  counts = removal.steps_of(maps[0].size, steps)
  return removal.curve(
    model, variables, inputs, target, maps, counts, fill=fill, inserts=True, seed=seed
  )


def pixel_flipping(
  model: nn.Module,
  variables: Variables,
  inputs: Float[AnyArray, 'B ...'],
  target: Target,
  maps: Float[AnyArray, 'B ...'],
  *,
  fill: ArrayLike | None = None,
  share: Number = FLIPPED,
  steps: int = STEPS,
  seed: int = 0,
) -> Float64[np.ndarray, 'B']:
  """Mean drop of the logit while the first places are removed, the greatest number first.

  Args:
    model, variables, inputs, target, maps, fill, seed: as in `deletion`; target also a Neuron.
    share: share of the places that are removed at the end.
    steps: steps to this share; the mean is over all steps and the start.

  Returns:
    the area over the perturbation curve, in units of the logit: more is better.

  Raises:
    ValueError: as in `deletion`; a share that is not in 0..1.

  Source: Bach et al. 2015, section 'Evaluation by pixel-flipping'; Samek et al. 2017, Evaluating
    the visualization of what a deep neural network has learned, equation 12, with the fill instead
    of noise.
  """
  if not 0 < share <= 1:
    raise ValueError(f'share={share} is not a share of the places: use more than 0, at most 1')
  last = max(1, round(share * maps[0].size))
  found = removal.curve(
    model,
    variables,
    inputs,
    target,
    maps,
    removal.steps_of(last, steps),
    fill=fill,
    probability=False,
    seed=seed,
  )
  scores = found.scores.astype(np.float64)
  return (scores[:, :1] - scores).mean(1)


class Road(NamedTuple):
  """Probabilities of the class without the places of the greatest or of the least numbers.

  Attributes:
    shares: removed shares of the places.
    greatest: without those of the greatest numbers (MoRF).
    least: without those of the least numbers (LeRF).
  """

  shares: Float64[np.ndarray, 'S']
  greatest: Float[np.ndarray, 'B S']
  least: Float[np.ndarray, 'B S']

  def gap(self) -> Float64[np.ndarray, 'B']:
    """Mean of least − greatest over the shares, from −1 to 1: more is better."""
    return (self.least.astype(np.float64) - self.greatest).mean(1)


def road(
  model: nn.Module,
  variables: Variables,
  images: Float[AnyArray, 'B H W C'],
  target: Target,
  maps: Float[AnyArray, 'B H W'],
  *,
  shares: tuple[float, ...] = SHARES,
  noise: Number = 0.01,
  seed: int = 0,
) -> Road:
  """Probability of the class if pixels are removed by noisy linear imputation (ROAD).

  A removed pixel becomes a weighted mean of its neighbours, so that the shape of the removed area
  does not give the class away.

  Args:
    model: linen module.
    variables: its variables.
    images: [B, H, W, C], scaled as in training.
    target: classes [B] int.
    maps: [B, H, W].
    shares: removed shares of the pixels, each more than 0 and less than 1.
    noise: standard deviation of the noise, on the scale of the images.
    seed: seed of the noise and of the order of pixels with equal numbers.

  Returns:
    Road.

  Raises:
    ValueError: images, a target or maps that do not fit, or a share out of range.

  Source: Rong et al. 2022, A consistent and efficient evaluation strategy for attribution methods,
    sections 4 and 5.
  """
  images = gradients.check(model, variables, images, target)
  if images.ndim != 4:
    raise ValueError(f'inputs of shape {images.shape} are not images: give [B, H, W, C]')
  removal.check_maps(images, np.asarray(maps))
  if not all(0 < share < 1 for share in shares):
    raise ValueError(f'shares={shares} are not shares of the pixels: use more than 0, less than 1')
  places = images.shape[1] * images.shape[2]
  counts = tuple(round(share * places) for share in shares)
  orders = [removal.ranks(one * np.asarray(maps), seed=seed).astype(np.int32) for one in (1, -1)]
  greatest, least = (
    gradients.batched(
      imputation.probabilities_without,
      model,
      variables,
      images,
      target,
      order,
      imputation.normal(images, seed) * np.asarray(noise, images.dtype),
      batch_size=max(1, removal.FORWARD // len(counts)),
      counts=counts,
    )
    for order in orders
  )
  return Road(np.asarray(counts) / places, greatest, least)


def infidelity(
  maps: Float[AnyArray, 'B ...'], removed: Removed, *, scaled: bool = True
) -> Float64[np.ndarray, 'B']:
  """Squared error of the drops that a map predicts, relative to the squared drops.

  The map predicts that a subset of places changes the score by the sum of its numbers.

  Args:
    maps: [B, …], one number for each place: a signed contribution.
    removed: subsets of the places, and the drops of the score without them.
    scaled: whether the map is first multiplied by the factor with the least error, so that methods
      in other units can be compared.

  Returns:
    share of the squared drops that the map does not explain: 0 is best. With `scaled` at most 1;
    NaN for an input whose score never changes.

  Source: Yeh et al. 2019, On the (in)fidelity and sensitivity of explanations, section 3.1, with
    subsets as the perturbation; relative to the squared drops, and with their optimal scaling.
  """
  predicted = _predicted(maps, removed)
  drops = removed.drops.astype(np.float64)
  if scaled:
    predicted = predicted * _ratio((predicted * drops).sum(1), np.square(predicted).sum(1))
  total = np.square(drops).sum(1)
  error = np.square(predicted - drops).sum(1)
  return np.divide(error, total, out=np.full(len(total), np.nan), where=total > 0)


def sensitivity_n(maps: Float[AnyArray, 'B ...'], removed: Removed) -> Float64[np.ndarray, 'B']:
  """Correlation of a map's sum over n places with the drop of the score without them.

  Args:
    maps: [B, …], one number for each place: a signed contribution.
    removed: subsets of the places, and the drops of the score without them.

  Returns:
    Pearson's correlation, the mean over the sizes n of the subsets: 1 is best. It is 0 where the
    sums of the map or the drops are constant.

  Source: Ancona et al. 2018, Towards better understanding of gradient-based attribution methods,
    section 4.
  """
  predicted, drops = _predicted(maps, removed), removed.drops.astype(np.float64)
  sizes = removed.subsets.sum(1)
  found = [
    _correlation(predicted[:, sizes == size], drops[:, sizes == size]) for size in np.unique(sizes)
  ]
  return np.mean(found, 0)


def completeness_error(
  maps: Float[AnyArray, 'B ...'], change: Float[AnyArray, 'B']
) -> Float64[np.ndarray, 'B']:
  """Difference of the sum of a map from the change of the score that it should explain.

  Args:
    maps: [B, …], signed contributions.
    change: score of each input minus that of the method's baseline.

  Returns:
    the difference as a share of the change: 0 is best; NaN where the score does not change.

  Source: Sundararajan et al. 2017, Axiomatic attribution for deep networks, proposition 1.
  """
  change = np.asarray(change, np.float64)
  total = completeness.totals(maps)
  size = np.abs(change)
  return np.divide(np.abs(total - change), size, out=np.full(len(size), np.nan), where=size > 0)


def _predicted(maps, removed):
  """Sums [B, K] of the maps over the subsets."""
  flat = np.asarray(maps, np.float64).reshape(len(maps), -1)
  if flat.shape[1] != removed.subsets.shape[1]:
    raise ValueError(
      f'maps of {flat.shape[1]} places do not fit subsets of {removed.subsets.shape[1]}: give one '
      'number for each place'
    )
  return flat @ removed.subsets.T.astype(np.float64)


def _ratio(above, below):
  """Column [B, 1] of quotients; 0 where the divisor is 0."""
  return np.divide(above, below, out=np.zeros_like(above), where=below > 0)[:, None]


def _correlation(first, second):
  """Pearson's correlation of each row; 0 where one is constant up to rounding."""
  products, constant = [], np.zeros(len(first), bool)
  for values in (first, second):
    centred = values - values.mean(1, keepdims=True)
    constant |= np.abs(centred).max(1) <= CONSTANT * np.abs(values).max(1)
    products.append(centred)
  first, second = products
  length = np.sqrt(np.square(first).sum(1) * np.square(second).sum(1))
  return np.divide((first * second).sum(1), length, out=np.zeros(len(length)), where=~constant)
