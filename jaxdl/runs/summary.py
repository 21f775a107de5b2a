"""A run's final metrics: the last line that training prints, and `summary.json`."""

import dataclasses
import importlib.metadata
import json
import os
import pathlib
import platform
from collections.abc import Mapping
from typing import Any

import jax

import jaxdl
from jaxdl.models import table
from jaxdl.runs import disk, keys
from jaxdl.step import tasks
from jaxdl.step.state import State

VERSIONS = {
  'Python': platform.python_version(),
  'jaxdl': jaxdl.__version__,
  **{
    name: importlib.metadata.version(name)
    for name in ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy')
  },
}


@dataclasses.dataclass(frozen=True)
class Summary:
  """The final metrics of a run, as in `summary.json`.

  Attributes:
    config: the config's name.
    step: step of the evaluated checkpoint, which is the best one.
    steps: the length of the run.
    figures: '<split>_<metric>' → mean over the split.
    examples: '<split>_examples' → number of examples over which the mean is taken.
    reported: the reported metrics; {} if there are none.
    parameters: number of parameters of the network.
    trainable: number of trainable parameters.
    seed: root of every random draw.
    data: where the data were read from.
    device: number and kind of the devices.
    versions: versions of Python and the libraries.
    stopped: step at which a signal ended the run, or None.
    stopped_early: step at which early stopping ended the run, or None.
    watch: the metric that chose the checkpoint, such as 'validation_loss'.
  """

  config: str
  step: int
  steps: int
  figures: dict[str, float]
  examples: dict[str, int]
  reported: dict[str, Any]
  parameters: int
  trainable: int
  seed: int
  data: str
  device: str
  versions: dict[str, str]
  stopped: int | None
  stopped_early: int | None
  watch: str

  def to_json(self) -> dict[str, Any]:
    """Converts to plain JSON data; metrics and examples become top-level keys."""
    found = {}
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      if field.name in ('figures', 'examples'):
        found.update(value)
      else:
        found[field.name] = value
    return found


def of_run(
  experiment: Any,
  current: State,
  measured: Mapping[str, Mapping[str, Any]],
  *,
  stopped: int | None,
  stopped_early: int | None,
) -> Summary:
  """Summarises a run at a checkpoint.

  Args:
    experiment: the Experiment that was trained.
    current: state of the checkpoint.
    measured: split → sums over its examples, as returned by evaluation.
    stopped: step at which a signal ended the run, or None.
    stopped_early: step at which early stopping ended the run, or None.

  Returns:
    Summary.
  """
  device = jax.devices()[0]
  return Summary(
    config=experiment.name,
    step=int(current.step),
    steps=experiment.steps,
    figures={name: round(value, 6) for name, value in of_splits(measured).items()},
    examples={f'{split}_examples': int(sums['count']) for split, sums in measured.items()},
    reported=experiment.reported,
    **table.totals(experiment.layers),
    seed=experiment.seed,
    data=experiment.data.origin,
    device=f'{jax.device_count()} x {device.device_kind}',
    versions=VERSIONS,
    stopped=stopped,
    stopped_early=stopped_early,
    watch=experiment.watch.key,
  )


def of_splits(measured: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
  """Metrics of all splits: {'test': sums} → {'test_loss': …, 'test_accuracy': …}."""
  return {
    f'{split}_{name}': value
    for split, values in measured.items()
    for name, value in tasks.metrics(values).items()
  }


def record(
  workdir: str | os.PathLike, summary: Mapping[str, Any], *, seconds: float, resumed: bool
) -> dict[str, Any]:
  """Writes `summary.json`, a run's final metrics, with the seconds of all its sessions.

  Args:
    workdir: the run's folder.
    summary: plain JSON data.
    seconds: duration of this session.
    resumed: whether to add the previous sessions. A killed session left no summary and is not
      counted.

  Returns:
    The summary with 'seconds'.

  Raises:
    OSError: the folder cannot be written.
  """
  file = pathlib.Path(workdir) / 'summary.json'
  before = _seconds(file) if resumed else 0.0
  written = {**summary, 'seconds': round(before + seconds, 1)}
  disk.write_atomic(file, json.dumps(written, indent=2) + '\n')
  return written


def _seconds(file):
  """The seconds of the previous sessions.

  They are 0 if the file is missing or damaged, so that a run does not fail at its end.
  """
  try:
    found = json.loads(file.read_text(encoding='utf-8'))['seconds']
  except (OSError, ValueError, LookupError, TypeError, RecursionError):
    return 0.0
  return float(found) if keys.is_span(found) else 0.0
