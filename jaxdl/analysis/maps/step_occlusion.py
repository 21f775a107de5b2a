"""Occlusion of steps: the drop of a target when some steps of a sequence are filled."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Shaped

from jaxdl.analysis import units
from jaxdl.analysis.maps.gradients import batched, check, say_silent
from jaxdl.analysis.units import BATCH, AnyArray, ArrayLike, Target, Variables


def step_occlusion(
  model: nn.Module,
  variables: Variables,
  sequences: Shaped[AnyArray, 'B T I'],
  target: Target,
  *,
  window: int = 1,
  fill: ArrayLike = 0.0,
  batch_size: int = BATCH,
) -> Float[np.ndarray, 'B T']:
  """Mean drop of the target over the windows of steps that cover a step.

  Positive is evidence for the target. Windows start at every step at which they fit.

  Args:
    model: linen module.
    variables: its variables.
    sequences: [B, T, I] floating point.
    target: classes [B] int, or Neuron.
    window: number of steps that are filled at once.
    fill: number or array that broadcasts to the sequences, such as one number for each channel [I].
    batch_size: sequences in one compiled call.

  Returns:
    maps.

  Raises:
    ValueError: sequences or a target that do not fit the model, a window that is longer than the
      sequences, or a fill of another shape.

  Source: Zeiler & Fergus 2014, section 4.2, for steps; Li et al. 2016, Understanding neural
    networks through representation erasure.
  """
  sequences = check(model, variables, sequences, target)
  length = sequences.shape[1]
  if sequences.ndim != 3 or not 1 <= window <= length:
    raise ValueError(
      f'window={window} does not fit sequences of shape {sequences.shape}: give [B, T, I] and a '
      f'window of 1 to T'
    )
  try:
    filled = np.broadcast_to(np.asarray(fill, sequences.dtype), sequences.shape)
  except ValueError:
    raise ValueError(
      f'fill of shape {np.shape(fill)} does not fit sequences of shape {sequences.shape}: give a '
      'number, one a channel, or sequences'
    ) from None
  drops = batched(
    _drops, model, variables, sequences, target, filled, batch_size=batch_size, window=window
  )  # [B, N]
  return say_silent(_mean_over_windows(drops, length, window).astype(sequences.dtype), target)


def _drops(model, variables, sequences, target, filled, *, window):
  """Drop of each score with each window of steps filled, [B, N]."""
  steps = jnp.arange(sequences.shape[1])
  complete = units.scores(model, variables, sequences, target)

  def drop(start):
    hidden = (steps >= start) & (steps < start + window)
    occluded = jnp.where(hidden[:, None], filled, sequences)
    return complete - units.scores(model, variables, occluded, target)

  return jax.lax.map(drop, steps[: len(steps) - window + 1]).T


def _mean_over_windows(drops, length, window):
  """Mean over the windows that cover each step: [B, N] → [B, T]."""
  total = np.zeros((len(drops), length))
  covered = np.zeros(length)
  for start in range(drops.shape[1]):
    total[:, start : start + window] += drops[:, start, None]
    covered[start : start + window] += 1
  return total / covered
