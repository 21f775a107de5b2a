"""The table of results, between two markers of a Markdown file, from the runs' own files."""

import datetime
import pathlib
import statistics

from reproduction import wording
from reproduction.contradictions import DOUBTFUL

BEGIN, END = '<!-- results -->', '<!-- /results -->'
METRICS = {'classify': 'accuracy', 'classify_by_squared_error': 'accuracy', 'next_char': 'bits_per_character',
           'reconstruct': 'mse'}
HEAD = ('config', 'reported', 'ours', 'validation', 'test examples', 'parameters', 'seconds', 'device')


def write(file, groups, configs):
  """Replaces what stands between the markers of a file.

  Args:
    file: pathlib.Path.
    groups: name → Group.
    configs: name → config, in the order of the rows.

  Raises:
    ValueError: a marker is missing.
    OSError: the file cannot be read or written.
  """
  before = file.read_text()
  start, end = before.find(BEGIN), before.find(END)
  if not 0 <= start < end:
    raise ValueError(f'{file} has no place for the table: add the lines {BEGIN} and {END}, in this order')
  made = table({name: groups[name] for name in configs}, configs)
  aside = pathlib.Path(f'{file}.new')
  aside.write_text(f'{before[:start]}{BEGIN}\n{made}\n{before[end:]}')
  aside.replace(file)


def table(groups, configs):
  """The table as Markdown, with its footnotes and where it comes from.

  Args:
    groups: name → Group, in the order of the rows.
    configs: name → config.

  Returns:
    str.
  """
  notes = []
  rows = [_row(group, configs[name], notes) for name, group in groups.items()]
  lines = [_line(HEAD), _line(['---', *['---:'] * 6, '---']), *map(_line, rows)]
  if notes:
    lines += ['', '; '.join(f'{_mark(number)} {note}' for number, note in enumerate(notes, 1)) + '.']
  return '\n'.join([*lines, '', _origin(groups.values())])


def _row(group, config, notes):
  """The cells of one config; footnotes that it needs are added to `notes`."""
  metric = METRICS[config['task']['name'] if isinstance(config['task'], dict) else config['task']]
  key, runs = f'test_{metric}', group.finished
  values = {name: [value for value, _ in (run.figure(name) for run in runs) if value is not None]
            for name in (key, f'validation_{metric}', 'parameters', 'test_examples', 'seconds')}
  doubt = DOUBTFUL.get((group.name, key))
  reported = wording.reported(key, group.reported.get(key))
  if doubt:
    reported += _note(f'the report contradicts itself: {doubt}', notes)
  remarks = [f'the data: {text}' for text in group.remarks]
  if group.changed and runs:
    remarks.append(f'measured with another config than it is now, differing in {", ".join(group.changed)}')
  ours = wording.seeds(values[key], key) if values[key] else ''
  ours += ''.join(_note(remark, notes) for remark in remarks)
  return (f'`{group.name}`', reported, '; '.join(filter(None, [ours, *group.unfinished])) or 'not run',
          wording.figure(metric, _mean(values[f'validation_{metric}'])), _each(values['test_examples']),
          _each(values['parameters']), f'{_mean(values["seconds"]):,.0f}' if runs else '–',
          ', '.join(sorted({run.summary['device'] for run in runs})) or '–')


def _origin(groups):
  """The command, and the day of the newest run."""
  runs = [run for group in groups for run in group.finished]
  said = ('Mean ± deviation over the seeds there are. Test and validation (training examples held out) are those of\n'
          'the checkpoint of the lowest validation loss, seconds those of one run. Made from the runs\' files by\n'
          '`python launch/reproduce.py`')
  if not runs:
    return f'{said}.'
  newest = max((run.folder / 'summary.json').stat().st_mtime for run in runs)
  return f'{said}; the newest run is of {datetime.datetime.fromtimestamp(newest, datetime.UTC):%Y-%m-%d}.'


def _note(text, notes):
  """The mark of a footnote, which is added where it does not stand yet."""
  if text not in notes:
    notes.append(text)
  return f' {_mark(notes.index(text) + 1)}'


def _mark(number):
  return str(number).translate(str.maketrans('0123456789', '⁰¹²³⁴⁵⁶⁷⁸⁹'))


def _mean(values):
  return statistics.fmean(values) if values else None


def _each(counts):
  """The counts that there are, each once: runs of one config should agree."""
  return ', '.join(f'{count:,}' for count in sorted(set(counts))) or '–'


def _line(cells):
  return f'| {" | ".join(cells)} |'
