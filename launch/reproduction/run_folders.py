"""The runs of every config and sweep, read from their files."""

import dataclasses
import functools
import os
import pathlib
from typing import Any

from jaxdl.runs import Run, files, identity, load

ROOT = pathlib.Path(__file__).parents[2]


def progress(run: Run) -> str:
  """'at step 8,000 of 27,000', or '… of 20 epochs' where the steps of an epoch are not known."""
  steps = run.steps or run.summary.get('steps')
  length = f'{steps:,}' if steps else run.config['train_for']
  return f'at step {run.step:,} of {length}'


@dataclasses.dataclass(frozen=True)
class Group:
  """The runs of one experiment, which differ in their seed.

  Attributes:
    name: a config's, or 'sweeps/<sweep>/<label>'.
    reported: the report's figures and its 'source'.
    runs: seed → Run.
    changed: keys in which a run differs from the current config.
  """

  name: str
  reported: dict[str, Any]
  runs: dict[int, Run]
  changed: tuple[str, ...] = ()

  @functools.cached_property
  def finished(self) -> list[Run]:
    """The runs that are finished."""
    return [run for run in self.runs.values() if run.finished]

  @property
  def unfinished(self) -> list[str]:
    """'seed 2 at step 8,000 of 27,000', for every run that is not finished."""
    return [f'seed {seed} {progress(run)}' for seed, run in self.runs.items() if not run.finished]

  @property
  def remarks(self) -> list[str]:
    """The remarks of the data sets, each once."""
    return sorted({run.remark for run in self.finished} - {''})

  @property
  def is_on_other_data(self) -> bool:
    """Whether a finished run has other data than the report, such as other photographs.

    The config of such a run has no reported figures.
    """
    return any(run.config.get('reported') == {} for run in self.finished)


def read_run(folder: str | os.PathLike) -> Run | None:
  """The run in a folder; None where there is none.

  Raises:
    ValueError: one of its files is damaged.
  """
  return load(folder) if (pathlib.Path(folder) / 'config.json').is_file() else None


def read_seeds(folder: str | os.PathLike) -> dict[int, Run]:
  """Seed → run of the folders seed0, seed1, … in a folder."""
  seeds = sorted(
    int(path.name[4:]) for path in pathlib.Path(folder).glob('seed*') if path.name[4:].isdecimal()
  )
  runs = {seed: read_run(pathlib.Path(folder) / f'seed{seed}') for seed in seeds}
  return {seed: run for seed, run in runs.items() if run is not None}


def read_groups(
  runs: pathlib.Path, configs: dict[str, dict[str, Any]], kept: pathlib.Path | None = None
) -> dict[str, Group]:
  """The runs of every config and of every row of every sweep.

  Args:
    runs: folder with <config>/seed<S> and sweeps/<sweep>.
    configs: name → config, plain JSON data.
    kept: folder of kept runs, as `runs`. They are read where `runs` has no finished run of that
      seed and the config has not changed since, or no such sweep; None for none.

  Returns:
    name → Group.
  """
  groups = {}
  for name, config in configs.items():
    found = read_seeds(runs / name)
    for seed, run in read_seeds(kept / name).items() if kept else ():
      same = not identity.keys_of_another_experiment(run.config, config)
      if same and not (seed in found and found[seed].finished):
        found[seed] = run
    found = dict(sorted(found.items()))
    changed = {
      key
      for run in found.values()
      for key in identity.keys_of_another_experiment(run.config, config)
    }
    groups[name] = Group(name, config.get('reported', {}), found, tuple(sorted(changed)))
  for root in (kept, runs) if kept else (runs,):
    for folder in sorted(root.glob('sweeps/*')):
      groups |= read_sweep(folder)
  return groups


def read_sweep(folder: pathlib.Path) -> dict[str, Group]:
  """The rows of a sweep's table, name 'sweeps/<sweep>/<label>' → Group; {} where the sweep has not
  been run.
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
