"""Assembles and writes the report page."""

import datetime
import os
import pathlib
import re
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jaxdl.config import named
from jaxdl.report import card, sections, svg
from jaxdl.report import results as report_results
from jaxdl.runs import disk
from jaxdl.runs import folder as run_folder
from jaxdl.runs import record as records
from jaxdl.runs.record import Run
from jaxdl.step import metrics

if TYPE_CHECKING:
  import jinja2

FOLDER = pathlib.Path(__file__).parent


def write(
  folders: Sequence[str | pathlib.Path], file: str | pathlib.Path, *, trust_code: bool = False
) -> int:
  """Writes the page of one run, or the comparison of several runs.

  Args:
    folders: the run folders.
    file: path of the page.
    trust_code: as in `runs.code.linked`, for the layer table.

  Returns:
    The size of the page in bytes.

  Raises:
    FileNotFoundError: a folder contains no run.
    ValueError: a file of a run is damaged.
    OSError: the page cannot be written.
  """
  found = [records.load(folder, trust_code=trust_code) for folder in folders]
  html = render(one(found[0]) if len(found) == 1 else several(found))
  disk.write_atomic(file, html)
  return len(html.encode())


def write_report(workdir: str | pathlib.Path) -> None:
  """Writes the page and the card of a run and prints the page's path; as `write_page_and_card`."""
  file, _ = write_page_and_card(workdir)
  print(f'report: {file}')


def write_page_and_card(
  workdir: str | pathlib.Path, *, trust_code: bool = False
) -> tuple[pathlib.Path, int]:
  """Writes `report.html` and the model card `card.md` of a run.

  Args:
    workdir: the run's folder, or the file of a packed run. The files of RUN.zip are written to
      RUN.results.
    trust_code: as in `runs.code.linked`, for the layer table.

  Returns:
    (path of the page, its size in bytes).

  Raises:
    The errors of `write`.
  """
  record = records.load(workdir, trust_code=trust_code)
  parts, folder = one(record), disk.make_folder(record.results)
  html = render(parts)
  disk.write_atomic(folder / 'report.html', html)
  disk.write_atomic(folder / 'card.md', card.markdown(parts['card'], parts['title']))
  return folder / 'report.html', len(html.encode())


def template(file: pathlib.Path) -> 'jinja2.Template':
  """Reads a Jinja2 template of a page; all data that it shows is escaped."""
  import jinja2

  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(file.parent),
    autoescape=True,
    trim_blocks=True,
    undefined=jinja2.StrictUndefined,
  )
  return environment.get_template(file.name)


def style() -> str:
  """The style sheet of all pages."""
  return (FOLDER / 'page.css').read_text(encoding='utf-8')


def render(parts: dict) -> str:
  """Renders the page as HTML; all data is escaped.

  Args:
    parts: dict returned by `one` or `several`.
  """
  analyses = [
    (section['heading'], flags) for section in parts['sections'] for flags in section['drawn_by']
  ]
  named = [
    ('Figures', parts['figures']),
    ('Learning curves', parts['charts']),
    ('Network', parts['layers']),
    *((section['heading'], True) for section in parts['sections']),
    ('Model card', parts['card']),
    ('Time and place', parts['environment']),
    ('Config', parts['config']),
    ('How to run it again', parts['commands'] or analyses),
  ]
  ids = {name: re.sub(r'\W+', '-', name.lower()) for name, there in named if there}
  return template(FOLDER / 'page.html').render(
    **parts,
    analyses=analyses,
    ids=ids,
    contents=[{'id': place, 'heading': name} for name, place in ids.items()],
    style=style(),
    script=(FOLDER / 'page.js').read_text(encoding='utf-8'),
  )


def one(record: Run, *, place: str | None = None, pictures: bool = True) -> dict:
  """Returns the template data of one run.

  Args:
    record: Run.
    place: how commands name the run; None for its folder or file.
    pictures: whether to show the pictures of analyses, which may have examples of the data in them.
  """
  place = str(record.place) if place is None else place
  lead, layers = _lead(record), _layers(record)
  return {
    'title': record.title,
    'lead': lead,
    'figures': _figures(record),
    'commands': [record.command] if record.command else [],
    'charts': svg.charts(
      {record.name: record.curves()}, record.epoch(), records.loss_unit(record.config)
    ),
    'layers': layers,
    'sections': sections.of_run(record, pictures=pictures),
    'card': card.of_run(record, lead, layers, place),
    'environment': _environment(record),
    'config': disk.readable_json(record.config),
    'folder': shlex.quote(place),
    'checkpoint': report_results.checkpoint(record),
  }


def _layers(record):
  """Returns the rows of the layer table."""
  return [
    [
      row['name'],
      row['type'],
      _shape(row['input']),
      _shape(row['output']),
      f'{row["parameters"]:,}',
      f'{row["trainable"]:,}',
    ]
    for row in report_results.layers(record)
  ]


def several(found: Sequence[Run]) -> dict:
  """Returns the template data of several runs: a comparison of their figures and curves."""
  labels, shared = _labels(found)
  measured = {metric.name for metric in metrics.evaluated()}
  curves = {
    label: {key: points for key, points in record.curves().items() if key[0] in measured}
    for label, record in zip(labels, found, strict=True)
  }
  epochs = {record.epoch() for record in found}
  units = ', '.join(dict.fromkeys(records.loss_unit(record.config) for record in found))
  return {
    'title': f'{len(found)} runs compared',
    'lead': f'in {shared}' if shared else ', '.join(labels),
    'figures': _compared(found, labels, with_folders=not shared),
    'commands': list(dict.fromkeys(record.command for record in found if record.command)),
    'charts': svg.charts(curves, epochs.pop() if len(epochs) == 1 else None, units),
    'layers': [],
    'sections': [],
    'card': [],
    'environment': [],
    'config': '',
    'folder': '',
    'checkpoint': ' or '.join(dict.fromkeys(map(report_results.checkpoint, found))),
  }


