"""The model card of a run: describes the network, its data, metrics and use.

The Markdown file (`card.md`) and the section of the report have the same content. Facts that are
missing in the files of the run are left out.
"""

import dataclasses
import datetime
import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from jaxdl.config import memory, paths
from jaxdl.config.markdown import escaped
from jaxdl.data import licences
from jaxdl.report import results
from jaxdl.runs import files, identity, integrity
from jaxdl.runs import record as records
from jaxdl.runs.record import Run
from jaxdl.step import metrics
from jaxdl.step.intervals import wilson

MOST_CLASSES = 100  # maximum number of rows in the table of recalls, lowest recalls first
NAMED = 20  # maximum number of class names in a sentence
NETWORKS = {
  'cnn': 'convolutional network',
  'recurrent': 'recurrent network',
  'language_model': 'language model',
  'transformer': 'transformer',
}
PURPOSE = {  # task → sentence about the network
  'classify': 'It assigns {inputs} to {classes}.',
  'classify_by_squared_error': 'It assigns {inputs} to {classes}.',
  'reconstruct': 'It reconstructs {inputs}.',
  'next_char': 'It predicts the next character of a text, one of {classes}.',
  'regress': 'It predicts {classes} from {inputs}.',
  'multi_label': 'It assigns any number of labels to {inputs}, {classes}.',
}


@dataclasses.dataclass(frozen=True)
class Block:
  """A block of a card: a paragraph, a list, a table or code.

  Attributes:
    text: text of a paragraph, or code.
    points: items of a list.
    columns, rows: titles and cells of a table.
    numbers: indices of the table's numeric columns.
    language: language of the code; '' for a paragraph.
  """

  text: str = ''
  points: Sequence[str] = ()
  columns: Sequence[str] = ()
  rows: Sequence[Sequence[str]] = ()
  numbers: Sequence[int] = ()
  language: str = ''


@dataclasses.dataclass(frozen=True)
class Part:
  """A part of a card.

  Attributes:
    heading: the heading.
    blocks: the content.
    in_page: whether the report includes the part; False if the report has the same table elsewhere.
  """

  heading: str
  blocks: Sequence[Block]
  in_page: bool = True


def of_run(
  record: Run, lead: str, layers: Sequence[Sequence[str]], place: str | None = None
) -> list[Part]:
  """Returns the model card of a run.

  Args:
    record: the run.
    lead: one sentence about the run.
    layers: rows (name, type, input, output, parameters, trainable) of the layer table.
    place: path of the run in commands; None for `record.place`.

  Returns:
    The nonempty parts.

  Raises:
    ValueError: a file of the run or of an analysis is damaged.
  """
  place = paths.shown(record.place) if place is None else place
  parts = [
    _network(record, lead, layers),
    _data(record),
    _figures(record),
    _per_class(record, place),
    _untested(record),
    _use(record, place),
    _training(record),
    _checksums(record),
    _versions(record),
  ]
  return [part for part in parts if part.blocks]


def markdown(parts: Iterable[Part], title: str) -> str:
  """Formats a model card as Markdown. Special characters in names are escaped.

  Args:
    parts: parts of the card, as returned by `of_run`.
    title: title of the run.
  """
  texts = [f'# Model card: {escaped(title)}']
  for part in parts:
    texts += [f'## {part.heading}', *map(_markdown, part.blocks)]
  return '\n\n'.join(texts) + '\n'


def _markdown(block):
  if block.language:
    ticks = max((len(run) for run in re.findall('`+', block.text)), default=0)
    fence = '`' * max(3, ticks + 1)
    return f'{fence}{block.language}\n{block.text}\n{fence}'
  if block.points:
    return '\n'.join(f'- {escaped(point)}' for point in block.points)
  if block.rows:
    rule = ['---:' if column in block.numbers else '---' for column in range(len(block.columns))]
    rows = [[escaped(cell) for cell in row] for row in (block.columns, *block.rows)]
    return '\n'.join(f'| {" | ".join(row)} |' for row in (rows[0], rule, *rows[1:]))
  return escaped(block.text)


def _network(record, lead, layers):
  model = record.config['model']
  kind = NETWORKS.get(model['name'], f'network of type {model["name"]!r}')
  cell = f' ({model["cell"].upper()})' if 'cell' in model else ''
  size = ''
  if 'parameters' in record.summary:
    size = f' with {record.summary["parameters"]:,} parameters'
  description = f'A {kind}{cell}{size}.'
  purpose = PURPOSE.get(records.task(record.config) or '', '')
  shape = _shape(record)
  if purpose and shape and _classes(record):
    description += ' ' + purpose.format(inputs=f'inputs of shape {shape}', classes=_classes(record))
  blocks = [Block(f'{lead}.'), Block(description)]
  if layers:
    columns = ('layer', 'type', 'input', 'output', 'parameters', 'trainable')
    blocks.append(Block(columns=columns, rows=layers, numbers=(4, 5)))
  return Part('Network', blocks, in_page=False)


