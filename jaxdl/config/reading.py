"""Reads configs from a file and from the command line."""

import argparse
import importlib.util
import json
import os
import pathlib
import types
from collections.abc import Sequence
from typing import Any

import ml_collections
from absl import flags
from ml_collections import config_flags

from jaxdl.config import differences, library, named, overrides, spelling


def from_command_line(
  parser: Any, arguments: Sequence[str]
) -> tuple[argparse.Namespace, ml_collections.ConfigDict]:
  """Parses `--config=FILE --config.a.b=value …` and the other flags of a command.

  Args:
    parser: `command.Parser` with a config and the command's own flags.
    arguments: the command line, with the program's name first.

  Returns:
    (flags, config). `config` in the flags is the file's path; the config has all overrides applied.

  Raises:
    ValueError: the config file is missing or broken, a key or a flag is unknown, or a value has the
      wrong type.
  """
  own, rest = parser.parse_known_args(map(overrides.literal, arguments[1:]))
  if own.config is None:
    raise ValueError(parser.without_config(rest))
  return own, _overridden(own.config, arguments[0], rest, parser.flags)


def read_config(
  path: str | os.PathLike, *texts: str, **overrides: Any
) -> ml_collections.ConfigDict:
  """Reads a config file and overrides some of its keys.

      read_config('lstm_mnist', seed=1, optimizer={'learning_rate': 3e-4})
      read_config('configs/cnn_mnist.py', 'model.layers[0].features=16', **{'data.batch_size': 32})

  Args:
    path: a config file, or the name of a config in the package, such as 'lstm_mnist'.
    *texts: overrides as on the command line: 'KEY=VALUE', with or without the prefix '--config.'.
    **overrides: key → value. The value of a section is a dict of the keys to change. A key in a
      section can also be written with dots, such as 'optimizer.learning_rate'.

  Returns:
    The config, to which keys can be added. `jaxdl.build` and `jaxdl.train` check its keys and
    values.

  Raises:
    ValueError: the config file is missing or broken, a text is not a valid override, or the parent
      of a key is not a section.
  """
  path = os.fspath(path)
  lines = [_as_flag(text) for text in texts]
  config = _overridden(path, 'jaxdl', lines, ['config'])
  with config.unlocked(), config.ignore_type():
    for key, value in overrides.items():
      _set(config, key, value, path)
  _locate(config, find(path))
  return config.unlock()


def _as_flag(text):
  if '=' not in text:
    raise ValueError(f'{text!r} is not an override: write KEY=VALUE')
  prefix = '' if text.startswith(overrides.PREFIX) else overrides.PREFIX
  return overrides.literal(f'{prefix}{text}')


def _set(config, key, value, path):
  """Sets a dotted key of a config; in a section, only the keys of `value` are changed."""
  overrides.is_new(f'{overrides.PREFIX}{key}=', config, path)  # raises for a key below a number
  *sections, last = overrides.parts(key)
  node = config
  for part in sections:
    node = overrides.section(node, part)
  existing = node.get(last) if hasattr(node, 'get') else None
  if isinstance(existing, str) and isinstance(value, dict) and key in overrides.NAMED:
    existing = overrides.section(node, last)
  if isinstance(value, dict) and hasattr(existing, 'items'):
    for inner, below in value.items():
      _set(existing, inner, below, path)
  elif hasattr(node, 'items'):
    node[last] = value
  else:
    raise ValueError(overrides.entry_of_list(key, path))


def _overridden(path, program, arguments, known):
  """Reads the config of a file and applies the overrides of a command line.

  Args:
    path: as in `read_file`.
    program: the program's name, for the parser of the flags.
    arguments: the overrides, such as '--config.a.b=value'.
    known: names of the command's own flags, for messages.
  """
  config = read_file(path)
  new = overrides.new(arguments, config, path)
  line = [program, *(argument for argument in arguments if argument not in new)]
  values = flags.FlagValues()
  try:
    # DEFINE_config_file would split the path of the file at a colon.
    config_flags.DEFINE_config_dict('config', config, flag_values=values, sys_argv=line)
    surplus = values(line)[1:]
  except flags.UnrecognizedFlagError as error:
    key = spelling.same(error.flagname, differences.flat(to_dict(config)))
    near = spelling.meant(f'--{error.flagname}', [f'--{name}' for name in known])
    hint = f'; of the config it is --config.{key}' if key else near
    others = ', '.join(f'--{name}' for name in known if name not in ('config', 'help'))
    raise ValueError(
      f'--{error.flagname} is unknown: the flags are --config, --config.KEY, {others}{hint}'
    ) from None
  except Exception as error:  # absl and ml_collections raise many different exceptions
    message = str(error).strip().partition('\n')[0] or type(error).__name__
    named = message if '--' in message else f'the overrides cannot be read ({message})'
    raise ValueError(overrides.unread(named, config)) from error
  if surplus:
    raise ValueError(f'argument {surplus[0]!r} is not a flag: flags begin with --')
  for argument in overrides.last_of_each_key(new):
    overrides.add(values.config, argument, path)
  _locate(values.config, find(path))
  return values.config


