"""What an experiment does that its author may regret, found before training. A warning never stops a run."""

from jaxdl.lint import duration, examples, network


def warnings(experiment):
  """Looks for the mistakes that can be told from an experiment for certain, before it is trained.

  Args:
    experiment: Experiment.

  Returns:
    list of str, one line each, that names the config's key and the mend.
  """
  return [line for module in (examples, network, duration) for check in module.CHECKS for line in check(experiment)]
