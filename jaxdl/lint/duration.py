"""Checks of durations and intervals of a run. Each check yields its warnings."""

from collections.abc import Iterator
from typing import Any

from jaxdl.config import checks


def single_evaluation(experiment: Any) -> Iterator[str]:
  """Warns if a run is evaluated only at its end, so that there is only one candidate checkpoint."""
  if 'validation' in experiment.data.splits and experiment.evaluate_every > experiment.steps:
    yield (
      f'config.evaluate_every, {experiment.evaluate_every:,} steps, is longer than the run of '
      f'{experiment.steps:,}, so only the last checkpoint can be the best: make it shorter'
    )


def idle_patience(experiment: Any) -> Iterator[str]:
  """Warns if a patience is too long to take effect within the run.

  The count starts at the first evaluation, which is always the best so far.
  """
  every, epoch = experiment.evaluate_every, experiment.data.splits['train'].batches
  # Steps from the first evaluation to the last one before the end.
  observed = (experiment.steps - 1) // every * every - every
  waits = {
    'plateau.patience': (experiment.config.get('plateau') or {}).get('patience'),
    'early_stopping': experiment.config.get('early_stopping'),
  }
  for key, duration in waits.items():
    if duration is not None and observed < checks.in_steps(duration, epoch, f'config.{key}'):
      yield (
        f'config.{key}={duration!r} does not end within the run of {experiment.steps:,} steps, '
        f'evaluated every {every:,}: make it shorter, or config.train_for longer'
      )


CHECKS = (single_evaluation, idle_patience)
