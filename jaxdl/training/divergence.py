"""Ends a run whose numbers are no longer finite, and says which checkpoint it keeps."""

import jax
import numpy as np


def check_losses(losses, step, checkpoints):
  """Raises FloatingPointError where a loss is infinite or not a number.

  Args:
    losses: [S], of the steps up to `step`.
    step: int, the last of them.
    checkpoints: the run's manager, which is waited for; None in a process that keeps none.
  """
  bad = np.flatnonzero(~np.isfinite(losses))
  if len(bad):
    _refuse('the loss is', step - len(losses) + int(bad[0]) + 1, checkpoints)


def check_parameters(params, step, checkpoints):
  """Raises FloatingPointError where a parameter is infinite or not a number; arguments as in
  `check_losses`.
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
