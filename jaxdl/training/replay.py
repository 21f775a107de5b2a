"""Trains an interval of a run again, from one of its checkpoints, and compares every bit."""

import contextlib
import dataclasses
import io
import pathlib
import shutil
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np

from jaxdl.runs import checkpoint, code, files
from jaxdl.training import loop
from jaxdl.training.experiment import Experiment

MEASURED = 'examples_per_second'  # the figure of a journal's line that no replay repeats


@dataclasses.dataclass(frozen=True)
class Replay:
  """The comparison of an interval of a run with its replay.

  Attributes:
    first: step of the checkpoint from which the replay started; 0 for the initial state.
    last: the last step.
    lines: number of compared lines of the journal.
    arrays: number of compared arrays of the checkpoint of `last`; 0 if the run does not have it.
    differences: one text for each difference, in the order of the steps.
  """

  first: int
  last: int
  lines: int
  arrays: int
  differences: list[str]


def replay(
  experiment: Experiment, workdir: pathlib.Path, first: int, last: int, scratch: pathlib.Path
) -> Replay:
  """Trains the steps after `first` up to `last` again and compares journal and checkpoint.

  Args:
    experiment: the experiment of the run.
    workdir: the run's folder, which is only read.
    first: step of a checkpoint of the run; 0 to start with the initial state.
    last: the last step of the replay.
    scratch: an empty folder for the replay.

  Returns:
    Replay.

  Raises:
    ValueError: the data or the own code differ from those of the run.
    OSError: the checkpoint cannot be read, or the scratch folder cannot be written.
    FloatingPointError: the loss of the replay is no longer finite.
  """
  _copy(workdir, first, scratch)
  shortened = dataclasses.replace(
    experiment, steps=last, checkpoint_every=last, keep_every=0, profile=0
  )
  with contextlib.redirect_stdout(io.StringIO()):
    loop.train(shortened, scratch)
  found, lines = journal_differences(files.journal(workdir), files.journal(scratch), first, last)
  arrays = 0
  if last in checkpoint.kept_steps(workdir):
    recorded, replayed = _compared(experiment, workdir, scratch, last)
    differences = array_differences(recorded, replayed)
    found += [f'checkpoint {last:,}: {text}' for text in differences]
    arrays = len(recorded)
  return Replay(first, last, lines, arrays, found)


def _copy(workdir, first, scratch):
  """Copies what a run needs to resume at a step."""
  shutil.copy(workdir / 'config.json', scratch)
  if (workdir / code.FOLDER).is_dir():
    shutil.copytree(workdir / code.FOLDER, scratch / code.FOLDER)
  if first:
    place = pathlib.Path('checkpoints', str(first))
    shutil.copytree(workdir / place, scratch / place)


def journal_differences(
  recorded: Iterable[Mapping[str, Any]],
  replayed: Iterable[Mapping[str, Any]],
  first: int,
  last: int,
) -> tuple[list[str], int]:
  """Compares the lines of an interval in two journals.

  Args:
    recorded: lines of the run's journal, as `files.journal`.
    replayed: lines of the replay, which may have more.
    first, last: the steps after `first` up to `last` are compared.

  Returns:
    (one text for each figure that differs, in the order of the steps; number of compared lines).
  """
  found, again = [], {(line['step'], line['split']): line for line in replayed}
  lines = [line for line in recorded if first < line['step'] <= last]
  for line in lines:
    where = f'step {line["step"]:,}, {line["split"]}'
    other = again.get((line['step'], line['split']))
    if other is None:
      found.append(f'{where}: the replay has no such line')
      continue
    for name in dict.fromkeys([*line, *other]):
      if name != MEASURED and not _is_same(line.get(name), other.get(name)):
        found.append(f'{where}: {name} is {line.get(name)}, replayed {other.get(name)}')
  return found, len(lines)


def _is_same(one, other):
  """Whether two values of JSON are equal; NaN equals NaN."""
  return one == other or (one != one and other != other)


def _compared(experiment, workdir, scratch, step):
  """Path → array of a checkpoint in both folders; a packed run has only the network."""
  folders = (workdir, scratch)
  if (workdir / 'checkpoints' / str(step) / 'train').is_dir():
    return [_state(experiment, folder, step) for folder in folders]
  return [_by_path(checkpoint.read_step(folder, step)[1]) for folder in folders]


def _state(experiment, folder, step):
  """Path → array of the State in a checkpoint."""
  like = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), experiment.drawing().out_info)
  with checkpoint.manager(folder) as checkpoints:
    return _by_path(checkpoint.restore(checkpoints, like, step=step))


def _by_path(tree):
  leaves = jax.tree_util.tree_leaves_with_path(tree)
  return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def array_differences(
  recorded: Mapping[str, np.ndarray], replayed: Mapping[str, np.ndarray]
) -> list[str]:
  """Compares named arrays bit for bit; one text for each array that differs."""
  return [
    f'{name} {_difference(array, replayed[name])}'
    for name, array in recorded.items()
    if array.tobytes() != replayed[name].tobytes()
  ]


def _difference(one, other):
  unequal = int(np.sum(one != other))
  if not np.issubdtype(one.dtype, np.number):
    return f'differs in {unequal:,} of {one.size:,} values'
  largest = np.abs(one.astype(np.float64) - other.astype(np.float64)).max()
  return f'differs in {unequal:,} of {one.size:,} numbers, by {largest:.3g} at most'
