"""python -m jaxdl.main --config=configs/X.py: train, evaluate, checkpoint and resume one experiment."""

import json
import pathlib
import shlex
import sys

from absl import flags

from jaxdl import command, config, experiment, files, hosts, lint, samples, train, watching
from jaxdl.models import table
from jaxdl.report import page


def define(values):
  """The flags of this command."""
  flags.DEFINE_string('workdir', None, 'Folder of the run; default runs/<config name>.', flag_values=values)
  flags.DEFINE_boolean('describe', False, 'Print the config and the layer table; train nothing.', flag_values=values)
  flags.DEFINE_string('coordinator', None, 'HOST:PORT of process 0 of several, or auto where the cluster says who they are.',
                      flag_values=values)
  flags.DEFINE_integer('processes', None, 'How many processes train together.', flag_values=values)
  flags.DEFINE_integer('process', None, 'Which of them this is, from 0.', flag_values=values)


def main(arguments):
  """Runs the command; returns the exit code."""
  values = config.from_command_line(arguments, define, example='configs/lstm_mnist.py')
  with hosts.joined(values.coordinator, values.processes, values.process):
    name = pathlib.Path(values['config'].config_filename).stem
    chosen = experiment.build(values.config, name)
    if values.describe:
      print(json.dumps(chosen.config, indent=2))
    print(table.text(chosen.layers), flush=True)
    warnings = hosts.alone(lambda: lint.warnings(chosen)) or []
    for warning in warnings:
      print(f'warning: {warning}', file=sys.stderr)
    if values.describe:
      print(json.dumps({'config': name, **table.totals(chosen.layers), 'layers': chosen.layers, 'warnings': warnings}))
    else:
      own = [argument for argument in arguments[1:] if not argument.startswith(('--coordinator', '--process'))]
      _train(chosen, values.workdir or f'runs/{name}', f'python -m jaxdl.main {shlex.join(own)}')
  return 0


def _train(chosen, workdir, begun):
  """Trains an experiment into a folder; `begun` is the command that does so, in one process or in each of several."""
  print(f'{chosen.name}: {chosen.steps:,} steps on {chosen.data.name} ({chosen.data.origin}) into {workdir}', flush=True)

  def at_start(writers):
    files.write_whole(pathlib.Path(workdir) / 'command.txt', f'{begun}\n')
    samples.describe(chosen, writers)
    samples.write(chosen, workdir, writers)

  summary = train.train(chosen, workdir, at_start=at_start, at_evaluation=watching.over_time(chosen),
                        at_end=watching.at_end(chosen))
  hosts.alone(lambda: page.of_run(workdir))
  if (step := summary.pop('stopped')) is not None:
    print(f'stopped at step {step:,}, resume with: {begun}')
  print(json.dumps(summary))


if __name__ == '__main__':
  sys.exit(command.run(main, sys.argv))
