"""Trains the runs of a sweep; writes one table, one figure and one page of them.

Usage:

    python -m jaxdl.sweep --config=configs/sweeps/X.py
"""

if __name__ == '__main__':  # before the slow imports below
  from jaxdl.terminal import start

  start.begin()


import contextlib
import functools
import pathlib
import sys

from jaxdl import stores
from jaxdl.config import paths, reading
from jaxdl.data.tfds_arrays import downloads
from jaxdl.devices import parallel
from jaxdl.monitoring import side_outputs
from jaxdl.report import live, page
from jaxdl.runs import disk
from jaxdl.sweeps import (
  dispatch,
  engines,
  grouping,
  members,
  progress_table,
  search,
  study,
  table,
  tasks,
  trials,
  trials_table,
)
from jaxdl.sweeps.training import Trainer
from jaxdl.terminal import command, output
from jaxdl.terminal.signals import stop_signals

EXAMPLES = """\
  python -m jaxdl.sweep --config=configs/sweeps/hidden_units_mnist.py
  python -m jaxdl.sweep --config=sweeps/losses_cifar10 --describe
  python -m jaxdl.sweep --config=sweeps/losses_cifar10 --on=slurm --gpus=1 --slurm.partition=gpu

A sweep is a config file. There is one run for each combination of choices and seeds:

  def get_config():
    config = ml_collections.ConfigDict()
    config.base = 'cnn_mnist'    # or a path from this file, '../cnn_mnist.py'
    config.seeds = (0, 1)
    config.axes = (dict(name='rate', choices=[
      dict(name=f'{rate:g}', optimizer=dict(learning_rate=rate)) for rate in (1e-4, 1e-3)]),)
    return config

A file with config.search in place of config.axes searches values, see docs/sweeps.md.
To resume a sweep that was stopped, rerun its command. Exit code: 0 all trained to their end, 75
stopped and saved, 1 an error."""


def main(arguments: list[str]) -> int:
  """Runs the command; returns the exit code."""
  others, slurm = engines.separated(arguments)
  values, configured = reading.from_command_line(_parser(arguments[0]), others)
  engines.check(values, slurm)
  path = reading.find(values.config)
  if 'search' in configured:
    if values.on:
      raise ValueError(
        f'--on={values.on}: the trials of a search are trained one after another, because each '
        'depends on the results before it: leave out --on, or use config.axes'
      )
    with _opened(values, path) as (workdir, _):
      return _search(search.read(configured, path), path.stem, workdir, values, arguments)
  if 'model' in configured:
    raise ValueError(
      f'{values.config} is an experiment, not a sweep: '
      f'python -m jaxdl.main --config={values.config}'
    )
  with _opened(values, path) as (workdir, at_address):
    found = members.read(configured, path)
    return _sweep(found, path.stem, workdir, at_address, values, slurm, arguments)


def _parser(called):
  """The parser of the command's own flags."""
  parser = command.Parser(
    name='sweep',
    called=called,
    description='Train many runs; write one table, one figure and one page of them.',
    config='configs/sweeps/hidden_units_mnist.py',
    examples=EXAMPLES,
    json=True,
  )
  parser.add_argument(
    '--workdir',
    metavar='DIR',
    help='folder or address of all runs (default runs/sweeps/<config name>)',
  )
  parser.add_argument(
    '--together',
    default='auto',
    choices=['auto', 'always', 'never'],
    metavar='WHEN',
    help='compile many runs into one program: always, never or auto (default), where it is faster',
  )
  parser.add_argument(
    '--describe', action='store_true', help='print the runs and their groups; train nothing'
  )
  parser.add_argument(
    '--open',
    action='store_true',
    help='open the page of the sweep in the browser',
  )
  parser.add_start_over()
  engines.add_flags(parser)
  return parser


@contextlib.contextmanager
def _opened(values, path):
  """The folder of the sweep inside the `with` block, which may be at an address.

  The second part is a `stores.Coordinated` if other processes train the runs at an address.
  """
  place = values.workdir or f'runs/sweeps/{path.stem}'
  if values.on == 'slurm' and paths.is_address(place):
    raise ValueError(
      f'--workdir={place} and --on=slurm cannot be combined: give a folder that all nodes share'
    )
  with contextlib.ExitStack() as stack:
    if values.describe:
      folder, _ = stack.enter_context(stores.peeked(place))
      yield pathlib.Path(folder), None
    elif values.on and paths.is_address(place):
      coordinated = stack.enter_context(stores.coordinating(place))
      yield coordinated.folder, coordinated
    else:
      yield pathlib.Path(stack.enter_context(stores.training(place))), None