def find(path: str | os.PathLike) -> pathlib.Path:
  """The file of a config, given by its path or by its name in the package."""
  file = pathlib.Path(path)
  if file.is_file():
    return file
  return library.find(os.fspath(path)) or file


def read_file(path: str | os.PathLike) -> ml_collections.ConfigDict:
  """Reads a config file.

  Args:
    path: a config file, or the name of a config in the package, such as 'lstm_mnist'.

  Returns:
    The ConfigDict of its `get_config()`.

  Raises:
    ValueError: there is no such file (the message names the closest ones), or it cannot be read.
  """
  file = find(path)
  if not file.is_file():
    raise ValueError(f'config file {path} {_why_missing(file)}')
  if file.suffix != '.py':
    raise ValueError(
      f'config file {path} is not Python: give a .py file with a function get_config()'
    )
  spec = importlib.util.spec_from_file_location(file.stem, file)
  assert spec is not None  # never None for a .py file
  assert spec.loader is not None
  module = importlib.util.module_from_spec(spec)
  try:
    spec.loader.exec_module(module)
    found = module.get_config() if hasattr(module, 'get_config') else None
    if isinstance(found, ml_collections.ConfigDict):
      found.to_dict()  # fails for a placeholder whose value is required
  except Exception as error:
    raise ValueError(
      f'config file {path} cannot be read ({type(error).__name__}: {error})'
    ) from error
  if not isinstance(found, ml_collections.ConfigDict):
    raise ValueError(f'config file {path} has no function get_config() that returns a ConfigDict')
  _locate(found, file)
  return found


def _locate(config, file):
  """Makes the paths of own code beside a config file absolute; the package's configs have none."""
  if not file.resolve().is_relative_to(library.folder().resolve()):
    named.locate(config, file.parent)


def _why_missing(file):
  """The message 'does not exist: did you mean …?' for a missing file."""
  fault = 'is a folder' if file.is_dir() else 'does not exist'
  place = pathlib.Path('configs')
  if file.is_dir():
    place = file
  elif list(file.parent.glob('*.py')):
    place = file.parent
  there = {found.stem: str(found) for found in sorted(place.glob('*.py'))}
  if not there or (place != file and file.stem not in there and library.find(file.stem)):
    there = {name: name for name in library.names()}
  near = spelling.nearest(file.stem, there)
  likely = [there[near]] if near else there.values()
  return f'{fault}: did you mean {", ".join(likely)}?'


def to_dict(config: ml_collections.ConfigDict | dict[str, Any]) -> dict[str, Any]:
  """Converts a config to plain JSON data: dicts, lists, numbers and strings.

  A class or function becomes a `named.Reference`, which is a string.

  Raises:
    ValueError: the config contains values of other types.
  """
  plain = config.to_dict() if isinstance(config, ml_collections.ConfigDict) else config
  try:
    return _plain(plain)
  except (TypeError, RecursionError) as error:
    raise ValueError(
      f'the config holds more than sections, lists, numbers and texts ({error}): take that out'
    ) from None


def _plain(value: Any) -> Any:
  if isinstance(value, named.Reference):
    return value
  if isinstance(value, dict):
    return {_key(key): _plain(part) for key, part in value.items()}
  if isinstance(value, (list, tuple)):
    return [_plain(part) for part in value]
  if isinstance(value, (type, types.FunctionType)):
    return named.of_object(value)
  return json.loads(json.dumps(value))


def _key(key):
  return key if isinstance(key, str) else next(iter(json.loads(json.dumps({key: 0}))))
