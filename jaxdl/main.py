"""python -m jaxdl.main --config=configs/X.py: train, evaluate, checkpoint and resume one experiment."""

import json
import pathlib
import shlex
import sys

from absl import flags

from jaxdl import command, config, experiment, files, lint, samples, train, watching
from jaxdl.models import table
from jaxdl.report import page


def define(values):
  """The flags of this command."""
  flags.DEFINE_string('workdir', None, 'Folder of the run; default runs/<config name>.', flag_values=values)
  flags.DEFINE_boolean('describe', False, 'Print the config and the layer table; train nothing.', flag_values=values)


def main(arguments):
  """Runs the command; returns the exit code."""
  values = config.from_command_line(arguments, define, example='configs/lstm_mnist.py')
  name = pathlib.Path(values['config'].config_filename).stem
  chosen = experiment.build(values.config, name)
  if values.describe:
    print(json.dumps(chosen.config, indent=2))
  print(table.text(chosen.layers), flush=True)
  warnings = lint.warnings(chosen)
  for warning in warnings:
    print(f'warning: {warning}', file=sys.stderr)
  if values.describe:
    print(json.dumps({'config': name, **table.totals(chosen.layers), 'layers': chosen.layers, 'warnings': warnings}))
    return 0
  workdir = values.workdir or f'runs/{name}'
  print(f'{name}: {chosen.steps:,} steps on {chosen.data.name} ({chosen.data.origin}) into {workdir}', flush=True)
  begun = f'python -m jaxdl.main {shlex.join(arguments[1:])}'

  def at_start(writers):
    files.write_whole(pathlib.Path(workdir) / 'command.txt', f'{begun}\n')
    samples.describe(chosen, writers)
    samples.write(chosen, workdir, writers)

  summary = train.train(chosen, workdir, at_start=at_start, at_evaluation=watching.over_time(chosen),
                        at_end=watching.at_end(chosen))
  page.of_run(workdir)
  if (step := summary.pop('stopped')) is not None:
    print(f'stopped at step {step:,}, resume with: {begun}')
  print(json.dumps(summary))
  return 0


if __name__ == '__main__':
  sys.exit(command.run(main, sys.argv))
