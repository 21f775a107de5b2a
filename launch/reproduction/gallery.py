"""Packs trained runs of the reports for the gallery of the documentation.

    python -m launch.reproduction.gallery [--runs=runs] [--out=docs/gallery]

A run is read from <runs>/<config>/seed0 or <runs>/<config>. It must be finished, and its config
must equal the current one. The recall of each class is measured first and included in the model
card. The table of the gallery page is generated from the packed runs.
"""

import pathlib
import sys
from collections.abc import Sequence

from jaxdl import analyze, pack
from jaxdl.config import reading
from jaxdl.report import results
from jaxdl.runs import Run, identity, load
from jaxdl.step import metrics
from jaxdl.step.intervals import wilson
from jaxdl.terminal import command
from launch.reproduction import results_table, run_folders

NAMES = ('lstm_mnist', 'gru_mnist', 'rnn_mnist', 'cnn_cifar10')  # their weights have less than 2 MB
LARGEST = 1_500_000  # maximum number of bytes of a packed run
BEGIN, END = '<!-- gallery -->', '<!-- /gallery -->'
HEAD = ('run', 'data', 'parameters', 'test accuracy', '95 % interval', 'seed', 'size')


def main(arguments: Sequence[str]) -> int:
  """Runs the command; returns the exit code, 1 if a run is missing."""
  parser = command.Parser(description='Pack trained runs for the gallery of the documentation.')
  parser.add_argument(
    '--runs', default='runs', metavar='DIR', help='folder that contains <config>/seed0'
  )
  parser.add_argument('--out', default='docs/gallery', metavar='DIR', help='folder of the gallery')
  parser.add_argument('--only', metavar='NAME,NAME', help=f'pack only some of {", ".join(NAMES)}')
  chosen = parser.parse_args(arguments[1:])
  names = chosen.only.split(',') if chosen.only else NAMES
  out, missing = pathlib.Path(chosen.out), 0
  for name in names:
    folder = pathlib.Path(chosen.runs) / name
    folder = folder / 'seed0' if (folder / 'seed0').is_dir() else folder
    why = lacking(folder, name)
    if why:
      print(f'{name} left out: {why}', file=sys.stderr)
      missing += 1
      continue
    add(folder, out / 'runs' / f'{name}.zip')
  results_table.replace(out / 'index.md', BEGIN, END, lambda before: table(out / 'runs'))
  print(f'wrote the table of {out / "index.md"}')
  return int(missing > 0)


def lacking(folder: pathlib.Path, name: str) -> str:
  """Returns why a run cannot be in the gallery; '' if it can.

  Args:
    folder: the run's folder.
    name: name of the config.
  """
  if not (folder / 'config.json').is_file():
    return f'{folder} contains no run'
  run = load(folder)
  if not run.finished:
    return f'{folder} is {run_folders.progress(run)}'
  config = reading.to_dict(reading.read_file(run_folders.ROOT / f'configs/{name}.py'))
  changed = identity.keys_of_another_experiment(run.config, config)
  return f'{folder} is of another config ({", ".join(changed)})' if changed else ''


def add(folder: pathlib.Path, file: pathlib.Path) -> None:
  """Measures the recall of each class of a run, unless already measured, and packs the run.

  Args:
    folder: the run's folder.
    file: path of the packed run.

  Raises:
    ValueError: the packed run is larger than `LARGEST`.
  """
  run = load(folder)
  if results.of_analysis(run, 'confusion').get('step') != run.summary['step']:
    analyze.main(['analyze', str(folder), '--only=errors'])
  file.parent.mkdir(parents=True, exist_ok=True)
  found = pack.pack(folder, file)
  print(f'{file}: {found["bytes"] / 1e3:,.0f} kB')
  if found['bytes'] > LARGEST:
    raise ValueError(
      f'{file} has {found["bytes"]:,} bytes: remove it, because {LARGEST:,} are allowed'
    )


def table(folder: pathlib.Path) -> str:
  """Returns a Markdown table of the packed runs in a folder, in the order of `NAMES`.

  Args:
    folder: folder of the packed runs.
  """
  files = [folder / f'{name}.zip' for name in NAMES]
  rows = [_row(file, load(file)) for file in files if file.is_file()]
  rule = ['---', '---', *['---:'] * (len(HEAD) - 2)]
  return '\n'.join(f'| {" | ".join(row)} |' for row in (HEAD, rule, *rows))


def _row(file: pathlib.Path, run: Run):
  key = 'test_accuracy'
  value, examples = run.summary[key], run.summary['test_examples']
  low, high = wilson(value, examples)
  remark = f' ({run.remark})' if run.remark else ''
  return (
    f'[`{file.stem}`](runs/{file.name})',
    f'{run.config["data"]["name"]}{remark}',
    f'{run.summary["parameters"]:,}',
    metrics.shown(key, value),
    f'{metrics.number(key, low)} to {metrics.shown(key, high)}',
    str(run.summary['seed']),
    f'{file.stat().st_size / 1e3:,.0f} kB',
  )


if __name__ == '__main__':
  sys.exit(command.run(main, sys.argv))
