"""python -m jaxdl.analyze --workdir=D: every analysis that fits a run's network, as pictures and numbers in D/analysis."""

import json
import pathlib
import sys
import time
import warnings
from concurrent import futures

from jaxdl import command, subject
from jaxdl.report import page
from jaxdl.views import VIEWS
from jaxdl.views.view import Choice, layers_of, write

TOGETHER = 2  # analyses at a time: most of each is compilation, which keeps one core busy


def main(arguments):
  """Runs the command; returns the exit code."""
  parser = command.Parser(prog='python -m jaxdl.analyze', description=__doc__.partition(': ')[2],
                          epilog='analyses: ' + '; '.join(f'{name} ({view.title})' for name, view in VIEWS.items()))
  parser.add_argument('--workdir', required=True, help='folder of a run')
  parser.add_argument('--only', help='some analyses, joined by commas; default all that fit')
  parser.add_argument('--step', default='best', type=command.step, help='checkpoint: best, last or a number (default best)')
  parser.add_argument('--layer', help='of the analyses that look at one layer')
  parser.add_argument('--channel', type=int, help='of the analyses that look at one unit')
  parser.add_argument('--images', type=int, help='how many test examples (default all that fit into 1 GiB)')
  parser.add_argument('--data_dir', help='folder of the prepared data sets, where it is another than in training')
  parser.add_argument('--against', action='append', default=[], metavar='DIR',
                      help='folder of a run whose weights are laid over this one\'s; may be given several times')
  parser.add_argument('--seed', type=command.seed, default=0, help='of what is drawn at random (default 0)')
  chosen = parser.parse_args(arguments[1:])
  wanted = chosen.only.split(',') if chosen.only else list(VIEWS)
  if unknown := [name for name in wanted if name not in VIEWS]:
    raise ValueError(f'--only={unknown[0]} is not an analysis: use some of {", ".join(VIEWS)}')
  seen = subject.read(chosen.workdir, step=chosen.step, count=chosen.images, data_dir=chosen.data_dir)
  fitting = [name for name in wanted if seen.kind in VIEWS[name].kinds]
  if chosen.only and (other := [name for name in wanted if name not in fitting]):
    raise ValueError(f'--only={other[0]} does not apply to a model of kind {seen.kind!r}: use some of '
                     f'{", ".join(name for name, view in VIEWS.items() if seen.kind in view.kinds)}')
  if chosen.layer is not None and chosen.layer not in (layers := layers_of(seen)):
    raise ValueError(f'--layer={chosen.layer} is no layer of the network: use one of {", ".join(layers)}')
  choice = Choice(layer=chosen.layer, channel=chosen.channel, seed=chosen.seed, against=tuple(chosen.against), step=chosen.step)
  folder = pathlib.Path(chosen.workdir) / 'analysis'
  what = 'characters' if seen.kind == 'language_model' else 'examples'
  print(f'{chosen.workdir}: {len(fitting)} analyses of {seen.labels.size:,} {seen.split} {what} of {seen.name} into {folder}',
        flush=True)
  files = {}
  with warnings.catch_warnings(), futures.ThreadPoolExecutor(TOGETHER) as pool:
    warnings.simplefilter('ignore')  # of units that are dead: their pictures are blank, and the figures say which
    making = {name: pool.submit(_make, VIEWS[name], seen, choice, folder) for name in fitting}
    for number, (name, made) in enumerate(making.items(), 1):
      try:
        files[name], seconds = made.result()
        outcome = f'{VIEWS[name].title}, {seconds:.1f} s'
      except ValueError as error:
        if chosen.only:
          pool.shutdown(cancel_futures=True)
          raise ValueError(f'--only={name}: {error}') from error
        outcome = f'left out, {error}'
      print(f'{number} of {len(fitting)}  {name}: {outcome}', flush=True)
  if not files:
    raise ValueError(f'{chosen.workdir}: no analysis could be made, {name} is {outcome}')
  page.of_run(chosen.workdir)
  print(json.dumps({'workdir': chosen.workdir, 'analyses': files}))
  return 0


def _make(view, seen, choice, folder):
  """(names of a view's files, seconds that it took); ValueError where it does not fit what there is."""
  began = time.monotonic()
  if lacking := view.lacking(seen):
    raise ValueError(lacking)
  return [file for result in view.make(seen, choice) for file in write(result, folder)], time.monotonic() - began


if __name__ == '__main__':
  sys.exit(command.run(main, sys.argv))
