"""Runs the experiments and updates the README's table of results, or writes the ledger of claims.

    python -m launch.reproduction.reproduce [--only=a,sweeps/b] [--seeds=0,1,2] [--runs=runs]
    [--kept=launch/reproduction/figures] [--budget-minutes=M] [--config.a.b=v]
    python -m launch.reproduction.reproduce --table-only [--readme=README.md]
    python -m launch.reproduction.reproduce --ledger [--out=docs/ledger.md]

Each run is a separate process. Finished runs are not repeated, and interrupted runs are resumed.
Rerun the command until all runs are finished. The figures of finished runs are kept in
`launch/reproduction/figures`, and later seeds are added to them.
"""

import argparse
import math
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from jaxdl.config import reading
from jaxdl.runs import identity
from jaxdl.terminal import command
from launch.reproduction import kept, ledger, results_table, run_folders

CONFIGS = run_folders.ROOT / 'configs'
Todo = list[tuple[str, int | None, pathlib.Path]]  # experiment, seed, the run's folder


def main(arguments: Sequence[str]) -> int:
  """Runs the command; returns the exit code, 1 if an experiment failed."""
  chosen, overrides = _parse(arguments[1:])
  configs = {
    file.stem: reading.to_dict(reading.read_file(file)) for file in sorted(CONFIGS.glob('*.py'))
  }
  configs = dict(
    sorted(configs.items(), key=lambda item: item[1].get('reported', {}).get('source', '~'))
  )
  sweeps = [f'sweeps/{file.stem}' for file in sorted(CONFIGS.glob('sweeps/*.py'))]
  names = chosen.only.split(',') if chosen.only else [*configs, *sweeps]
  unknown = [name for name in names if name not in (*configs, *sweeps)]
  if unknown:
    raise ValueError(
      f'--only={unknown[0]} is not an experiment: use some of {", ".join([*configs, *sweeps])}'
    )
  runs = pathlib.Path(chosen.runs).absolute()
  trains = not (chosen.table_only or chosen.ledger)
  if not trains and not runs.is_dir():
    raise ValueError(
      f'--runs={chosen.runs} is not a folder: give the folder that contains <config>/seed<S>'
    )
  figures = pathlib.Path(chosen.kept).absolute()
  failed = trains and run_all(
    plan(names, chosen.seeds, runs, figures, configs),
    configs,
    chosen.budget_minutes * 60,
    overrides,
  )
  groups = run_folders.read_groups(runs, configs, figures)
  if trains:
    kept.keep(groups, runs, figures)
  if chosen.ledger:
    pathlib.Path(chosen.out).write_text(ledger.markdown(ledger.entries(groups)), encoding='utf-8')
    print(f'wrote {chosen.out}')
  else:
    results_table.write(
      pathlib.Path(chosen.readme),
      {name: groups[name] for name in names if name in configs},
      configs,
    )
    print(f'wrote the table of {chosen.readme}')
  return int(failed)


def plan(
  names: Sequence[str],
  seeds: Sequence[int],
  runs: pathlib.Path,
  figures: pathlib.Path | None = None,
  configs: Mapping[str, dict] | None = None,
) -> Todo:
  """What to run: every experiment once before any a second time.

  Args:
    names: configs, and sweeps as 'sweeps/X'.
    seeds: seeds of each config; a sweep has its own.
    runs: folder of all runs.
    figures: folder of kept runs; None for none.
    configs: name → config, by which kept runs are recognised.

  Returns:
    (name, seed, the run's folder) of each run; the seed of a sweep is None. The folder is that of
    the kept run where there is one of the same config.
  """
  todo = []
  for number, seed in enumerate(seeds):
    for name in names:
      if not name.startswith('sweeps/'):
        folder = runs / name / f'seed{seed}'
        if figures is not None and configs is not None:
          there = figures / name / f'seed{seed}'
          folder = there if is_finished(there, configs[name]) else folder
        todo.append((name, seed, folder))
      elif number == 0:
        todo.append((name, None, runs / name))
  return todo


def run_all(
  todo: Todo, configs: Mapping[str, dict], seconds: float, overrides: Sequence[str] = ()
) -> bool:
  """Runs what is not finished, one run after another, until the time is spent.

  Args:
    todo: the result of `plan`.
    configs: name → config.
    seconds: time for all runs in total; infinite for no limit.
    overrides: '--config.a.b=v' for every run.

  Returns:
    Whether a run failed.
  """
  until, why, failed = time.monotonic() + seconds, 'the budget is spent', False
  for name, seed, folder in todo:
    label = name if seed is None else f'{name}, seed {seed}'
    if is_finished(folder, configs.get(name)):
      print(f'{label}: finished already', flush=True)
      continue
    left = until - time.monotonic()
    if left <= 0:
      print(f'{label}: not run, {why}', flush=True)
      continue
    print(f'{label}: runs into {folder}', flush=True)
    try:
      code, errors = run_child([*module_and_flags(name, seed, folder), *overrides], left)
    except KeyboardInterrupt:
      code, errors, until, why = 0, '', 0.0, 'it was interrupted'
    failed = failed or code not in (0, -signal.SIGTERM)
    print(f'{label}: {_outcome(folder, configs.get(name), code, errors)}', flush=True)
  return failed


