"""Overrides of keys that a config file does not have, and by values of another type.

ml_collections overrides the keys of the file by values of their type. New keys, such as
`--config.plateau.patience='5 epochs'`, and values of another type, such as
`--config.model.layers[0].kernel=(3,5)`, are checked when the experiment is built; errors name the
valid keys. ml_collections' `accept_new_attributes` is not used: it raises KeyError for a key of a
section that the file lacks, takes a key without a value for True, and refuses a second override of
another type.
"""

import ast
import enum
import re
from collections.abc import Sequence
from typing import Any

import ml_collections

PREFIX = '--config.'
LARGEST = 1 << 1023  # greater integers may have no float
TEXT_OR_SECTION = ('data.splits',)  # keys that either kind of value may replace
NAMED = ('task',)  # keys whose text is the name of a section
# Keys of paths and of names, whose texts are no literals, except None and lists of texts.
TEXTS = ('start_from', *(f'data.{key}' for key in (
  'folder', 'data_dir', 'file', 'copy', 'dataset', 'revision', 'image', 'label', 'target',
  'split_column', 'inputs', 'targets',
)))  # fmt: skip
WORDS = ('classes', 'balanced')  # texts that stand for numbers
UNREAD = {  # start of a parser's error message → description of the value
  'could not convert': 'is not a number: write one such as 0.001',
  'invalid literal': 'is not an integer: write one such as 5',
  "('Non-boolean": 'is not a boolean: write true or false',
  'Failed to parse': 'is not valid: set single keys, such as {key}, or the section as {section}',
}


def is_new(argument: str, config: ml_collections.ConfigDict, path: str) -> bool:
  """Whether a command-line argument overrides a key that the config does not have.

  This includes values of another type than the config's, since ml_collections keeps the type.

  Args:
    argument: such as '--config.plateau.patience=5 epochs'; False for other kinds of arguments.
    config: the file's config.
    path: the config's file, for messages.

  Raises:
    ValueError: the key is below a number or a text, is beyond the end of a list, or is new and has
      no value.
  """
  if not argument.startswith(PREFIX):
    return False
  node, path_of_key = config, parts(argument)
  for depth, part in enumerate(path_of_key):
    valid = keys(node)
    is_last = depth == len(path_of_key) - 1
    if part not in valid and (hasattr(node, 'items') or (node is None and depth and is_last)):
      if '=' not in argument:
        raise ValueError(f'{argument} has no value: write {argument}=VALUE')
      return True
    if isinstance(node, str) and '.'.join(path_of_key[:depth]) in NAMED and is_last:
      return True
    if isinstance(node, tuple) and is_last and part in valid:
      return True  # which `add` refuses: ml_collections cannot change an entry of a tuple
    if part not in valid:
      where = '.'.join(['config', *path_of_key[:depth]])
      options = f'its keys are {", ".join(valid)}' if valid else 'it has no keys below it'
      raise ValueError(
        f'{argument.partition("=")[0]}: {where} of {path} has no key {part!r}; {options}'
      )
    node = below(node, part)
  if '=' not in argument:
    return False
  text = argument.partition('=')[2]
  return '.'.join(path_of_key) in TEXT_OR_SECTION or _changes_type(node, text, path_of_key)


def _changes_type(existing, text, key):
  """Whether a text stands for a value of another type than the existing value of a key."""
  value = _value(text, existing, key)
  if hasattr(existing, 'items') or isinstance(existing, tuple):
    return value is None or isinstance(value, dict)
  if not isinstance(existing, (bool, int, float, str, enum.Enum, type(None))):
    return True  # ml_collections cannot change a list
  if isinstance(existing, str):
    return not isinstance(value, str)
  if isinstance(value, str):
    return existing is None or value in WORDS
  return type(value) is not type(existing)


def new(arguments: Sequence[str], config: ml_collections.ConfigDict, path: str) -> list[str]:
  """Those of the command-line arguments that `add` applies, in order.

  They are the arguments for which `is_new` is True, and all other overrides of the same keys.

  Args:
    arguments: the command line.
    config, path: as in `is_new`.

  Raises:
    ValueError: as in `is_new`, or a section is given a text.
  """
  changed = [parts(argument) for argument in arguments if is_new(argument, config, path)]
  for argument in arguments:
    if '=' in argument and argument.startswith(PREFIX) and parts(argument) not in changed:
      _check_section(argument, config)

  def belongs(key):
    return any(key[: len(other)] == other[: len(key)] for other in changed)

  return [
    argument
    for argument in arguments
    if argument.startswith(PREFIX) and '=' in argument and belongs(parts(argument))
  ]


def _check_section(argument, config):
  """Raises ValueError for a text that is given to a section, or for no key at all."""
  if not parts(argument):
    raise ValueError(f'{argument} names no key: write {PREFIX}KEY=VALUE')
  if hasattr(_at(config, parts(argument)), 'items'):
    raise ValueError(unread(f'flag {argument}: Failed to parse', config))


def _at(config, path_of_key):
  """The value of a key; {} if the config does not have it."""
  node = config
  for part in path_of_key:
    node = below(node, part) if part in keys(node) else {}
  return node


def last_of_each_key(arguments: Sequence[str]) -> list[str]:
  """The last override of each key, in order."""
  found = {}
  for argument in arguments:
    key = tuple(parts(argument))
    found.pop(key, None)
    found[key] = argument
  return list(found.values())


