"""The networks of an exam: one config, trained with several seeds."""

import pathlib
from collections.abc import Sequence

import ml_collections

from jaxdl.config import checks, named, reading
from jaxdl.sweeps.members import MOST, Member, unfinished
from jaxdl.sweeps.training import Trainer


def members(config: ml_collections.ConfigDict, name: str, seeds: int) -> list[Member]:
  """The runs of an exam: the config's seed and the following ones.

  Args:
    config: config of an experiment.
    name: its name.
    seeds: number of runs.

  Returns:
    The runs; the folder of each is 'seed0', 'seed1', ….

  Raises:
    ValueError: fewer than one run or more than MOST, or a seed that is no seed.
  """
  if seeds < 1:
    raise ValueError(f'--seeds={seeds} is too few: use at least 1, or 5 for an interval')
  if seeds > MOST:
    raise ValueError(f'--seeds={seeds:,} is too many: use at most {MOST:,}')
  resolved = named.link(reading.to_dict(config))
  first = resolved.get('seed', 0)
  checks.check_seed(first, 'config.seed')
  checks.check_seed(first + seeds - 1, f'config.seed={first} + --seeds - 1')
  return [
    Member(name, {}, seed, name, {**resolved, 'seed': seed}, f'seed{seed}')
    for seed in range(first, first + seeds)
  ]


def train(
  found: Sequence[Member], workdir: pathlib.Path, command: str, signals: list, *, start_over: bool
) -> dict[str, str]:
  """Trains the runs that have not finished, one after another.

  A network's numbers do not depend on the other seeds, unlike those of runs compiled together.

  Args:
    found: the runs.
    workdir: folder of the exam.
    command: the command, for command.txt.
    signals: the signals received so far; training stops after the first.
    start_over: whether a run whose checkpoints are all damaged restarts.

  Returns:
    Folder of a run → why it failed.

  Raises:
    ValueError, OSError: as in `experiment.build`.
  """
  waiting = unfinished(found, workdir)
  finished = [member for member in found if member not in waiting]
  trainer = Trainer(workdir, command, finished=finished, start_over=start_over)
  for member in waiting:
    trainer.train([member], signals)
  return trainer.faults | trainer.damaged
