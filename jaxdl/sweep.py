"""python -m jaxdl.sweep --config=configs/sweeps/X.py: many runs, one table and one figure with
their curves.
"""

import functools
import json
import pathlib
import sys

from jaxdl import lint
from jaxdl.config import reading
from jaxdl.data.tfds_arrays import downloads
from jaxdl.devices import parallel
from jaxdl.monitoring import evaluations, samples
from jaxdl.monitoring.side_outputs import SideOutputs
from jaxdl.runs import checkpoint, disk, record
from jaxdl.sweeps import grouping, members, table
from jaxdl.sweeps.together import train_together
from jaxdl.terminal import command
from jaxdl.terminal.signals import stop_signals
from jaxdl.training import loop

EXAMPLES = """\
  python -m jaxdl.sweep --config=configs/sweeps/hidden_units_mnist.py
  python -m jaxdl.sweep --config=configs/sweeps/losses_cifar10.py --describe

The same command goes on with a sweep that was stopped."""


def main(arguments):
  """Runs the command; returns the exit code."""
  parser = command.Parser(
    prog='python -m jaxdl.sweep',
    description='Train many runs; write one table and one figure of them.',
    config='configs/sweeps/hidden_units_mnist.py',
    examples=EXAMPLES,
    quiet=True,
  )
  parser.add_argument(
    '--workdir', metavar='DIR', help='folder of all runs (default runs/sweeps/<config name>)'
  )
  parser.add_argument(
    '--together',
    default='auto',
    choices=['auto', 'always', 'never'],
    metavar='WHEN',
    help='one program for many runs: always, never or auto, where it was measured faster (default)',
  )
  parser.add_argument(
    '--describe', action='store_true', help='print the runs and their groups; train nothing'
  )
  parser.add_start_over()
  values, configured = reading.from_command_line(parser, arguments)
  path = pathlib.Path(values.config)
  if 'model' in configured:
    raise ValueError(f'{path} is an experiment, no sweep: python -m jaxdl.main --config={path}')
  workdir = pathlib.Path(values.workdir or f'runs/sweeps/{path.stem}')
  found = members.read(configured, path)
  parallel.use_cpu_devices([member.config for member in found])
  waiting = [
    member for member in found if record.finished(workdir / member.folder, member.config) is None
  ]
  with downloads(not values.describe):
    groups = grouping.grouped(waiting, together=values.together)
  ended = len(found) - len(waiting)
  print(
    f'{path.stem}: {len(found)} runs into {workdir}'
    + f', {ended} of them finished already' * bool(ended),
    flush=True,
  )
  for group in groups:
    print(
      '  together: ' * (len(group) > 1)
      + '; '.join(f'{member.label} (seed {member.seed})' for member in group)
    )
  if values.describe:
    print(
      json.dumps(
        {
          'config': path.stem,
          'workdir': str(workdir),
          'runs': len(found),
          'finished': ended,
          'groups': [[member.folder for member in group] for group in groups],
        }
      )
    )
    return 0
  begun = f'python -m jaxdl.sweep {command.repeatable(arguments[1:])}'
  faults, damaged, warned = {}, {}, set()
  with stop_signals() as stop:
    for group in groups:
      _train(
        group,
        workdir,
        begun,
        stop,
        faults,
        damaged,
        warned,
        values.start_over,
        finished=[member for member in found if member not in waiting],
      )
  faults |= damaged
  rows = table.rows(found, workdir, faults)
  ended = sum(len(row['seeds']) for row in rows)
  stopped = bool(stop) and ended + len(faults) < len(found)
  table.write(path.stem, rows, workdir)
  print(table.table(rows))
  print(f'table and figure: {workdir}/table.md, {workdir}/figure.png')
  if stopped:
    print(f'stopped, resume with: {begun}')
  print(
    json.dumps(
      {
        'config': path.stem,
        'workdir': str(workdir),
        'runs': len(found),
        'finished': ended,
        'stopped': stopped,
        'faults': faults,
        'mean': {row['label']: row['mean'] for row in rows if row['mean']},
      }
    )
  )
  return 1 if damaged else 0


