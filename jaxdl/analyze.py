"""Analyses the network of a run and writes pictures and numbers to D/analysis.

Usage:

    python -m jaxdl.analyze D
"""

if __name__ == '__main__':  # before the slow imports below
  from jaxdl.terminal import start

  start.begin()


import contextlib
import dataclasses
import os
import shlex
import sys
import textwrap
import time
import traceback
import warnings
from collections.abc import Sequence
from concurrent import futures

from jaxdl import figures, stores
from jaxdl.analysis.threads import one_thread
from jaxdl.config import arguments
from jaxdl.config.spelling import meant
from jaxdl.monitoring import examples
from jaxdl.monitoring.side_outputs import SideOutputs, reason
from jaxdl.report import page
from jaxdl.runs import packed, record
from jaxdl.terminal import command, progress
from jaxdl.terminal.errors import is_out_of_memory
from jaxdl.views import VIEWS, own, subject
from jaxdl.views.view import Choice, Failure, layers_of, remove_older, write

TOGETHER = 2  # concurrent analyses: most of their time is compilation, which uses one core
DEFAULTS = {'step': 'best', 'seed': 0, 'against': []}


LESS_MEMORY = 'look at fewer --images, or at some analyses, such as --only=filters'
EXAMPLES = f"""\
  python -m jaxdl.analyze runs/cnn_mnist
  python -m jaxdl.analyze runs/cnn_mnist --only=filters,maximised --layer=conv2 --images=1000

analyses:
{textwrap.fill(', '.join(VIEWS), 98, initial_indent='  ', subsequent_indent='  ')}"""


def main(arguments: Sequence[str]) -> int:
  """Runs the command; returns the exit code."""
  chosen = _parser(arguments[0]).parse_args(arguments[1:])
  with contextlib.ExitStack() as stack:
    chosen.workdir = stack.enter_context(stores.reading(chosen.workdir))
    others = [stack.enter_context(stores.reading(other)) for other in chosen.against]
    return _analyze(chosen, tuple(map(str, others)))


def _analyze(chosen, others):
  """Makes the analyses that the arguments choose; returns the exit code.

  `others` are the folders of the other runs.
  """
  views = {**VIEWS, **(own_views := _own_views(chosen.view))}
  if own_views and not chosen.only:
    chosen.only = ','.join(own_views)
  wanted = chosen.only.split(',') if chosen.only else _by_default(VIEWS, VIEWS)
  looks_at_examples = any(views[name].examples for name in wanted if name in views)
  seen = subject.read(
    chosen.workdir,
    step=chosen.step,
    count=chosen.images,
    data_dir=chosen.data_dir,
    folder=chosen.folder,
    examples=looks_at_examples,
    trust_code=chosen.trust_code,
  )
  fitting = _fitting(chosen, seen, views)
  for other in chosen.against:
    command.check_folder(other)
  choice = Choice(
    layer=chosen.layer,
    channel=chosen.channel,
    seed=chosen.seed,
    against=others,
    step=chosen.step,
    concepts=chosen.concepts,
  )
  folder = packed.results_of(chosen.workdir) / 'analysis'
  what = 'characters' if seen.kind == 'language_model' else 'examples'
  analyses = '1 analysis' if len(fitting) == 1 else f'{len(fitting)} analyses'
  of_examples = (
    f' of {_count(seen):,} {seen.split} {what} of {seen.name}' if looks_at_examples else ''
  )
  together = f', {TOGETHER} at a time' if len(fitting) > 1 else ''
  print(
    f'{chosen.workdir} at step {seen.step:,}: {analyses}{of_examples} into {folder}{together}',
    flush=True,
  )
  for name in fitting:
    if views[name].slow_part:
      print(f'  {name}: {views[name].slow_part} takes most of the time', flush=True)
  flags = {name: _flags(chosen, name, views[name]) for name in fitting}
  made = _make_all(flags, {name: views[name] for name in fitting}, seen, choice, folder)
  left_out = [f'{name}: {why}' for name, one in made.items() for why in one.left_out.values()]
  if not any(one.files or one.failed for one in made.values()) and not chosen.only:
    why = left_out[-1] if left_out else 'there is nothing to show'
    raise ValueError(f'{chosen.workdir}: no analysis could be made, {why}')
  if looks_at_examples:
    SideOutputs().attempt(examples.NAME, _write_examples, chosen, seen)
  page.write_report(chosen.workdir)
  if chosen.only and left_out:
    raise ValueError(f'--only={left_out[0]}')
  failed = {part: why for one in made.values() for part, why in one.failed.items()}
  for part, why in failed.items():
    print(f'jaxdl: {part} failed: {why}', file=sys.stderr)
  files = {name: one.files for name, one in made.items() if one.files}
  command.print_result(
    {'workdir': str(chosen.workdir), 'analyses': files, 'failed': failed}, as_json=chosen.json
  )
  return 1 if failed else 0


