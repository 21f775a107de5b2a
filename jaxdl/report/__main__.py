"""Writes one self-contained page about a run, or about several runs.

Usage:

    python -m jaxdl.report RUN [RUN …] [--out=compare.html]
"""

if __name__ == '__main__':  # before the slow imports below
  from jaxdl.terminal import start

  start.begin()


import contextlib
import pathlib
import sys
from collections.abc import Sequence

from jaxdl import stores
from jaxdl.report import page
from jaxdl.runs import folder as run_folder
from jaxdl.runs import packed
from jaxdl.terminal import command

LESS_MEMORY = 'put fewer runs on the page'
EXAMPLES = """\
  python -m jaxdl.report runs/cnn_mnist
  python -m jaxdl.report runs/cnn_mnist --open
  python -m jaxdl.report runs/lstm_mnist runs/gru_mnist --out=cells.html"""


def main(arguments: Sequence[str]) -> int:
  """Runs the command; returns the exit code."""
  parser = command.Parser(
    name='report',
    called=arguments[0],
    examples=EXAMPLES,
    description='Write one self-contained page about a run, or about several.',
  )
  parser.add_argument(
    'runs',
    nargs='+',
    metavar='RUN',
    help='folder or .zip file of a run, or a folder that contains some',
  )
  parser.add_argument(
    '--out',
    metavar='FILE',
    help='file of the page (default RUN/report.html, for several runs compare.html)',
  )
  parser.add_argument(
    '--open',
    action='store_true',
    help='open the page in the browser; while the run trains, the page reloads itself',
  )
  parser.add_trust_code()
  chosen = parser.parse_args(arguments[1:])
  for folder in chosen.runs:
    command.check_folder(folder)
  with contextlib.ExitStack() as stack:
    chosen.runs = [stack.enter_context(stores.reading(place)) for place in chosen.runs]
    return _report(chosen)


def _report(chosen):
  """Writes the page; returns the exit code."""
  runs = [
    run for folder in chosen.runs for run in run_folder.below(pathlib.Path(folder)) or [folder]
  ]
  own = packed.results_of(runs[0]) / 'report.html'
  file = pathlib.Path(chosen.out or (own if len(runs) == 1 else 'compare.html'))
  if chosen.out or file.is_dir():
    command.output_file(file, example='compare.html')
  there = ', replaces the previous file' if file.exists() else ''
  is_own = len(runs) == 1 and not chosen.out
  trust = chosen.trust_code
  if is_own:
    size = page.write_page_and_card(runs[0], trust_code=trust)[1]
  else:
    size = page.write(runs, file, trust_code=trust)
  print(f'{file}: {f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"}{there}')
  if is_own and file.with_name('card.md').is_file():  # not yet while the run trains
    print(f'{file.with_name("card.md")}: the model card')
  found = {'file': str(file), 'bytes': size, 'runs': [str(run) for run in runs]}
  command.print_quietly(found, quiet=chosen.quiet)
  if chosen.open:
    command.open_page(file)
  return 0


if __name__ == '__main__':
  sys.exit(command.run(main, sys.argv, less_memory=LESS_MEMORY))
