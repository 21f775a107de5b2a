"""Groups the members of a sweep that one compiled program can train."""

import copy
import json
from collections.abc import Sequence
from typing import Any

import jax

from jaxdl.config import named
from jaxdl.sweeps import members as sweep_members
from jaxdl.sweeps.members import Member

Place = tuple[str | int, ...]  # path of keys and positions to a value of a config


def grouped(found: Sequence[Member], *, together: str) -> list[list[Member]]:
  """Groups the members that one compiled program can train.

  The members of a group may differ in the seed, the learning rate, the strength of the L2 penalty
  and the dropout rates, if these are not 0. Any other difference, such as a layer or a batch size,
  needs a separate program. Members are trained one after another if they read photographs, depend
  on the validation loss, write a trace or compute shards. All members of one seed are built here,
  so that errors are raised before the first run.

  Args:
    found: the members.
    together: which members are compiled together: 'auto' (on a CPU, only as many as can be divided
      over two or more devices, which was measured to be faster) | 'always' | 'never'.

  Returns:
    The groups of one or more members.

  Raises:
    ValueError, OSError: as in `experiment.build`.
  """
  by_structure = {}
  for member in found:
    key = json.dumps([separated(member.config)[0], named.record(member.config)], sort_keys=True)
    by_structure.setdefault(key, []).append(member)
  groups = []
  for members in by_structure.values():
    built = [sweep_members.built(member) for member in members if member.seed == members[0].seed]
    shared = _count_shared(len(members), together) if _can_share(built[-1]) else 0
    if shared:
      groups.append(members[:shared])
    groups += [[member] for member in members[shared:]]
  return groups


def _can_share(experiment):
  """Whether an experiment can share a program with others."""
  is_resident = experiment.data.splits['train'].capacity is None
  is_plain = experiment.observe is None and not experiment.profile
  return is_plain and experiment.recipe.shards == 1 and is_resident


def _count_shared(count, together):
  """The number of members, out of `count`, that share a program."""
  if together != 'auto':
    return count if together == 'always' else 0
  if jax.default_backend() != 'cpu':
    return count
  devices = jax.device_count()
  return count // devices * devices if devices > 1 else 0


def separated(config: dict[str, Any]) -> tuple[dict[str, Any], dict[Place, Any]]:
  """Separates the numbers that may be arguments of a compiled program from the rest of a config.

  Args:
    config: config of a member, or of its experiment.

  Returns:
    (rest, place → number). Members can share a program if their rests are equal. The rest has
    neither the seed, which is also an argument, nor 'reported', which training does not use. It has
    keys such as `log_every`, because one loop trains all members.
  """
  fixed = copy.deepcopy(config)
  for key in ('seed', 'reported'):
    fixed.pop(key, None)
  places = [('optimizer', 'learning_rate'), ('l2',), ('model', 'dropout')]
  places += [('model', 'layers', number, 'rate') for number, _ in enumerate(_layers(config))]
  numbers = {}
  for *path, key in places:
    section = _below(fixed, path)
    if isinstance(section, dict) and section.get(key):
      numbers[(*path, key)] = section[key]
      section[key] = 'an argument'
  return fixed, numbers


def with_numbers(config: dict[str, Any], numbers: dict[Place, Any]) -> dict[str, Any]:
  """Inserts numbers, which may be traced, into a config at their places."""
  config = copy.deepcopy(config)
  for (*path, key), number in numbers.items():
    _below(config, path)[key] = number
  return config


def _layers(config):
  layers = _below(config, ('model', 'layers'))
  return layers if isinstance(layers, (list, tuple)) else ()


def _below(config: Any, path: Sequence[str | int]) -> Any:
  """The value at a path of keys and positions; None if there is none."""
  for key in path:
    try:
      config = config[key]
    except (KeyError, IndexError, TypeError):
      return None
  return config
