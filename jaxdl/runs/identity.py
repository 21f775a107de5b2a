"""Decides from one table which config keys distinguish runs and experiments."""

import contextlib
import dataclasses
import enum
from collections.abc import Callable
from typing import Any

from jaxdl import models
from jaxdl.config import differences, named
from jaxdl.runs import format
from jaxdl.step import class_weights


class Resume(enum.Enum):
  """Whether a key may change between two sessions of a run."""

  NEVER = 'never'
  SAME_EXAMPLES = 'if the checksums of the examples are equal'
  ALWAYS = 'always'


@dataclasses.dataclass(frozen=True)
class Key:
  """Properties of a config key. The defaults apply to keys that are not in the table.

  Attributes:
    resume: whether a run may resume with another value.
    same_experiment: whether runs with different values belong to one experiment.
    hyperparameter: whether the key is listed among the hyper-parameters of a run.
  """

  resume: Resume = Resume.NEVER
  same_experiment: bool = False
  hyperparameter: bool = True


# How a run is logged, saved and computed; does not change what is learned.
_CONDUCT = Key(Resume.ALWAYS, same_experiment=True, hyperparameter=False)
# Where the data are read from.
_PLACE = Key(Resume.SAME_EXAMPLES, same_experiment=True, hyperparameter=False)
# Facts about the data, which follow from other keys.
_FOUND = Key(Resume.NEVER, same_experiment=True, hyperparameter=False)

# Config key → its properties. An entry also applies to the keys below it without their own entry.
KEYS = {
  'format': _CONDUCT,
  'origin': _CONDUCT,  # of the weights with which a run started; its session records it
  'train_for': Key(Resume.ALWAYS),
  'seed': Key(same_experiment=True),
  'log_every': _CONDUCT,
  'metrics': _CONDUCT,
  'evaluate_every': Key(Resume.ALWAYS, same_experiment=True),  # affects the best checkpoint
  'checkpoint_every': _CONDUCT,
  'keep_every': _CONDUCT,
  'profile': _CONDUCT,
  'reported': _CONDUCT,
  'test_augment': _CONDUCT,
  'cpu_devices': _CONDUCT,
  'code.path': _CONDUCT,  # the files themselves, code.sha256, are compared
  'data.workers': _CONDUCT,
  'data.class_names': _CONDUCT,  # dataset.classes, the names themselves, are compared instead
  'data.folder': _PLACE,
  'data.file': _PLACE,
  'data.copy': _PLACE,
  'data.source': _PLACE,
  'data.follow_links': _PLACE,
  'data.data_dir': _PLACE,
  'dataset': _FOUND,
  'dataset.origin': _PLACE,
  # Runs of format 1 may lack these keys.
  'dataset.steps_per_epoch': _CONDUCT,
  'dataset.examples': _CONDUCT,
  'dataset.examples_per_class': _CONDUCT,
  'dataset.checksums': _CONDUCT,  # compared separately
  'dataset.appearance': _CONDUCT,
  'dataset.licence': _CONDUCT,
  'dataset.revision': _CONDUCT,
  'dataset.folder': _CONDUCT,
  'dataset.file': _CONDUCT,
  'dataset.copy': _CONDUCT,
  'dataset.data_dir': _CONDUCT,
}


def of(key: str) -> Key:
  """The properties of a config key, such as 'data.folder' or 'model.layers[0].features'."""
  while key and key not in KEYS:
    key = key.rpartition('.')[0]
  return KEYS.get(key, Key())


def keys_against_resuming(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
  """The changed keys that prevent a run from resuming.

  Args:
    before: the run's `config.json`.
    now: the config of the session that is to resume the run, with its 'dataset'.

  Returns:
    The keys in order. If there are none, the run may resume, provided that its checksums (if it has
    any) are equal.
  """
  allowed = (Resume.ALWAYS, Resume.SAME_EXAMPLES) if checksums(before) else (Resume.ALWAYS,)
  return _changed(before, now, lambda key: of(key).resume not in allowed)


def keys_of_another_run(before: dict[str, Any], config: dict[str, Any]) -> list[str]:
  """Lists the keys by which a config describes another run than a `config.json`.

  Args:
    before: the run's `config.json`.
    config: a config as in a config file; its data have not been read.

  Returns:
    The keys in order. They include the seed and the locations of the data: only reading the data
    shows whether another location holds the same examples.
  """

  def matters(key):
    kind = of(key)
    same = kind.same_experiment and kind.resume is Resume.ALWAYS
    return not same and key.partition('.')[0] != 'dataset'

  return _changed(before, _with_facts(before, config), matters)


def keys_of_another_experiment(before: dict[str, Any], config: dict[str, Any]) -> list[str]:
  """Lists the keys by which a config describes another experiment than a `config.json`.

  Args:
    before: the run's `config.json`.
    config: a config as in a config file; its data have not been read.

  Returns:
    The keys in order. Runs of one experiment may differ in the seed.
  """
  now = _with_facts(before, config)
  return _changed(before, now, lambda key: not of(key).same_experiment)


def checksums(config: dict[str, Any]) -> dict[str, str]:
  """Split → checksum of its examples; {} if the config has none, as in some runs of format 1."""
  found = config.get('dataset')
  checksums = found.get('checksums') if isinstance(found, dict) else None
  return checksums if isinstance(checksums, dict) else {}


def _with_facts(before, config):
  """Returns a config with the values that the run's `build` derived from the data.

  These are the number of outputs for 'classes', the class weights, whether sequences are masked,
  and the facts about own code.
  """
  facts = before.get('dataset', {})
  classes, targets = facts.get('classes', ()), facts.get('targets') or {}
  model = models.with_classes(config.get('model'), len(targets.get('names', ())) or len(classes))
  if facts.get('masked') and isinstance(model, dict):
    model = {**model, 'masked': True}
  code = named.record(config)
  filled = {**config, 'model': model, **({named.KEY: code} if code else {})}
  counts = facts.get('examples_per_class', {}).get('train')
  with contextlib.suppress(ValueError):  # invalid weights are those of another run
    filled['task'] = class_weights.as_numbers(config.get('task'), classes, counts)
  return filled


def _changed(before, now, matters: Callable[[str], bool]) -> list[str]:
  changed = differences.changed_keys(format.upgraded(before), format.upgraded(now))
  return [key for key in changed if matters(key)]
