"""What an experiment does that its author may regret, found before training. A warning never stops
a run.
"""

import math

from jaxdl.lint import duration, examples, network


def warnings(experiment):
  """Looks for the mistakes that can be told from an experiment for certain, before it is trained.

  Args:
    experiment: Experiment.

  Returns:
    list of str, one line each, that names the config's key and the mend.
  """
  return [
    line
    for module in (examples, network, duration)
    for check in module.CHECKS
    for line in check(experiment)
  ]


def of_result(experiment, summary):
  """What is wrong with a network that knows less than a guess among all classes; None where it
  knows more.

  Args:
    experiment: Experiment.
    summary: dict, as `loop.train` returns it.

  Returns:
    str of one line, or None.
  """
  split = next((split for split in ('validation', 'test') if f'{split}_loss' in summary), None)
  classes = len(experiment.data.classes)
  if (
    experiment.config['task']['name'] == 'reconstruct'
    or split is None
    or not summary[f'{split}_loss'] > math.log(classes)
  ):
    return None
  return (
    f'the {split} loss of {summary[f"{split}_loss"]:.2f} is above that of a guess among {classes} classes, '
    f'{math.log(classes):.2f}: train longer, or with a lower config.optimizer.learning_rate'
  )
