"""The format of a run's files: its number, and the conversion of configs of earlier formats.

The number is the key 'format' of `config.json` and of the config in each checkpoint.

Format 1 (without a number): `task` may be a name instead of a section, and `seed` may be missing.
The facts about the data ('dataset') may be missing or incomplete, and a checkpoint may have no
checksums.

Format 2: `task` is a section, `seed` and 'dataset' are complete, and every checkpoint has
  checksums.
"""

from collections.abc import Mapping
from typing import Any

from jaxdl.config import binding

FORMAT = 2
KEY = 'format'
ABSENT = object()  # the value of a missing key


def number(config: Mapping[str, Any]) -> int:
  """The number of the format in which a config was written."""
  found = config.get(KEY)
  return found if isinstance(found, int) else 1


def check(config: dict[str, Any], where: object) -> None:
  """Raises ValueError if a newer version wrote a config; `where` is its file or folder."""
  if number(config) > FORMAT:
    raise ValueError(
      f'{where} was written by a newer version (format {number(config)}; this one reads up to '
      f'{FORMAT}): update jaxdl'
    )


def upgraded(config: dict[str, Any]) -> dict[str, Any]:
  """Converts a config of any format to the form of the current one; its number is kept.

  Args:
    config: a config as it was written with a run, or from a config file.
  """
  if number(config) > 1:
    return config
  config = {'seed': 0, **config}
  if 'task' in config:
    config['task'] = binding.as_section(config['task'])
  return config


def dataset(config: dict[str, Any], where: object) -> dict[str, Any]:
  """The facts about a run's data.

  Args:
    config: the run's config.
    where: the run's folder, for messages.

  Raises:
    ValueError: the run was written by a version that did not record all that its network needs.
  """
  if missing := unrecorded(config):
    raise ValueError(
      f'{where} was trained by an older version, which did not record {missing}: train it again'
    )
  return config['dataset']


def unrecorded(config: Mapping[str, Any]) -> str:
  """What a run did not record of `missing_facts`, such as 'its data'; '' if nothing is missing."""
  missing = missing_facts(config)
  if missing and 'dataset' not in config:
    return 'its data'
  return missing[0] if missing else ''


def missing_facts(config: Mapping[str, Any]) -> list[str]:
  """The missing keys without which a network cannot be applied; runs of format 1 may lack some.

  Args:
    config: the run's config, whose keys have valid values (`keys.CONFIG`).
  """
  data, task = config.get('data', {}), binding.as_section(config.get('task', {}))
  needed = ['task.name', 'dataset.classes', 'dataset.input_shape']
  if task.get('name') == 'next_char' or 'time_step' in data:
    needed.append('data.time_step')
  else:
    needed += ['dataset.mean', 'dataset.deviation']
  if task.get('name') == 'regress':
    needed += [f'dataset.targets.{key}' for key in ('names', 'mean', 'deviation')]
  if data.get('name') == 'table':
    needed += ['dataset.table.columns', 'dataset.table.targets']
  there = {**config, 'task': task}
  return [key for key in needed if value_of(there, key) is ABSENT]


def value_of(config: Any, key: str) -> Any:
  """The value of a key such as 'dataset.mean'; ABSENT if a section lacks it."""
  for part in key.split('.'):
    config = config.get(part, ABSENT) if isinstance(config, dict) else ABSENT
  return config
