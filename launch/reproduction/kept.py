"""The figures of finished runs that the repository keeps, so that later seeds are added to them.

A kept run is a folder with `config.json`, without absolute paths, `metrics.jsonl`, `summary.json`
and `date.txt`, the day on which the run ended.
"""

import datetime
import json
import pathlib
import shutil

from jaxdl.runs import Run, files, packed
from launch.reproduction.run_folders import ROOT, Group

FOLDER = ROOT / 'launch/reproduction/figures'
DATE = 'date.txt'


def keep(groups: dict[str, Group], runs: pathlib.Path, folder: pathlib.Path) -> None:
  """Copies the figures of every finished run of a folder, and of its finished sweeps.

  Args:
    groups: name → Group; runs with another config than today's are left out.
    runs: the folder of the runs; nothing is copied if it is that of the kept runs.
    folder: the folder of the kept runs, <config>/seed<S> and sweeps/<sweep>.
  """
  if runs.resolve() == folder.resolve():
    return
  sweeps = {}
  for name, group in groups.items():
    if name.startswith('sweeps/'):
      sweeps.setdefault(name.split('/')[1], []).append(group)
      continue
    for run in group.finished:
      if not group.changed:
        _copy(run, runs, folder)
  for name, rows in sweeps.items():
    if any(group.unfinished for group in rows) or not (runs / 'sweeps' / name).is_dir():
      continue
    for run in (run for group in rows for run in group.finished):
      _copy(run, runs, folder)
    shutil.copyfile(runs / 'sweeps' / name / 'sweep.json', folder / 'sweeps' / name / 'sweep.json')


def _copy(run, runs, folder):
  """Copies the figures of a run that is in the folder of the runs."""
  if not run.folder.is_relative_to(runs):
    return
  place = folder / run.folder.relative_to(runs)
  shutil.rmtree(place, ignore_errors=True)
  place.mkdir(parents=True)
  config = packed.without_paths(files.read_config(run.folder / 'config.json'))
  text = json.dumps(config, indent=2, ensure_ascii=False)
  (place / 'config.json').write_text(f'{text}\n', encoding='utf-8')
  for name in ('metrics.jsonl', 'summary.json'):
    shutil.copyfile(run.folder / name, place / name)
  (place / DATE).write_text(f'{day(run)}\n', encoding='utf-8')


def day(run: Run) -> str:
  """The day on which a finished run ended, such as '2026-12-01'."""
  kept = run.folder / DATE
  if kept.is_file():
    return kept.read_text(encoding='utf-8').strip()
  seconds = (run.folder / 'summary.json').stat().st_mtime
  return f'{datetime.datetime.fromtimestamp(seconds, datetime.UTC):%Y-%m-%d}'
