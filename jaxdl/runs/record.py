"""A run as its files have it: its config, its figures, the lines of its journal, and how it was
begun.
"""

import dataclasses
import pathlib
import re

from jaxdl.runs import files, identity


def finished(folder, wanted):
  """The summary of a run of this config that was trained to its end; None where there is none."""
  try:
    run = read(folder)
  except (OSError, ValueError):
    return None
  same = not identity.changed_keys(
    run.config, wanted, but=('reported', 'dataset', 'cpu_devices', 'data.workers')
  )
  return run.summary if same and run.finished else None


SQUARES = {
  'classify_by_squared_error': 'squared error',
  'reconstruct': 'mean squared error',
}  # tasks whose loss is no entropy


@dataclasses.dataclass(frozen=True)
class Record:
  """A run as its files have it.

  Attributes:
    folder: pathlib.Path.
    name: str, the config's.
    config: dict, config.json.
    summary: dict, summary.json; {} where training has not yet come to an end or been stopped.
    journal: list of dict, metrics.jsonl.
    command: str, how it was begun; '' where that is not known.
  """

  folder: pathlib.Path
  name: str
  config: dict
  summary: dict
  journal: list
  command: str

  @property
  def step(self):
    """The last step that was logged."""
    return self.journal[-1]['step'] if self.journal else 0

  @property
  def finished(self):
    """Whether training came to its end, and was not taken up again for longer since."""
    end = self.summary.get('stopped_early') or self.summary.get('steps')
    return (
      bool(self.summary)
      and self.summary.get('stopped') is None
      and (not self.journal or end in (None, self.step))
    )

  @property
  def title(self):
    """The config's name, and before it that of the folder where this tells more."""
    folder = self.folder.resolve().name
    return (
      self.name
      if folder == self.name or re.fullmatch(r'seed\d+', folder)
      else f'{folder} ({self.name})'
    )

  @property
  def remark(self):
    """What the data set says of itself, such as 'test split is not the original (JPEG test copy)';
    '' for nothing.
    """
    return self.summary.get('data', '').partition(', ')[2]

  @property
  def changed(self):
    """The keys that the command which began it sets, so that it is another run than the config's."""
    return [
      key
      for key in dict.fromkeys(re.findall(r'--config\.([\w.\[\]]+)', self.command))
      if key not in identity.SAME_RUN
    ]

  def state(self, now):
    """'training', 'finished' or 'stopped'; `now` tells whether a process trains in its folder."""
    return 'training' if now else 'finished' if self.finished else 'stopped'

  def epoch(self):
    """The steps of an epoch; None where an older version did not keep it."""
    return self.config.get('dataset', {}).get('steps_per_epoch')

  def of_split(self, split):
    """The lines of one split."""
    return [line for line in self.journal if line['split'] == split]

  def curves(self):
    """(metric, split) → list of (step, number), in the order of the steps."""
    found = {}
    for line in self.journal:
      for metric, value in line.items():
        if metric not in ('step', 'split', 'examples_per_second'):
          found.setdefault((metric, line['split']), []).append((line['step'], value))
    return found

  def figure(self, key):
    """A figure at the checkpoint of the lowest validation loss, and how many examples it is the
    mean over.

    Args:
      key: such as 'test_accuracy'; a training figure is that of the last line of training up to the
        checkpoint.

    Returns:
      (number, int); the number is None where the run has no such figure.
    """
    split, _, name = key.partition('_')
    if split != 'train':
      return self.summary.get(key), self.summary.get(f'{split}_examples', 0)
    lines = [line for line in self.of_split('train') if line['step'] <= self.summary.get('step', 0)]
    if not lines:
      return None, 0
    steps = lines[-1]['step'] - (lines[-2]['step'] if len(lines) > 1 else 0)
    return lines[-1].get(name), steps * self.config['data']['batch_size']

  def reported(self):
    """Rows (figure, reported, ours or None) of what the config's report says."""
    rows = []
    for key, value in self.summary.get('reported', self.config.get('reported') or {}).items():
      if key != 'source' and files.is_figure(value):
        ours, _ = self.figure(key)
        rows.append((key, value, ours if files.is_figure(ours) else None))
    return rows


def loss_unit(config):
  """The unit of the loss that a config's task measures: 'nats', 'squared error' or 'mean squared
  error'.
  """
  return SQUARES.get(_task(config), 'nats')


def counted(config):
  """What the speed of a config's task counts: 'examples' or 'characters'."""
  return 'characters' if _task(config) == 'next_char' else 'examples'


def _task(config):
  task = config.get('task')
  name = task.get('name') if hasattr(task, 'get') else task
  return name if isinstance(name, str) else None


def read(folder):
  """The Record of a folder.

  Raises:
    FileNotFoundError: no run is there.
    ValueError: one of its files is damaged.
  """
  folder = pathlib.Path(folder)
  if not (folder / 'config.json').is_file():
    raise FileNotFoundError(f'{folder} holds no run: give the folder of one')
  summary, command = folder / 'summary.json', folder / 'command.txt'
  found = files.read_json(summary, files.summary_keys()) if summary.is_file() else {}
  return Record(
    folder=folder,
    name=found.get('config', folder.resolve().name),
    summary=found,
    config=files.read_json(folder / 'config.json', files.CONFIG),
    journal=files.journal(folder),
    command=command.read_text(errors='replace').strip() if command.is_file() else '',
  )
