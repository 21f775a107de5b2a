"""A sweep's results, read from the files of its runs: a table and a plot of learning curves."""

import json
import pathlib
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxdl import figures
from jaxdl.config.markdown import escaped
from jaxdl.monitoring.side_outputs import SideOutputs
from jaxdl.runs import files, record
from jaxdl.step import metrics
from jaxdl.sweeps.members import Member


def rows(
  found: Sequence[Member], workdir: pathlib.Path, faults: dict[str, str]
) -> list[dict[str, Any]]:
  """Returns a row for every label: mean and standard deviation of each metric over finished seeds.

  Args:
    found: the members of the sweep.
    workdir: the sweep's folder.
    faults: folder of a run → why it did not finish.

  Returns:
    List of dicts of plain JSON data; 'deviation' is None for a single seed.
  """
  labels = dict.fromkeys(member.label for member in found)
  return [
    _row(label, [member for member in found if member.label == label], workdir, faults)
    for label in labels
  ]


def _row(label, same, workdir, faults):
  runs = {
    member.seed: record.finished_run(workdir / member.folder, member.config) for member in same
  }
  finished = {seed: run for seed, run in runs.items() if run}
  ended = {seed: run.summary for seed, run in finished.items()}
  names = []
  if ended:
    names = [
      key for key in metrics.table_keys() if all(key in summary for summary in ended.values())
    ]
  each = {name: [summary[name] for summary in ended.values()] for name in names}
  first = next(iter(ended.values()), {})
  return {
    'label': label,
    'choices': same[0].choices,
    'seeds': list(ended),
    'mean': {name: statistics.fmean(values) for name, values in each.items()},
    'deviation': {
      name: statistics.stdev(values) if len(values) > 1 else None for name, values in each.items()
    },
    'chance': next(iter(finished.values())).chances(names) if finished else {},
    'loss_unit': record.loss_unit(same[0].config),
    'parameters': first.get('parameters'),
    'device': first.get('device'),
    'reported': same[0].config['reported'],
    'seconds': statistics.fmean(summary['seconds'] for summary in ended.values())
    if ended
    else None,
    'runs': [member.folder for member in same],
    'faults': {member.folder: faults[member.folder] for member in same if member.folder in faults},
  }


def write(name: str, rows: list[dict[str, Any]], workdir: pathlib.Path) -> None:
  """Writes `sweep.json`, `table.md` and, if a run has logged anything, `figure.png`.

  Args:
    name: name of the sweep.
    rows: list of dicts, as in sweep.json.
    workdir: the sweep's folder, which contains the runs' folders.

  Raises:
    OSError: the folder cannot be written.
  """
  workdir.mkdir(parents=True, exist_ok=True)
  (workdir / 'sweep.json').write_text(
    json.dumps({'config': name, 'rows': rows}, indent=2) + '\n', encoding='utf-8'
  )
  (workdir / 'table.md').write_text(table(rows) + '\n', encoding='utf-8')
  choices = {row['label']: tuple(row['choices'].values()) for row in rows}
  write_curves(rows, choices, workdir, heading=metrics.words(name))


def write_curves(
  rows: list[dict[str, Any]],
  choices: dict[str, tuple[str, ...]],
  workdir: pathlib.Path,
  *,
  heading: str,
) -> None:
  """Writes `figure.png`, the learning curves of the rows, if a run has logged anything.

  Args:
    rows: list of dicts, as in sweep.json.
    choices: label → its choices, as in `figures.learning_curves`.
    workdir: the sweep's folder.
    heading: heading of the figure.
  """
  found = {
    row['label']: curves([files.journal(workdir / folder) for folder in row['runs']])
    for row in rows
  }
  if not any(found.values()):
    return
  units = ', '.join(dict.fromkeys(row['loss_unit'] for row in rows))
  axes = {metric.name: (metric.label(units), metric.scale) for metric in metrics.evaluated()}
  SideOutputs().attempt(
    'figure.png',
    lambda: figures.save(
      figures.learning_curves(found, choices, axes=axes, heading=heading),
      workdir / 'figure.png',
    ),
  )


def curves(runs: list[list[dict]]) -> dict[tuple[str, str], tuple]:
  """Learning curves of the runs of one label.

  Args:
    runs: results of `files.journal`; runs that have not started are left out.

  Returns:
    (split, metric) → (steps [S], mean over the runs [S], their standard deviation [S]), at steps
    that all runs have.
  """
  found, started = {}, [run for run in runs if run]
  for line in (line for run in started for line in run):
    for metric in metrics.evaluated():
      if metric.name in line:
        by_step = found.setdefault((line['split'], metric.name), {})
        by_step.setdefault(line['step'], []).append(line[metric.name])
  complete = {
    key: {step: values for step, values in sorted(by_step.items()) if len(values) == len(started)}
    for key, by_step in found.items()
  }
  return {
    key: (
      np.array(list(by_step)),
      np.array([np.mean(values) for values in by_step.values()]),
      np.array([np.std(values, ddof=1) if len(values) > 1 else 0.0 for values in by_step.values()]),
    )
    for key, by_step in complete.items()
    if by_step
  }


def measured(rows: list[dict[str, Any]]) -> list[str]:
  """Keys of the metrics that a row has, in the order of the columns."""
  return [name for name in metrics.table_keys() if any(name in row['mean'] for row in rows)]


def table(rows: list[dict[str, Any]]) -> str:
  """Formats the rows as a Markdown table."""
  names = measured(rows)
  has_chance = any(row['chance'] for row in rows)
  head = [
    'run',
    'seeds',
    'parameters',
    *(metrics.words(name) for name in names),
    *(['chance level'] if has_chance else []),
    'reported',
    'seconds a run',
  ]
  lines = [head, ['---', *['---:'] * (len(head) - 1)]]
  for row in rows:
    reported = [_shown(name, value) for name, value in row['reported'].items() if name in names]
    lines.append(
      [
        escaped(row['label']),
        str(len(row['seeds'])) if row['seeds'] else 'not finished',
        f'{row["parameters"]:,}' if row['parameters'] else '–',
        *(_shown(name, row['mean'].get(name), row['deviation'].get(name)) for name in names),
        *([metrics.chance_levels(row['chance'])] if has_chance else []),
        ', '.join(reported) or '–',
        '–' if row['seconds'] is None else f'{row["seconds"]:,.0f}',
      ]
    )
  text = '\n'.join(f'| {" | ".join(line)} |' for line in lines)
  if any(len(row['seeds']) > 1 for row in rows):
    text += '\n\nMean ± standard deviation over the seeds.'
  if has_chance:
    text += f'\n\n{metrics.CHANCE}'
  return text


def _shown(name, mean, deviation=None):
  """'97.46 ± 0.07 %'; '97.46 %' if the deviation is None; '–' if the mean is None."""
  if mean is None:
    return '–'
  text = metrics.number(name, mean)
  if deviation is not None:
    text += f' ± {metrics.number(name, deviation)}'
  return text + metrics.per_cent(name)
