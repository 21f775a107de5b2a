"""Shows the progress of runs, using only their files.

Usage:

    python -m jaxdl.status D
"""

if __name__ == '__main__':  # before the slow imports below
  from jaxdl.terminal import start

  start.begin()


import contextlib
import datetime
import os
import pathlib
import sys
import time
from typing import Any, TypedDict

from jaxdl import stores
from jaxdl.runs import folder as run_folder
from jaxdl.runs import record
from jaxdl.step import metrics, watch
from jaxdl.terminal import command, progress

LONGEST = 1e12  # maximum number of seconds that is shown
UNSHOWN = ('step', 'split', 'learning_rate', 'examples_per_second')


def main(arguments: list[str]) -> int:
  """Runs the command; returns the exit code."""
  parser = command.Parser(
    name='status',
    called=arguments[0],
    description='Show the progress of runs, read from their files.',
    json=True,
    examples='  python -m jaxdl.status runs\n  python -m jaxdl.status runs/*',
  )
  parser.add_argument(
    'runs',
    nargs='*',
    metavar='DIR',
    help='folders or .zip files of runs, or folders that contain some',
  )
  parser.add_argument('--workdir', nargs='+', default=[], metavar='DIR', help='the same as DIR')
  chosen = parser.parse_args(arguments[1:])
  if not (places := chosen.runs + chosen.workdir):
    parser.error('no folder of a run is given')
  with contextlib.ExitStack() as stack:
    opened = [stack.enter_context(stores.peeked(place)) for place in places]
    return _status(chosen, dict(zip(places, opened, strict=True)))


def _status(chosen, opened):
  """Prints the state of runs; `opened` maps each place to what `stores.peeked` yields for it."""
  folders = {place: run_folder.below(pathlib.Path(folder)) for place, (folder, _) in opened.items()}
  held = {run: lease for place, (_, lease) in opened.items() for run in folders[place] if lease}
  empty = [place for place, runs in folders.items() if not runs]
  if len(empty) == len(folders):
    command.check_folder(empty[0])
    raise FileNotFoundError(f'{empty[0]} contains no run: give the folder of a run')
  for place in empty:
    print(f'jaxdl: {place} contains no run: left out', file=sys.stderr)
  once = {run.resolve(): run for runs in folders.values() for run in runs}.values()
  found = []
  for folder in once:
    try:
      found.append(read(folder, held=held.get(folder)))
    except (OSError, ValueError) as error:
      if len(once) == 1:
        raise
      print(f'jaxdl: {error}', file=sys.stderr)
  for one in found:
    print(text(one))
  command.print_result(found, as_json=chosen.json)
  return 0 if len(found) == len(once) else 1


class Status(TypedDict):
  """State of a run. Values that do not exist yet, and the ages of a packed run, are None.

  Attributes:
    workdir: the run's folder.
    state: 'training', 'finished' or 'stopped'.
    process, host: which process trains it, or trained it last.
    step: the last step that was logged or saved.
    steps: length of the run; None for a run of an older version.
    logged: step of the last figures.
    examples_per_second: speed of training.
    counted: unit of the speed, 'examples' or 'characters'.
    seconds_left: estimated time to the end of the training.
    figures: split → metric → number, the last of each.
    chance: key of an accuracy, such as 'test_accuracy' → the accuracy of always predicting the most
      frequent class of the split.
    watch: the metric that chooses the best checkpoint, such as 'validation_loss'.
    logged_seconds_ago: age of the last figures.
    checkpoint: step of the last checkpoint.
    checkpoint_seconds_ago: its age.
  """

  workdir: str
  state: str
  process: int | None
  host: str | None
  step: int
  steps: int | None
  logged: int | None
  examples_per_second: float | None
  counted: str
  seconds_left: float | None
  figures: dict[str, dict[str, float]]
  chance: dict[str, float]
  watch: str
  logged_seconds_ago: float | None
  checkpoint: int | None
  checkpoint_seconds_ago: float | None


