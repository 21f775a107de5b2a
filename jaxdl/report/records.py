"""What the files of a run say: its config, its figures, the lines of its journal and the facts of its analyses."""

import contextlib
import dataclasses
import pathlib

from jaxdl import models, run_files
from jaxdl.models import table

SPLITS = ('train', 'validation', 'test')


@dataclasses.dataclass(frozen=True)
class Record:
  """A run as its files have it.

  Attributes:
    folder: pathlib.Path.
    name: str, the config's.
    config: dict, config.json.
    summary: dict, summary.json; {} before its first end.
    journal: list of dict, metrics.jsonl.
    command: str, how it was begun; '' where that is not known.
  """

  folder: pathlib.Path
  name: str
  config: dict
  summary: dict
  journal: list
  command: str

  def layers(self):
    """The layer table, rows as `models.table.layers` returns them; [] where an older version kept nothing of the data."""
    if 'dataset' not in self.config:
      return []
    text = self.config['model']['name'] == 'language_model'
    shape = tuple(self.config['dataset']['input_shape'])
    try:
      return table.layers(models.build(self.config['model']), shape, 'int32' if text else 'float32')
    except ValueError as error:
      raise ValueError(f'{self.folder / "config.json"}: {error}') from error

  def epoch(self):
    """The steps of an epoch; None where an older version did not keep it."""
    return self.config.get('dataset', {}).get('steps_per_epoch')

  def facts(self, name):
    """The .json of an analysis; {} where there is none."""
    file = self.folder / 'analysis' / f'{name}.json'
    return run_files.read_json(file) if file.is_file() else {}

  def curves(self):
    """(metric, split) → list of (step, number), in the order of the steps."""
    found = {}
    for line in self.journal:
      for metric, value in line.items():
        if metric not in ('step', 'split', 'examples_per_second'):
          found.setdefault((metric, line['split']), []).append((line['step'], value))
    return found

  def reported(self):
    """Rows (figure, reported, ours or None) of what the config's report says."""
    rows = []
    for key, value in self.summary.get('reported', self.config.get('reported') or {}).items():
      if key != 'source' and run_files.is_figure(value):
        ours = self.summary.get(key, self._of_training(key))
        rows.append((key, value, ours if run_files.is_figure(ours) else None))
    return rows

  def _of_training(self, key):
    """A figure of the last line of training up to the checkpoint that the summary is about."""
    split, _, name = key.partition('_')
    lines = [line for line in self.journal if line['split'] == split and line['step'] <= self.summary.get('step', 0)]
    return lines[-1].get(name) if lines else None


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
  found = run_files.read_json(summary, run_files.SUMMARY) if summary.is_file() else {}
  return Record(folder=folder, name=found.get('config', folder.resolve().name), summary=found,
                config=run_files.read_json(folder / 'config.json', run_files.CONFIG), journal=run_files.journal(folder),
                command=command.read_text(errors='replace').strip() if command.is_file() else '')


@contextlib.contextmanager
def sound(folder, name):
  """Makes whatever the block stumbles over in an analysis's files a ValueError that names them."""
  try:
    yield
  except Exception as error:  # of JSON, NumPy, zipfile and Pillow, each of which has its own
    raise ValueError(f'{folder / "analysis" / name} is not what jaxdl.analyze writes ({type(error).__name__}: {error}): '
                     'make it again') from error