def _write_examples(chosen, seen):
  """Writes the examples that the page shows, if the run has none, as in runs of older versions."""
  run = record.load(chosen.workdir)
  if not any((folder / examples.NAME).is_file() for folder in (run.results, run.folder)):
    data = subject.data_of_run(
      chosen.workdir, seen.config, data_dir=chosen.data_dir, folder=chosen.folder
    )
    examples.write(data, run.results)


def _parser(called):
  parser = command.Parser(
    name='analyze',
    called=called,
    description='Analyse a trained network: pictures and numbers.',
    examples=EXAMPLES,
    json=True,
    run='folder of a run; output: DIR/analysis, of RUN.zip RUN.results/analysis',
  )
  add = parser.add_argument
  add(
    '--only',
    metavar='NAME,NAME',
    help='analyses (default: all that fit and are fast)',
  )
  add(
    '--view',
    action='append',
    default=[],
    metavar='FILE:NAME',
    help='an analysis of your own, such as views.py:certainty; repeatable',
  )
  parser.add_step()
  parser.add_trust_code()
  add('--layer', metavar='NAME', help='layer, for the analyses of one layer')
  add('--channel', type=int, metavar='I', help='channel, for the analyses of one unit')
  add(
    '--images',
    type=int,
    metavar='N',
    help='test examples, or characters of a text (default: as many as fit into 1 GiB)',
  )
  parser.add_data_places()
  add(
    '--against',
    action='append',
    default=[],
    metavar='DIR',
    help='another run, to compare with; repeatable',
  )
  add(
    '--concepts',
    metavar='DIR',
    help='folder with a folder of images for each concept',
  )
  add(
    '--seed',
    type=command.seed,
    default=DEFAULTS['seed'],
    metavar='N',
    help='random seed of the analyses (default 0)',
  )
  return parser


def _own_views(texts):
  """Name → View of the analyses of own code."""
  found = {}
  for text in texts:
    name, view = own.view(text)
    if name in VIEWS or name in found:
      raise ValueError(f'--view={text}: there is an analysis {name} already: rename yours')
    found[name] = view
  return found


def _fitting(chosen, seen, views):
  """Returns the names of the selected analyses.

  Raises:
    ValueError: an analysis does not apply to the model, or no analysis uses a given flag.
  """
  fitting = [name for name, view in views.items() if view.fits(seen.kind)]
  use = f'use some of {", ".join(fitting)}'
  wanted = chosen.only.split(',') if chosen.only else _by_default(views, fitting)
  for name in wanted:
    if name not in views:
      raise ValueError(f'--only={name} is not an analysis{meant(name, fitting)}; {use}')
    if name not in fitting:
      raise ValueError(f'--only={name} does not apply to a model of kind {seen.kind!r}: {use}')
  layers = layers_of(seen)
  if chosen.layer is not None and chosen.layer not in layers:
    raise ValueError(
      f'--layer={chosen.layer} is not a layer of the network: use one of {", ".join(layers)}'
    )
  for option in ('layer', 'channel', 'against', 'concepts'):
    given = getattr(chosen, option)
    if given not in (None, []) and not any(option in views[name].uses for name in wanted):
      advice = 'leave it out'
      using = ', '.join(name for name in fitting if option in views[name].uses)
      if using:
        advice += f', or use some of {using}'
      raise ValueError(f'--{option} changes nothing in {", ".join(wanted)}: {advice}')
  return wanted


def _by_default(views, names):
  """Those of the names that are made without --only."""
  return [name for name in names if not views[name].named_only]


def _flags(chosen, name, view):
  """Returns the flags that repeat an analysis, such as '--images=300 --layer=conv2'."""
  flags = [f'--view={text}' for text in chosen.view if text.rpartition(':')[2] == name]
  for option in ('step', 'images', 'seed', 'data_dir', 'folder', *view.uses):
    value = getattr(chosen, option)
    if value not in (None, DEFAULTS.get(option)):
      values = value if isinstance(value, list) else [value]
      flags += [f'--{option}={one}' for one in values]
  return shlex.join(flags)


