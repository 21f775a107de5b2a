"""Applies the network of a run to images, vectors, tables or texts.

Images are classified, labelled or reconstructed, or values are predicted; texts are measured.

Usage:

    python -m jaxdl.predict D INPUT …
"""

if __name__ == '__main__':  # before the slow imports below
  from jaxdl.terminal import start

  start.begin()


import functools
import pathlib
import sys
from argparse import Namespace

from jaxdl import stores
from jaxdl.data import recorded
from jaxdl.prediction import inputs, own_arrays, results, screen, texts
from jaxdl.prediction.session import Choice, Outcome, Session, described
from jaxdl.terminal import command, progress
from jaxdl.views import subject as subjects
from jaxdl.views.subject import Subject

LESS_MEMORY = 'give smaller images or fewer inputs'
IMAGE_FLAGS = ('explain', 'page', 'invert', 'distort')
COUNTS = 20  # maximum number of classes in the printed counts

EXAMPLES = """\
  python -m jaxdl.predict runs/lstm_mnist digit.png
  python -m jaxdl.predict runs/cnn_mnist digits --out=digits.csv --explain=grad_cam --page
  python -m jaxdl.predict runs/char_lstm_shakespeare letter.txt"""


def main(arguments: list[str]) -> int:
  """Runs the command; returns the exit code."""
  chosen = _parser(arguments[0]).parse_args(arguments[1:])
  if not chosen.inputs:
    raise ValueError('INPUT is missing: give images, folders, patterns, texts or - after the run')
  out = None
  if chosen.out is not None:
    out = command.output_file(chosen.out, example='predictions.csv', suffixes=results.SUFFIXES)
  with stores.reading(chosen.workdir) as chosen.workdir:
    return _predict(chosen, out)


def _predict(chosen, out):
  """Applies the network to the inputs; returns the exit code."""
  subject = subjects.read(
    chosen.workdir, step=chosen.step, examples=False, trust_code=chosen.trust_code
  )
  if subject.kind == 'language_model':
    return _measure(subject, chosen, out)
  is_own = own_arrays.is_own(subject.config)
  read = functools.partial(own_arrays.from_file, subject.config) if is_own else None
  endings = own_arrays.endings(subject.config)
  found = inputs.images(
    chosen.inputs,
    subjects.folder_classes(subject.config),
    read,
    endings,
    follow_links=subject.config['data'].get('follow_links', False),
  )
  for line in found.left_out:
    _warn(line)
  names = None if chosen.explain is None else [one for one in chosen.explain.split(',') if one]
  choice = Choice(
    out=out,
    explain=names,
    page=chosen.page,
    show_all=chosen.all,
    skip=chosen.skip,
    invert=chosen.invert,
    distort=chosen.distort,
  )
  if chosen.distort and not subject.config['data'].get('distort'):
    raise ValueError(
      f'--distort changes nothing: {chosen.workdir} has no config.data.distort; leave it out'
    )
  session = Session(subject, found, choice)
  with progress.counting(len(found), recorded.noun(subject.config)) as advance:
    outcome = session.run(advance)
  _show(subject, outcome, chosen)
  return 1 if outcome.faults else 0


def _parser(called):
  parser = command.Parser(
    name='predict',
    called=called,
    description='Apply the network of a run to your own images, tables or texts.',
    examples=EXAMPLES,
    json=True,
    run='folder of a run',
    inputs='image files, folders, patterns, .npz, .npy, tables, texts, or - for standard input',
  )
  add = parser.add_argument
  add('--out', metavar='FILE', help='write all probabilities to FILE.csv or FILE.jsonl')
  add(
    '--explain',
    nargs='?',
    const='',
    metavar='NAME,NAME',
    help='draw each input with its attribution maps (default grad_cam,integrated_gradients), or '
    'with its reconstruction',
  )
  add('--page', action='store_true', help='write one HTML page with thumbnails and maps')
  add('--all', action='store_true', help=f'print all rows instead of the first {screen.ROWS}')
  add(
    '--skip',
    action='store_true',
    help='leave out inputs that cannot be read; the exit code is then 1',
  )
  add('--invert', action='store_true', help='invert the brightness of the images')
  add('--distort', action='store_true', help="apply the config's distortion, as evaluation does")
  parser.add_step()
  parser.add_trust_code()
  return parser


def _warn(line: str) -> None:
  print(f'jaxdl: {line}'.encode(errors='backslashreplace').decode(), file=sys.stderr, flush=True)


