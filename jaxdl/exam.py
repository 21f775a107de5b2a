"""Grades attribution methods on networks whose evidence is known.

Usage:

    python -m jaxdl.exam exam/planted_mark
"""

if __name__ == '__main__':  # before the slow imports below
  from jaxdl.terminal import start

  start.begin()


import pathlib
import sys

from jaxdl import exams, stores
from jaxdl.config import reading
from jaxdl.data.tfds_arrays import downloads
from jaxdl.devices import parallel
from jaxdl.exams import table
from jaxdl.runs import disk, record
from jaxdl.sweeps import members as sweep_members
from jaxdl.terminal import command, progress
from jaxdl.terminal.signals import stop_signals

LESS_MEMORY = 'use fewer --images'
EXAMPLES = """\
  python -m jaxdl.exam exam/planted_mark
  python -m jaxdl.exam exam/planted_row --seeds=3 --images=50
  python -m jaxdl.exam --config=exam/planted_cues --config.train_for='5 epochs'

The data of the config have known evidence, such as a mark that alone decides the class. The command
trains a network for each seed, applies every attribution method that fits, and writes exam.json,
exam.csv, table.md and figure.png: method by metric. To resume an exam that was stopped, rerun its
command: networks and grades that are finished are kept. Exit code: 0 all seeds graded, 75 stopped
and saved, 1 an error."""


def main(arguments: list[str]) -> int:
  """Runs the command; returns the exit code."""
  parser = command.Parser(
    name='exam',
    called=arguments[0],
    description='Grade attribution methods on networks whose evidence is known.',
    config='exam/planted_mark',
    examples=EXAMPLES,
    json=True,
  )
  add = parser.add_argument
  add(
    '--workdir',
    metavar='DIR',
    help='folder or address of all runs (default runs/exam/<config name>)',
  )
  add('--seeds', type=int, default=5, metavar='N', help='networks to train (default 5)')
  add('--images', type=int, default=100, metavar='N', help='test examples (default 100)')
  parser.add_start_over()
  values, configured = reading.from_command_line(parser, _with_flag(arguments))
  if values.images < 2:
    raise ValueError(f'--images={values.images} is too few: use at least 2')
  name = reading.find(values.config).stem
  members = exams.members(configured, name, values.seeds)
  parallel.use_cpu_devices([member.config for member in members])
  with downloads(True):
    _check(members[0])
  with stores.training(values.workdir or f'runs/exam/{name}') as workdir:
    return _run(name, members, pathlib.Path(workdir), values, arguments)


def _run(name, members, workdir, values, arguments):
  """Trains and grades the networks; returns the exit code."""
  disk.make_folder(workdir)
  command_line = f'python -m jaxdl.exam {command.repeatable(arguments[1:])}'
  print(f'{name}: {len(members)} networks into {workdir}', flush=True)
  with stop_signals() as stop:
    faults = exams.train(members, workdir, command_line, stop, start_over=values.start_over)
    graded = _grade(members, workdir, values.images, stop)
  stopped = bool(stop) and len(graded) + len(faults) < len(members)
  result = table.summarised(name, graded)
  if graded:
    table.write(result, workdir)
    print(table.table(result))
    print(f'table and figure: {workdir}/table.md, {workdir}/figure.png')
  for folder, why in faults.items():
    print(f'jaxdl: {workdir / folder}: {why}', file=sys.stderr)
  if stopped:
    print(f'stopped, resume with: {command_line}')
  command.print_result(
    {**result, 'workdir': str(workdir), 'stopped': stopped, 'faults': faults}, as_json=values.json
  )
  if faults:
    return 1
  return command.STOPPED if stopped else 0


def _with_flag(arguments):
  """The arguments with --config before a first argument that is no flag."""
  program, *rest = arguments
  if rest and not rest[0].startswith('-'):
    rest[0] = f'--config={rest[0]}'
  return [program, *rest]


def _check(member):
  """Raises ValueError if the data of a run have no known evidence."""
  data = sweep_members.built(member).data
  if not data.evidence:
    raise ValueError(
      f'{data.name} has no known evidence: use a config of exam/, such as exam/planted_mark, or a '
      "data set with the column 'evidence' (docs/exam.md)"
    )


def _grade(members, workdir, images, stop):
  """Seed → grades of the runs that have finished."""
  found = {}
  for member in members:
    folder = workdir / member.folder
    if stop or record.finished(folder, member.config) is None:
      continue
    with progress.waiting() as now:
      found[member.seed] = exams.graded(
        folder, images=images, now=lambda method, seed=member.seed: now(f'seed {seed}: {method}')
      )
    print(f'graded the network of seed {member.seed}', flush=True)
  return found


if __name__ == '__main__':
  sys.exit(command.run(main, sys.argv, less_memory=LESS_MEMORY))
