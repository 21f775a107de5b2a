"""The progress of all runs of a sweep, read from their folders."""

import dataclasses
import pathlib
import time
from collections.abc import Sequence

from jaxdl import stores
from jaxdl.runs import folder as run_folder
from jaxdl.runs import record
from jaxdl.step import metrics
from jaxdl.sweeps.members import Member
from jaxdl.terminal import progress


@dataclasses.dataclass(frozen=True)
class Row:
  """The state of one run.

  Attributes:
    label: the member in words.
    step: its last step that was logged or saved.
    steps: its length; None if unknown.
    figures: its last validation metrics in words; '' before the first evaluation.
    state: 'training', 'finished', or 'waiting' for a process that trains it.
  """

  label: str
  step: int = 0
  steps: int | None = None
  figures: str = ''
  state: str = 'waiting'


def rows(
  found: Sequence[Member], workdir: pathlib.Path, at_address: stores.Coordinated | None = None
) -> list[Row]:
  """The states of members, from the files of their folders.

  Args:
    found: the members.
    workdir: the sweep's folder.
    at_address: the sweep, if it is at an address.
  """
  runs = {member.folder: _loaded(workdir / member.folder) for member in found}
  if at_address:
    unfinished = [folder for folder, run in runs.items() if run and not run.finished]
    training = at_address.trained(unfinished)
  else:
    training = {folder for folder, run in runs.items() if run and _is_trained(workdir / folder)}
  return [
    _row(member, workdir / member.folder, runs[member.folder], member.folder in training)
    for member in found
  ]


def _loaded(place):
  """The Run of a folder; None if it has not started, or a file is just being written."""
  try:
    return record.load(place)
  except (OSError, ValueError):
    return None


def _is_trained(place):
  """Whether a process trains in a local folder now."""
  try:
    return bool(run_folder.trainer(place).get('now'))
  except (OSError, ValueError):  # it is just being written
    return False


def _row(member, place, run, trains):
  label = f'{member.label} (seed {member.seed})'
  if run is None:
    return Row(label)
  saved = run_folder.last_checkpoint(place)
  step = max(run.step, int(saved.name) if saved else 0)
  last = {line['split']: line for line in run.history}.get('validation', {})
  figures = {
    metric.name: last[metric.name] for metric in metrics.evaluated() if metric.name in last
  }
  state = 'training' if trains else 'finished' if run.finished else 'waiting'
  return Row(label, step, run.steps, progress.describe(figures), state)


def text(states: Sequence[Row]) -> str:
  """One line of counts, and a table of the runs that train now."""
  counts = {
    state: sum(one.state == state for one in states)
    for state in ('finished', 'training', 'waiting')
  }
  parts = [f'{counts.pop("finished"):,} of {len(states):,} runs finished']
  parts += [f'{count:,} {state}' for state, count in counts.items() if count]
  now = [one for one in states if one.state == 'training']
  cells = [
    (one.label, f'step {one.step:,}' + (f' of {one.steps:,}' if one.steps else ''), one.figures)
    for one in now
  ]
  widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
  lines = [
    '  '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
    for line in cells
  ]
  return '\n'.join([', '.join(parts), *(f'  {line}' for line in lines)])


def share(states: Sequence[Row]) -> float:
  """The share of the steps of all runs that is done, from 0 to 1."""
  known = [one for one in states if one.steps]
  if not known:
    return 0.0
  longest = max(one.steps or 0 for one in known)
  done = sum(min(one.step / (one.steps or longest), 1.0) for one in known)
  return done / len(states)


class Printer:
  """Prints the progress of a sweep at most every `progress.SILENCE` seconds.

  Args:
    found: the members of the sweep.
    workdir: the sweep's folder.
    at_address: the sweep, if it is at an address.
  """

  def __init__(
    self,
    found: Sequence[Member],
    workdir: pathlib.Path,
    at_address: stores.Coordinated | None = None,
  ) -> None:
    self._found, self._workdir, self._at_address = found, workdir, at_address
    self._last = time.monotonic()
    self._first: tuple[float, float] | None = None  # time and share of the first table

  def poll(self) -> float | None:
    """Prints the table if it is due; returns the estimated seconds left, None if unknown."""
    now = time.monotonic()
    if now - self._last < progress.SILENCE:
      return None
    self._last = now
    if self._at_address:
      self._at_address.refresh()
    states = rows(self._found, self._workdir, self._at_address)
    print(text(states), flush=True)
    done = share(states)
    if self._first is None:
      self._first = now, done
      return None
    since, before = self._first
    return (now - since) * (1 - done) / (done - before) if done > before else None
