"""Checks that the files of a run belong together: config, journal, summary and checkpoints."""

import dataclasses
import itertools
from typing import Any

from jaxdl.runs import certificate, checkpoint, files, identity
from jaxdl.runs.record import Run

DIGITS = 6  # of the figures in summary.json


@dataclasses.dataclass(frozen=True)
class Checked:
  """What the files of a run say about each other.

  Attributes:
    steps: steps of the checkpoints, ascending.
    certificates: step → certificate; {} for a checkpoint of an older version.
    configs: step → the config of its session.
    faults: one text for each contradiction.
  """

  steps: list[int]
  certificates: dict[int, dict[str, Any]]
  configs: dict[int, dict[str, Any]]
  faults: list[str]


def check(run: Run) -> Checked:
  """Compares the files of a run with the checksums in its checkpoints.

  Args:
    run: a run in a folder, as returned by `runs.load`.

  Returns:
    Checked.

  Raises:
    ValueError: a checkpoint is damaged.
    FileNotFoundError: there is no checkpoint.
  """
  steps = checkpoint.kept_steps(run.folder)
  if not steps:
    raise FileNotFoundError(f'{run.folder} has no checkpoint: give the folder of a trained run')
  configs = {step: checkpoint.read_step(run.folder, step)[2] for step in steps}
  with checkpoint.manager(run.folder) as checkpoints:
    certificates = {step: checkpoint.text(checkpoints, step, 'certificate') for step in steps}
  faults = [
    *_faults_of_configs(run, configs),
    *_faults_of_certificates(certificates),
    *_faults_of_journal(run.folder, certificates),
    *_faults_of_summary(run),
  ]
  return Checked(steps, certificates, configs, faults)


def _faults_of_configs(run, configs):
  for step, config in configs.items():
    if changed := identity.keys_against_resuming(config, run.config):
      yield f'config.json differs from the config of checkpoint {step:,} in {", ".join(changed)}'


def _faults_of_certificates(certificates):
  for step, found in certificates.items():
    if found and (wrong := certificate.fault(found)):
      yield f'the certificate of checkpoint {step:,} {wrong}'


def _faults_of_journal(folder, certificates):
  """The first checkpoint whose part of the journal has changed; later ones contain this part."""
  before = 0
  for step, found in certificates.items():
    recorded = found.get('journal')
    if not recorded or certificate.fault(found):
      continue
    now = certificate.of_journal(folder, step)
    if now != recorded:
      lines = ''
      if now['lines'] != recorded['lines']:
        lines = f' ({recorded["lines"]:,} lines were written, {now["lines"]:,} are there)'
      yield f'metrics.jsonl was changed between step {before:,} and step {step:,}{lines}'
      return
    before = step


def _faults_of_summary(run):
  """Figures of summary.json that differ from those of the journal at the same step."""
  step = run.summary.get('step')
  for line in files.journal(run.folder):
    if line['step'] != step or line['split'] == 'train':
      continue
    for name, value in line.items():
      key = f'{line["split"]}_{name}'
      found = run.summary.get(key)
      if isinstance(value, float) and found is not None and found != round(value, DIGITS):
        yield (
          f'summary.json has {key}={found}, but the journal has {round(value, DIGITS)} at step '
          f'{step:,}'
        )


def intervals(steps: list[int], first: int | None, last: int | None) -> list[tuple[int, int]]:
  """The intervals between checkpoints that are to be replayed.

  Args:
    steps: steps of the checkpoints, ascending, at least one.
    first: step at which the replay starts: one of `steps`, or 0 for the initial state. None for the
      checkpoint before `last`.
    last: last step of the replay; None for the last checkpoint.

  Returns:
    (first, last) of each interval.

  Raises:
    ValueError: `first` is no checkpoint, or not before `last`.
  """
  starts = [0, *steps]
  last = steps[-1] if last is None else last
  before = [step for step in starts if step < last]
  if not before:
    raise ValueError(f'--to={last} is not after step 0: give a later step')
  first = before[-1] if first is None else first
  if first not in starts:
    known = ', '.join(map(str, starts))
    raise ValueError(f'--from={first} is no checkpoint of the run: use one of {known}')
  if first not in before:
    raise ValueError(f'--from={first} is not before --to={last}: give an earlier step')
  points = [step for step in starts if first <= step < last]
  return list(itertools.pairwise([*points, last]))