def _show(subject: Subject, outcome: Outcome, chosen: Namespace) -> None:
  """Prints the table, counts, metrics, names of written files, and warnings."""
  columns = ['file', *outcome.rows[0].cells]
  columns = ['next two' if name == 'next' else name for name in columns]
  table = [[screen.short(row.name), *row.cells.values()] for row in outcome.rows]
  numbers = [columns.index(name) for name in ('probability', 'error') if name in columns]
  if subject.kind == 'regressor':
    numbers = range(1, len(columns))
  print(*screen.lines(columns, table, numbers), sep='\n')
  if len(outcome.rows) < outcome.count:
    print(f'… and {outcome.count - len(outcome.rows):,} more: add --all to print them')
  if outcome.counts:
    few = outcome.counts[:COUNTS]
    more = f', … ({len(outcome.counts):,} classes)' if len(few) < len(outcome.counts) else ''
    shown = ', '.join(f'{name}: {count:,}' for name, count in few)
    counted = f'{outcome.count:,} {recorded.noun(subject.config, outcome.count)}'
    what = 'label' if subject.kind == 'multi_label' else 'class'
    print(f'{counted} by predicted {what}: {shown}{more}')
  if outcome.metrics:
    print(described(outcome))
  if outcome.files:
    print(f'written: {_named(outcome.files)}')
  if outcome.warning:
    _warn(outcome.warning)
  for fault in outcome.faults:
    _warn(f'{fault}: left out')
  found = {
    'workdir': str(chosen.workdir),
    'step': subject.step,
    'inputs': outcome.count,
    'counts': dict(outcome.counts),
    'metrics': outcome.metrics,
    'labelled': outcome.labelled,
    'rows': [row.values for row in outcome.rows],
    'left_out': [fault.name for fault in outcome.faults],
    'files': [str(file) for file in outcome.files],
  }
  command.print_result(found, as_json=chosen.json)


def _named(files: list[pathlib.Path]) -> str:
  """Returns the names of files, shortened if there are more than four."""
  names = list(map(str, files))
  return ', '.join(names) if len(names) <= 4 else ', '.join([*names[:2], '…', *names[-2:]])


def _measure(subject: Subject, chosen: Namespace, out) -> int:
  """Measures texts with a language model. Returns the exit code."""
  for name in IMAGE_FLAGS:
    if getattr(chosen, name) not in (None, False):
      raise ValueError(
        f'--{name} applies to images, but {chosen.workdir} is a language model: leave it out'
      )
  files = inputs.texts(chosen.inputs)
  predictor = texts.TextPredictor(subject.config, subject.model, subject.variables)
  measured = []
  with progress.counting(len(files), 'texts') as advance:
    for file in files:
      measured.append(predictor.measure(file, skip=chosen.skip))
      advance(len(measured))
  rows = [
    {
      'file': one.name,
      'characters': one.characters,
      'bits_per_character': one.bits_per_character,
      'perplexity': one.perplexity,
      'accuracy': one.accuracy,
    }
    for one in measured
  ]
  if out:
    with results.Writer(out, list(rows[0])) as writer:
      writer.rows(rows)
  shown = rows if chosen.all else rows[: screen.ROWS]
  table = [
    [
      screen.short(row['file']),
      f'{row["characters"]:,}',
      f'{row["bits_per_character"]:.4f}',
      f'{row["perplexity"]:.2f}',
      f'{100 * row["accuracy"]:.2f} %',
    ]
    for row in shown
  ]
  columns = ['file', 'characters', 'bits per character', 'perplexity', 'accuracy']
  print(*screen.lines(columns, table, range(1, 5)), sep='\n')
  if len(shown) < len(rows):
    print(f'… and {len(rows) - len(shown):,} more: add --all to print them')
  if out:
    print(f'written: {out}')
  changed = [one for one in measured if one.left_out]
  for one in changed:
    _warn(f'{one.name}: left out {one.left_out:,} characters that are not in the vocabulary')
  found = {
    'workdir': str(chosen.workdir),
    'step': subject.step,
    'texts': rows,
    'left_out': {one.name: one.left_out for one in changed},
    'files': [str(out)] if out else [],
  }
  command.print_result(found, as_json=chosen.json)
  return 1 if changed else 0


if __name__ == '__main__':
  sys.exit(command.run(main, sys.argv, less_memory=LESS_MEMORY))
