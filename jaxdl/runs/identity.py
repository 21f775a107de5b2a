"""Which config keys make another run: one table, and the questions it answers."""

import dataclasses
import enum
from collections.abc import Callable
from typing import Any

from jaxdl import models
from jaxdl.config import differences
from jaxdl.runs import format


class Resume(enum.Enum):
  """Whether a key may change between two sessions of a run."""

  NEVER = 'never'
  SAME_EXAMPLES = 'where the checksums of the examples are equal'
  ALWAYS = 'always'


@dataclasses.dataclass(frozen=True)
class Key:
  """What a config key is; the defaults are those of a key that is not in the table.

  Attributes:
    resume: whether a run may resume with another value.
    same_experiment: whether runs that differ in it are runs of one experiment.
    hyperparameter: whether it is listed among the hyper-parameters of a run.
  """

  resume: Resume = Resume.NEVER
  same_experiment: bool = False
  hyperparameter: bool = True


# How a run is logged, saved and computed, which does not change what is learned.
_CONDUCT = Key(Resume.ALWAYS, same_experiment=True, hyperparameter=False)
# Where its data are read from.
_PLACE = Key(Resume.SAME_EXAMPLES, same_experiment=True, hyperparameter=False)
# What was found of its data and follows from other keys.
_FOUND = Key(Resume.NEVER, same_experiment=True, hyperparameter=False)

# Config key → what it is. A key stands for those below it that have no entry of their own.
KEYS = {
  'format': _CONDUCT,
  'train_for': Key(Resume.ALWAYS),
  'seed': Key(same_experiment=True),
  'log_every': _CONDUCT,
  'evaluate_every': Key(Resume.ALWAYS, same_experiment=True),  # among what to choose the best
  'checkpoint_every': _CONDUCT,
  'keep_every': _CONDUCT,
  'profile': _CONDUCT,
  'reported': _CONDUCT,
  'cpu_devices': _CONDUCT,
  'data.workers': _CONDUCT,
  'data.class_names': _CONDUCT,  # the names themselves are compared, as dataset.classes
  'data.folder': _PLACE,
  'data.copy': _PLACE,
  'data.source': _PLACE,
  'data.data_dir': _PLACE,
  'dataset': _FOUND,
  'dataset.origin': _PLACE,
  # Runs of format 1 may not have these.
  'dataset.steps_per_epoch': _CONDUCT,
  'dataset.examples': _CONDUCT,
  'dataset.examples_per_class': _CONDUCT,
  'dataset.checksums': _CONDUCT,  # compared on their own
  'dataset.folder': _CONDUCT,
  'dataset.copy': _CONDUCT,
  'dataset.data_dir': _CONDUCT,
}


def of(key: str) -> Key:
  """What a config key is, such as 'data.folder' or 'model.layers[0].features'."""
  while key and key not in KEYS:
    key = key.rpartition('.')[0]
  return KEYS.get(key, Key())


def keys_against_resuming(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
  """The keys whose change keeps a run from resuming.

  Args:
    before: `config.json`.
    now: the config of the session that is to resume it, with its 'dataset'.

  Returns:
    The keys in order; [] where the run may resume if its checksums, where there are any, are equal.
  """
  allowed = (Resume.ALWAYS, Resume.SAME_EXAMPLES) if checksums(before) else (Resume.ALWAYS,)
  return _changed(before, now, lambda key: of(key).resume not in allowed)


def keys_of_another_run(before: dict[str, Any], config: dict[str, Any]) -> list[str]:
  """The keys in which a run's `config.json` differs from a config so that it is not its run.

  Args:
    before: `config.json`.
    config: as in a config file, whose data have not been read.

  Returns:
    The keys in order. The seed is one of them, and so are the places of the data: whether other
    places hold the same examples is known only when the data are read.
  """

  def matters(key):
    kind = of(key)
    same = kind.same_experiment and kind.resume is Resume.ALWAYS
    return not same and key.partition('.')[0] != 'dataset'

  return _changed(before, _with_classes(before, config), matters)


def keys_of_another_experiment(before: dict[str, Any], config: dict[str, Any]) -> list[str]:
  """The keys in which a run's `config.json` differs from a config so that it is another experiment.

  Args:
    before: `config.json`.
    config: as in a config file, whose data have not been read.

  Returns:
    The keys in order. Runs of one experiment may differ in the seed.
  """
  now = _with_classes(before, config)
  return _changed(before, now, lambda key: not of(key).same_experiment)


def checksums(config: dict[str, Any]) -> dict[str, str]:
  """Split → checksum of its examples; {} where the config has none, as some of format 1."""
  found = config.get('dataset')
  checksums = found.get('checksums') if isinstance(found, dict) else None
  return checksums if isinstance(checksums, dict) else {}


def _with_classes(before, config):
  """A config whose 'classes' are as many as the data of a run have."""
  classes = before.get('dataset', {}).get('classes', ())
  return {**config, 'model': models.with_classes(config.get('model'), len(classes))}


def _changed(before, now, matters: Callable[[str], bool]) -> list[str]:
  changed = differences.changed_keys(format.upgraded(before), format.upgraded(now))
  return [key for key in changed if matters(key)]