def add(config: ml_collections.ConfigDict, argument: str, path: str) -> None:
  """Adds or replaces a key, with its parent sections.

  A value that is not a Python literal is a string.

  Args:
    config: the config, changed in place.
    argument: an argument of `new`.
    path: as in `is_new`.

  Raises:
    ValueError: the key is an entry of a list, or below a number or a text.
  """
  is_new(argument, config, path)
  key = *sections, last = parts(argument)
  node: Any = config
  with config.unlocked():
    for part in sections:
      node = section(node, part)
    if not hasattr(node, 'items'):
      raise ValueError(entry_of_list('.'.join(key), path))
    existing = node.get(last)
    if last in node:
      del node[last]  # the last of several overrides applies, whatever its type
    try:
      node[last] = _value(argument.partition('=')[2], existing, key)
    except Exception as error:  # ml_collections raises different exceptions for the keys of a dict
      raise ValueError(f'{argument} cannot be a section ({error}): use names as keys') from error


def section(node: Any, part: str) -> Any:
  """The section or list of a key of a node, which is created if it is missing.

  A text, the name of a section, becomes that section, and None becomes an empty one.

  Args:
    node: a section or a list; a section may change.
    part: the key.
  """
  existing = below(node, part) if part in keys(node) else None
  if existing is None or isinstance(existing, str):
    if part in keys(node):
      del node[part]  # a ConfigDict keeps the type of a key
    node[part] = {} if existing is None else {'name': existing}
  return below(node, part)


def entry_of_list(key: str, path: str) -> str:
  """The message for an override of an entry of a list.

  Args:
    key: the key in the config.
    path: the config's file.
  """
  return f'config.{key} of {path} is an entry of a list: set its keys, or the list'


def literal(argument: str) -> str:
  """'--config.model=dict(a=1)' → '--config.model={'a': 1}'.

  A section may therefore be written as in a config file.
  """
  name, sign, text = argument.partition('=')
  is_text = name.removeprefix(PREFIX) in TEXTS
  if not name.startswith(PREFIX) or 'dict(' not in text or is_text:
    return argument
  try:
    return name + sign + ast.unparse(_Literal().visit(ast.parse(text, mode='eval')))
  except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
    return argument


class _Literal(ast.NodeTransformer):
  def visit_Call(self, node):
    self.generic_visit(node)
    named = (
      getattr(node.func, 'id', None) == 'dict'
      and not node.args
      and all(one.arg for one in node.keywords)
    )
    return (
      ast.Dict(
        [ast.Constant(one.arg) for one in node.keywords], [one.value for one in node.keywords]
      )
      if named
      else node
    )


def unread(message: str, config: ml_collections.ConfigDict) -> str:
  """Returns the message for a value that ml_collections could not read.

  Args:
    message: the original message, 'flag --config.seed=x: reason'.
    config: the config; if a section could not be read, the config's section is the example.

  Returns:
    The message, such as '--config.seed=x is …'.
  """
  if match := re.search(r"Could not parse '(.*?)': SyntaxError", message):
    return f'{PREFIX}{match[1]} is not a key: write {PREFIX}KEY=VALUE'
  for reason, description in UNREAD.items():
    flag, found, _ = message.partition(f': {reason}')
    if found:
      argument = flag.removeprefix('flag ')
      return f'{argument} {description.format(**_example(argument, config))}'
  return message


def _example(argument, config):
  """Examples of overriding a section: 'key' for one key, 'section' for the entire section."""
  name, _, value = argument.partition('=')
  node = _at(config, parts(argument))
  if not hasattr(node, 'items'):
    node = {}
  section = {key: one for key, one in node.items() if isinstance(one, (str, int, float))}
  if 'name' in section:
    section = {'name': section.pop('name'), **section}
  if not section:
    section = {'name': 'cosine', 'final': 0.1}
    name = f'{PREFIX}schedule'
  first = next(iter(section))
  if re.fullmatch(r'\w+', value) and 'name' in section:
    section = {**section, 'name': value}
    first = 'name'
  return {'key': f'{name}.{first}={section[first]}', 'section': section}


def _value(text: str, existing: Any, key: Sequence[str]) -> Any:
  """The value that a text stands for.

  Args:
    text: a Python literal, or any other text.
    existing: the value in the config. If it is a text, numbers are texts.
    key: the key. Of a path or name, only None and lists of texts are literals.
  """
  try:
    found = ast.literal_eval(text.capitalize() if text in ('true', 'false') else text)
  except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
    return text
  is_list = isinstance(found, (list, tuple, dict))
  if '.'.join(key) in TEXTS:
    is_literal = is_list and bool(found) and all(isinstance(one, str) for one in found)
    return found if found is None or (is_literal and not isinstance(found, dict)) else text
  if isinstance(existing, str) and not (found is None or is_list):
    return text
  if isinstance(existing, float) and isinstance(found, int) and not isinstance(found, bool):
    return float(found) if abs(found) < LARGEST else found
  return found


def parts(argument: str) -> list[str]:
  """'--config.layers[0].kernel=3' → ['layers', '0', 'kernel']."""
  return re.findall(r'[^.\[\]]+', argument.removeprefix(PREFIX).partition('=')[0])


def keys(node: Any) -> list[str]:
  """The keys of a section, or the positions in a list, as strings; [] for other values."""
  if isinstance(node, (list, tuple)):
    return [str(index) for index in range(len(node))]
  return list(node) if hasattr(node, 'items') else []


def below(node: Any, part: str) -> Any:
  """The value of a key of a section, or at a position in a list."""
  return node[int(part)] if isinstance(node, (list, tuple)) else node[part]
