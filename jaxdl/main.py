"""Trains, evaluates, checkpoints and resumes one experiment.

Usage:

    python -m jaxdl.main --config=configs/X.py
"""

if __name__ == '__main__':  # before the slow imports below
  from jaxdl.terminal import start

  start.begin()


import contextlib
import functools
import os
import pathlib
import shlex
import sys
from typing import Any

import ml_collections
import numpy as np

from jaxdl import lint, stores
from jaxdl.config import reading
from jaxdl.data import stand_ins
from jaxdl.data.tfds_arrays import downloads
from jaxdl.devices import parallel, processes
from jaxdl.models import table
from jaxdl.monitoring import evaluations, examples, samples, side_outputs
from jaxdl.report import live, page
from jaxdl.runs import disk, folder, packed
from jaxdl.terminal import command, output
from jaxdl.training import experiment, loop
from jaxdl.training.experiment import Experiment

EXAMPLES = """\
  python -m jaxdl.main --config=lstm_mnist
  python -m jaxdl.main --config=cnn_mnist --config.optimizer.learning_rate=3e-4 --workdir=runs/slow
  python -m jaxdl.main --config=configs/cnn_mnist.py --config.model.layers[0].features=16 --describe
  python -m jaxdl.main --config=cnn_food11 --config.data.folder=DIR

--config.KEY=VALUE changes any key of the config. Photographs of your own: DIR holds CLASS/*.jpg, or
train/CLASS/*.jpg and, if you have them, validation/ and test/ like it. To resume a run that was
stopped, rerun its command. Exit code: 0 trained to the end, 75 stopped and saved, 1 an error."""


def main(arguments: list[str]) -> int:
  """Runs the command; returns the exit code."""
  parser = command.Parser(
    name='main',
    called=arguments[0],
    description='Train, evaluate, checkpoint and resume one experiment.',
    config='configs/lstm_mnist.py',
    examples=EXAMPLES,
    json=True,
  )
  parser.add_argument(
    '--workdir',
    metavar='DIR',
    help='folder of the run, or an address such as s3://BUCKET/RUN (default runs/<config name>)',
  )
  parser.add_argument(
    '--describe', action='store_true', help='print the config and the layer table; train nothing'
  )
  parser.add_start_over()
  _add_flags_of_processes(parser)
  values, configured = reading.from_command_line(parser, arguments)
  with (
    contextlib.nullcontext() if values.describe else output.unfailing(),
    processes.joined(values.coordinator, values.processes, values.process),
  ):
    name = pathlib.Path(values.config).stem
    if 'axes' in configured or 'search' in configured:
      raise ValueError(
        f'{values.config} is a sweep: python -m jaxdl.sweep --config={values.config}'
      )
    if values.coordinator is None:
      parallel.use_cpu_devices([reading.to_dict(configured)])
    with _opened(values.workdir or f'runs/{name}', values) as workdir:
      return _run(configured, name, workdir, values, arguments)


@contextlib.contextmanager
def _opened(workdir, values):
  """The folder of the run inside the `with` block, which may be at an address."""
  if values.describe:
    with stores.peeked(workdir) as (folder_of_run, _):
      yield folder_of_run
    return
  with contextlib.ExitStack() as stack:
    opened = processes.on_first_process(lambda: stack.enter_context(stores.training(workdir)))
    yield opened or stack.enter_context(stores.training(workdir, is_first=False))


