"""The runs of a sweep, read from its config."""

import dataclasses
import hashlib
import itertools
import math
import os
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import ml_collections

from jaxdl.config import binding, checks, library, named, paths, reading
from jaxdl.runs import record
from jaxdl.training import experiment

MOST = 10_000  # runs of a sweep
LONGEST = 200  # characters of the folder of a label


@dataclasses.dataclass(frozen=True)
class Member:
  """One run of a sweep.

  Attributes:
    label: names of its choices, such as 'LSTM, 64'; runs that differ only in the seed share it.
    choices: axis → name of the choice.
    seed: root of the run's random draws.
    name: name of the base config.
    config: the config of the run.
    folder: the run's folder, relative to the sweep's folder.
  """

  label: str
  choices: dict[str, str]
  seed: int
  name: str
  config: dict[str, Any]
  folder: str


def unfinished(found: Sequence[Member], workdir: pathlib.Path) -> list[Member]:
  """The runs that have not finished.

  Args:
    found: the runs.
    workdir: folder of all runs.
  """
  return [
    member for member in found if record.finished(workdir / member.folder, member.config) is None
  ]


def read(
  config: ml_collections.ConfigDict | dict[str, Any], path: str | os.PathLike
) -> list[Member]:
  """Reads the members of a sweep; the seeds vary fastest.

  The keys of a sweep's config are:

  - 'base': the config from which every member starts, as a path relative to the sweep's file or as
    the name of a config in the package
  - 'axes': list of 'name' and 'choices'; a choice has a 'name' and the sections and keys that it
    sets, and its 'base' selects another config
  - 'seeds': the seeds
  - 'common': keys that are set in every member
  - 'reported': label → published metrics

  Args:
    config: the sweep's config.
    path: path of the sweep's file.

  Returns:
    The members.

  Raises:
    ValueError: a key is missing or misspelt, there is no choice or seed, or a label in 'reported'
      belongs to no member.
  """
  return binding.bind_one(_members, reading.to_dict(config), 'config', path=pathlib.Path(path))()


def _members(path, *, base, axes, seeds, common=None, reported=None):
  are_numbers = isinstance(seeds, list) and all(isinstance(seed, int) for seed in seeds)
  if not seeds or not are_numbers or len(set(seeds)) < len(seeds):
    raise ValueError(
      f'config.seeds={seeds!r} is not a list of different seeds: write (0, 1, 2), or (0,) for one '
      'seed'
    )
  if not isinstance(axes, list):
    raise ValueError(
      f"config.axes={axes!r} is not a list of axes: write (dict(name='cell', choices=(…)),)"
    )
  for key, section in (('common', common), ('reported', reported)):
    checks.check_section(section or {}, f'config.{key}')
  choices = [_choices(number, axis) for number, axis in enumerate(axes)]
  if (count := len(seeds) * math.prod(map(len, choices))) > MOST:
    raise ValueError(
      f'config.axes and config.seeds ask for {count:,} runs: ask for at most {MOST:,}'
    )
  found = []
  for chosen in itertools.product(*choices):
    names = [name for name, _ in chosen]
    label = ', '.join(names)
    changes = [common or {}, *(change for _, change in chosen)]
    start = next((change['base'] for change in reversed(changes) if 'base' in change), base)
    config = resolved(path, start, changes)
    checks.check_section(figures := (reported or {}).get(label, {}), f'config.reported.{label}')
    config['reported'] = {'source': config.get('reported', {}).get('source'), **figures}
    place = _folder(label) if axes else ''
    choices = dict(zip((axis['name'] for axis in axes), names, strict=True))
    found += [
      Member(
        label=label,
        choices=choices,
        seed=seed,
        name=pathlib.Path(start).stem,
        config={**config, 'seed': seed},
        folder=f'{place}/seed{seed}' if place else f'seed{seed}',
      )
      for seed in seeds
    ]
  labels = list(dict.fromkeys(member.label for member in found))
  if unknown := set(reported or {}) - set(labels):
    raise ValueError(
      f'config.reported.{min(unknown)} is not a member of the sweep: its labels are '
      f'{"; ".join(labels)}'
    )
  if len({member.folder for member in found}) < len(found):
    raise ValueError(
      f'two of the labels {"; ".join(labels)} would share a folder: give them other letters or '
      'digits'
    )
  return found


