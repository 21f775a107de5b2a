"""Runs as their own files tell of them: config.json, summary.json and metrics.jsonl."""

import dataclasses
import functools
import pathlib

from jaxdl.runs import files, identity, record

ROOT = pathlib.Path(__file__).parents[2]


def progress(run):
  """'at step 8,000 of 27,000', or '… of 20 epochs' where the Run has not yet been told how many
  steps these are.
  """
  count, unit = run.config['train_for'].split()
  steps = run.summary.get('steps') or (int(count) if unit.startswith('step') else None)
  return f'at step {run.step:,} of {f"{steps:,}" if steps else f"{count} {unit}"}'


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
  runs: dict[int, record.Run]
  changed: tuple[str, ...] = ()

  @functools.cached_property
  def finished(self):
    """The runs that are at their end."""
    return [run for run in self.runs.values() if run.finished]

  @property
  def unfinished(self):
    """'seed 2 at step 8,000 of 27,000', for every run that is not at its end."""
    return [f'seed {seed} {progress(run)}' for seed, run in self.runs.items() if not run.finished]

  @property
  def remarks(self):
    """What the data say of themselves, each once."""
    return sorted({run.remark for run in self.finished} - {''})


def read_run(folder):
  """The Run of the run in a folder; None where there is none.

  Raises:
    ValueError: one of its files is damaged.
  """
  return record.load(folder) if (pathlib.Path(folder) / 'config.json').is_file() else None


def read_seeds(folder):
  """Seed → Run of the folders seed0, seed1, … in a folder."""
  seeds = sorted(
    int(path.name[4:]) for path in pathlib.Path(folder).glob('seed*') if path.name[4:].isdecimal()
  )
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
    changed = {
      key
      for run in found.values()
      for key in identity.keys_of_another_experiment(run.config, config)
    }
    groups[name] = Group(name, config.get('reported', {}), found, tuple(sorted(changed)))
  for folder in sorted(runs.glob('sweeps/*')):
    groups |= read_sweep(folder)
  return groups


def read_sweep(folder):
  """The rows of a sweep's table, name 'sweeps/<sweep>/<label>' → Group; {} where it has not been
  run.
  """
  if not (folder / 'sweep.json').is_file():
    return {}
  groups = {}
  for row in files.read_json(folder / 'sweep.json')['rows']:
    members = {
      seed: read_run(folder / member)
      for seed, member in zip(row['seeds'], row['runs'], strict=True)
    }
    name = f'sweeps/{folder.name}/{row["label"]}'
    groups[name] = Group(
      name, row.get('reported', {}), {seed: run for seed, run in members.items() if run is not None}
    )
  return groups
