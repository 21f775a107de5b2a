"""python -m jaxdl.analyze D: every analysis that fits a run's network, as pictures and numbers in D/analysis."""

import json
import pathlib
import shlex
import sys
import textwrap
import time
import warnings
from concurrent import futures

from jaxdl import command, progress, subject
from jaxdl.report import page
from jaxdl.spelling import meant
from jaxdl.views import VIEWS
from jaxdl.views.view import Choice, layers_of, remove_older, write

TOGETHER = 2  # analyses at a time: most of each is compilation, which keeps one core busy
DEFAULTS = {'step': 'best', 'seed': 0, 'against': []}


LESS_MEMORY = 'look at fewer --images, or at some analyses, such as --only=filters'
EXAMPLES = f"""\
  python -m jaxdl.analyze runs/cnn_mnist
  python -m jaxdl.analyze runs/cnn_mnist --only=filters,attributions --images=1000
  python -m jaxdl.analyze runs/cnn_mnist --only=maximised --layer=conv2 --channel=3

analyses:
{textwrap.fill(', '.join(VIEWS), initial_indent='  ', subsequent_indent='  ')}"""


def main(arguments):
  """Runs the command; returns the exit code."""
  chosen = _parser().parse_args(arguments[1:])
  wanted = chosen.only.split(',') if chosen.only else list(VIEWS)
  looks_at_examples = any(VIEWS[name].examples for name in wanted if name in VIEWS)
  seen = subject.read(chosen.workdir, step=chosen.step, count=chosen.images, data_dir=chosen.data_dir, folder=chosen.folder,
                      examples=looks_at_examples)
  fitting = _fitting(chosen, seen)
  choice = Choice(layer=chosen.layer, channel=chosen.channel, seed=chosen.seed, against=tuple(chosen.against), step=chosen.step)
  folder = pathlib.Path(chosen.workdir) / 'analysis'
  what = 'characters' if seen.kind == 'language_model' else 'examples'
  analyses = '1 analysis' if len(fitting) == 1 else f'{len(fitting)} analyses'
  of_examples = f' of {seen.labels.size:,} {seen.split} {what} of {seen.name}' if looks_at_examples else ''
  together = f', {TOGETHER} at a time' if len(fitting) > 1 else ''
  print(f'{chosen.workdir} at step {seen.step:,}: {analyses}{of_examples} into {folder}{together}', flush=True)
  files = _make_all({name: _flags(chosen, name) for name in fitting}, seen, choice, folder, must_fit=bool(chosen.only))
  page.of_run(chosen.workdir)
  print(json.dumps({'workdir': chosen.workdir, 'analyses': files}))
  return 0


def _parser():
  parser = command.Parser(prog='python -m jaxdl.analyze', description='Look inside a network: pictures and numbers.',
                          examples=EXAMPLES, quiet=True, run='folder of a run; what is made goes to DIR/analysis')
  add = parser.add_argument
  add('--only', metavar='NAME,NAME', help='some analyses (default all that fit the network)')
  add('--step', default=DEFAULTS['step'], type=command.step, metavar='N',
      help='checkpoint: best, last or a number (default best)')
  add('--layer', metavar='NAME', help='of the analyses that look at one layer')
  add('--channel', type=int, metavar='I', help='of the analyses that look at one unit')
  add('--images', type=int, metavar='N', help='how many test examples, or characters of a text (default all that 1 GiB holds)')
  add('--data_dir', metavar='DIR', help='folder of the prepared data sets, where it is another than in training')
  add('--folder', metavar='DIR', help='folder of the photographs, where it is another than in training')
  add('--against', action='append', default=[], metavar='DIR',
      help="folder of a run whose weights are laid over this one's; may be given several times")
  add('--seed', type=command.seed, default=DEFAULTS['seed'], metavar='N', help='of what is drawn at random (default 0)')
  return parser


def _fitting(chosen, seen):
  """Names of the wanted views, all of which apply; ValueError where one does not, or what is chosen is heeded by none."""
  fitting = [name for name, view in VIEWS.items() if seen.kind in view.kinds]
  use = f'use some of {", ".join(fitting)}'
  wanted = chosen.only.split(',') if chosen.only else fitting
  for name in wanted:
    if name not in VIEWS:
      raise ValueError(f'--only={name} is no analysis{meant(name, fitting)}; {use}')
    if name not in fitting:
      raise ValueError(f'--only={name} does not apply to a model of kind {seen.kind!r}: {use}')
  if chosen.layer is not None and chosen.layer not in (layers := layers_of(seen)):
    raise ValueError(f'--layer={chosen.layer} is no layer of the network: use one of {", ".join(layers)}')
  for option in ('layer', 'channel', 'against'):
    given = getattr(chosen, option)
    if given not in (None, []) and not any(option in VIEWS[name].heeds for name in wanted):
      heeding = ', '.join(name for name in fitting if option in VIEWS[name].heeds)
      raise ValueError(f'--{option} changes nothing in {", ".join(wanted)}: leave it out'
                       + f', or use some of {heeding}' * bool(heeding))
  return wanted


def _flags(chosen, name):
  """The flags that ask for an analysis as it was asked for: '--images=300 --layer=conv2'."""
  everywhere = ('step', 'images', 'seed', 'data_dir', 'folder')
  given = [(option, value) for option in (*everywhere, *VIEWS[name].heeds) if (value := getattr(chosen, option)) not in (
      None, DEFAULTS.get(option))]
  return shlex.join(f'--{option}={one}' for option, value in given for one in (value if isinstance(value, list) else [value]))


def _make_all(names, seen, choice, folder, *, must_fit):
  """name → files of each view that could be made, some at a time; ValueError where none could, or one did not that must.

  `names` of the views → the flags that ask for them.
  """
  files = {}
  with warnings.catch_warnings(), futures.ThreadPoolExecutor(TOGETHER) as pool, progress.waiting() as now:
    warnings.simplefilter('ignore')  # of units that are dead: their pictures are blank, and the figures say which
    making = {pool.submit(_make, name, flags, seen, choice, folder): name for name, flags in names.items()}
    for number, (made, name) in enumerate(making.items(), 1):
      now(f'{number} of {len(names)}  {", ".join(running for future, running in making.items() if future.running())}')
      try:
        files[name], seconds = made.result()
        outcome = f'{VIEWS[name].title}, {seconds:.1f} s'
      except (ValueError, ImportError) as error:
        if must_fit:
          pool.shutdown(cancel_futures=True)
          raise ValueError(f'--only={name}: {error}') from error
        outcome = f'left out, {error}'
      print(f'{number} of {len(names)}  {name}: {outcome}', flush=True)
  if not files:
    raise ValueError(f'{folder.parent}: no analysis could be made, {name} is {outcome}')
  return files


def _make(name, flags, seen, choice, folder):
  """(names of a view's files, seconds that it took); ValueError where it does not fit what there is."""
  began = time.monotonic()
  if lacking := VIEWS[name].lacking(seen):
    raise ValueError(lacking)
  files = [file for result in VIEWS[name].make(seen, choice)
           for file in write(result, folder, step=seen.step, analysis=name, flags=flags)]
  remove_older(folder, name, files)
  return files, time.monotonic() - began


if __name__ == '__main__':
  sys.exit(command.run(main, sys.argv, less_memory=LESS_MEMORY))
