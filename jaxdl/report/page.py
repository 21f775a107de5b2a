"""Assembles and writes the report page."""

import base64
import dataclasses
import datetime
import functools
import hashlib
import os
import pathlib
import re
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jaxdl.config import named, paths
from jaxdl.report import card, comparison, examples, leading, live, search, sections, svg, try_it
from jaxdl.report import results as report_results
from jaxdl.runs import disk
from jaxdl.runs import folder as run_folder
from jaxdl.runs import record as records
from jaxdl.runs.record import Run
from jaxdl.step import metrics
from jaxdl.views import glossary

if TYPE_CHECKING:
  import jinja2

DATA_IDS = ('network', 'networks', 'examples', 'predictions')  # ids of elements with JSON data
FOLDER = pathlib.Path(__file__).parent
ABBREVIATIONS = ('cnn', 'rnn', 'lstm', 'gru')  # networks that are written in capitals


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
  html = render(_of_single(found[0]) if len(found) == 1 else several(found))
  disk.write_atomic(file, html)
  return len(html.encode())


def write_report(workdir: str | pathlib.Path) -> None:
  """Writes the page and the card of a run and prints the page's path; as `write_page_and_card`."""
  file, _ = write_page_and_card(workdir)
  print(f'report: {file}')


def write_page_and_card(
  workdir: str | pathlib.Path, *, trust_code: bool = False
) -> tuple[pathlib.Path, int]:
  """Writes `report.html` and the model card `card.md` of a run; while it trains, only the page.

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
  parts, folder = _of_single(record), disk.make_folder(record.results)
  html = render(parts)
  disk.write_atomic(folder / 'report.html', html)
  if not parts['live']:
    disk.write_atomic(folder / 'card.md', card.markdown(parts['card'], parts['title']))
  return folder / 'report.html', len(html.encode())


def write_live(
  workdir: str | pathlib.Path, moment: live.Moment, network: tuple[Any, dict[str, Any]] | None
) -> None:
  """Writes `report.html` of a run while it trains.

  Args:
    workdir: the run's folder.
    moment: the moment of the training.
    network: (linen module, its current variables); None for the best checkpoint.

  Raises:
    The errors of `write`.
  """
  record = dataclasses.replace(records.load(workdir), network=network)
  disk.write_atomic(record.results / 'report.html', render(one(record, moment=moment)))


def write_sweep(
  name: str,
  workdir: str | pathlib.Path,
  folders: Sequence[str],
  moment: live.Moment | None = None,
) -> pathlib.Path | None:
  """Writes `compare.html` of a sweep: the comparison of its runs that have started.

  Args:
    name: name of the sweep.
    workdir: the sweep's folder.
    folders: the folders of its runs, relative to `workdir`.
    moment: the moment of a sweep that trains, whose page has no networks and reloads itself; None
      for any other sweep.

  Returns:
    The path of the page; None if no run has started.

  Raises:
    The errors of `write`.
  """
  workdir = pathlib.Path(workdir)
  started = [folder for folder in folders if (workdir / folder / 'config.json').is_file()]
  if not started:
    return None
  found = [records.load(workdir / folder) for folder in started]
  parts = several(found, with_networks=moment is None)
  parts['title'] = f'{name}: {len(found)} of {len(folders)} runs'
  if moment is not None:
    parts['live'] = live.of_sweep(found, _labels(found)[0], len(folders), moment.every)
  elif (searched := search.section(workdir)) is not None:
    parts |= {'sections': [searched], 'differences': None}  # its table has what differs
  disk.write_atomic(workdir / 'compare.html', render(parts))
  return workdir / 'compare.html'


@functools.cache
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


def policy(script: str) -> str:
  """The Content-Security-Policy of a page: nothing is loaded, and only this script runs.

  Args:
    script: text of the page's script.
  """
  digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
  return (
    "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; "
    f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
  )


def style() -> str:
  """The style sheet of all pages."""
  files = sorted(FOLDER.glob('*.css'), key=lambda file: (file.name != 'page.css', file.name))
  return ''.join(file.read_text(encoding='utf-8') for file in files)


def render(parts: dict) -> str:
  """Renders the page as HTML; all data is escaped.

  Args:
    parts: dict returned by `one` or `several`.
  """
  analyses = [
    (section['heading'], flags) for section in parts['sections'] for flags in section['drawn_by']
  ]
  named = [
    ('Training now', parts['live']),
    ('Try it', parts['try_it']),
    ('What differs', parts['differences']),
    ('Figures', parts['figures']),
    ('Learning curves', parts['charts']),
    ('The same image through each network', parts['same_image']),
    ('Network', parts['layers']),
    *((section['heading'], True) for section in parts['sections']),
    ('Model card', parts['card']),
    ('Time and place', parts['environment']),
    ('Config', parts['config']),
    ('How to run it again', parts['commands'] or analyses),
  ]
  ids = {name: _id(name) for name, there in named if there}
  script = (FOLDER / 'page.js').read_text(encoding='utf-8')
  return template(FOLDER / 'page.html').render(
    **parts,
    policy=policy(script),
    glossary=glossary.ENTRIES,
    analyses=analyses,
    ids=ids,
    contents=[{'id': place, 'heading': name} for name, place in ids.items()],
    style=style(),
    script=script,
  )


def _id(heading):
  """The id of a section's heading; the elements with data have ids of their own."""
  place = re.sub(r'\W+', '-', heading.lower())
  return f'{place}-section' if place in DATA_IDS else place