@dataclasses.dataclass
class Made:
  """Outcome of one analysis.

  Attributes:
    files: names of the written files.
    failed: part of the analysis → why it failed, in one line.
    left_out: part of the analysis → why it does not apply to this network or these examples.
    seconds: duration of the analysis.
  """

  files: list[str] = dataclasses.field(default_factory=list)
  failed: dict[str, str] = dataclasses.field(default_factory=dict)
  left_out: dict[str, str] = dataclasses.field(default_factory=dict)
  seconds: float = 0.0

  def note(self, part: str, error: Exception, count: int) -> None:
    """Records why a part failed, as text, because a traceback would keep arrays in memory.

    Args:
      part: name of the part of the analysis.
      error: the exception.
      count: number of examples.
    """
    if os.environ.get('JAXDL_TRACEBACK'):
      traceback.print_exception(error)
    why = reason(error)
    if isinstance(error, (ValueError, ImportError, FileNotFoundError)):
      self.left_out[part] = arguments.as_flags(error)
    elif is_out_of_memory(error):
      self.failed[part] = f'{why}: give fewer examples, such as --images={max(1, count // 2)}'
    elif isinstance(error, OSError):
      self.failed[part] = why
    else:
      self.failed[part] = f'{why} (JAXDL_TRACEBACK=1 shows where)'

  def outcome(self, title: str) -> str:
    """Returns one line: the title of the analysis and the parts that failed or were left out."""
    found = [f'{title}, {self.seconds:.1f} s'] if self.files else []
    found += [f'{part} failed, {why}' for part, why in self.failed.items()]
    found += [f'{part} left out, {why}' for part, why in self.left_out.items()]
    return '; '.join(found)


def _count(seen):
  """The number of examples, or of characters of a text."""
  return seen.labels.size if seen.kind == 'language_model' else len(seen.labels)


def _make_all(names, views, seen, choice, folder):
  """Runs the analyses concurrently; returns name → Made.

  If an analysis fails, for example because memory is exhausted, the others continue. `names` maps
  each of the views to the flags that repeat it.
  """
  found = {}
  figures.load_library()  # import libraries before the threads that use them start
  for name in names:
    views[name].load()
  with (
    warnings.catch_warnings(),
    one_thread(),  # the analyses share the cores
    futures.ThreadPoolExecutor(TOGETHER) as pool,
    progress.waiting() as now,
  ):
    # Warnings about dead units: their pictures are blank, and the figures name them.
    warnings.simplefilter('ignore')
    # The slow ones first, so that no core is idle at the end.
    slow_first = sorted(names, key=lambda name: not views[name].slow_part)
    making = {
      pool.submit(_make, name, views[name], names[name], seen, choice, folder): name
      for name in slow_first
    }

    def show(number):
      running = ', '.join(name for future, name in making.items() if future.running())
      now(f'{number} of {len(names)}  {running}')

    show(1)
    for number, future in enumerate(futures.as_completed(making), 1):
      name = making[future]
      found[name] = made = future.result()
      outcome = made.outcome(views[name].title)
      if not made.files and not made.failed:  # all parts have the same reason
        outcome = f'left out, {next(iter(made.left_out.values()), "there is nothing to show")}'
      print(f'{number} of {len(names)}  {name}: {outcome}', flush=True)
      show(min(number + 1, len(names)))
  return {name: found[name] for name in names}


def _make(name, view, flags, seen, choice, folder):
  """Runs one analysis; returns Made.

  The parts are written one by one, so that the others continue if one fails.
  """
  began, made, count = time.monotonic(), Made(), _count(seen)
  try:
    lacking = view.left_out(seen)
    if lacking:
      raise ValueError(lacking)
    for result in view.make(seen, choice):
      if isinstance(result, Failure):
        made.note(result.name, result.error, count)
        continue
      try:
        display = None if name in VIEWS else own.displayed(view, result)
        made.files += write(
          result, folder, step=seen.step, analysis=name, flags=flags, display=display
        )
      except Exception as error:
        made.note(result.name, error, count)
  except Exception as error:
    made.note(name, error, count)
  if made.files and not made.failed:
    remove_older(folder, name, made.files)
  made.seconds = time.monotonic() - began
  return made


if __name__ == '__main__':
  sys.exit(command.run(main, sys.argv, less_memory=LESS_MEMORY))
