"""What an experiment does that its author may regret, found before training. A warning never stops
a run.
"""

import math
from typing import Any

from jaxdl.lint import duration, examples, network
from jaxdl.step import tasks


def warnings(experiment: Any, *, short: bool = False) -> list[str]:
  """Finds the certain mistakes in an experiment, before it is trained.

  Args:
    experiment: Experiment.
    short: whether the run is meant to be short, or resumes, so that examples that it never sees are
      no mistake.

  Returns:
    A line for each mistake, which names the config's key and the fix.
  """
  return [
    line
    for module in (examples, network, duration)
    for check in module.CHECKS
    if not (short and check is examples.never_reached)
    for line in check(experiment)
  ]


def of_result(experiment: Any, summary: dict) -> str | None:
  """What is wrong with a network whose loss is above that of a guess among all classes.

  Args:
    experiment: Experiment.
    summary: as `loop.train` returns it.

  Returns:
    A line; None where the loss is lower, or where nothing is classified.
  """
  split = next((split for split in ('validation', 'test') if f'{split}_loss' in summary), None)
  if split is None or experiment.evaluation_task is tasks.reconstruct:
    return None
  loss, classes = summary[f'{split}_loss'], len(experiment.data.classes)
  guess = math.log(classes)
  if not loss > guess:
    return None
  return (
    f'the {split} loss of {loss:.2f} is above that of a guess among {classes} classes, '
    f'{guess:.2f}: train longer, or with a lower config.optimizer.learning_rate'
  )
