"""Figures of attribution maps: completeness, and the share of the first step of a sequence."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64, Integer, Shaped

from jaxdl.analysis import batches, units
from jaxdl.analysis.maps.expected_gradients import with_fixed
from jaxdl.analysis.maps.gradients import batched, check, labels_of, program
from jaxdl.analysis.maps.last_character import differentiable
from jaxdl.analysis.units import AnyArray, Target, Variables


def difference(
  baseline_score: Any,
  model: nn.Module,
  variables: Variables,
  inputs: Shaped[AnyArray, 'B ...'],
  target: Target,
) -> Float64[np.ndarray, 'B']:
  """Score of each input minus the score of a method's baseline: what a complete map sums to.

  Args:
    baseline_score: `Method.baseline_score` of a method of `methods`.
    model: as for the method.
    variables: its variables.
    inputs: as for the method.
    target: as for the method.

  Returns:
    the differences, in units of the score.
  """
  explained, given = differentiable(model, variables, inputs)
  given = check(explained, variables, given, target)
  scores = batched(units.scores, explained, variables, given, target, batch_size=units.BATCH)
  of_baseline = baseline_score(model, variables, inputs, target)
  return scores.astype(np.float64) - np.asarray(of_baseline, np.float64)


def background_scores(
  model: nn.Module,
  variables: Variables,
  inputs: Shaped[AnyArray, 'B ...'],
  target: Target,
  background: Shaped[AnyArray, 'N ...'],
  *,
  fixed_channels: int = 0,
) -> Float64[np.ndarray, 'B']:
  """Mean score of a background for each input's target: the baseline score of expected gradients.

  Args:
    model: linen module.
    variables: its variables.
    inputs: [B, H, W, C] or [B, T, I] floating point.
    target: as for `attribution.expected_gradients`.
    background: as for `attribution.expected_gradients`.
    fixed_channels: as for `attribution.expected_gradients`.

  Returns:
    the means, in units of the score.

  Raises:
    ValueError: inputs or a target that do not fit.
  """
  inputs = check(model, variables, inputs, target)
  compiled = program(_mean_scores, model, variables, target, fixed_channels=fixed_channels)
  background = jax.device_put(np.asarray(background, inputs.dtype))
  labels = labels_of(inputs, target)
  which = np.arange(len(inputs))
  if not fixed_channels:  # the score depends on the target alone
    labels, first, which = _distinct(labels)
    inputs = inputs[first]
  parts = batches.in_batches(lambda *arrays: compiled(*arrays, background), inputs, labels)
  return np.concatenate([part for _, part in parts]).astype(np.float64)[which]


def _distinct(labels):
  """(distinct labels, the place of the first of each, the place of each label among them)."""
  found, first, which = np.unique(labels, axis=0, return_index=True, return_inverse=True)
  return found, first, which.reshape(-1)


def _mean_scores(model, variables, inputs, target, background, *, fixed_channels):
  def scores(one):
    baselines = with_fixed(jnp.broadcast_to(one, inputs.shape), inputs, fixed_channels)
    return units.scores(model, variables, baselines, target)

  return jax.lax.map(scores, background).mean(0)


def totals(maps: Shaped[AnyArray, 'B ...']) -> Float64[np.ndarray, 'B']:
  """Sum of each map. Minus the `difference`, it is the completeness error."""
  return np.asarray(maps).reshape(len(maps), -1).sum(1, dtype=np.float64)


def first_step_share(
  maps: Shaped[AnyArray, 'B T ...'], first: Integer[np.ndarray, 'B'] | int = 0
) -> Float64[np.ndarray, 'B']:
  """Share of the first step in the magnitude of each map; 0 for a map of zeros.

  A uniform map has 1 / T. Gradients that grow on their way backward through the steps put too much
  on the first one.

  Args:
    maps: [B, T], or [B, T, I], whose magnitudes are added within each step.
    first: index of the step that counts as the first one, or one for each map, such as the first
      row that is not black.

  Returns:
    shares in 0..1.
  """
  maps = np.abs(np.asarray(maps, np.float64))
  steps = maps.reshape(*maps.shape[:2], -1).sum(2)  # [B, T]
  total = steps.sum(1)
  chosen = steps[np.arange(len(steps)), first]
  return np.divide(chosen, total, out=np.zeros(len(steps)), where=total > 0)
