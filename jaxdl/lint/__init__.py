"""Checks of an experiment for probable mistakes, before training. A warning never stops a run."""

import math
from typing import Any

from jaxdl.lint import duration, examples, network
from jaxdl.step import tasks


def warnings(experiment: Any, *, short: bool = False) -> list[str]:
  """Finds mistakes in an experiment before it is trained.

  Args:
    experiment: Experiment.
    short: whether the run is intentionally short, or resumes. Unseen training examples then give no
      warning.

  Returns:
    One line per mistake, which names the config key and the fix.
  """
  return [
    line
    for module in (examples, network, duration)
    for check in module.CHECKS
    if not (short and check is examples.never_reached)
    for line in check(experiment)
  ]


def of_result(experiment: Any, summary: dict) -> str | None:
  """Warns if the loss of the network is above that of a uniform guess among all classes.

  Args:
    experiment: Experiment.
    summary: summary returned by `loop.train`.

  Returns:
    The warning, or None if the loss is lower or if the task is not classification.
  """
  split = next((split for split in ('validation', 'test') if f'{split}_loss' in summary), None)
  if split is None or experiment.evaluation_task not in tasks.CLASSIFICATIONS:
    return None
  loss, classes = summary[f'{split}_loss'], len(experiment.data.classes)
  guess = math.log(classes)
  if not loss > guess:
    return None
  return (
    f'the {split} loss of {loss:.2f} is above that of guessing among {classes} classes, '
    f'{guess:.2f}: train longer, or lower config.optimizer.learning_rate'
  )