def _classes(record):
  """What the network predicts, in words; '' if its names are not known."""
  task = records.task(record.config)
  targets = record.config.get('dataset', {}).get('targets', {})
  names = [str(name) for name in (targets.get('names', ()) if targets else record.classes)]
  if not names:
    return ''
  if task == 'next_char':
    return f'{len(names):,} characters'
  shown = ', '.join(names[:NAMED]) + (', …' if len(names) > NAMED else '')
  if task == 'regress':
    return f'{len(names):,} numbers ({shown})' if len(names) > 1 else f'the number {shown}'
  if task == 'multi_label':
    return f'out of {len(names):,}: {shown}'
  return f'one of {len(names):,} classes: {shown}'


def _shape(record):
  shape = record.config.get('dataset', {}).get('input_shape', ())
  return ' × '.join(map(str, shape))


def _data(record):
  data, kept = record.config['data'], record.config.get('dataset', {})
  rows = [['data set', str(kept.get('name', data['name']))]]
  origin = record.summary.get('data') or kept.get('origin')
  if origin:
    rows.append(['read from', str(origin)])
  splits = data.get('splits')
  cuts = (
    {f'{split} data': str(cut) for split, cut in splits.items()} if isinstance(splits, dict) else {}
  )
  for name, size in results.counted(record):
    rows.append([name, f'{cuts[name]}: {size}' if name in cuts else size])
  rows += [
    [f'checksum of {split}', str(checksum)]
    for split, checksum in identity.checksums(record.config).items()
  ]
  if kept.get('revision'):
    rows.append(['revision of the data', str(kept['revision'])])
  licence = kept.get('licence') or licences.of(data['name']).name
  rows.append(['licence of the data', str(licence)])
  return Part('Data', [Block(columns=('fact', 'value'), rows=rows)])


def _figures(record):
  rows = []
  for key in results.evaluated(record):
    value, examples = record.figure(key)
    rows.append(
      [
        metrics.words(key),
        metrics.shown(key, value),
        _interval(key, value, examples),
        f'{examples:,}' if examples else '–',
      ]
    )
  columns = ['figure', 'value', '95 % interval', 'examples']
  has_chance = results.add_chance(record, results.evaluated(record), columns, rows)
  if not rows:
    return Part('Figures', [Block('The network has not been evaluated yet.')])
  blocks = [
    Block(columns=columns, rows=rows, numbers=range(1, len(columns))),
    Block(f'The figures are from step {record.summary["step"]:,}, {results.checkpoint(record)}.'),
  ]
  if has_chance:
    blocks.append(Block(metrics.CHANCE))
  if any(row[2] != '–' for row in rows):
    blocks.append(
      Block(
        'The interval is the Wilson score interval. It accounts for the choice of the examples, '
        'but not for the seed of the training.'
      )
    )
  validated = any(row[0].startswith('validation ') for row in rows)
  if validated and not results.imported_from(record):
    blocks.append(
      Block(
        'The checkpoint was selected on the validation examples, so the validation figures are '
        'slightly optimistic.'
      )
    )
  return Part('Figures with intervals', blocks)


def _interval(key, value, examples):
  metric = metrics.find(key)
  if metric is None or not metric.is_share or value is None or not examples:
    return '–'
  if not 0 <= value <= 1:  # NaN, or damaged
    return '–'
  return _between(key, *wilson(value, examples))


def _between(key, low, high):
  return f'{metrics.number(key, low)} to {metrics.shown(key, high)}'


def _per_class(record, place):
  key = 'accuracy'
  if not any(found.endswith(key) for found in results.evaluated(record)):
    return Part('Recall of each class', [])
  facts = results.of_analysis(record, 'confusion')
  if not facts or facts.get('step') != record.summary['step']:
    made = f'python -m jaxdl.analyze {shlex.quote(place)} --only=errors'
    text = 'The recall of each class was not measured. To measure it, run:'
    return Part('Recall of each class', [Block(text), Block(made, language='bash')])
  with results.errors_naming(record, 'confusion.npz'):
    counts = memory.load_arrays(record.results / 'analysis/confusion.npz')['counts']
    right, totals = counts.diagonal(), counts.sum(1)
    shown = range(len(totals))
    if len(totals) > MOST_CLASSES:
      shown = np.argsort(right / np.maximum(totals, 1), kind='stable')[:MOST_CLASSES]
    rows = [_recall(key, str(facts['classes'][i]), int(right[i]), int(totals[i])) for i in shown]
  which = f' {facts["split"]}' if isinstance(facts.get('split'), str) else ''
  text = (
    f'The fraction of the examples of a class that were assigned to this class, on '
    f'{int(totals.sum()):,}{which} examples.'
  )
  if len(totals) > MOST_CLASSES:
    text += f' The {MOST_CLASSES} classes with the lowest recall are shown.'
  columns = ('class', 'recall', '95 % interval', 'examples')
  return Part(
    'Recall of each class', [Block(text), Block(columns=columns, rows=rows, numbers=(1, 2, 3))]
  )


def _recall(key, name, right, total):
  if not total:
    return [name, '–', '–', '0']
  interval = _between(key, *wilson(right / total, total))
  return [name, metrics.shown(key, right / total), interval, f'{total:,}']