def _run(configured, name, workdir, values, arguments):
  """Trains or describes the run; returns the exit code."""
  with downloads(not values.describe):
    chosen = experiment.build(configured, name, format=_format_of(workdir))
  if values.describe:
    print(disk.readable_json(chosen.config))
  else:
    _check_folder(chosen, workdir)
  side_outputs.SideOutputs().attempt('the table of layers', _print_layers, chosen)
  is_trial = any(argument.startswith('--config.train_for') for argument in arguments)
  resumes = folder.last_checkpoint(workdir) is not None
  warnings = _print_warnings(chosen, short=is_trial or resumes)
  if values.describe:
    for line in chosen.start().lines if chosen.start and not resumes else ():
      print(line)
    command.print_result(
      {
        'config': name,
        **table.totals(chosen.layers),
        'layers': chosen.layers,
        'warnings': warnings,
      },
      as_json=values.json,
    )
    return 0
  _, own = _add_flags_of_processes(command.Parser(add_help=False)).parse_known_args(arguments[1:])
  command_line = f'python -m jaxdl.main {command.repeatable(own)}'
  summary = _train(chosen, workdir, command_line, values.start_over)
  command.print_result(summary, as_json=values.json)
  return 0 if summary['stopped'] is None else command.STOPPED


def _format_of(workdir):
  """The format of the run in a folder, which the first process reads; None for no run."""
  found = processes.broadcast_from_first(
    lambda: np.int64(folder.format_of(workdir) or 0), like=np.int64(0)
  )
  return int(found) or None


def _check_folder(chosen, workdir):
  """Checks in the first process that a run can start, before anything is printed about it."""

  def check():
    disk.make_folder(workdir)
    folder.check_config(workdir, chosen.config, chosen.steps)

  processes.on_first_process(check)


def _print_layers(chosen):
  print(table.text(chosen.layers), flush=True)


def _print_warnings(chosen, *, short):
  """Prints a note on the data set and the warnings of `lint`; returns the warnings."""
  if note := stand_ins.note(chosen.data):
    print(f'jaxdl: {note}', file=sys.stderr)

  def warn():
    check = functools.partial(lint.warnings, chosen, short=short)
    return side_outputs.SideOutputs(patience=10).attempt('the checks of the config', check)

  warnings = processes.on_first_process(warn) or []
  for warning in warnings:
    print(f'warning: {warning}', file=sys.stderr)
  return warnings


def _add_flags_of_processes(parser):
  """Adds the flags for training with several processes; returns the parser."""
  flags = parser.add_argument_group('several processes')
  flags.add_argument(
    '--coordinator',
    metavar='HOST:PORT',
    help='address of process 0, or auto on a cluster that JAX recognises',
  )
  flags.add_argument('--processes', type=int, metavar='N', help='number of processes')
  flags.add_argument('--process', type=int, metavar='I', help='number of this process, from 0')
  return parser


def _train(chosen, workdir, command_line, start_over=False):
  """Trains an experiment into a folder, prints a readable result and returns the summary.

  Args:
    chosen: Experiment.
    workdir: the run folder.
    command_line: the training command, the same for all processes.
    start_over: see `loop.train`.
  """
  print(
    f'{chosen.name}: {chosen.steps:,} steps on {chosen.data.name} ({chosen.data.origin}) into '
    f'{workdir}',
    flush=True,
  )
  if processes.is_first():
    for line in chosen.data.described_splits():
      print(f'  {line}', flush=True)
    for line in chosen.data.left_out:
      print(f'jaxdl: {line}', file=sys.stderr, flush=True)
  summary = _train_with_outputs(chosen, workdir, command_line, start_over)
  outputs = side_outputs.SideOutputs()
  warning = processes.on_first_process(
    lambda: outputs.attempt('the check of the result', lint.of_result, chosen, summary)
  )
  if warning:
    print(f'warning: {warning}', file=sys.stderr)
  print(f'all figures: {pathlib.Path(workdir) / "summary.json"}')
  if summary['stopped'] is not None:
    print(f'stopped at step {summary["stopped"]:,}, resume with: {command_line}')
  else:
    place = f'./{workdir}' if str(workdir).startswith('-') else str(workdir)
    print(f'look inside: python -m jaxdl.analyze {shlex.quote(place)}')
  return summary