def _compared(found, labels, *, with_folders):
  """Returns the table of several runs, one row each, with their figures and the reported ones."""
  keys = dict.fromkeys(key for record in found for key in report_results.evaluated(record))
  reported = [{key: theirs for key, theirs, _ in record.reported()} for record in found]
  columns = ['run']
  rows = [[label] for label in labels]
  for key in keys:
    columns.append(key.replace('_', ' '))
    for row, record in zip(rows, found, strict=True):
      row.append(metrics.shown(key, record.summary.get(key)))
    if any(key in theirs for theirs in reported):
      columns.append(f'reported {key.replace("_", " ")}')
      for row, theirs in zip(rows, reported, strict=True):
        row.append(metrics.shown(key, theirs.get(key)))
  numbers = range(1, len(columns) + 2)
  columns += ['parameters', 'step', 'state']
  for row, record in zip(rows, found, strict=True):
    counts = [record.summary.get(key) for key in ('parameters', 'step')]
    row += ['–' if count is None else f'{count:,}' for count in counts]
    row.append(record.state(run_folder.trainer(record.folder).get('now')))
  if with_folders:
    columns.append('folder')
    for row, record in zip(rows, found, strict=True):
      row.append(str(record.place))
  return {'columns': columns, 'rows': rows, 'numbers': numbers, 'remarks': []}


def _lead(record):
  config, summary = record.config, record.summary
  kind = named.short(config['model']['name'])
  if kind == config['model']['name']:
    kind = config['model'].get('cell', kind).upper()
  best = next((key for key in metrics.leading_keys() if key in summary), None)
  if best is None:
    return f'{kind} on {named.short(config["data"]["name"])}: not yet evaluated'
  reported = {name: theirs for name, theirs, _ in record.reported()}.get(best)
  comparison = ''
  if reported is not None and not record.changed:
    comparison = f' (reported: {metrics.shown(best, reported)})'
  return (
    f'{kind} on {named.short(config["data"]["name"])}: '
    f'{best.replace("_", " ")} {metrics.shown(best, summary[best])}{comparison}, '
    f'{summary["parameters"]:,} parameters, seed {summary["seed"]}'
  )


def _figures(record):
  """Returns the table of a run's figures with remarks; None if there are no figures."""
  reported = {name: (theirs, ours) for name, theirs, ours in record.reported()}
  names = dict.fromkeys([*report_results.evaluated(record), *reported])
  if not names:
    return None
  columns, rows = ['figure', 'ours', 'examples'], []
  for name in names:
    theirs, ours = reported.get(name, (None, record.summary.get(name)))
    is_count = isinstance(theirs, int)
    examples = record.summary.get(f'{name.partition("_")[0]}_examples')
    row = [
      name.replace('_', ' '),
      f'{ours:,}' if is_count and ours is not None else metrics.shown(name, ours),
      f'{examples:,}' if examples else '–',
    ]
    if reported:
      row.insert(2, f'{theirs:,}' if is_count else metrics.shown(name, theirs))
    rows.append(row)
  if reported:
    columns.insert(2, 'reported')
  return {
    'columns': columns,
    'rows': rows,
    'numbers': range(1, len(columns)),
    'remarks': _remarks(record, names, bool(reported)),
  }


def _remarks(record, names, reported):
  """Returns the remarks below the figures; `reported` is whether reported figures are shown."""
  remarks = []
  if record.summary:
    step = record.summary['step']
    remarks.append(f'The figures are from step {step:,}, {report_results.checkpoint(record)}.')
  source = (record.config.get('reported') or {}).get('source')
  if reported and source:
    remarks.append(f'Reported: the figures of report {source}, as given in the config.')
  if reported and record.changed:
    keys = ', '.join(record.changed)
    remarks.append(f'The reported figures are of another config: this run changes {keys}.')
  if record.remark:
    remarks.append(f'Data: {record.remark}.')
  if any(name.startswith('train_') for name in names):
    remarks.append(
      'Training figures are means over the steps since the previous log; the network changed '
      'meanwhile.'
    )
  return remarks


def _environment(record):
  summary, counted = record.summary, report_results.counted(record)
  if not summary:
    return counted
  spent = datetime.timedelta(seconds=round(summary['seconds']))
  rows = [
    ['time', f'{spent} (all sessions, including evaluation)'],
    ['device', summary['device']],
    ['data', summary['data']],
    *counted,
  ]
  return rows + [[name, version] for name, version in summary.get('versions', {}).items()]


def _shape(shape):
  return ' × '.join(map(str, shape)) or '1'


def _labels(found):
  """Returns (distinct labels of the runs, shared folder).

  Labels are the titles, or the titles with seeds; the shared folder is then ''. If these are not
  distinct, the labels are the run folders or files relative to the shared folder.
  """
  titles = [record.title for record in found]
  with_seeds = [f'{record.title}, seed {record.config.get("seed", 0)}' for record in found]
  for labels in (titles, with_seeds):
    if len(set(labels)) == len(found):
      return labels, ''
  shared = os.path.commonpath([os.path.abspath(record.place) for record in found])
  return [os.path.relpath(record.place, shared) for record in found], shared
