"""python -m jaxdl.sweep --config=configs/sweeps/X.py: many runs, one table and one figure with
their curves.
"""

import json
import pathlib
import sys

from jaxdl.config import reading
from jaxdl.data.tfds_arrays import downloads
from jaxdl.devices import parallel
from jaxdl.runs import record
from jaxdl.sweeps import grouping, members, table
from jaxdl.sweeps.training import Trainer
from jaxdl.terminal import command
from jaxdl.terminal.signals import stop_signals

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
  trainer = Trainer(
    workdir,
    begun,
    finished=[member for member in found if member not in waiting],
    start_over=values.start_over,
  )
  with stop_signals() as stop:
    for group in groups:
      trainer.train(group, stop)
  faults = trainer.faults | trainer.damaged
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
  return 1 if trainer.damaged else 0


if __name__ == '__main__':
  sys.exit(command.run(main, sys.argv, less_memory=command.LESS_TO_TRAIN))
