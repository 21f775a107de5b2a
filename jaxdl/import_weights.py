"""Creates a run from weights of PyTorch, Keras or NumPy.

Usage:

    python -m jaxdl.import_weights --config=configs/X.py --from=FILE
"""

if __name__ == '__main__':  # before the slow imports below
  from jaxdl.terminal import start

  start.begin()


import os
import pathlib
import shlex
import sys
from collections.abc import Sequence
from typing import Any

import jax
import ml_collections
import numpy as np

from jaxdl import stores, weights
from jaxdl.config import reading
from jaxdl.devices import parallel
from jaxdl.exports import Network
from jaxdl.models import table as layer_table
from jaxdl.monitoring import examples
from jaxdl.monitoring.side_outputs import SideOutputs
from jaxdl.report import page
from jaxdl.runs import checkpoint, disk, folder, integrity, summary
from jaxdl.step import metrics, tasks
from jaxdl.terminal import command, progress
from jaxdl.training import evaluation, experiment
from jaxdl.training.experiment import Experiment
from jaxdl.weights import matching, table

EXAMPLES = """\
  python -m jaxdl.import_weights --config=cnn_mnist --from=model.pt
  python -m jaxdl.import_weights --config=gru_mnist --from=model.keras --workdir=runs/keras

The config describes the network that the weights belong to. Its layers are matched with those of
the file by order and shape, or by name if all names are equal. Then every command works on the
folder; python -m jaxdl.main with the same config and folder trains further."""


def main(arguments: list[str]) -> int:
  """Runs the command; returns the exit code."""
  parser = command.Parser(
    name='import_weights',
    called=arguments[0],
    description='Create a run from weights of PyTorch, Keras or NumPy.',
    config='configs/cnn_mnist.py',
    examples=EXAMPLES,
    json=True,
  )
  add = parser.add_argument
  add(
    '--from',
    dest='source',
    metavar='FILE',
    required=True,
    help=f'the weights: {", ".join(weights.READERS)}',
  )
  add('--workdir', metavar='DIR', help='folder of the run (default runs/<config name>)')
  add(
    '--layout',
    choices=list(matching.LAYOUTS),
    help='tool whose layout the weights have, if it cannot be inferred from the file',
  )
  add(
    '--order',
    metavar='NAMES',
    help="the file's layers in the order of the network, separated by commas",
  )
  values, configured = reading.from_command_line(parser, arguments)
  name = pathlib.Path(values.config).stem
  if 'axes' in configured:
    raise ValueError(f'{values.config} is a sweep: give the config of one experiment')
  parallel.use_cpu_devices([reading.to_dict(configured)])
  with stores.training(values.workdir or f'runs/{name}') as workdir:
    return _import(configured, name, workdir, values, arguments)


def _import(configured, name, workdir, values, arguments):
  """Imports the weights into a folder; returns the exit code."""
  _check_folder(workdir)
  try:
    source = weights.read(values.source)
  except ImportError as error:  # its message names the extra
    raise ValueError(str(error)) from error
  chosen = experiment.build(configured, name)
  order = values.order.split(',') if values.order else None
  filled = _filled(chosen, source, values.layout, order)
  print(layer_table.text(chosen.layers))
  print(f'\nfrom {source.file}, in the layout of {filled.layout}:\n{table.text(filled.rows)}')
  for warning in filled.warnings:
    print(f'warning: {warning}', file=sys.stderr)
  called = f'python -m jaxdl.import_weights {command.repeatable(arguments[1:])}'
  found = _write(chosen, source.file, filled, workdir, called)
  for split in ('validation', 'test'):
    figures = {
      metric.name: found[f'{split}_{metric.name}']
      for metric in metrics.evaluated()
      if f'{split}_{metric.name}' in found
    }
    if figures:
      print(f'{split} {progress.describe(figures)}')
  print(f'look inside: python -m jaxdl.analyze {shlex.quote(str(workdir))}', flush=True)
  command.print_result(
    {**found, 'layout': filled.layout, 'weights': filled.rows}, as_json=values.json
  )
  return 0


def import_weights(
  config: Experiment | ml_collections.ConfigDict | dict[str, Any],
  file: str | os.PathLike,
  workdir: str | os.PathLike,
  *,
  layout: str | None = None,
  order: Sequence[str] | None = None,
) -> dict[str, Any]:
  """Creates a run from weights of PyTorch, Keras or NumPy.

  The run's only checkpoint is of step 0. Nothing is written after an error.

  Args:
    config: an Experiment, or a config, of the network that the weights belong to.
    file: a file whose name ends in .safetensors, .pt, .pth, .npz, .h5 or .keras.
    workdir: the run's folder, or its address in an object store.
    layout: 'torch' | 'keras' | 'jaxdl'; None for that of the file.
    order: names of the file's layers in the order of the network's; None for that of the file.

  Returns:
    The summary, as in `summary.json`.

  Raises:
    ValueError: the weights do not fit the config, or the folder already contains a run.
    ImportError: a library is not installed; the message names the extra.
    OSError: a file cannot be read or written.
  """
  with stores.training(workdir) as opened:
    _check_folder(opened)
    source = weights.read(file)
    chosen = config if isinstance(config, Experiment) else experiment.build(config)
    return _write(chosen, source.file, _filled(chosen, source, layout, order), opened, None)


def _check_folder(workdir):
  """Raises ValueError if a folder already contains a run."""
  place = pathlib.Path(workdir)
  if (place / 'config.json').is_file() or folder.last_checkpoint(place) is not None:
    raise ValueError(f'{workdir} already contains a run: give another --workdir')


def _filled(
  chosen: Experiment, source: weights.Source, layout: str | None, order: Sequence[str] | None
) -> weights.Filled:
  """Reads the parameters of an experiment's network from a file."""
  if chosen.start is not None:
    raise ValueError(
      'config.start_from is set, but the parameters are imported: leave it out of the config'
    )
  variables = jax.tree.map(
    lambda leaf: np.zeros(leaf.shape, leaf.dtype), chosen.drawing().out_info.variables()
  )
  network = Network(chosen.name, 0, chosen.recipe.model, variables, chosen.config)
  return weights.fill(network, source, layout=layout, order=order)


def _write(chosen, file, filled, workdir, called):
  """Evaluates the network and writes the run's folder; returns the summary."""
  state = chosen.with_variables(chosen.initial_state(), filled.variables)
  with progress.waiting('evaluating the imported network'):
    sums = evaluation.of_splits(chosen)(parallel.replicate(state))
  origin = {'imported': file.name, 'sha256': integrity.of_file(file), 'layout': filled.layout}
  config = {**chosen.config, folder.ORIGIN: origin}
  found = summary.of_run(chosen, state, sums, stopped=0, stopped_early=None).to_json()
  score = None
  if 'validation' in sums:
    score = chosen.watch.score(tasks.metrics(sums['validation']))
  place = disk.make_folder(workdir)
  with (
    folder.locked(place, config, chosen.steps),
    checkpoint.manager(place, chosen.keep_every) as checkpoints,
  ):
    checkpoint.save(checkpoints, state, config, score=score)
    checkpoint.read_back(checkpoints, state)
    if called is not None:
      disk.write_atomic(place / 'command.txt', f'{called}\n')
    found = summary.record(place, found, seconds=0.0, resumed=False)
  outputs = SideOutputs()
  outputs.attempt(examples.NAME, examples.write, chosen.data, place)
  outputs.attempt('report.html', page.write_report, place)
  return found


if __name__ == '__main__':
  sys.exit(command.run(main, sys.argv, less_memory=command.LESS_TO_TRAIN))
