"""A run as one object: its config, metrics, history, command and network."""

import dataclasses
import functools
import math
import os
import pathlib
import re
import shlex
from collections.abc import Iterable
from typing import Any

from flax import linen as nn

from jaxdl.config import binding, checks, differences, library, reading
from jaxdl.runs import code, files, format, identity, keys, packed

SQUARES = {
  'classify_by_squared_error': 'squared error',
  'reconstruct': 'mean squared error',
}  # tasks whose loss is not a cross-entropy; `regress` names its own

# Facts about the data with which inputs are prepared and outputs are read.
FACTS = (
  'classes',
  'dtype',
  'form',
  'masked',
  'input_shape',
  'mean',
  'deviation',
  'targets',
  'table',
)
SLOWEST = 1e-9  # examples per second; a lower number is not a speed


@dataclasses.dataclass(frozen=True)
class Run:
  """A run on disk: the content of its files, and the network of its best checkpoint.

  `load` reads the text files. The network is read at its first use, from the checkpoint that is the
  best at that time.

  Attributes:
    folder: the run's folder.
    name: the config's name.
    config: content of `config.json`.
    summary: content of `summary.json`; {} if training has neither ended nor been stopped yet.
    history: the lines of `metrics.jsonl` in order, each with 'step', 'split' and the metrics.
    command: the command that started the run; '' if it is not known.
    packed: the file of a packed run, whose `folder` is in the cache; None for any other run.
    trust_code: whether the copy of the run's own code may be executed; see `runs.code`.
    network: (linen module, variables) to be used in place of the best checkpoint, or None.
  """

  folder: pathlib.Path
  name: str
  config: dict[str, Any]
  summary: dict[str, Any]
  history: list[dict[str, Any]]
  command: str
  packed: pathlib.Path | None = None
  trust_code: bool = False
  network: tuple[nn.Module, dict[str, Any]] | None = dataclasses.field(
    default=None, compare=False, repr=False
  )

  @functools.cached_property
  def _best(self) -> tuple[nn.Module, dict[str, Any]]:
    if self.network is not None:
      return self.network
    from jaxdl.runs import checkpoint  # importing orbax takes seconds

    model, variables, config = checkpoint.load_model(self.folder, trust_code=self.trust_code)
    changed = differences.changed_keys(_of_network(self.config), _of_network(config))
    if changed:
      raise ValueError(
        f'{self.folder / "config.json"} is not the config of its checkpoints (differing in '
        f'{", ".join(changed)}): restore it'
      )
    return model, variables

  @functools.cached_property
  def linked(self) -> dict[str, Any]:
    """The config with its own code imported, as `runs.code.linked`; the config if it has none."""
    return code.linked(self.config, self.folder, trust_code=self.trust_code)

  @property
  def place(self) -> pathlib.Path:
    """The folder or the file by which commands name the run."""
    return self.packed or self.folder

  @property
  def results(self) -> pathlib.Path:
    """The folder to which analyses, the report and the card go; see `packed.results_of`."""
    return packed.results_of(self.place)

  @property
  def model(self) -> nn.Module:
    """The network, a linen module."""
    return self._best[0]

  @property
  def variables(self) -> dict[str, Any]:
    """The variables of the best checkpoint: 'params' and 'batch_stats'."""
    return self._best[1]

  @property
  def classes(self) -> tuple[str, ...]:
    """Class names in the order of the labels, or the vocabulary of a text; () if not known."""
    return tuple(self.config.get('dataset', {}).get('classes', ()))

  @property
  def step(self) -> int:
    """The last step that was logged."""
    return self.history[-1]['step'] if self.history else 0

  @property
  def steps(self) -> int | None:
    """The length of the run in steps; None if the number of steps in an epoch is not known."""
    train_for, epoch = self.config.get('train_for'), self.epoch()
    if epoch is None and 'epoch' in str(train_for):
      return None
    try:
      return checks.in_steps(train_for, epoch or 1, 'config.train_for')
    except ValueError:
      return None

  @property
  def finished(self) -> bool:
    """Whether training reached the last step or stopped early.

    A finished run that resumes with more steps is no longer finished.
    """
    if not self.summary or self.summary.get('stopped') is not None:
      return False
    steps = self.summary.get('steps')
    if None not in (steps, self.steps) and steps != self.steps:
      return False
    end = self.summary.get('stopped_early') or steps
    return not self.history or end in (None, self.step)

  @property
  def title(self) -> str:
    """The config's name, preceded by the folder's name if that adds information."""
    folder = packed.name_of(self.place)
    if folder == self.name or re.fullmatch(r'seed\d+', folder):
      return self.name
    return f'{folder} ({self.name})'

  @property
  def remark(self) -> str:
    """The data set's remark, such as 'test split is not the original'; '' if there is none, or if
    the run tests with training examples, to which it does not apply.
    """
    splits = self.config.get('data', {}).get('splits') or {}
    if str(splits.get('test', 'test')).startswith('train'):
      return ''
    return self.summary.get('data', '').partition(', ')[2]

  @property
  def changed(self) -> list[str]:
    """The keys in which the run differs from the config that its command names.

    This applies to configs of the package. For other configs and for sweeps, the result is the keys
    that the command sets, because a config file named by a foreign run must not be executed.
    """
    words = self._words()
    named = [word.removeprefix('--config=') for word in words if word.startswith('--config=')]
    file = None
    if named and 'jaxdl.main' in words:
      file = library.find(named[-1].removeprefix('configs/').removesuffix('.py'))
    if file is not None:
      config = reading.to_dict(reading.read_file(file))
      return identity.keys_of_another_experiment(self.config, config)
    flags = [word.partition('=')[0] for word in words if word.startswith('--config.')]
    keys = [flag.removeprefix('--config.') for flag in flags]
    return [key for key in dict.fromkeys(keys) if not identity.of(key).same_experiment]

  def _words(self) -> list[str]:
    """The words of the command; [] if it is damaged."""
    try:
      return shlex.split(self.command)
    except ValueError:
      return []

  def state(self, now: bool | None) -> str:
    """'training', 'finished' or 'stopped'; `now`: whether a process trains in the run's folder."""
    if now:
      return 'training'
    return 'finished' if self.finished else 'stopped'

  def epoch(self) -> int | None:
    """The number of steps in an epoch; None for some runs of format 1."""
    return self.config.get('dataset', {}).get('steps_per_epoch')

  def examples_of_a_step(self) -> int:
    """Examples of a training step, or characters of a text, as `speed` counts them."""
    data = self.config['data']
    return data['batch_size'] * data.get('time_step', 1)

  @property
  def speed(self) -> float | None:
    """Examples, or characters of a text, per second in the last log; None if unknown."""
    speeds = (line.get('examples_per_second', 0) for line in reversed(self.history))
    return next((speed for speed in speeds if SLOWEST < speed < math.inf), None)

  def of_split(self, split: str) -> list[dict[str, Any]]:
    """The lines of the history of one split."""
    return [line for line in self.history if line['split'] == split]

  def curves(self) -> dict[tuple[str, str], list[tuple[int, float]]]:
    """(metric, split) → list of (step, value), ordered by step."""
    found = {}
    for line in self.history:
      for metric, value in line.items():
        if metric not in ('step', 'split', 'examples_per_second'):
          found.setdefault((metric, line['split']), []).append((line['step'], value))
    return found

  def figure(self, key: str) -> tuple[float | None, int]:
    """A metric at the best checkpoint, which the watched metric chose.

    Args:
      key: name, such as 'test_accuracy'. A training metric is taken from the last line of training
        up to the checkpoint.

    Returns:
      (value, number of examples over which it is averaged); the value is None if the run has no
      such metric.
    """
    split, _, name = key.partition('_')
    if split != 'train':
      return self.summary.get(key), self.summary.get(f'{split}_examples', 0)
    lines = [line for line in self.of_split('train') if line['step'] <= self.summary.get('step', 0)]
    if not lines:
      return None, 0
    steps = lines[-1]['step'] - (lines[-2]['step'] if len(lines) > 1 else 0)
    return lines[-1].get(name), steps * self.config['data']['batch_size']

  def chance(self, key: str) -> float | None:
    """The accuracy of always predicting the most frequent class of a split.

    Args:
      key: name, such as 'test_accuracy'.

    Returns:
      its share of the examples; None for another metric, and if the counts of the classes are not
      known.
    """
    split, _, name = key.partition('_')
    counts = self.config.get('dataset', {}).get('examples_per_class', {}).get(split)
    if name != 'accuracy' or not counts or not sum(counts):
      return None
    return max(counts) / sum(counts)

  def chances(self, names: Iterable[str]) -> dict[str, float]:
    """The chance levels (`chance`) of those figures that have one.

    Args:
      names: such as 'test_accuracy'.
    """
    found = {name: self.chance(name) for name in names}
    return {name: value for name, value in found.items() if value is not None}

  def reported(self) -> list[tuple[str, float, float | None]]:
    """Rows (metric, reported value, this run's value or None) of the config's reported metrics."""
    rows = []
    for key, value in self.summary.get('reported', self.config.get('reported') or {}).items():
      if key != 'source' and keys.is_figure(value):
        ours, _ = self.figure(key)
        rows.append((key, value, ours if keys.is_figure(ours) else None))
    return rows


