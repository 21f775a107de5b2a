"""Binds a config's data section to the loader of its data set."""

import functools
import inspect
from collections.abc import Mapping
from typing import Any

from jaxdl.config import binding, checks
from jaxdl.data import DATA_SETS, own
from jaxdl.data.dataset import Data
from jaxdl.data.photographs import division


def bind(
  section: dict[str, Any], *, seed: int, task: str | None = None, given: Any = None
) -> functools.partial:
  """Binds the keys of a data section as keyword arguments of its loader.

  Args:
    section: the data section: 'name', of DATA_SETS or own code, and the arguments of the loader.
    seed: the config's seed.
    task: name of the config's task, which some loaders accept.
    given: arrays in Python, which the loader of 'arrays' accepts; None for none.

  Returns:
    functools.partial, which returns Data.

  Raises:
    ValueError: an unknown name, an unknown or missing key, or arrays for another data set.
  """
  checks.check_section(section, 'config.data')
  name = section.get('name')
  loader = DATA_SETS.get(name) if isinstance(name, str) else None
  accepted = inspect.signature(loader).parameters if loader else {}
  if given is not None and 'given' not in accepted:
    raise ValueError(
      f"config.data.name={name!r} reads its own data, but data is given too: set data.name='arrays'"
    )
  if given is not None and section.get('file') is not None:
    raise ValueError(
      f'config.data.file={section["file"]!r} is set, but data is given too: leave one of them out'
    )
  further = {key: value for key, value in {'task': task, 'given': given}.items() if key in accepted}
  return binding.bind(DATA_SETS, section, 'config.data', own=own.loader, seed=seed, **further)


def check_classes(section: Mapping[str, Any], data: Data) -> None:
  """Checks that each split of photographs that is a complete folder contains all classes.

  Args:
    section: the data section of a config.
    data: its Data.

  Raises:
    ValueError: the folder of a split of photographs lacks a class.
  """
  if data.name == 'image_folder':
    splits = section.get('splits')
    given = splits if isinstance(splits, dict) else division.COMPLETE
    division.check_classes(given, data.per_class, data.classes)
