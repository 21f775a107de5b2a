"""Puts a page together and writes it."""

import datetime
import os
import pathlib
import re
import shlex

from jaxdl.report import results as report_results
from jaxdl.report import sections, svg
from jaxdl.runs import disk
from jaxdl.runs import folder as run_folder
from jaxdl.runs import record as records
from jaxdl.step import metrics

FOLDER = pathlib.Path(__file__).parent


def write(folders, file):
  """Writes the page of one run, or of several beside each other.

  Args:
    folders: list of folders of runs.
    file: path of the page.

  Returns:
    int, its bytes.

  Raises:
    FileNotFoundError: a folder holds no run.
    ValueError: a run's files are broken.
    OSError: the page cannot be written.
  """
  found = [records.read(folder) for folder in folders]
  html = render(one(found[0]) if len(found) == 1 else several(found))
  disk.write_atomic(file, html)
  return len(html.encode())


def write_report(workdir):
  """Writes `report.html` into a run's folder and says so; errors as `write`."""
  file = pathlib.Path(workdir) / 'report.html'
  write([workdir], file)
  print(f'report: {file}')


def render(parts):
  """The page of what `one` or `several` return; everything that comes from data is escaped."""
  import jinja2

  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(FOLDER),
    autoescape=True,
    trim_blocks=True,
    undefined=jinja2.StrictUndefined,
  )
  named = [
    ('Figures', parts['figures']),
    ('How to run it again', parts['commands']),
    ('Learning curves', parts['charts']),
    ('Network', parts['layers']),
    *((section['heading'], True) for section in parts['sections']),
    ('Time and place', parts['environment']),
    ('Config', parts['config']),
  ]
  ids = {name: re.sub(r'\W+', '-', name.lower()) for name, there in named if there}
  return environment.get_template('page.html').render(
    **parts,
    ids=ids,
    contents=[{'id': place, 'heading': name} for name, place in ids.items()],
    style=(FOLDER / 'page.css').read_text(),
    script=(FOLDER / 'page.js').read_text(),
  )


def one(record):
  """What the template shows of a run."""
  return {
    'title': record.title,
    'lead': _lead(record),
    'figures': _figures(record),
    'commands': [record.command] * bool(record.command),
    'charts': svg.charts(
      {record.name: record.curves()}, record.epoch(), records.loss_unit(record.config)
    ),
    'layers': [
      [
        row['name'],
        row['type'],
        _shape(row['input']),
        _shape(row['output']),
        f'{row["parameters"]:,}',
        f'{row["trainable"]:,}',
      ]
      for row in report_results.layers(record)
    ],
    'sections': sections.of_run(record),
    'environment': _environment(record),
    'config': disk.readable_json(record.config),
    'folder': shlex.quote(str(record.folder)),
  }


def several(found):
  """What the template shows of several runs: their figures and curves beside each other."""
  labels, shared = _labels(found)
  names = [
    key
    for key in dict.fromkeys(key for record in found for key in record.summary)
    if _is_figure(key)
  ]
  reported = [{name: theirs for name, theirs, _ in record.reported()} for record in found]
  columns = [
    (name, beside)
    for name in names
    for beside in (False, True)[: 1 + any(name in theirs for theirs in reported)]
  ]
  rows = [
    [
      label,
      *(
        metrics.shown(name, (theirs if beside else record.summary).get(name))
        for name, beside in columns
      ),
      *(
        f'{record.summary[key]:,}' if key in record.summary else '–'
        for key in ('parameters', 'step')
      ),
      record.state(run_folder.trainer(record.folder).get('now')),
      *[str(record.folder)] * (not shared),
    ]
    for label, record, theirs in zip(labels, found, reported, strict=True)
  ]
  columns = [
    'run',
    *('reported ' * beside + name.replace('_', ' ') for name, beside in columns),
    'parameters',
    'step',
    'state',
    *['folder'] * (not shared),
  ]
  measured = {metric.name for metric in metrics.evaluated()}
  curves = {
    label: {key: points for key, points in record.curves().items() if key[0] in measured}
    for label, record in zip(labels, found, strict=True)
  }
  epochs = {record.epoch() for record in found}
  units = ', '.join(dict.fromkeys(records.loss_unit(record.config) for record in found))
  return {
    'title': f'{len(found)} runs compared',
    'lead': shared and f'in {shared}' or ', '.join(labels),
    'figures': {
      'columns': columns,
      'rows': rows,
      'numbers': range(1, columns.index('state')),
      'remarks': [],
    },
    'commands': list(dict.fromkeys(record.command for record in found if record.command)),
    'charts': svg.charts(curves, epochs.pop() if len(epochs) == 1 else None, units),
    'layers': [],
    'sections': [],
    'environment': [],
    'config': '',
    'folder': '',
  }


