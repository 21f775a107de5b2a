"""Configs: read from a file, overridden on the command line, and turned into keyword arguments."""

import functools
import importlib.util
import inspect
import json
import math
import pathlib
import re
import sys

import jax
import ml_collections
from absl import flags
from ml_collections import config_flags

from jaxdl import overrides, spelling


def from_command_line(parser, arguments):
  """Parses `--config=FILE --config.a.b=value …` beside the flags of a command.

  Args:
    parser: `command.Parser` with a config, and the command's own flags.
    arguments: list of str, the command line with the program's name first.

  Returns:
    (Namespace of the flags, whose `config` is the file's path; ml_collections ConfigDict with every override applied).

  Raises:
    ValueError: a missing or broken config file, an unknown key, a value of the wrong type, an unknown flag.
  """
  own, rest = parser.parse_known_args(map(overrides.literal, arguments[1:]))
  if own.config is None:
    raise ValueError(parser.without_config(rest))
  config = read_file(own.config)
  new = [argument for argument in rest if overrides.is_new(argument, config, own.config)]
  line = [arguments[0], f'--config={own.config}', *(argument for argument in rest if argument not in new)]
  config_flags.DEFINE_config_file('config', None, flag_values=(values := flags.FlagValues()), sys_argv=line)
  try:
    surplus = values(line)[1:]
  except flags.UnrecognizedFlagError as error:
    key = spelling.same(error.flagname, flat(to_dict(config)))
    near = spelling.meant(f'--{error.flagname}', [f'--{name}' for name in vars(own)])
    hint = f'; of the config it is --config.{key}' if key else near
    others = ', '.join(f'--{name}' for name in vars(own) if name != 'config')
    raise ValueError(f'--{error.flagname} is unknown: the flags are --config, --config.KEY, {others}{hint}') from None
  except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
    raise ValueError(overrides.unread(str(error).strip().partition('\n')[0])) from error
  if surplus:
    raise ValueError(f'argument {surplus[0]!r} is not a flag: flags begin with --')
  for argument in new:
    overrides.add(values.config, argument, own.config)
  return own, values.config


def read_file(path):
  """The ConfigDict of a config file; ValueError names the files there are, or what is wrong with it."""
  if not (file := pathlib.Path(path)).is_file():
    beside = file if file.is_dir() else file.parent if list(file.parent.glob('*.py')) else pathlib.Path('configs')
    there = {found.stem: str(found) for found in sorted(beside.glob('*.py'))}
    likely = [there[near]] if (near := spelling.nearest(file.stem, there)) else there.values()
    fault, mend = 'is a folder' if file.is_dir() else 'does not exist', f'did you mean {", ".join(likely)}?'
    raise ValueError(f'config file {path} {fault}: {mend if there else "check the path"}')
  if file.suffix != '.py':
    raise ValueError(f'config file {path} is not Python: give a .py file with a function get_config()')
  module = importlib.util.module_from_spec(spec := importlib.util.spec_from_file_location(file.stem, file))
  try:
    spec.loader.exec_module(module)
    found = module.get_config() if hasattr(module, 'get_config') else None
  except Exception as error:
    raise ValueError(f'config file {path} cannot be read ({type(error).__name__}: {error})') from error
  if not isinstance(found, ml_collections.ConfigDict):
    raise ValueError(f'config file {path} has no function get_config() that returns a ConfigDict')
  return found


def to_dict(config):
  """A ConfigDict or dict as plain JSON data: dicts, lists, numbers, strings; ValueError where it holds something else."""
  try:
    return json.loads(json.dumps(config.to_dict() if isinstance(config, ml_collections.ConfigDict) else config))
  except (TypeError, RecursionError) as error:
    raise ValueError(f'the config holds more than sections, lists, numbers and texts ({error}): take that out') from None


def bind(table, section, where, *, by='name', also=(), **given):
  """Binds the rest of a section as keyword arguments to `table[section[by]]`.

  Args:
    table: dict of name → function or class.
    section: dict with the key `by` and the arguments.
    where: str, the section's place in the config, for messages.
    also: keys that were taken out of the section before, for messages.
    **given: further arguments, which the section may not set.

  Returns:
    functools.partial.

  Raises:
    ValueError: an unknown name, an unknown key or a missing one; the message lists the valid ones.
  """
  check_section(section, where)
  name, arguments = section.get(by), {key: value for key, value in section.items() if key != by}
  if name not in list(table):  # of which a list is none, though it has no hash
    raise ValueError(f'{where}.{by}={name!r} is unknown: use one of {", ".join(table)}{spelling.meant(name, table)}')
  return bind_one(table[name], arguments, where, also=(by, *also), **given)


