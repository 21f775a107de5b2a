"""Reads configs from a file and from the command line."""

import argparse
import importlib.util
import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import ml_collections
from absl import flags
from ml_collections import config_flags

from jaxdl.config import differences, overrides, spelling


def from_command_line(
  parser: Any, arguments: Sequence[str]
) -> tuple[argparse.Namespace, ml_collections.ConfigDict]:
  """Parses `--config=FILE --config.a.b=value …` together with the flags of a command.

  Args:
    parser: `command.Parser` with a config, and the command's own flags.
    arguments: the command line, with the program's name first.

  Returns:
    (the flags, whose `config` is the file's path; the config with every override applied).

  Raises:
    ValueError: a missing or broken config file, an unknown key, a value of the wrong type, an
      unknown flag.
  """
  own, rest = parser.parse_known_args(map(overrides.literal, arguments[1:]))
  if own.config is None:
    raise ValueError(parser.without_config(rest))
  config = read_file(own.config)
  new = [argument for argument in rest if overrides.is_new(argument, config, own.config)]
  line = [
    arguments[0],
    f'--config={own.config}',
    *(argument for argument in rest if argument not in new),
  ]
  config_flags.DEFINE_config_file(
    'config', None, flag_values=(values := flags.FlagValues()), sys_argv=line
  )
  try:
    surplus = values(line)[1:]
  except flags.UnrecognizedFlagError as error:
    key = spelling.same(error.flagname, differences.flat(to_dict(config)))
    near = spelling.meant(f'--{error.flagname}', [f'--{name}' for name in vars(own)])
    hint = f'; of the config it is --config.{key}' if key else near
    others = ', '.join(f'--{name}' for name in vars(own) if name != 'config')
    raise ValueError(
      f'--{error.flagname} is unknown: the flags are --config, --config.KEY, {others}{hint}'
    ) from None
  except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
    raise ValueError(overrides.unread(str(error).strip().partition('\n')[0])) from error
  if surplus:
    raise ValueError(f'argument {surplus[0]!r} is not a flag: flags begin with --')
  for argument in new:
    overrides.add(values.config, argument, own.config)
  return own, values.config


def read_file(path: str | os.PathLike) -> ml_collections.ConfigDict:
  """Reads a config file.

  Args:
    path: a Python file with a function `get_config()`.

  Returns:
    What the function returns.

  Raises:
    ValueError: there is no such file, and the message names those there are; or it is not a config.
  """
  file = pathlib.Path(path)
  if not file.is_file():
    fault = 'is a folder' if file.is_dir() else 'does not exist'
    raise ValueError(f'config file {path} {fault}: {_suggestion(file)}')
  if file.suffix != '.py':
    raise ValueError(
      f'config file {path} is not Python: give a .py file with a function get_config()'
    )
  spec = importlib.util.spec_from_file_location(file.stem, file)
  assert spec is not None  # as for every .py file
  assert spec.loader is not None
  module = importlib.util.module_from_spec(spec)
  try:
    spec.loader.exec_module(module)
    found = module.get_config() if hasattr(module, 'get_config') else None
  except Exception as error:
    raise ValueError(
      f'config file {path} cannot be read ({type(error).__name__}: {error})'
    ) from error
  if not isinstance(found, ml_collections.ConfigDict):
    raise ValueError(f'config file {path} has no function get_config() that returns a ConfigDict')
  return found


def _suggestion(file):
  """Which config files there are, for a message about one that is missing."""
  if file.is_dir():
    folder = file
  elif list(file.parent.glob('*.py')):
    folder = file.parent
  else:
    folder = pathlib.Path('configs')
  found = {path.stem: str(path) for path in sorted(folder.glob('*.py'))}
  if not found:
    return 'check the path'
  near = spelling.nearest(file.stem, found)
  likely = [found[near]] if near else found.values()
  return f'did you mean {", ".join(likely)}?'


def to_dict(config: ml_collections.ConfigDict | dict[str, Any]) -> dict[str, Any]:
  """A config as plain JSON data: dicts, lists, numbers and strings.

  Raises:
    ValueError: it holds something else.
  """
  plain = config.to_dict() if isinstance(config, ml_collections.ConfigDict) else config
  try:
    return json.loads(json.dumps(plain))
  except (TypeError, RecursionError) as error:
    raise ValueError(
      f'the config holds more than sections, lists, numbers and texts ({error}): take that out'
    ) from None