def _sweep(found, name, workdir, at_address, values, slurm, arguments):
  """Trains the members of a sweep, or describes them; returns the exit code."""
  waiting = members.unfinished(found, workdir)
  parallel.use_cpu_devices([member.config for member in found])
  needed = bool(values.on and waiting and not values.describe)
  # An engine is started before JAX, because Ray forks this process, which JAX's threads forbid.
  with engines.opened(values, slurm, workdir, found) if needed else contextlib.nullcontext() as on:
    with downloads(not values.describe):
      groups = grouping.grouped(waiting, together=engines.together(values))
    ended = len(found) - len(waiting)
    already = f', {ended} of them finished already' if ended else ''
    print(f'{name}: {len(found)} runs into {workdir}{already}', flush=True)
    for group in groups:
      names = '; '.join(f'{member.label} (seed {member.seed})' for member in group)
      print(f'  compiled together: {names}' if len(group) > 1 else names)
    if values.describe:
      command.print_result(
        {
          'config': name,
          'workdir': str(workdir),
          'runs': len(found),
          'finished': ended,
          'groups': [[member.folder for member in group] for group in groups],
        },
        as_json=values.json,
      )
      return 0
    with output.unfailing():
      return _train(name, workdir, at_address, found, groups, waiting, on, values, arguments)


def _train(name, workdir, at_address, found, groups, waiting, engine, values, arguments):
  """Trains the groups of a sweep, writes its table and page, and returns the exit code."""
  command_line = f'python -m jaxdl.sweep {command.repeatable(arguments[1:])}'
  finished = [member for member in found if member not in waiting]
  report = _Page(name, workdir, [member.folder for member in found], opens=values.open)
  if engine is None:
    trainer = Trainer(workdir, command_line, finished=finished, start_over=values.start_over)
    with stop_signals() as stop, report.while_training() as writer:
      trainer.after_evaluation = lambda step, left, _: writer.after_evaluation(step, left, None)
      for group in groups:
        trainer.train(group, stop)
    result = dispatch.Result(trainer.faults, trainer.damaged, stopped=bool(stop))
  else:
    planned = functools.partial(
      tasks.of_group,
      found=found,
      finished=finished,
      workdir=workdir,
      command_line=command_line,
      start_over=values.start_over,
      address=at_address.address if at_address else None,
    )
    result = _train_on(engine, planned, groups, found, workdir, at_address, report, values)
  if at_address:
    at_address.fetch()
  return _finish(name, workdir, found, result, report, command_line, as_json=values.json)


def _train_on(engine, planned, groups, found, workdir, at_address, report, values):
  """Trains groups on an engine; `planned`: group → Task. Returns the Result."""
  disk.make_folder(workdir / tasks.LOGS)
  progress = progress_table.Printer(found, workdir, at_address)
  with stop_signals() as stop, report.while_training() as writer:
    known = engine.known()
    submitted = {folder for folders in known.values() for folder in folders}
    new = [[member for member in group if member.folder not in submitted] for group in groups]
    return dispatch.run(
      engine,
      [planned(group) for group in new if group],
      stop,
      known=known,
      waits=values.wait == 'yes',
      at_poll=lambda: writer.after_evaluation(0, progress.poll(), None),
    )


def _finish(name, workdir, found, result, report, command_line, *, as_json):
  """Writes the table and the page of a sweep, and returns the exit code."""
  faults = result.faults | result.damaged | result.failed
  rows = table.rows(found, workdir, faults)
  ended = sum(len(row['seeds']) for row in rows)
  stopped = result.stopped and ended + len(faults) < len(found)
  side_outputs.SideOutputs(patience=2).attempt('the table', table.write, name, rows, workdir)
  print(table.table(rows))
  _print_files(workdir, report, command_line, stopped=stopped)
  if result.left:
    ids = ' '.join(dict.fromkeys(handle.partition('_')[0] for handle in result.left))
    print(f'{len(result.left)} jobs go on in the queue: rerun the command to wait for them')
    print(f'to cancel them: scancel {ids}')
  command.print_result(
    {
      'config': name,
      'workdir': str(workdir),
      'runs': len(found),
      'finished': ended,
      'stopped': stopped,
      'faults': faults,
      **({'jobs': result.left} if result.left else {}),
      'mean': {row['label']: row['mean'] for row in rows if row['mean']},
    },
    as_json=as_json,
  )
  if result.damaged or result.failed:
    return 1
  return command.STOPPED if stopped else 0