def _of_network(config):
  """The part of a config without which the outputs of its network have no meaning."""
  data, facts = config['data'], config.get('dataset', {})
  return {
    'model': config['model'],
    'task': binding.as_section(config.get('task')),
    'data': {key: data[key] for key in ('name', 'layout', 'time_step') if key in data},
    'dataset': {key: facts[key] for key in FACTS if key in facts},
  }


def loss_unit(config: dict[str, Any]) -> str:
  """The unit of the loss of a config's task, such as 'nats' or 'mean squared error'."""
  name = task(config) or ''
  if name == 'regress':
    section = binding.as_section(config['task'])
    return f'{section.get("loss", "squared")} error, standardised'
  return SQUARES.get(name, 'nats')


def counted(config: dict[str, Any]) -> str:
  """The unit in which a config's task counts speed: 'examples' or 'characters'."""
  return 'characters' if task(config) == 'next_char' else 'examples'


def task(config: dict[str, Any]) -> str | None:
  """The name of a config's task; None if it has none."""
  section = binding.as_section(config.get('task'))
  name = section.get('name') if hasattr(section, 'get') else None
  return name if isinstance(name, str) else None


def load(workdir: str | os.PathLike, *, trust_code: bool = False) -> Run:
  """Loads a run from its folder or from a packed run.

  Args:
    workdir: the run's folder, or the file of a packed run.
    trust_code: whether the copy of the run's own code may be executed; see `runs.code`.

  Returns:
    Run; its network and variables are read at their first use.

  Raises:
    FileNotFoundError: the folder contains no run.
    ValueError: one of its files is damaged.
  """
  place, folder = pathlib.Path(workdir), packed.opened(workdir)
  if not (folder / 'config.json').is_file():
    raise FileNotFoundError(f'{folder} contains no run: give the folder of a run')
  config = files.read_config(folder / 'config.json')
  summary, command = folder / 'summary.json', folder / 'command.txt'
  found = files.read_summary(summary) if summary.is_file() else {}
  return Run(
    folder=folder,
    name=found.get('config', packed.name_of(place)),
    summary=found,
    config=format.upgraded(config),
    history=files.journal(folder),
    command=command.read_text(errors='replace', encoding='utf-8').strip()
    if command.is_file()
    else '',
    packed=None if folder == place else place,
    trust_code=trust_code,
  )


def finished(workdir: str | os.PathLike, config: dict[str, Any]) -> dict[str, Any] | None:
  """The summary of the finished run of a config.

  Args:
    workdir: the run's folder.
    config: a config as in a config file.

  Returns:
    The summary; None if the folder has no finished run of this config.
  """
  run = finished_run(workdir, config)
  return run.summary if run else None


def finished_run(workdir: str | os.PathLike, config: dict[str, Any]) -> Run | None:
  """The finished run of a config; arguments and None as in `finished`."""
  try:
    run = load(workdir)
  except (OSError, ValueError):
    return None
  if not run.finished or identity.keys_of_another_run(run.config, config):
    return None
  return run
