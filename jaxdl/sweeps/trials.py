"""Trains the trials of a hyperparameter search one after another."""

import functools
import pathlib

from jaxdl.runs import files, identity, record
from jaxdl.step import metrics
from jaxdl.step.watch import Watch
from jaxdl.sweeps import members
from jaxdl.sweeps.members import Member
from jaxdl.sweeps.search import Search, folder, shown
from jaxdl.sweeps.study import Outcome, Study, Trial
from jaxdl.sweeps.training import Trainer


def train(search: Search, study: Study, watch: Watch, trainer: Trainer, signals: list) -> None:
  """Trains the trials that have not ended; prints a line for each.

  A trial that was stopped resumes from its checkpoint.

  Args:
    search: the search.
    study: its study.
    watch: the metric that is minimised or maximised.
    trainer: trains each trial into its folder.
    signals: the signals received so far; the search stops after the first, and also at a trial
      whose checkpoints are all damaged (`trainer.damaged`).
  """
  while not signals and (trial := study.next()) is not None:
    member = search.member(trial.number, trial.values)
    try:
      every = members.built(member).evaluate_every
    except ValueError as error:  # this combination of values is invalid
      study.fail(trial, str(error).removeprefix(f'{member.label}: '))
      print(described(study, trial.number, watch), flush=True)
      continue
    trainer.is_over = functools.partial(_is_over, trial, watch, every)
    trainer.train([member], signals)
    if not _has_ended(study, trial, watch, trainer, member):
      return
    print(described(study, trial.number, watch), flush=True)


def _is_over(trial, watch, every, step, figures):
  """Reports an evaluation to the pruner; the callback of `loop.Callbacks`."""
  figure = figures['validation'][watch.metric.name] if figures else None
  return trial.is_over(step, step // every, figure)


def _has_ended(study: Study, trial: Trial, watch: Watch, trainer: Trainer, member: Member) -> bool:
  """Records how a trial ended; returns False if it was stopped."""
  if member.folder in trainer.damaged:
    return False
  if member.folder in trainer.faults:
    study.fail(trial, trainer.faults[member.folder])
    return True
  file = trainer.workdir / member.folder / 'summary.json'
  summary = files.read_summary(file) if file.is_file() else {}
  if summary.get('stopped', 0) is not None:  # by a signal, maybe before its first step
    return False
  if trial.pruned is not None:
    study.prune(trial)
  else:
    study.finish(trial, summary[watch.key], summary['stopped_early'] or summary['steps'])
  return True


def described(study: Study, number: int, watch: Watch) -> str:
  """A line about a trial that has ended, and about the best one."""
  outcome, best = study.outcomes[number], study.best
  values = ', '.join(f'{key}={shown(value)}' for key, value in outcome.values.items())
  found = f'{folder(number)}: {state_in_words(outcome.state, outcome.step)}'
  if outcome.fault:
    found += f', {outcome.fault}'
  if outcome.figure is not None:
    found += f', {watch.words} {metrics.shown(watch.key, outcome.figure)}'
  found += f' ({values})'
  if best is not None:
    found += f'; best: {folder(best.number)}, {metrics.shown(watch.key, best.figure)}'
  return found


def state_in_words(state: str, step: int | None) -> str:
  """The state of a trial, such as 'pruned at step 400'; arguments as in `Outcome`."""
  return f'pruned at step {step:,}' if state == 'pruned' and step is not None else state


def check_finished(found: list[tuple[Member, Outcome]], workdir: pathlib.Path) -> None:
  """Checks that the runs of finished and pruned trials are those of the config.

  Args:
    found: the runs and how they ended.
    workdir: folder of the search.

  Raises:
    ValueError: a run is missing or has another config.
  """
  for member, outcome in found:
    run = workdir / member.folder
    if outcome.state not in ('finished', 'pruned') or record.finished(run, member.config):
      continue
    if not (run / 'config.json').is_file():
      raise ValueError(
        f'{run} is missing, but the study has it: restore it, or give another --workdir'
      )
    keys = identity.keys_of_another_run(record.load(run).config, member.config)
    differs = f' (config.{keys[0]} differs)' if keys else ''
    raise ValueError(
      f'{run} is not the run that the study has{differs}: restore the config and the run, or '
      'give another --workdir'
    )