def resolved(path: pathlib.Path, start: Any, changes: Sequence[dict[str, Any]]) -> dict[str, Any]:
  """A base config with changes, its own code linked.

  Args:
    path: the sweep's file.
    start: value of the key 'base'.
    changes: sections and keys to set.

  Raises:
    ValueError: the base config is missing or invalid.
  """
  if not isinstance(start, str):
    raise ValueError(f"config.base={start!r} is not a path: write '../lstm_mnist.py'")
  config = reading.to_dict(reading.read_file(_base(path, start)))
  for change in changes:
    named.locate(change, path.parent)
    config = _changed(config, {key: value for key, value in change.items() if key != 'base'})
  config = named.link(config)
  checks.check_section(config.get('reported', {}), 'config.reported')
  return config


def _folder(label):
  """The folder of a label: its letters and digits of ASCII.

  A hash is added to a long one, and replaces the letters of a label that has none of ASCII.
  """
  letters = re.sub(r'[^a-z0-9]+', '_', label.lower()).strip('_')
  if letters and len(letters) <= LONGEST:
    return letters
  digest = hashlib.sha256(label.encode()).hexdigest()[:8]
  return f'{letters[:LONGEST]}_{digest}'.lstrip('_')


def _base(path, start):
  """The file of a base, given relative to the sweep's file or as a config name of the package."""
  file = path.parent / start
  if file.is_file():
    return file
  # If a sweep was copied out of the package, its base '../lstm_mnist.py' is found in the package.
  return library.find(start) or library.find(file.stem) or file


def _choices(number, axis):
  """(name, sections and keys to set) of every choice of an axis."""
  try:
    found = [
      (choice['name'], {key: value for key, value in choice.items() if key != 'name'})
      for choice in axis['choices']
    ]
  except (KeyError, TypeError, AttributeError):
    found = []
  names = [*(name for name, _ in found), axis.get('name')] if found else [None]
  named = [name for name, _ in found if isinstance(name, str)]
  twice = [name for name in named if named.count(name) > 1]
  if twice:
    raise ValueError(
      f'config.axes[{number}] has two choices with the name {twice[0]!r}: give each another name'
    )
  if invalid := [name for name in named if not paths.is_utf8(name)]:
    raise ValueError(f'config.axes[{number}] has the name {invalid[0]!a}, which is not UTF-8')
  if not all(isinstance(name, str) for name in names):
    raise ValueError(
      f"config.axes[{number}] is not an axis: write dict(name='cell', choices=(dict(name='LSTM', "
      "model=dict(cell='lstm')), …))"
    )
  return found


def _changed(config, change):
  """Applies the keys of a change to a config, section by section.

  A section that gets another name loses its other keys, which are those of the name before.
  """
  below = {
    key: _changed(config[key], value)
    for key, value in change.items()
    if isinstance(value, dict)
    and isinstance(config.get(key), dict)
    and not _is_replaced(key, config[key], value)
  }
  return {**config, **change, **below}


def _is_replaced(key, section, change):
  """Whether a section gets another name, which has other keys. Data sets share most of theirs."""
  return key != 'data' and 'name' in change and change['name'] != section.get('name')


def built(member: Member, *, format: int | None = None) -> experiment.Experiment:
  """Builds the Experiment of a member; errors include its label. `format` is as in `build`."""
  try:
    return experiment.build(member.config, member.name, format=format)
  except ValueError as error:
    raise ValueError(f'{member.label}: {error}') from None
