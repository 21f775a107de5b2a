"""A run's final figures: the last line that training prints and `summary.json`."""

import importlib.metadata
import json
import pathlib
import platform

import jax

from jaxdl.models import table
from jaxdl.runs import disk
from jaxdl.step import tasks

VERSIONS = {
  'Python': platform.python_version(),
  **{
    name: importlib.metadata.version(name)
    for name in ('jax', 'flax', 'optax', 'orbax-checkpoint', 'numpy')
  },
}


def of_run(experiment, current, measured, *, stopped, stopped_early):
  """The figures of a run at a checkpoint.

  Args:
    experiment: Experiment.
    current: State of the checkpoint.
    measured: split → sums over its examples, as evaluation returns them.
    stopped: int, the step at which a signal ended the run, or None.
    stopped_early: int, that at which the validation loss had not fallen for long enough, or None.

  Returns:
    dict of plain JSON data.
  """
  figures = {name: round(value, 6) for name, value in of_splits(measured).items()}
  counted = {f'{split}_examples': int(values['count']) for split, values in measured.items()}
  device = jax.devices()[0]
  return {
    'config': experiment.name,
    'step': int(current.step),
    'steps': experiment.steps,
    **figures,
    **counted,
    'reported': experiment.reported,
    **table.totals(experiment.layers),
    'seed': experiment.seed,
    'data': experiment.data.origin,
    'device': f'{jax.device_count()} x {device.device_kind}',
    'versions': VERSIONS,
    'stopped': stopped,
    'stopped_early': stopped_early,
  }


def of_splits(measured):
  """Figures by split: {'test': sums} → {'test_loss': …, 'test_accuracy': …}."""
  return {
    f'{split}_{name}': value
    for split, values in measured.items()
    for name, value in tasks.metrics(values).items()
  }


def record(workdir, summary, *, seconds, resumed):
  """Writes `summary.json`, a run's final figures, with the seconds of all its sittings.

  Args:
    workdir: the run's folder.
    summary: dict of plain JSON data.
    seconds: float, of this sitting.
    resumed: bool, whether the sittings before count too. One that was killed left no figure behind
      and is not counted.

  Returns:
    the summary with 'seconds'.

  Raises:
    OSError: the folder cannot be written.
  """
  file = pathlib.Path(workdir) / 'summary.json'
  before = _seconds(file) if resumed else 0.0
  summary = {**summary, 'seconds': round(before + seconds, 1)}
  disk.write_atomic(file, json.dumps(summary, indent=2) + '\n')
  return summary


def _seconds(file):
  """Those of the sittings before; 0 where no sound file tells them: a run does not fail at its end
  for them.
  """
  try:
    return float(json.loads(file.read_text())['seconds'])
  except (OSError, ValueError, LookupError, TypeError, OverflowError, RecursionError):
    return 0.0
