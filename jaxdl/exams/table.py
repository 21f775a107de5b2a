"""The result of an exam: one table and one figure of methods by metrics, over the seeds."""

import csv
import io
import json
import math
import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxdl import figures
from jaxdl.analysis.grading.map_metrics import METRICS
from jaxdl.figures.scores import number
from jaxdl.monitoring.side_outputs import SideOutputs
from jaxdl.runs import disk

# 97.5 % quantiles of Student's distribution for 1, 2, … degrees of freedom; then the normal one.
STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
STUDENT += (2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086)
NORMAL = 1.960


def summarised(name: str, seeds: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
  """Means and 95 % intervals over the seeds.

  Args:
    name: name of the exam.
    seeds: seed → its grades, as returned by `grades.graded`.

  Returns:
    Plain JSON data: 'rows', one for each method, with 'scores' (metric → 'mean', 'interval', half
    its width or None for one seed, 'each', the numbers of the seeds) and 'seconds', the least over
    the seeds, whose first one compiles; 'accuracy', 'follows_evidence' and 'examples' of each seed.
  """
  methods = list(dict.fromkeys(method for found in seeds.values() for method in found['scores']))
  rows = []
  for method in methods:
    scores = {}
    for metric in METRICS:
      each = [found['scores'].get(method, {}).get(metric) for found in seeds.values()]
      known = [value for value in each if value is not None]
      if known:
        scores[metric] = {
          'mean': statistics.fmean(known),
          'interval': interval(known),
          'each': each,
        }
    durations = [found['seconds'][method] for found in seeds.values() if method in found['seconds']]
    rows.append(
      {'method': method, 'scores': scores, 'seconds': min(durations) if durations else None}
    )
  return {
    'config': name,
    'seeds': list(seeds),
    **{
      key: [found[key] for found in seeds.values()]
      for key in ('examples', 'accuracy', 'follows_evidence')
    },
    'rows': rows,
    'reasons': next(iter(seeds.values()))['reasons'] if seeds else {},
  }


def interval(values: Sequence[float]) -> float | None:
  """Half the width of the 95 % interval of a mean, by Student's distribution.

  Args:
    values: N independent numbers.

  Returns:
    None for one number.
  """
  degrees = len(values) - 1
  if degrees < 1:
    return None
  quantile = STUDENT[degrees - 1] if degrees <= len(STUDENT) else NORMAL
  return quantile * statistics.stdev(values) / math.sqrt(len(values))


def write(result: dict[str, Any], workdir: pathlib.Path) -> None:
  """Writes `exam.json`, `exam.csv`, `table.md` and `figure.png`.

  Args:
    result: as returned by `summarised`.
    workdir: folder of the exam.

  Raises:
    OSError: the folder cannot be written.
  """
  workdir.mkdir(parents=True, exist_ok=True)
  disk.write_atomic(workdir / 'exam.json', json.dumps(result, indent=2) + '\n')
  disk.write_atomic(workdir / 'exam.csv', _csv(result))
  disk.write_atomic(workdir / 'table.md', table(result) + '\n')
  SideOutputs().attempt('figure.png', lambda: figures.save(figure(result), workdir / 'figure.png'))


def metrics_of(result: Mapping[str, Any]) -> list[str]:
  """The metrics that at least one method has, in the order of `METRICS`."""
  return [name for name in METRICS if any(name in row['scores'] for row in result['rows'])]


def table(result: Mapping[str, Any]) -> str:
  """Formats the result as a Markdown table."""
  names = metrics_of(result)
  arrows = {1: ' ↑', -1: ' ↓', 0: ''}
  head = ['method', *(f'{name}{arrows[METRICS[name].better]}' for name in names), 'seconds']
  lines = [head, ['---', *['---:'] * (len(head) - 1)]]
  for row in result['rows']:
    cells = [_shown(row['scores'].get(name)) for name in names]
    seconds = '–' if row['seconds'] is None else f'{row["seconds"]:.2f}'
    lines.append([row['method'], *cells, seconds])
  text = '\n'.join(f'| {" | ".join(line)} |' for line in lines)
  return f'{text}\n\n{described(result)}'


def described(result: Mapping[str, Any]) -> str:
  """What the table shows, in a few sentences."""
  seeds, examples = len(result['seeds']), result['examples']
  accuracy = statistics.fmean(result['accuracy'])
  text = f'{seeds} seed{"s" * (seeds > 1)}, {min(examples)} test examples each'
  if seeds > 1:
    text += '; mean ± half of the 95 % interval over the seeds'
  text += f'. Test accuracy {100 * accuracy:.1f} %.'
  follows = [share for share in result['follows_evidence'] if share is not None]
  if follows:
    text += (
      ' With the evidence of another example, the network predicts the class of that evidence in '
      f'{100 * statistics.fmean(follows):.1f} % of the examples.'
    )
  return text


def figure(result: Mapping[str, Any]) -> Any:
  """The result as a table in colours."""
  names, rows = metrics_of(result), result['rows']

  def numbers(key):
    found = [[row['scores'].get(name, {}).get(key) for name in names] for row in rows]
    return np.array(found, float)  # None becomes NaN

  seconds = np.array([[row['seconds']] for row in rows], float)
  means = np.concatenate([numbers('mean'), seconds], axis=1)
  intervals = np.concatenate([numbers('interval'), np.full_like(seconds, np.nan)], axis=1)
  title = result['config'].replace('_', ' ')
  return figures.score_table(
    means,
    intervals,
    [row['method'] for row in rows],
    [*names, 'seconds'],
    [*(METRICS[name].better for name in names), -1],
    heading=f'{title}: the darker, the better in its column\n{_short(result)}',
  )


def _short(result):
  seeds = len(result['seeds'])
  what = 'mean ± half of the 95 % interval over' if seeds > 1 else 'of'
  return f'{what} {seeds} seed{"s" * (seeds > 1)}, {min(result["examples"])} test examples each'


def _shown(score):
  if score is None:
    return '–'
  if score['interval'] is None:
    return number(score['mean'])
  return f'{number(score["mean"])} ± {number(score["interval"])}'


def _csv(result):
  text = io.StringIO()
  writer = csv.writer(text, lineterminator='\n')
  writer.writerow(['method', 'metric', 'mean', 'interval', 'seeds'])
  for row in result['rows']:
    for name, score in row['scores'].items():
      seeds = sum(value is not None for value in score['each'])
      half = '' if score['interval'] is None else repr(score['interval'])
      writer.writerow([row['method'], name, repr(score['mean']), half, seeds])
  return text.getvalue()
