"""The table of results, between two markers of a Markdown file, from the runs' own files."""

import pathlib
import re
import statistics
from collections.abc import Callable

from jaxdl.config import binding
from jaxdl.step import metrics
from launch.reproduction import kept, wording
from launch.reproduction.contradictions import DOUBTFUL
from launch.reproduction.run_folders import Group

BEGIN, END = '<!-- results -->', '<!-- /results -->'
MARK = '[⁰¹²³⁴⁵⁶⁷⁸⁹]+'
HEAD = (
  'config',
  'reported',
  'ours',
  'chance level',
  'validation',
  'test examples',
  'parameters',
  'seconds',
  'device',
)


def write(file: pathlib.Path, groups: dict[str, Group], configs: dict[str, dict]) -> None:
  """Replaces the text between the markers of a file, except rows of which no run is finished here.

  Args:
    file: Markdown with the markers.
    groups: name → Group, of the rows to write.
    configs: name → config, in the order of the rows.

  Raises:
    ValueError: a marker is missing.
    OSError: the file cannot be read or written.
  """
  replace(file, BEGIN, END, lambda before: table(groups, configs, before))


def replace(file: pathlib.Path, begin: str, end: str, made: Callable[[str], str]) -> None:
  """Replaces the text between two markers of a file.

  Args:
    file: Markdown with the markers.
    begin, end: the markers.
    made: function (old text, which begins with the marker) → new text without the markers.

  Raises:
    ValueError: a marker is missing.
    OSError: the file cannot be read or written.
  """
  before = file.read_text(encoding='utf-8')
  first, last = before.find(begin), before.find(end)
  if not 0 <= first < last:
    raise ValueError(
      f'{file} has no place for the table: add the lines {begin} and {end}, in this order'
    )
  aside = pathlib.Path(f'{file}.new')
  text = f'{before[:first]}{begin}\n{made(before[first:last])}\n{before[last:]}'
  aside.write_text(text, encoding='utf-8')
  aside.replace(file)


def table(groups: dict[str, Group], configs: dict[str, dict], before: str = '') -> str:
  """The table as Markdown, with its footnotes and where it comes from.

  Args:
    groups: name → Group.
    configs: name → config, in the order of the rows.
    before: a table made earlier, perhaps elsewhere: its rows stay if no run of theirs is finished
      here, and configs that were not run get no row.
  """
  notes, rows, earlier = [], [], _rows(before)
  for name, config in configs.items():
    if name in groups and (groups[name].finished or not earlier):
      rows.append(_row(groups[name], config, notes))
    elif name in earlier:
      cells = [earlier[name].get(column, ('–', [])) for column in HEAD]
      rows.append([cell + ''.join(_note(text, notes) for text in texts) for cell, texts in cells])
  lines = [_line(HEAD), _line(['---', *['---:'] * (len(HEAD) - 2), '---']), *map(_line, rows)]
  if notes:
    lines += [
      '',
      '; '.join(f'{_mark(number)} {note}' for number, note in enumerate(notes, 1)) + '.',
    ]
  return '\n'.join([*lines, '', _origin(groups.values(), before)])


def _rows(table):
  """config → column → its cell and the footnotes that it refers to: the inverse of `table`."""
  notes = re.search(f'^(?={MARK} ).*(?=\\.$)', table, re.MULTILINE)
  texts = dict(note.split(' ', 1) for note in re.split(f'; (?={MARK} )', notes[0])) if notes else {}
  head = re.search(r'^\| config \|.*(?= \|$)', table, re.MULTILINE)
  columns = head[0].removeprefix('| ').split(' | ') if head else []
  rows = {}
  for line in re.findall(r'^\| `.*(?= \|$)', table, re.MULTILINE):
    cells = [
      (
        re.sub(f' {MARK}', '', cell),
        [texts[mark] for mark in re.findall(f' ({MARK})', cell) if mark in texts],
      )
      for cell in line.removeprefix('| ').split(' | ')
    ]
    rows[cells[0][0].strip('`')] = dict(zip(columns, cells, strict=False))
  return rows


def _row(group, config, notes):
  """The cells of one config; footnotes that it needs are added to `notes`."""
  metric = metrics.main_metric(binding.as_section(config['task'])['name']).name
  key, runs = f'test_{metric}', group.finished
  values = {
    name: [value for value, _ in (run.figure(name) for run in runs) if value is not None]
    for name in (key, f'validation_{metric}', 'parameters', 'test_examples', 'seconds')
  }
  doubt = DOUBTFUL.get((group.name, key))
  reported = wording.reported(key, group.reported.get(key))
  if doubt:
    reported += _note(f'the report contradicts itself: {doubt}', notes)
  remarks = [f'the data: {text}' for text in group.remarks]
  if group.is_on_other_data:
    remarks.append(wording.OTHER_DATA)
  if group.changed and runs:
    remarks.append(f'measured with an earlier config, which differs in {", ".join(group.changed)}')
  ours = wording.seeds(values[key], key) if values[key] else ''
  ours += ''.join(_note(remark, notes) for remark in remarks)
  return (
    f'`{group.name}`',
    reported,
    '; '.join(filter(None, [ours, *group.unfinished])) or 'not run',
    metrics.chance_levels(runs[0].chances([key]) if runs else {}),
    wording.figure(metric, _mean(values[f'validation_{metric}'])),
    _each(values['test_examples']),
    _each(values['parameters']),
    f'{_mean(values["seconds"]):,.0f}' if runs else '–',
    ', '.join(sorted({run.summary['device'] for run in runs})) or '–',
  )


def _origin(groups, before):
  """The command, and the day of the newest run, which may be one of a table made before."""
  runs = [run for group in groups for run in group.finished]
  sentences = (
    'Mean ± standard deviation over the seeds. Test and validation figures are those of the\n'
    'checkpoint with the lowest validation loss; validation examples are held out from training.\n'
    'Seconds are those of one run, bits are per character, mse is the mean squared error per '
    f'pixel.\n{metrics.CHANCE}\nThe table is written by `python -m launch.reproduction.reproduce`'
  )
  days = re.findall(r'the newest run is of (\d{4}-\d\d-\d\d)', before)
  days += map(kept.day, runs)
  return f'{sentences}; the newest run is of {max(days)}.' if days else f'{sentences}.'


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
