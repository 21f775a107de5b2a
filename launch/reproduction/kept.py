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


def keep(groups: dict[str, Group], folder: pathlib.Path) -> None:
  """Copies the figures of every finished run that is not kept yet.

  Args:
    groups: name → Group; rows of sweeps, and runs with another config than today's, are left out.
    folder: the folder of the kept runs, <config>/seed<S>.
  """
  for name, group in groups.items():
    if name.startswith('sweeps/') or group.changed:
      continue
    for seed, run in group.runs.items():
      place = folder / name / f'seed{seed}'
      if run.finished and run.folder.resolve() != place.resolve():
        _copy(run, place)


def _copy(run, place):
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