def module_and_flags(name: str, seed: int | None, folder: pathlib.Path) -> list[str]:
  """The command of an experiment, without the Python executable."""
  if seed is None:
    return ['-m', 'jaxdl.sweep', f'--config=configs/{name}.py', f'--workdir={folder}']
  return [
    '-m',
    'jaxdl.main',
    f'--config=configs/{name}.py',
    f'--config.seed={seed}',
    f'--workdir={folder}',
  ]


def run_child(arguments: Sequence[str], seconds: float) -> tuple[int, str]:
  """Runs Python in a separate process and stops it with SIGTERM when its time is up.

  A stopped run saves its state, except on Windows, which ends it at once: it resumes from its last
  checkpoint.

  Args:
    arguments: of the Python executable.
    seconds: time limit; infinite for no limit.

  Returns:
    (exit code, standard error).
  """
  with subprocess.Popen(
    [sys.executable, *arguments], cwd=run_folders.ROOT, stderr=subprocess.PIPE, text=True
  ) as child:
    try:
      errors = child.communicate(timeout=None if math.isinf(seconds) else seconds)[1]
    except subprocess.TimeoutExpired:
      child.terminate()
      errors = child.communicate()[1]
      if sys.platform == 'win32':  # ends without saving, with the exit code 1
        return -signal.SIGTERM, errors
    except KeyboardInterrupt:
      child.terminate()
      child.communicate()
      raise
  return child.returncode, errors


def is_finished(folder: pathlib.Path, config: dict | None) -> bool:
  """Whether a folder holds a finished run of a config.

  Args:
    folder: a run's folder or a sweep's.
    config: the run's config; None for a sweep, whose runs must all be finished.
  """
  if config is None:
    rows = run_folders.read_sweep(folder).values()
    return bool(rows) and all(group.runs and not group.unfinished for group in rows)
  run = run_folders.read_run(folder)
  return (
    run is not None and run.finished and not identity.keys_of_another_experiment(run.config, config)
  )


def _outcome(folder, config, code, errors):
  """How a run ended, in one line; the rest of its standard error is printed on ours."""
  *before, last = errors.strip().splitlines() or ['']
  if code not in (0, -signal.SIGTERM):
    for line in before:
      print(line, file=sys.stderr)
    return f'failed with exit code {code}: {last}'
  print(errors, end='', file=sys.stderr)
  if config is None:
    return 'finished' if is_finished(folder, None) else 'stopped'
  run = run_folders.read_run(folder)
  if run is None:
    return 'stopped before its first step'
  return 'finished' if run.finished else f'stopped {run_folders.progress(run)}'


def _parse(arguments):
  """(the options, the overrides '--config.a.b=v' for every run)."""
  parser = command.Parser(prog='python -m launch.reproduction.reproduce', description=__doc__)
  parser.add_argument('--only', help='experiments, separated by commas; default all')
  parser.add_argument(
    '--seeds', type=_seeds, default=[0, 1, 2], help='separated by commas (default 0,1,2)'
  )
  parser.add_argument('--runs', default='runs', help='folder of all runs (default runs)')
  parser.add_argument(
    '--kept',
    default=kept.FOLDER,
    help='folder of the figures of finished runs (default launch/reproduction/figures)',
  )
  parser.add_argument(
    '--budget-minutes', type=_minutes, default=math.inf, help='then the current run is stopped'
  )
  parser.add_argument('--table-only', action='store_true', help='only rewrite the table')
  parser.add_argument(
    '--readme', default='README.md', help='file with the table (default README.md)'
  )
  parser.add_argument('--ledger', action='store_true', help='only write the ledger of claims')
  parser.add_argument(
    '--out', default='docs/ledger.md', help='file of the ledger (default docs/ledger.md)'
  )
  chosen, rest = parser.parse_known_args(arguments)
  wrong = [argument for argument in rest if not argument.startswith('--config.')]
  if wrong:
    raise ValueError(f'{wrong[0]} is unknown: see {parser.prog} --help')
  return chosen, rest


def _seeds(text):
  """'0,1,2' → [0, 1, 2]."""
  if not all(part.isdecimal() for part in text.split(',')):
    raise argparse.ArgumentTypeError(f'{text!r} are not seeds: use integers such as 0,1,2')
  return list(dict.fromkeys(map(int, text.split(','))))


def _minutes(text):
  try:
    minutes = float(text)
  except ValueError:
    minutes = 0.0
  if not minutes > 0:
    raise argparse.ArgumentTypeError(f'{text!r} is not a number of minutes above 0')
  return minutes


if __name__ == '__main__':
  # A stop reaches the current run, which then saves
  signal.signal(signal.SIGTERM, signal.default_int_handler)
  sys.exit(command.run(main, sys.argv))
