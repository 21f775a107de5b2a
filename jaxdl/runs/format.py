"""The format of a run's files: its number, and how configs of earlier formats are read.

The number is the key 'format' of `config.json` and of the config in each checkpoint.

Format 1 (without a number): `task` may be a name instead of a section, and `seed` may be missing.
What was found of the data ('dataset') may be missing or incomplete, and a checkpoint may have no
checksums.

Format 2: `task` is a section, `seed` and 'dataset' are complete, and every checkpoint has
checksums.
"""

from typing import Any

from jaxdl.config import binding

FORMAT = 2
KEY = 'format'


def stamped(config: dict[str, Any]) -> dict[str, Any]:
  """A config with the number of the present format, as it is written."""
  return {**config, KEY: FORMAT}


def number(config: dict[str, Any]) -> int:
  """The number of the format in which a config was written."""
  found = config.get(KEY)
  return found if isinstance(found, int) else 1


def check(config: dict[str, Any], where: object) -> None:
  """Raises ValueError where a newer version wrote a config; `where` is its file or folder."""
  if number(config) > FORMAT:
    raise ValueError(
      f'{where} was written by a newer version (format {number(config)}; this one reads up to '
      f'{FORMAT}): update jaxdl'
    )


def upgraded(config: dict[str, Any]) -> dict[str, Any]:
  """A config of any format in the form of the present one; its number stays.

  Args:
    config: as it was written, or as it is in a config file.
  """
  if number(config) > 1:
    return config
  config = {'seed': 0, **config}
  if 'task' in config:
    config['task'] = binding.as_section(config['task'])
  return config


def dataset(config: dict[str, Any], where: object) -> dict[str, Any]:
  """What was found of a run's data.

  Args:
    config: of the run.
    where: the run's folder, for messages.

  Raises:
    ValueError: the run is of a version that did not keep it.
  """
  if 'dataset' not in config:
    raise ValueError(
      f'{where} was trained by an older version, which kept nothing of its data: train it again'
    )
  return config['dataset']
