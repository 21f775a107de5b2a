"""python -m jaxdl.main --config=configs/X.py: train, evaluate, checkpoint and resume one
experiment.
"""

import json
import pathlib
import shlex
import sys

from jaxdl import lint
from jaxdl.config import reading
from jaxdl.data.tfds_arrays import downloads
from jaxdl.devices import parallel, processes
from jaxdl.models import table
from jaxdl.monitoring import evaluations, samples, side_outputs
from jaxdl.report import page
from jaxdl.runs import disk, folder
from jaxdl.terminal import command
from jaxdl.training import experiment, loop

EXAMPLES = """\
  python -m jaxdl.main --config=configs/lstm_mnist.py
  python -m jaxdl.main --config=configs/cnn_mnist.py --config.optimizer.learning_rate=3e-4 --workdir=runs/slower
  python -m jaxdl.main --config=configs/cnn_mnist.py --config.model.layers[0].features=16 --describe

Every key of the config can be given another value: --config.KEY=VALUE. The same command goes on with a run that was stopped."""


def main(arguments):
  """Runs the command; returns the exit code."""
  parser = command.Parser(
    prog='python -m jaxdl.main',
    description='Train, evaluate, checkpoint and resume one experiment.',
    config='configs/lstm_mnist.py',
    examples=EXAMPLES,
    quiet=True,
  )
  parser.add_argument(
    '--workdir', metavar='DIR', help='folder of the run (default runs/<config name>)'
  )
  parser.add_argument(
    '--describe', action='store_true', help='print the config and the layer table; train nothing'
  )
  parser.add_start_over()
  _add_flags_of_processes(parser)
  values, configured = reading.from_command_line(parser, arguments)
  with processes.joined(values.coordinator, values.processes, values.process):
    name = pathlib.Path(values.config).stem
    if 'axes' in configured:
      raise ValueError(
        f'{values.config} is a sweep: python -m jaxdl.sweep --config={values.config}'
      )
    if values.coordinator is None:
      parallel.use_cpu_devices([reading.to_dict(configured)])
    with downloads(not values.describe):
      chosen = experiment.build(configured, name)
    workdir = values.workdir or f'runs/{name}'
    if values.describe:
      print(disk.readable_json(chosen.config))
    else:
      processes.on_first_process(
        lambda: disk.make_folder(workdir)
      )  # before anything is printed of a run that cannot be
      folder.check_config(workdir, chosen.config, chosen.steps)
    print(table.text(chosen.layers), flush=True)
    warnings = processes.on_first_process(lambda: lint.warnings(chosen)) or []
    for warning in warnings:
      print(f'warning: {warning}', file=sys.stderr)
    if values.describe:
      print(
        json.dumps(
          {
            'config': name,
            **table.totals(chosen.layers),
            'layers': chosen.layers,
            'warnings': warnings,
          }
        )
      )
    else:
      _, own = _add_flags_of_processes(command.Parser(add_help=False)).parse_known_args(
        arguments[1:]
      )
      _train(chosen, workdir, f'python -m jaxdl.main {command.repeatable(own)}', values.start_over)
  return 0


def _add_flags_of_processes(parser):
  """Adds the flags that tell one of several processes from the others; returns the parser."""
  flags = parser.add_argument_group('several processes')
  flags.add_argument(
    '--coordinator',
    metavar='HOST:PORT',
    help='process 0 of all, or auto where the cluster says who they are',
  )
  flags.add_argument('--processes', type=int, metavar='N', help='how many train together')
  flags.add_argument('--process', type=int, metavar='I', help='which of them this is, from 0')
  return parser


def _train(chosen, workdir, begun, start_over=False):
  """Trains an experiment into a folder; `begun` is the command that does so, in one process or in
  each of several.
  """
  outputs = side_outputs.SideOutputs()
  print(
    f'{chosen.name}: {chosen.steps:,} steps on {chosen.data.name} ({chosen.data.origin}) into {workdir}',
    flush=True,
  )
  if processes.is_first():
    for line in chosen.data.counted():
      print(f'  {line}', flush=True)
    for line in chosen.data.left_out:
      print(f'jaxdl: {line}', file=sys.stderr, flush=True)

  def keep_command():
    disk.write_atomic(pathlib.Path(workdir) / 'command.txt', f'{begun}\n')

  def at_start(writers):
    outputs.attempt('command.txt', keep_command)
    # The picture comes first, so that matplotlib is imported before the thread of the writers
    # begins.
    outputs.attempt('the picture of training images', samples.write, chosen, workdir, writers)
    outputs.attempt('the graph and hyper-parameters', samples.describe, chosen, writers)

  summary = loop.train(
    chosen,
    workdir,
    start_over=start_over,
    at_start=at_start,
    at_evaluation=evaluations.over_time(chosen),
    at_end=evaluations.at_end(chosen),
  )
  # Written again: a run that was made longer is repeated by its last command.
  processes.on_first_process(lambda: outputs.attempt('command.txt', keep_command))
  processes.on_first_process(lambda: outputs.attempt('report.html', page.write_report, workdir))
  if warning := processes.on_first_process(lambda: lint.of_result(chosen, summary)):
    print(f'warning: {warning}', file=sys.stderr)
  if (step := summary['stopped']) is not None:
    print(f'stopped at step {step:,}, resume with: {begun}')
  else:
    place = f'./{workdir}' if str(workdir).startswith('-') else str(workdir)
    print(f'look inside: python -m jaxdl.analyze {shlex.quote(place)}')
  print(json.dumps(summary))


if __name__ == '__main__':
  sys.exit(command.run(main, sys.argv, less_memory=command.LESS_TO_TRAIN))