def _untested(record):
  data, examples = record.config['data'], record.config.get('dataset', {}).get('examples', {})
  points = [f'Data from other sources than {data["name"]}.']
  if record.remark:
    points.insert(0, f'The original data: {record.remark}.')
  if examples and 'test' not in examples:
    points.insert(
      0,
      'Test examples: the data have no test split, so no figures are independent of the training '
      'and of the selection of the checkpoint.',
    )
  shape = _shape(record)
  is_text = records.task(record.config) == 'next_char'
  if shape and not is_text:
    points.append(f'Inputs of other sizes than {shape}.')
  if is_text:
    points.append('Characters that do not occur in the training text.')
  elif 'classify' in str(records.task(record.config)):
    points.append('Inputs of other classes: the network assigns them to one of its classes.')
  points.append('Other seeds: the figures are from a single run.')
  return Part('Not tested', [Block(points=points)])


def _use(record, place):
  kept = record.config.get('dataset', {})
  blocks = []
  load = f'run = jaxdl.load({place!r})'
  is_text = records.task(record.config) == 'next_char'
  lines = ['import jaxdl', '', load]
  if is_text:
    lines.append("measured = run.predict('text.txt')  # bits per character of a text")
  elif {'mean', 'deviation', 'input_shape'} <= kept.keys():
    lines.append(f'found = run.predict({_example(kept)}')
  blocks.append(Block('\n'.join(lines), language='python'))
  quoted = shlex.quote(place)
  commands = [f'python -m jaxdl.analyze {quoted}', f'python -m jaxdl.report {quoted}']
  given = 'text.txt' if is_text else 'table.csv' if kept.get('table') else 'FOLDER'
  given = 'FILE.npz' if kept.get('form') and not kept.get('table') else given
  commands.append(f'python -m jaxdl.predict {quoted} {given}')
  if is_text:
    commands.append(f'python -m jaxdl.generate {quoted} --length=300')
  return Part('How to load it', [*blocks, Block('\n'.join(commands), language='bash')])


def _example(kept):
  """What `Run.predict` gets, with a remark."""
  if kept.get('table'):
    return "'table.csv')  # or a data frame with the same columns"
  if kept.get('masked'):
    return 'x, lengths=lengths)  # an array as in training, or its .npz file'
  if kept.get('form'):
    return 'x)  # an array as in training, or its .npz file'
  return 'images)  # uint8 [N, height, width, channels], or image files'


def _training(record):
  config, summary = record.config, record.summary
  rows: list[list[Any]] = [['seed', summary.get('seed', config.get('seed'))]]
  rows.append(['steps', _steps(summary)])
  rows.append(['batch size', config['data']['batch_size']])
  rows += _origin(config.get('origin', {}))
  if summary:
    spent = datetime.timedelta(seconds=round(summary['seconds']))
    rows += [['device', summary['device']], ['time', f'{spent} (including evaluation)']]
    saved = files.saved_on(record.folder, summary['step'])
    rows.append(['checkpoint written on', saved and f'{saved} (UTC)'])
  known = [[name, str(value)] for name, value in rows if value not in (None, '')]
  blocks = [Block(columns=('fact', 'value'), rows=known)]
  if record.command:
    blocks.append(Block(record.command, language='bash'))
  return Part('How it was trained', blocks)


def _origin(origin):
  """Rows about the weights with which a run started, if they were not drawn."""
  if 'imported' in origin:
    return [['imported weights', origin['imported']], ['their sha256', origin.get('sha256')]]
  if 'start_from' in origin:
    start = f'{origin["start_from"]}, step {origin.get("step")}'
    return [['started from', start], ['its sha256', origin.get('sha256')]]
  return []


def _steps(summary):
  steps = summary.get('steps')
  if not isinstance(steps, int):
    return None
  stopped = summary.get('stopped')
  if isinstance(stopped, int):
    return f'stopped at step {stopped:,} of {steps:,}'
  early = summary.get('stopped_early')
  return f'{steps:,}' + (f', stopped early at step {early:,}' if isinstance(early, int) else '')


def _checksums(record):
  step = record.summary.get('step')
  folder = record.folder / 'checkpoints' / str(step) / 'model'
  if step is None or not folder.is_dir():
    return Part('Checksum', [])
  name = f'checkpoints/{step}/model'
  text = (
    'The sha256 of the sorted list of the checkpoint files and their sha256, in the format of '
    'sha256sum:'
  )
  command = (
    f'cd {name} && find * -type f ! -name {integrity.NOTE} | LC_ALL=C sort | xargs sha256sum '
    f'| sha256sum\n# {integrity.of_folder(folder)}'
  )
  return Part('Checksum', [Block(text), Block(command, language='bash')])


def _versions(record):
  rows = [[str(name), str(version)] for name, version in record.summary.get('versions', {}).items()]
  blocks = [Block(columns=('library', 'version'), rows=rows)] if rows else []
  return Part('Versions', blocks, in_page=False)