def _search(searched, name, workdir, values, arguments):
  """Trains the trials of a search, or describes it; returns the exit code."""
  if values.together == 'always':
    raise ValueError('--together=always: trials are trained one after another: leave it out')
  parallel.use_cpu_devices([searched.config])
  study.check_libraries(searched)
  with downloads(not values.describe):
    base = search.check(searched)
  print(
    f'{name}: {searched.trials} trials into {workdir}, {base.watch.best} is searched', flush=True
  )
  for line in searched.described():
    print(f'  {line}')
  if values.describe:
    command.print_result(
      {'config': name, 'workdir': str(workdir), **searched.to_json()}, as_json=values.json
    )
    return 0
  disk.make_folder(workdir)
  with output.unfailing():
    studied = study.Study(searched, workdir, base.watch, search.evaluations(base))
    return _train_trials(searched, studied, base.watch, name, workdir, values, arguments)


def _train_trials(searched, studied, watch, name, workdir, values, arguments):
  """Trains the trials of a search, writes its table and page, and returns the exit code."""
  command_line = f'python -m jaxdl.sweep {command.repeatable(arguments[1:])}'
  before = [(searched.member(one.number, one.values), one) for one in studied.outcomes]
  trials.check_finished(before, workdir)
  finished = [member for member, one in before if one.state in ('finished', 'pruned')]
  changes_data = any(parameter.key.startswith('data.') for parameter in searched.space)
  trainer = Trainer(
    workdir,
    command_line,
    finished=[] if changes_data else finished,
    start_over=values.start_over,
  )
  folders = [search.folder(number) for number in range(searched.trials)]
  report = _Page(name, workdir, folders, opens=values.open)
  with stop_signals() as stop, report.while_training() as writer:
    trainer.after_evaluation = lambda step, left, _: writer.after_evaluation(step, left, None)
    trials.train(searched, studied, watch, trainer, stop)
  outputs, outcomes, best = side_outputs.SideOutputs(patience=2), studied.outcomes, studied.best
  outputs.attempt('the table', trials_table.write, name, searched, studied, watch, workdir)
  states = [one.state for one in outcomes]
  stopped = bool(stop) and len(states) - states.count('stopped') < searched.trials
  if (workdir / 'table.md').is_file():
    print((workdir / 'table.md').read_text(encoding='utf-8'), end='')
  _print_files(workdir, report, command_line, stopped=stopped)
  command.print_result(
    {
      'config': name,
      'workdir': str(workdir),
      'trials': searched.trials,
      **{state: states.count(state) for state in ('finished', 'pruned', 'failed')},
      'stopped': stopped,
      'best': None
      if best is None
      else {
        'folder': search.folder(best.number),
        watch.key: best.figure,
        'values': best.values,
      },
      'faults': {search.folder(one.number): one.fault for one in outcomes if one.fault}
      | trainer.damaged,
    },
    as_json=values.json,
  )
  if trainer.damaged:
    return 1
  return command.STOPPED if stopped else 0


def _print_files(workdir, report, command_line, *, stopped):
  """Writes the page; prints the files of a sweep and, if it was stopped, how to resume it."""
  print(f'table and figure: {workdir}/table.md, {workdir}/figure.png')
  if file := report.write():
    print(f'comparison: {file}')
  if stopped:
    print(f'stopped, resume with: {command_line}')


class _Page:
  """The page of a sweep, which is written while it trains and at its end.

  Args:
    name: name of the sweep.
    workdir: its folder.
    folders: the folders of its runs, relative to `workdir`.
    opens: whether the first page is opened in the browser.
  """

  def __init__(self, name: str, workdir: pathlib.Path, folders: list[str], *, opens: bool) -> None:
    self._name, self._workdir, self._folders, self._opens = name, workdir, folders, opens
    self._outputs = side_outputs.SideOutputs()

  def while_training(self) -> live.Writer:
    """The writer of the page while the sweep trains."""
    return live.Writer(self._outputs.attempt, lambda moment, _: self._write(moment), self._write)

  def write(self) -> pathlib.Path | None:
    """Writes the page of a sweep that does not train; returns its path, or None without one."""
    return self._outputs.attempt('compare.html', self._write)

  def _write(self, moment: live.Moment | None = None) -> pathlib.Path | None:
    file = page.write_sweep(self._name, self._workdir, self._folders, moment)
    if file and self._opens:
      self._opens = False
      command.open_page(file)
    return file


if __name__ == '__main__':
  sys.exit(command.run(main, sys.argv, less_memory=command.LESS_TO_TRAIN))