def one(
  record: Run,
  *,
  place: str | None = None,
  pictures: bool = True,
  moment: live.Moment | None = None,
) -> dict:
  """Returns the template data of one run.

  Args:
    record: Run.
    place: how commands name the run; None for its folder or file.
    pictures: whether to show the pictures of analyses, which may have examples of the data in them.
    moment: the moment of a run that trains, whose page has no analyses and no model card, and
      reloads itself; None for any other run.
  """
  place = paths.shown(record.place) if place is None else place
  layers = _rows(moment.layers if moment and moment.layers else report_results.layers(record))
  lead = _lead(record)
  found = sections.of_run(record, pictures=pictures, only=sections.DATA if moment else None)
  tried = try_it.of_run(record, pictures=pictures, most=live.EXAMPLES if moment else None)
  return {
    'title': record.title,
    'lead': lead,
    'summary': leading.of_run(record),
    'differences': None,
    'same_image': None,
    'figures': _figures(record),
    'commands': [record.command] if record.command else [],
    'try_it': tried,
    'examples': _further_examples(record, tried, found) if pictures else None,
    'charts': svg.charts(
      {record.name: record.curves()}, record.epoch(), records.loss_unit(record.config)
    ),
    'layers': layers,
    'sections': found,
    'card': [] if moment else card.of_run(record, lead, layers, place),
    'live': live.of_run(record, moment) if moment else None,
    'environment': _environment(record),
    'config': disk.readable_json(record.config),
    'folder': shlex.quote(place),
    'checkpoint': report_results.checkpoint(record),
  }


def _further_examples(record, tried, found):
  """The examples for the linked views, if the section "Try it" has none; otherwise None."""
  is_linked = any(section['linked'] for section in found)
  return examples.of_run(record) if is_linked and not (tried or {}).get('examples') else None


def _of_single(record):
  """Returns the template data of one run, which another process may train."""
  return one(record, moment=live.moment_of(record))


def _rows(layers):
  """Returns the rows of the layer table as texts."""
  return [
    [
      row['name'],
      row['type'],
      _shape(row['input']),
      _shape(row['output']),
      f'{row["parameters"]:,}',
      f'{row["trainable"]:,}',
    ]
    for row in layers
  ]


def several(found: Sequence[Run], *, with_networks: bool = True) -> dict:
  """Returns the template data of several runs: a comparison of their figures and curves.

  Args:
    found: the runs.
    with_networks: whether the page compares their answers to the same image.
  """
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
    'summary': None,
    'differences': comparison.differences(found, labels),
    'same_image': comparison.same_image(found, labels) if with_networks else None,
    'figures': _compared(found, labels, with_folders=not shared),
    'commands': list(dict.fromkeys(record.command for record in found if record.command)),
    'try_it': None,
    'examples': None,
    'charts': svg.charts(curves, epochs.pop() if len(epochs) == 1 else None, units),
    'layers': [],
    'sections': [],
    'card': [],
    'live': None,
    'environment': [],
    'config': '',
    'folder': '',
    'checkpoint': ' or '.join(dict.fromkeys(map(report_results.checkpoint, found))),
  }