def bind_one(function, section, where, *, also=(), **given):
  """Binds a section as keyword arguments to one function; raises as `bind` does."""
  check_section(section, where)
  parameters = inspect.signature(function).parameters
  keys = [key for key in parameters if key not in given and _is_key(parameters[key], function)]
  for key in section:
    if key not in keys:
      below = [f'{name}.{inner}' for name, part in section.items() if isinstance(part, dict) for inner in part]
      near = spelling.meant(key, [*keys, *also, *below])
      raise ValueError(f'{where}.{key} is not a key of this section: its keys are {", ".join([*keys, *also])}{near}')
  missing = [key for key in keys if key not in section and parameters[key].default is inspect.Parameter.empty]
  if missing:
    raise ValueError(f'{where}.{missing[0]} is missing: add it to the section')
  return functools.partial(function, **section, **given)


LINEN_FIELDS = ('parent', 'name', 'axis_name')  # of every linen module, and of training: never set by a config


def _is_key(parameter, function):
  """What a config may set: every field of a linen module but its own, and what a function takes by keyword only."""
  if isinstance(function, type):
    return parameter.name not in LINEN_FIELDS
  return parameter.kind is inspect.Parameter.KEYWORD_ONLY


def check_section(section, where):
  """Raises ValueError where a section is not one."""
  if not isinstance(section, dict):
    raise ValueError(f'{where}={section!r} is not a section: write dict(…) with its keys')


def check_range(value, where, low, high=math.inf, *, above=False):
  """Raises ValueError where `low <= value < high` is not so, or not `low < value` where it must be `above`."""
  if is_traced(value):
    return
  is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
  if not is_number or abs(value) > sys.float_info.max or not low <= value < high or (above and value == low):
    words = f'{"above" if above else "from"} {low}' + (f' to below {high}' if high < math.inf else ' on' * (not above))
    raise ValueError(f'{where}={value!r} is {"out of range" if is_number else "no number"}: use a number {words}')


def check_whole(value, where, low, high):
  """Raises ValueError where a value is not a whole number from low to high."""
  if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
    raise ValueError(f'{where}={value!r} is not a whole number from {low:,} to {high:,}')


def is_traced(value):
  """Whether a number is one of several that a compiled program takes; each was checked when it was still a number."""
  return isinstance(value, jax.core.Tracer)


def check_flag(value, where):
  """Raises ValueError where a value is not True or False."""
  if not isinstance(value, bool):
    raise ValueError(f'{where}={value!r} is not a switch: use True or False')


def in_steps(duration, steps_per_epoch, where):
  """'5500 steps' or '20 epochs' as a number of steps.

  Args:
    duration: str, a whole number and its unit.
    steps_per_epoch: int.
    where: str, the config key, for messages.

  Returns:
    int >= 1.

  Raises:
    ValueError: another form, less than one step, or more than an int32 counts.
  """
  match = re.fullmatch(r'(\d{1,10}) (steps?|epochs?)', str(duration))
  steps = int(match[1]) * (steps_per_epoch if match[2].startswith('epoch') else 1) if match else 0
  if not 1 <= steps < 2**31:
    raise ValueError(f"{where}={duration!r} is not a duration: write '5500 steps' or '20 epochs'")
  return steps


def changed_keys(before, now, *, but):
  """The keys in which two configs differ, in order, but for some and what stands below them."""
  before, now = flat(before), flat(now)
  return sorted(key for key in before.keys() | now.keys()
                if before.get(key) != now.get(key) and not f'{key}.'.startswith(tuple(f'{one}.' for one in but)))


def flat(tree, prefix=''):
  """{'a': {'b': 1}} → {'a.b': 1}."""
  if not isinstance(tree, dict):
    return {prefix[:-1]: tree}
  return {key: value for name, below in tree.items() for key, value in flat(below, f'{prefix}{name}.').items()}
