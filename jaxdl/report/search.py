"""The section of a hyperparameter search in the page of a sweep, read from `sweep.json`."""

import pathlib
from typing import Any

from jaxdl.report import pictures
from jaxdl.runs import files
from jaxdl.step import metrics
from jaxdl.views import glossary

HEADING = 'Hyperparameter search'
DISPLAYS = {  # name of a picture → (its title, how to read it)
  'importances': (
    'Parameter importances',
    'A long bar: changing this parameter changes the result. With few trials, the shares are '
    'uncertain',
  ),
  'parallel_coordinates': (
    'All trials',
    'A line is a trial: follow it from its parameters to its result. Where lines of good trials '
    'meet on an axis, its values are good',
  ),
}


def section(workdir: pathlib.Path) -> dict[str, Any] | None:
  """Returns the section of a search for the page template; None for any other sweep.

  Args:
    workdir: the sweep's folder.

  Raises:
    ValueError: a file is damaged.
  """
  file = workdir / 'sweep.json'
  found = files.read_json(file) if file.is_file() else {}
  search = found.get('search')
  if not search:
    return None
  keys, key = [parameter['key'] for parameter in search['space']], search['metric']
  rows = [
    [
      row['label'],
      *(_text(row['values'].get(key)) for key in keys),
      metrics.shown(key, row['figure']),
      row['state'] + (f' at step {row["step"]:,}' if row['state'] == 'pruned' else ''),
    ]
    for row in found['rows']
  ]
  headings = search['pictures']
  return {
    'heading': HEADING,
    'note': _note(search, found['rows']),
    'table': {
      'columns': ['trial', *keys, metrics.words(key), 'state'],
      'rows': rows,
      'numbers': range(1, len(keys) + 2),
      'entry': glossary.found('search'),
    },
    'texts': [],
    'maps': [],
    'linked': None,
    'drawn_by': [],
    'pictures': [
      pictures.of_svg(
        workdir / f'{name}.svg',
        caption=title,
        heading=headings[name],
        reading=reading,
        entry=glossary.found(name),
      )
      for name, (title, reading) in DISPLAYS.items()
      if name in headings
    ],
  }


def _note(search, rows):
  pruner = f', pruner {search["pruner"]}' if search['pruner'] else ''
  note = f'{len(rows)} of {search["trials"]} trials, sampler {search["sampler"]}{pruner}.'
  if search['best'] is not None:
    best = rows[search['best']]
    key = search['metric']
    note += f' Best: {best["label"]}, {metrics.words(key)} {metrics.shown(key, best["figure"])}.'
  return note


def _text(value):
  return f'{value:.4g}' if isinstance(value, float) else str(value)