def _train(group, workdir, begun, stop, faults, damaged, warned, start_over, finished):
  """Trains the members of a group, those at the same step compiled together, until a signal.

  Why a member did not end goes into `faults`, or into `damaged` where all of its checkpoints are.
  """
  by_step = {}
  for member in group:
    by_step.setdefault(checkpoint.last_step(workdir / member.folder), []).append(member)
  for some in by_step.values():
    if stop:
      return
    print(
      f'training {"; ".join(f"{member.label} (seed {member.seed})" for member in some)}', flush=True
    )
    folders = [workdir / member.folder for member in some]
    experiments = [members.built(member) for member in some]
    for member in finished:
      _check_same_data(experiments[0], workdir / member.folder)
    _describe_data(experiments[0].data, warned)
    labels = '; '.join(dict.fromkeys(member.label for member in some))
    for line in [f'warning: {labels}: {warning}' for warning in lint.warnings(experiments[0])]:
      if line not in warned:  # as it was for another seed
        print(line, file=sys.stderr)
      warned.add(line)
    starts = [
      functools.partial(_begin, member=member, built=built, folder=folder, begun=begun)
      for member, built, folder in zip(some, experiments, folders, strict=True)
    ]
    watched = [evaluations.over_time(built) for built in experiments]
    summaries, left = [], list(range(len(some)))  # members whose checkpoints are not all damaged
    while left:
      chosen = [
        [values[number] for number in left] for values in (experiments, folders, starts, watched)
      ]
      try:
        summaries = _trained(*chosen, start_over)
        break
      except checkpoint.AllDamagedError as error:
        number = [folder.absolute() for folder in folders].index(error.workdir)
        left.remove(number)
        damaged[some[number].folder] = str(error)
        print(f'jaxdl: {error}', file=sys.stderr, flush=True)
    for number, summary in zip(left, summaries, strict=True):
      if isinstance(summary, str):
        faults[some[number].folder] = summary


def _check_same_data(built, folder):
  """Refuses to compare a run with a finished one on other examples of the data set that both name;
  ValueError.
  """
  before = record.read(folder).config
  same_name = all(
    before['data'].get(key) == built.config['data'].get(key) for key in ('name', 'folder', 'copy')
  )
  kept = before.get('dataset', {}).get('checksums')
  if not same_name or not isinstance(kept, dict):
    return
  wrong = built.data.differs(
    {split: checksum for split, checksum in kept.items() if split in built.data.checksums}
  )
  if wrong is not None:
    raise ValueError(
      f'{built.data.described()} has other examples than {folder} was trained on '
      f'(in the {wrong} split): give the data of that run, or another --workdir'
    )


def _describe_data(data, said):
  """Prints the examples of each split and the files that are left out, where `said` does not have
  these lines yet.
  """
  for lines, file in ((data.counted(), sys.stdout), (data.left_out, sys.stderr)):
    for line in lines:
      if line not in said:
        print(f'jaxdl: {line}' if file is sys.stderr else f'  {line}', file=file, flush=True)
      said.add(line)


def _begin(writers, *, member, built, folder, begun):
  """Writes what a run says of itself, once."""
  outputs = SideOutputs()
  outputs.attempt(f'{folder}/command.txt', disk.write_atomic, folder / 'command.txt', f'{begun}\n')
  outputs.attempt(
    f'the graph and hyper-parameters of {folder}', samples.describe, built, writers, member.choices
  )


def _trained(experiments, folders, starts, watched, start_over):
  """The summary of each run, or why it no longer trained."""
  if len(experiments) > 1:
    return train_together(experiments, folders, starts, watched, start_over=start_over)
  return [_alone(experiments[0], folders[0], starts[0], watched[0], start_over)]


def _alone(experiment, folder, at_start, at_evaluation, start_over):
  """One run's summary, or why it no longer trained: the sweep goes on."""
  try:
    return loop.train(
      experiment,
      folder,
      start_over=start_over,
      at_start=at_start,
      at_evaluation=at_evaluation,
      at_end=evaluations.at_end(experiment),
    )
  except FloatingPointError as error:
    print(f'  {folder}: {error}', flush=True)
    return str(error)


if __name__ == '__main__':
  sys.exit(command.run(main, sys.argv, less_memory=command.LESS_TO_TRAIN))
