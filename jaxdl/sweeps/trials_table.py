"""The results of a hyperparameter search: a table, learning curves and pictures of the space."""

import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxdl import figures
from jaxdl.config.markdown import escaped
from jaxdl.monitoring.side_outputs import SideOutputs
from jaxdl.step import metrics
from jaxdl.step.watch import Watch
from jaxdl.sweeps import table, trials
from jaxdl.sweeps.search import Parameter, Search, folder, shown
from jaxdl.sweeps.study import Outcome, Study

IN_FIGURE = 10  # trials whose curves are drawn, the best ones
PICTURES = {'importances': 'Parameter importances', 'parallel_coordinates': 'All trials'}


def rows(
  search: Search, outcomes: Sequence[Outcome], workdir: pathlib.Path
) -> list[dict[str, Any]]:
  """Returns a row for every trial.

  Args:
    search: the search.
    outcomes: its trials.
    workdir: its folder.

  Returns:
    List of dicts of plain JSON data: those of a sweep (`table.rows`), with 'state', 'step',
    'figure' and 'values' of the trial.
  """
  found = []
  for outcome in outcomes:
    member = search.member(outcome.number, outcome.values)
    faults = {member.folder: outcome.fault} if outcome.fault else {}
    (row,) = table.rows([member], workdir, faults)
    found.append(
      {
        **row,
        'state': outcome.state,
        'step': outcome.step,
        'figure': outcome.figure,
        'values': outcome.values,
      }
    )
  return found


def write(
  name: str, search: Search, study: Study, watch: Watch, workdir: pathlib.Path
) -> list[dict[str, Any]]:
  """Writes `sweep.json`, `table.md`, `figure.png` and the pictures of the space.

  Args:
    name: name of the search.
    search: the search.
    study: its study.
    watch: the metric that was minimised or maximised.
    workdir: its folder.

  Returns:
    The rows.

  Raises:
    OSError: the folder cannot be written.
  """
  workdir.mkdir(parents=True, exist_ok=True)
  found, best = rows(search, study.outcomes, workdir), study.best
  importances = study.importances()
  headings = _draw(search, study.outcomes, best, importances, watch, workdir)
  described = {
    'metric': watch.key,
    'better': watch.better,
    **search.to_json(),
    'best': None if best is None else best.number,
    'importances': importances,
    'pictures': headings,
  }
  (workdir / 'sweep.json').write_text(
    json.dumps({'config': name, 'rows': found, 'search': described}, indent=2) + '\n',
    encoding='utf-8',
  )
  text = markdown(found, search.space, watch, best)
  (workdir / 'table.md').write_text(text + '\n', encoding='utf-8')
  _write_curves(name, found, watch, workdir)
  return found


def markdown(
  found: Sequence[dict[str, Any]], space: Sequence[Parameter], watch: Watch, best: Outcome | None
) -> str:
  """Formats the rows as a Markdown table.

  Args:
    found: the rows.
    space: the parameters.
    watch: the metric that was minimised or maximised.
    best: the best trial; None if none has finished.
  """
  names = [name for name in table.measured(list(found)) if name != watch.key]
  head = [
    'trial',
    *(escaped(parameter.key) for parameter in space),
    watch.words,
    *map(metrics.words, names),
    'parameters',
    'seconds',
    'state',
  ]
  lines = [head, ['---', *['---:'] * (len(head) - 2), '---']]
  for row in found:
    values = [row['values'].get(parameter.key) for parameter in space]
    lines.append(
      [
        row['label'],
        *(escaped(shown(value)) for value in values),
        metrics.shown(watch.key, row['figure']),
        *(metrics.shown(name, row['mean'].get(name)) for name in names),
        f'{row["parameters"]:,}' if row['parameters'] else '–',
        '–' if row['seconds'] is None else f'{row["seconds"]:,.0f}',
        trials.state_in_words(row['state'], row['step']),
      ]
    )
  text = '\n'.join(f'| {" | ".join(line)} |' for line in lines)
  if best is not None:
    text += (
      f'\n\nBest: {found[best.number]["label"]}, {watch.words} '
      f'{metrics.shown(watch.key, best.figure)}. The figures of a run are those of its best '
      'checkpoint; of a pruned one, the watched metric is that of its last evaluation.'
    )
  chance = next((row['chance'] for row in found if row['chance']), {})
  if chance:
    text += f'\n\n{metrics.CHANCE} It is {metrics.chance_levels(chance)}.'
  return text


def _write_curves(name, found, watch, workdir):
  """Writes the learning curves of the best finished trials."""
  finished = [row for row in found if row['state'] == 'finished']
  finished.sort(key=lambda row: watch.figure(row['figure']))
  drawn, heading = finished[:IN_FIGURE], metrics.words(name)
  if len(drawn) < len(found):
    heading += f', the best {len(drawn)} of {len(found)} trials'
  choices = {row['label']: (row['label'],) for row in drawn}
  table.write_curves(drawn, choices, workdir, heading=heading)


def _draw(search, outcomes, best, importances, watch, workdir):
  """Draws the pictures of the space; returns name → heading of those that were drawn."""
  finished = [one for one in outcomes if one.state == 'finished']
  if len(finished) < 2:
    return {}
  counts = f'{len(finished)} finished trials'
  drawn = {}
  if importances:
    heading = f'importance of each parameter for the {watch.words}, from {counts}'
    drawn['importances'] = lambda: figures.importances(importances, heading=heading)
  shown_trials = [one for one in outcomes if one.state in ('finished', 'pruned')]
  drawn['parallel_coordinates'] = lambda: figures.parallel_coordinates(
    [_column(parameter, shown_trials) for parameter in search.space],
    _scores(shown_trials, watch),
    label=watch.words,
    higher_is_better=watch.metric.higher_is_better,
    best=shown_trials.index(best),
    heading=f'{counts}, {len(shown_trials) - len(finished)} pruned; best: {folder(best.number)}',
  )
  outputs, headings = SideOutputs(), {}
  for name, draw in drawn.items():
    headings[name] = outputs.attempt(f'{name}.png', _save, draw, workdir / name)
  return {name: heading for name, heading in headings.items() if heading is not None}


def _save(draw, path):
  """Writes a figure as PNG and, for the page, as SVG; returns its heading."""
  figure = draw()
  heading = figures.described(figure)
  figures.save(figure, path.with_suffix('.png'))
  figures.save_svg(figure, path.with_suffix('.svg'))
  return heading


def _column(parameter, outcomes):
  """The axis of a parameter, with its value in every trial."""
  values = [one.values[parameter.key] for one in outcomes]
  if parameter.kind == 'choice':
    values = [parameter.values.index(value) for value in values]
  return figures.Column(
    parameter.key,
    np.array(values, float),
    names=tuple(map(shown, parameter.values)),
    log=parameter.kind == 'log_uniform',
    limits=(0, len(parameter.values) - 1) if parameter.values else (parameter.low, parameter.high),
  )


def _scores(outcomes, watch):
  """The watched metric of every trial as it is shown; NaN for pruned trials."""
  return np.array(
    [
      metrics.scaled(watch.key, one.figure) if one.state == 'finished' else np.nan
      for one in outcomes
    ]
  )