def _lead(record):
  config, summary = record.config, record.summary
  kind = config['model'].get('cell', config['model']['name']).upper()
  best = next((key for key in metrics.leading_keys() if key in summary), None)
  if best is None:
    return f'{kind} on {config["data"]["name"]}: not yet evaluated'
  reported = {name: theirs for name, theirs, _ in record.reported()}.get(best)
  beside = (
    f' (reported: {metrics.shown(best, reported)})'
    if reported is not None and not record.changed
    else ''
  )
  return (
    f'{kind} on {config["data"]["name"]}: {best.replace("_", " ")} {metrics.shown(best, summary[best])}{beside}, '
    f'{summary["parameters"]:,} parameters, seed {summary["seed"]}'
  )


def _figures(record):
  reported = {name: (theirs, ours) for name, theirs, ours in record.reported()}
  names = dict.fromkeys([*(key for key in record.summary if _is_figure(key)), *reported])
  rows = []
  for name in names:
    theirs, ours = reported.get(name, (None, record.summary.get(name)))
    count = record.summary.get(f'{name.partition("_")[0]}_examples')
    whole = isinstance(theirs, int)
    rows.append(
      [
        name.replace('_', ' '),
        f'{ours:,}' if whole and ours is not None else metrics.shown(name, ours),
        f'{theirs:,}' if whole else metrics.shown(name, theirs),
        f'{count:,}' if count else '–',
      ]
    )
  remarks = (
    [f'At step {record.summary["step"]:,}, the checkpoint of the lowest validation loss.']
    if record.summary
    else []
  )
  if source := reported and (record.config.get('reported') or {}).get('source'):
    remarks.append(f'Reported: what report {source}, which the config names, says of its own run.')
  if reported and record.changed:
    remarks.append(
      f'What is reported is of another run: this one sets {", ".join(record.changed)}.'
    )
  remarks += [f'Of the data: {record.remark}.'] if record.remark else []
  if any(name.startswith('train_') for name in names):
    remarks.append(
      'Of training: the mean over the steps since the log before, while the network was still learning.'
    )
  columns = [
    (0, 'figure'),
    (1, 'ours'),
    *[(2, 'reported')] * any(row[2] != '–' for row in rows),
    (3, 'examples'),
  ]
  return (
    {
      'columns': [name for _, name in columns],
      'rows': [[row[place] for place, _ in columns] for row in rows],
      'numbers': range(1, len(columns)),
      'remarks': remarks,
    }
    if rows
    else None
  )


def _is_figure(key):
  """Whether a key of a summary is a metric of a split that evaluations measure."""
  split, _, name = key.partition('_')
  known = metrics.METRICS.get(name)
  return split in metrics.SPLITS and known is not None and known.evaluated


def _environment(record):
  summary, counted = record.summary, report_results.counted(record)
  if not summary:
    return counted
  spent = datetime.timedelta(seconds=round(summary['seconds']))
  rows = [
    ['time', f'{spent} (all sittings, evaluation included)'],
    ['device', summary['device']],
    ['data', summary['data']],
    *counted,
  ]
  return rows + [[name, version] for name, version in summary.get('versions', {}).items()]


def _shape(shape):
  return ' × '.join(map(str, shape)) or '1'


def _labels(found):
  """(the runs' titles, ''), with their seeds where these tell them apart; else (their folders, the
  one that holds all).
  """
  for name in (
    lambda record: record.title,
    lambda record: f'{record.title}, seed {record.config.get("seed", 0)}',
  ):
    labels = [name(record) for record in found]
    if len(set(labels)) == len(found):
      return labels, ''
  shared = os.path.commonpath([os.path.abspath(record.folder) for record in found])
  return [os.path.relpath(record.folder, shared) for record in found], shared
