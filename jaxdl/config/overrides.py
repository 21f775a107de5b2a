"""Overrides of keys that a config file does not have, such as `--config.ema_decay=0.99`.

ml_collections overrides the keys of the file and checks their types. New keys, such as
`--config.plateau.patience='5 epochs'`, are checked when the experiment is built; errors name the
valid keys. ml_collections' `accept_new_attributes` is not used: it raises KeyError for a key of a
section that the file lacks, takes a key without a value for True, and refuses a second override of
another type.
"""

import ast
import re
from collections.abc import Sequence
from typing import Any

import ml_collections

PREFIX = '--config.'
TEXT_OR_SECTION = ('data.splits',)  # keys that either kind of value may replace
UNREAD = {  # start of a parser's error message → description of the value
  'could not convert': 'is not a number: write one such as 0.001',
  'invalid literal': 'is not an integer: write one such as 5',
  "('Non-boolean": 'is not a boolean: write true or false',
  'Failed to parse': 'is not valid: set single keys, such as {key}, or the section as {section}',
}


def is_new(argument: str, config: ml_collections.ConfigDict, path: str) -> bool:
  """Whether a command-line argument overrides a key that the config does not have.

  This includes keys whose value may be a text or a section, since ml_collections keeps the type.

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
    if part not in valid and hasattr(node, 'items'):
      if '=' not in argument:
        raise ValueError(f'{argument} has no value: write {argument}=VALUE')
      return True
    if part not in valid:
      where = '.'.join(['config', *path_of_key[:depth]])
      options = f'its keys are {", ".join(valid)}' if valid else 'it has no keys below it'
      raise ValueError(
        f'{argument.partition("=")[0]}: {where} of {path} has no key {part!r}; {options}'
      )
    node = below(node, part)
  return '=' in argument and '.'.join(path_of_key) in TEXT_OR_SECTION


def add(config: ml_collections.ConfigDict, argument: str, path: str) -> None:
  """Adds or replaces a key, with its parent sections.

  A value that is not a Python literal is a string.

  Args:
    config: the config, changed in place.
    argument: an argument for which `is_new` is True.
    path: as in `is_new`.

  Raises:
    ValueError: the key is below a number or a text that an earlier argument added.
  """
  is_new(argument, config, path)
  *sections, last = parts(argument)
  node: Any = config
  with config.unlocked():
    for part in sections:
      if part not in keys(node):
        node[part] = {}
      node = below(node, part)
    if last in keys(node):
      del node[last]  # the last of several overrides applies, whatever its type
    node[last] = _value(argument.partition('=')[2])


def literal(argument: str) -> str:
  """'--config.model=dict(a=1)' → '--config.model={'a': 1}'.

  A section may therefore be written as in a config file.
  """
  name, sign, text = argument.partition('=')
  if not name.startswith(PREFIX) or 'dict(' not in text:
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


def unread(message: str, config: ml_collections.ConfigDict, arguments: Sequence[str]) -> str:
  """Returns the message for a value that ml_collections could not read.

  Args:
    message: the original message, 'flag --config.seed=x: reason'.
    config: the config; if a section could not be read, the config's section is the example.
    arguments: the overrides.

  Returns:
    The message, such as '--config.seed=x is …'.
  """
  for reason, description in UNREAD.items():
    flag, found, _ = message.partition(f': {reason}')
    if found:
      argument = flag.removeprefix('flag ')
      return f'{argument} {description.format(**_example(argument, config))}'
  return message


def _example(argument, config):
  """Examples of overriding a section: 'key' for one key, 'section' for the entire section."""
  name, _, value = argument.partition('=')
  node = config
  for part in parts(argument):
    node = below(node, part) if part in keys(node) else {}
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


def _value(text: str) -> Any:
  try:
    return ast.literal_eval(text.capitalize() if text in ('true', 'false') else text)
  except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
    return text


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
