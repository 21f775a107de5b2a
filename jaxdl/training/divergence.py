"""Ends a run whose loss or parameters are not finite, and reports which checkpoint is kept."""

from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from jaxdl.runs.checkpoint import Manager


def check_losses(losses: Float[np.ndarray, ' S'], step: int, checkpoints: Manager | None) -> None:
  """Checks that the losses are finite.

  Args:
    losses: losses of the S steps up to `step`.
    step: the last step.
    checkpoints: the run's checkpoints; an error waits for their last save. None in a process that
      has none.

  Raises:
    FloatingPointError: a loss is infinite or NaN.
  """
  bad = np.flatnonzero(~np.isfinite(losses))
  if len(bad):
    _refuse('the loss is', step - len(losses) + int(bad[0]) + 1, checkpoints)


def check_parameters(params: Any, step: int, checkpoints: Manager | None) -> None:
  """Checks that the parameters are finite.

  Args:
    params: tree of parameters.
    step: the step of these parameters.
    checkpoints: as in `check_losses`.

  Raises:
    FloatingPointError: a parameter is infinite or NaN.
  """
  if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(jax.device_get(params))):
    _refuse('a parameter is', step, checkpoints)


def _refuse(what, step, checkpoints):
  newest = None
  if checkpoints is not None:
    checkpoints.wait_until_finished()
    newest = checkpoints.latest_step()
  kept = (
    f'the checkpoint of step {newest} is kept'
    if newest is not None
    else 'no checkpoint was written yet'
  )
  raise FloatingPointError(
    f'{what} not finite at step {step}: {kept}; lower config.optimizer.learning_rate '
    'or set config.optimizer.clip_norm'
  )
