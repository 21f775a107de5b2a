"""Two figures of attribution maps of sequences: completeness, and the share of the first step."""

from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import Float64, Shaped

from jaxdl.analysis import units
from jaxdl.analysis.gradients import batched, check
from jaxdl.analysis.last_character import differentiable
from jaxdl.analysis.units import AnyArray, Target, Variables


def difference(
  baseline_score: Any,
  model: nn.Module,
  variables: Variables,
  inputs: Shaped[AnyArray, 'B T ...'],
  target: Target,
) -> Float64[np.ndarray, 'B']:
  """Score of each input minus the score of a method's baseline: what a complete map sums to.

  Args:
    baseline_score: `Method.baseline_score` of a method of `methods.of_sequences`.
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


def totals(maps: Shaped[AnyArray, 'B ...']) -> Float64[np.ndarray, 'B']:
  """Sum of each map. Minus the `difference`, it is the completeness error."""
  return np.asarray(maps).reshape(len(maps), -1).sum(1, dtype=np.float64)


def first_step_share(maps: Shaped[AnyArray, 'B T ...']) -> Float64[np.ndarray, 'B']:
  """Share of the first step in the magnitude of each map; 0 for a map of zeros.

  A uniform map has 1 / T. Methods that go backward through many steps can accumulate their errors
  at the first one.

  Args:
    maps: [B, T], or [B, T, I], whose magnitudes are added within each step.

  Returns:
    shares in 0..1.
  """
  maps = np.abs(np.asarray(jax.device_get(maps), np.float64))
  steps = maps.reshape(*maps.shape[:2], -1).sum(2)  # [B, T]
  total = steps.sum(1)
  return np.divide(steps[:, 0], total, out=np.zeros(len(steps)), where=total > 0)
