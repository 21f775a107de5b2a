"""Trains the members of a sweep, group by group."""

import dataclasses
import functools
import pathlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

import jax

from jaxdl import lint
from jaxdl.monitoring import evaluations, examples, samples
from jaxdl.monitoring.side_outputs import SideOutputs
from jaxdl.runs import checkpoint, disk, record
from jaxdl.runs.folder import format_of
from jaxdl.sweeps import ensemble, members
from jaxdl.sweeps.members import Member
from jaxdl.training import loop, programs

# Groups after which the compiled programs are dropped. Each group leaves hundreds of memory maps,
# and Linux allows a process 65,530: without this, a sweep of about 200 groups would crash.
CLEARED_EVERY = 20


@dataclasses.dataclass
class Trainer:
  """Trains groups of members, each into its folder.

  Attributes:
    workdir: the sweep's folder.
    command: the command that trains the sweep.
    finished: members that were already finished.
    start_over: as in `loop.train`.
    folders: folder of a member in the sweep → the folder in which it is trained, if it is another.
    after_evaluation, is_over: as in `loop.Callbacks`, of every run.
    faults: folder of a member → why it failed.
    damaged: folder of a member → error message about its damaged checkpoints.
    printed: lines that were already printed, so that each is printed once.
    groups: number of groups that were trained.
  """

  workdir: pathlib.Path
  command: str
  finished: list[Member]
  start_over: bool = False
  folders: Mapping[str, pathlib.Path] = dataclasses.field(default_factory=dict)
  after_evaluation: Callable[..., Any] = loop.nothing
  is_over: Callable[..., Any] = loop.nothing
  faults: dict[str, str] = dataclasses.field(default_factory=dict)
  damaged: dict[str, str] = dataclasses.field(default_factory=dict)
  printed: set[str] = dataclasses.field(default_factory=set)
  groups: int = 0

  def train(self, group: list[Member], signals: list) -> None:
    """Trains a group; members at the same step are compiled together.

    Args:
      group: the members.
      signals: the signals received so far; training stops after the first.
    """
    by_start = {}
    for member in group:
      place = self._place(member)
      by_start.setdefault((checkpoint.last_step(place), format_of(place)), []).append(member)
    for (step, format), chosen in by_start.items():
      if signals:
        return
      self._train_together(chosen, signals, resumes=step > 0, format=format)
      self.groups += 1
      if self.groups % CLEARED_EVERY == 0:
        jax.clear_caches()

  def _place(self, member):
    """The folder in which a member is trained."""
    return self.folders.get(member.folder, self.workdir / member.folder)

  def _train_together(self, chosen, signals, *, resumes, format):
    names = '; '.join(f'{member.label} (seed {member.seed})' for member in chosen)
    print(f'training {names}', flush=True)
    experiments = [members.built(member, format=format) for member in chosen]
    for member in self.finished:
      _check_same_data(experiments[0], self.workdir / member.folder)
    self._say(chosen, experiments[0], short=resumes)
    waiting = list(zip(chosen, experiments, strict=True))
    while waiting:
      try:
        results = self._train_runs(waiting)
        break
      except checkpoint.AllDamagedError as error:
        waiting = self._without_damaged(waiting, error)
      except loop.DifferentStepsError:  # damaged checkpoints were moved
        return self.train([member for member, _ in waiting], signals)
    else:
      return
    for (member, _), result in zip(waiting, results, strict=True):
      if isinstance(result, str):
        self.faults[member.folder] = result
        if len(waiting) == 1:
          print(f'  {self._place(member)}: {result}', flush=True)

  def _train_runs(self, chosen):
    """Trains each (member, Experiment); returns its summary, or why it failed."""
    experiments = [experiment for _, experiment in chosen]
    folders = [self._place(member) for member, _ in chosen]
    callbacks = [
      loop.Callbacks(
        at_start=functools.partial(self._write_start, member, experiment),
        at_evaluation=evaluations.over_time(experiment),
        at_end=evaluations.at_end(experiment),
        after_evaluation=self.after_evaluation,
        is_over=self.is_over,
      )
      for member, experiment in chosen
    ]
    program = programs.of_one(experiments[0]) if len(chosen) == 1 else ensemble.program(experiments)
    return loop.train_runs(experiments, folders, program, callbacks, start_over=self.start_over)

  def _without_damaged(self, waiting, error):
    """Reports the member whose checkpoints are all damaged; returns the other members."""
    left = []
    for member, experiment in waiting:
      if self._place(member).absolute() == error.workdir:
        self.damaged[member.folder] = str(error)
      else:
        left.append((member, experiment))
    print(f'jaxdl: {error}', file=sys.stderr, flush=True)
    return left

  def _say(self, chosen, experiment, *, short):
    """Prints the examples of each split, the skipped files and the warnings, each text once.

    A warning names the members of the group in which it first occurred.
    """
    labels = '; '.join(dict.fromkeys(member.label for member in chosen))
    lines = [(line, f'  {line}', sys.stdout) for line in experiment.data.described_splits()]
    lines += [(line, f'jaxdl: {line}', sys.stderr) for line in experiment.data.left_out]
    for warning in lint.warnings(experiment, short=short):
      lines.append((warning, f'warning: {labels}: {warning}', sys.stderr))
    for text, line, file in lines:
      if text not in self.printed:
        print(line, file=file, flush=True)
      self.printed.add(text)

  def _write_start(self, member, experiment, writers):
    """Writes the command, the graph and the hyper-parameters of a new run."""
    outputs, folder = SideOutputs(), self._place(member)
    file = folder / 'command.txt'
    outputs.attempt(str(file), disk.write_atomic, file, f'{self.command}\n')
    outputs.attempt(
      f'the graph and hyper-parameters of {folder}',
      samples.describe,
      experiment,
      writers,
      member.choices,
    )
    outputs.attempt(str(folder / examples.NAME), examples.write, experiment.data, folder)


def _check_same_data(experiment, folder):
  """Raises ValueError if a finished run used other examples of the same data set."""
  before = record.load(folder).config
  keys = ('name', 'folder', 'copy')
  same_name = all(before['data'].get(key) == experiment.config['data'].get(key) for key in keys)
  kept = before.get('dataset', {}).get('checksums')
  if not same_name or not isinstance(kept, dict):
    return
  data = experiment.data
  wrong = data.differs(
    {split: checksum for split, checksum in kept.items() if split in data.checksums}
  )
  if wrong is not None:
    raise ValueError(
      f'{data.described()} has other examples than {folder} was trained on '
      f'(in the {wrong} split): give the data of that run, or another --workdir'
    )