def _train_with_outputs(chosen, workdir, command_line, start_over):
  """Trains an experiment, writes its checkpoints and all other outputs, and returns the summary.

  `command_line` is the training command, or None if training was started from Python.
  """
  outputs = side_outputs.SideOutputs()

  def keep_command():
    if command_line is not None:
      disk.write_atomic(pathlib.Path(workdir) / 'command.txt', f'{command_line}\n')

  def at_start(writers):
    outputs.attempt('command.txt', keep_command)
    # Write the picture first, so that matplotlib is imported before the writer thread starts.
    outputs.attempt('the picture of training images', samples.write, chosen, workdir, writers)
    outputs.attempt('the graph and hyper-parameters', samples.describe, chosen, writers)
    outputs.attempt(examples.NAME, examples.write, chosen.data, pathlib.Path(workdir))

  def write_live(moment, variables):
    page.write_live(workdir, moment, (chosen.recipe.model, variables))

  def built(name, build):
    return outputs.attempt(name, build, chosen) or loop.nothing

  with live.Writer(
    outputs.attempt, write_live, lambda: page.write_page_and_card(workdir), chosen.layers
  ) as report:
    summary = loop.train(
      chosen,
      workdir,
      start_over=start_over,
      at_start=at_start,
      at_evaluation=built('the outputs at evaluations', evaluations.over_time),
      at_end=built('the outputs at the end', evaluations.at_end),
      after_evaluation=report.after_evaluation,
    )
  # Write the command again: if a run was extended, its last command reproduces it.
  processes.on_first_process(lambda: outputs.attempt('command.txt', keep_command))
  processes.on_first_process(lambda: outputs.attempt('report.html', page.write_report, workdir))
  return summary


def train(
  config: Experiment | ml_collections.ConfigDict | dict | str | os.PathLike,
  workdir: str | os.PathLike,
  *,
  data: Any = None,
  start_over: bool = False,
) -> dict:
  """Trains one experiment into a folder, or resumes it if the folder contains its checkpoints.

  Writes the same files as `python -m jaxdl.main`: checkpoints, figures, TensorBoard files, a
  picture of training examples, histograms and the report. Prints the progress.

  Args:
    config: an Experiment, a config, the path of a config file, or the name of a config in the
      package, such as 'lstm_mnist'.
    workdir: the run folder, or the address of one in an object store.
    data: arrays for a config with data.name='arrays' instead of its file: (x, y), (x, y, lengths),
      or a dict of 'train', 'validation' and 'test' → such a tuple. They are not stored: the run has
      only their checksums, and resumes if it is given the same arrays.
    start_over: whether to restart at step 1 if all checkpoints of the run are damaged.

  Returns:
    The summary: the figures of the best checkpoint, as in `summary.json`. 'stopped' is the step at
    which a signal stopped the run, or None.

  Raises:
    ValueError: the config is invalid, the folder contains a run of another config, or no checkpoint
      of the run can be read.
    OSError: the data set is missing, another process trains in the folder, or the folder is not
      writable.
    FloatingPointError: the loss is not finite. The last good checkpoint is kept.
  """
  command_line = None
  name = packed.name_of(workdir)
  if isinstance(config, (str, os.PathLike)):
    flags = [f'--config={os.fspath(config)}', f'--workdir={os.fspath(workdir)}']
    if data is None:  # a command cannot name arrays in Python
      command_line = f'python -m jaxdl.main {shlex.join(flags)}'
    name = pathlib.Path(config).stem
    config = reading.read_file(config)
  if isinstance(config, Experiment) and data is not None:
    raise ValueError('data is given, but the experiment has its own: give data to jaxdl.build')
  with stores.training(os.fspath(workdir)) as opened:
    if not isinstance(config, Experiment):
      parallel.use_cpu_devices([reading.to_dict(config)])
      config = experiment.build(config, name, format=_format_of(opened), data=data)
    _check_folder(config, opened)
    return _train_with_outputs(config, os.fspath(opened), command_line, start_over)


if __name__ == '__main__':
  sys.exit(command.run(main, sys.argv, less_memory=command.LESS_TO_TRAIN))