def read(workdir: str | os.PathLike, *, held: dict[str, Any] | None = None) -> Status:
  """Reads where a run is from its files alone.

  Args:
    workdir: the run folder, or the file of a packed run.
    held: the lease of the store that the run is in (`stores.lease`); None if there is none.

  Returns:
    Status.

  Raises:
    FileNotFoundError: the folder contains no run.
    ValueError: a file of the run is damaged.
  """
  run, now = record.load(workdir), time.time()
  folder, is_packed = run.folder, run.packed is not None
  lines, config = run.history, run.config
  figures = {
    line['split']: {key: value for key, value in line.items() if key not in UNSHOWN}
    for line in lines
  }
  speed = run.speed
  newest = run_folder.last_checkpoint(folder)
  who = run_folder.trainer(folder)
  if held is not None:
    is_trained = (who.get('process'), who.get('host')) == (held['process'], held['host'])
    who['now'] = is_trained and not run.finished
  kept, steps = int(newest.name) if newest else None, who.get('steps')
  step = max(run.step, kept or 0)  # the run may have stopped between a checkpoint and the next log
  pace = run_folder.seconds_a_step(folder) or (run.examples_of_a_step() / speed if speed else None)
  left = max(steps - step, 0) * pace if steps and pace else None
  return {
    'workdir': str(workdir),
    'state': run.state(who.get('now')),
    'process': who.get('process'),
    'host': who.get('host'),
    'step': step,
    'steps': steps,
    'logged': run.step if lines else None,
    'examples_per_second': speed,
    'counted': record.counted(config),
    'seconds_left': None if left is None else round(left, 1),
    'figures': figures,
    'chance': run.chances(
      f'{split}_accuracy'
      for split in metrics.SPLITS[1:]  # training may draw the classes equally often
      if 'accuracy' in figures.get(split, {})
    ),
    'watch': watch.of(config).key,
    'logged_seconds_ago': round(now - (folder / 'metrics.jsonl').stat().st_mtime, 1)
    if lines and not is_packed
    else None,
    'checkpoint': kept,
    'checkpoint_seconds_ago': round(now - newest.stat().st_mtime, 1)
    if newest and not is_packed
    else None,
  }


def text(found: Status) -> str:
  """Formats a Status in lines for a person."""
  head = f'{found["workdir"]}: {found["state"]}'
  if found['state'] == 'training':
    head += f', process {found["process"]} on {found["host"]}'
  logged = [f'at step {found["logged"]:,}'] if found['logged'] not in (None, found['step']) else []
  shown = [
    *logged,
    *(f'{split} {progress.describe(figures)}' for split, figures in found['figures'].items()),
  ]
  where = f'step {found["step"]:,}' + (f' of {found["steps"]:,}' if found['steps'] else '')
  if found['chance']:
    shown.append(f'chance level {metrics.chance_levels(found["chance"])}')
  lines = [head, '  '.join([f'  {where}', *shown])]
  parts = []
  if found['examples_per_second']:
    parts.append(progress.pace(found['examples_per_second'], '', found['counted']))
  if found['state'] == 'training' and found['seconds_left'] is not None:
    parts.append(f'{_span(found["seconds_left"])} left')
  if found['logged_seconds_ago'] is not None:
    parts.append(f'logged {_span(found["logged_seconds_ago"])} ago')
  if found['checkpoint'] is not None:
    age = found['checkpoint_seconds_ago']
    ago = '' if age is None else f', {_span(age)} ago'
    parts.append(f'checkpoint at step {found["checkpoint"]:,}{ago}')
    if found['watch'] != watch.DEFAULT:
      parts.append(f'the best one by {metrics.words(found["watch"])}')
  elif found['state'] == 'finished':
    parts.append('no checkpoint')
  else:
    parts.append('no checkpoint yet')
  return '\n'.join([*lines, f'  {", ".join(parts)}'])


def _span(seconds):
  return str(datetime.timedelta(seconds=round(min(max(seconds, 0), LONGEST))))


if __name__ == '__main__':
  sys.exit(command.run(main, sys.argv))
