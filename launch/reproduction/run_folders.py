"""Runs as their own files tell of them: config.json, summary.json and metrics.jsonl."""

import dataclasses
import functools
import pathlib

from jaxdl import comparison, run_files

ROOT = pathlib.Path(__file__).parents[2]
SAME_RUN = ('reported', 'dataset', 'seed', 'cpu_devices', 'log_every', 'evaluate_every', 'checkpoint_every', 'keep_every',
            'profile', 'data.folder', 'data.source', 'data.workers')  # keys that may differ between a config and its runs


@dataclasses.dataclass(frozen=True)
class Run:
  """One run.

  Attributes:
    folder: pathlib.Path.
    config: dict, config.json.
    summary: dict, summary.json; {} where training has not yet come to an end or been stopped.
    lines: tuple of dicts, metrics.jsonl.
  """

  folder: pathlib.Path
  config: dict
  summary: dict
  lines: tuple

  @property
  def step(self):
    """The last step that was logged."""
    return self.lines[-1]['step'] if self.lines else 0

  @property
  def finished(self):
    """Whether training came to its end, and was not taken up again for longer since."""
    return (bool(self.summary) and self.summary.get('stopped') is None
            and self.step == (self.summary.get('stopped_early') or self.summary['steps']))

  @property
  def progress(self):
    """'at step 8,000 of 27,000', or '… of 20 epochs' where the run has not yet written how many steps these are."""
    count, unit = self.config['train_for'].split()
    steps = self.summary.get('steps') or (int(count) if unit.startswith('step') else None)
    return f'at step {self.step:,} of {f"{steps:,}" if steps else f"{count} {unit}"}'

  @property
  def remark(self):
    """What the data set says of itself, such as 'test split is not the original (JPEG test copy)'; '' for nothing."""
    return self.summary.get('data', '').partition(', ')[2]

  def of_split(self, split):
    """The lines of one split."""
    return [line for line in self.lines if line['split'] == split]

  def figure(self, key):
    """A figure at the checkpoint of the lowest validation loss, and how many examples it is the mean over.

    Args:
      key: such as 'test_accuracy'; a training figure is that of the last line of training up to the checkpoint.

    Returns:
      (number, int); the number is None where the run has no such figure.
    """
    split, _, name = key.partition('_')
    if split != 'train':
      return self.summary.get(key), self.summary.get(f'{split}_examples', 0)
    lines = [line for line in self.of_split('train') if line['step'] <= self.summary['step']]
    if not lines:
      return None, 0
    steps = lines[-1]['step'] - (lines[-2]['step'] if len(lines) > 1 else 0)
    return lines[-1].get(name), steps * self.config['data']['batch_size']


@dataclasses.dataclass(frozen=True)
class Group:
  """The runs of one experiment, which differ in their seed.

  Attributes:
    name: str, a config's, or 'sweeps/<sweep>/<label>'.
    reported: dict, the report's figures and its 'source'.
    runs: seed → Run.
    changed: keys in which a run differs from the config as it is now.
  """

  name: str
  reported: dict
  runs: dict[int, Run]
  changed: tuple[str, ...] = ()

  @functools.cached_property
  def finished(self):
    """The runs that are at their end."""
    return [run for run in self.runs.values() if run.finished]

  @property
  def unfinished(self):
    """'seed 2 at step 8,000 of 27,000', for every run that is not at its end."""
    return [f'seed {seed} {run.progress}' for seed, run in self.runs.items() if not run.finished]

  @property
  def remarks(self):
    """What the data say of themselves, each once."""
    return sorted({run.remark for run in self.finished} - {''})


def read_run(folder):
  """The run in a folder; None where there is none.

  Raises:
    ValueError: one of its files is not JSON.
  """
  folder = pathlib.Path(folder)
  if not (folder / 'config.json').is_file():
    return None
  summary = folder / 'summary.json'
  return Run(folder=folder, config=run_files.read_json(folder / 'config.json'),
             summary=run_files.read_json(summary) if summary.is_file() else {}, lines=tuple(run_files.journal(folder)))


def read_seeds(folder):
  """Seed → Run of the folders seed0, seed1, … in a folder."""
  seeds = sorted(int(path.name[4:]) for path in pathlib.Path(folder).glob('seed*') if path.name[4:].isdecimal())
  runs = {seed: read_run(pathlib.Path(folder) / f'seed{seed}') for seed in seeds}
  return {seed: run for seed, run in runs.items() if run is not None}


def read_groups(runs, configs):
  """The runs of every config and of every row of every sweep.

  Args:
    runs: pathlib.Path that holds <config>/seed<S> and sweeps/<sweep>.
    configs: name → config, plain JSON data.

  Returns:
    name → Group.
  """
  groups = {}
  for name, config in configs.items():
    found = read_seeds(runs / name)
    changed = {key for run in found.values() for key in comparison.changed_keys(run.config, config, but=SAME_RUN)}
    groups[name] = Group(name, config.get('reported', {}), found, tuple(sorted(changed)))
  for folder in sorted(runs.glob('sweeps/*')):
    groups |= read_sweep(folder)
  return groups


def read_sweep(folder):
  """The rows of a sweep's table, name 'sweeps/<sweep>/<label>' → Group; {} where it has not been run."""
  if not (folder / 'sweep.json').is_file():
    return {}
  groups = {}
  for row in run_files.read_json(folder / 'sweep.json')['rows']:
    members = {seed: read_run(folder / member) for seed, member in zip(row['seeds'], row['runs'], strict=True)}
    name = f'sweeps/{folder.name}/{row["label"]}'
    groups[name] = Group(name, row.get('reported', {}), {seed: run for seed, run in members.items() if run is not None})
  return groups