def _compared(found, labels, *, with_folders):
  """Returns the table of several runs, one row each, with their figures and the reported ones."""
  keys = dict.fromkeys(key for record in found for key in report_results.evaluated(record))
  reported = [_reported(record) for record in found]
  columns = ['run']
  rows = [[label] for label in labels]
  for key in keys:
    for title, values in (
      (metrics.words(key), [record.summary.get(key) for record in found]),
      (f'reported {metrics.words(key)}', [theirs.get(key) for theirs in reported]),
      ('chance level', [record.chance(key) for record in found]),
    ):
      if title == metrics.words(key) or any(value is not None for value in values):
        columns.append(title)
        for row, value in zip(rows, values, strict=True):
          row.append(metrics.shown(key, value))
  numbers = range(1, len(columns) + 2)
  columns += ['parameters', 'step', 'state']
  for row, record in zip(rows, found, strict=True):
    counts = [record.summary.get(key) for key in ('parameters', 'step')]
    row += ['–' if count is None else f'{count:,}' for count in counts]
    row.append(record.state(run_folder.trainer(record.folder).get('now')))
  if with_folders:
    columns.append('folder')
    for row, record in zip(rows, found, strict=True):
      row.append(paths.shown(record.place))
  remarks = [
    f'{label} has no reported figures, because its config is not the reported one: it changes '
    f'{", ".join(record.changed)}.'
    for label, record in zip(labels, found, strict=True)
    if record.reported() and record.changed
  ]
  if 'chance level' in columns:
    remarks.append(metrics.CHANCE)
  return {
    'columns': columns,
    'rows': rows,
    'numbers': numbers,
    'marked': _best(found, columns, keys),
    'remarks': remarks,
  }


def _best(found, columns, keys):
  """Returns (row, column) → 'best', for the best value of each metric that differs."""
  marked = {}
  for key in keys:
    known = metrics.find(key)
    values = [record.summary.get(key) for record in found]
    numbers = [value for value in values if isinstance(value, (int, float)) and value == value]
    if known is None or len(set(numbers)) < 2:
      continue
    best = (max if known.higher_is_better else min)(numbers)
    column = columns.index(metrics.words(key))
    marked |= {(row, column): 'best' for row, value in enumerate(values) if value == best}
  return marked


def _reported(record):
  """The reported metrics of a run with the reported config; otherwise {}."""
  return {} if record.changed else {key: theirs for key, theirs, _ in record.reported()}


def network_name(model: dict[str, Any]) -> str:
  """The name of a network from its section of the config, such as 'LSTM' or 'Transformer'."""
  short = named.short(model['name'])
  if short != model['name']:
    return short  # of one's own code
  kind = model.get('cell', short)
  return kind.upper() if kind in ABBREVIATIONS else kind.capitalize()


def _lead(record):
  config, summary = record.config, record.summary
  kind = network_name(config['model'])
  best = next((key for key in metrics.leading_keys() if key in summary), None)
  if best is None:
    return f'{kind} on {named.short(config["data"]["name"])}: not yet evaluated'
  reported = {name: theirs for name, theirs, _ in record.reported()}.get(best)
  comparison = ''
  if reported is not None and not record.changed:
    comparison = f' (reported: {metrics.shown(best, reported)})'
  return (
    f'{kind} on {named.short(config["data"]["name"])}: '
    f'{metrics.words(best)} {metrics.shown(best, summary[best])}{comparison}, '
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
      metrics.words(name),
      f'{ours:,}' if is_count and ours is not None else metrics.shown(name, ours),
      f'{examples:,}' if examples else '–',
    ]
    if reported:
      row.insert(2, f'{theirs:,}' if is_count else metrics.shown(name, theirs))
    rows.append(row)
  if reported:
    columns.insert(2, 'reported')
  report_results.add_chance(record, names, columns, rows)
  return {
    'columns': columns,
    'rows': rows,
    'numbers': range(1, len(columns)),
    'marked': {},
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
  if any(record.chance(name) is not None for name in names):
    remarks.append(metrics.CHANCE)
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
  addresses = [paths.shown(record.place) for record in found]
  if any(map(paths.is_address, addresses)):
    return addresses, ''
  shared = os.path.commonpath([os.path.abspath(record.place) for record in found])
  return [os.path.relpath(record.place, shared) for record in found], shared
