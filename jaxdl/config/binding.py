"""Binds config sections as keyword arguments of functions and classes."""

import functools
import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaxdl.config import checks, named, spelling


def as_section(value: Any) -> Any:
  """'classify' → {'name': 'classify'}: a section with only a name may be given as that name."""
  return {'name': value} if isinstance(value, str) else value


def bind(
  table: Mapping[str, Callable],
  section: dict[str, Any],
  where: str,
  *,
  by: str = 'name',
  also: Sequence[str] = (),
  owner: str = 'this section',
  own: Callable[[named.Reference], Callable] | None = None,
  names: Sequence[str] = (),
  **given: Any,
) -> functools.partial:
  """Binds the rest of a section as keyword arguments to `table[section[by]]`.

  The name may also be own code, as described in `named`.

  Args:
    table: name → function or class.
    section: the key `by` and the arguments.
    where: the section's path in the config, for messages.
    by: the key that has the name.
    also: other valid keys, which were already removed from the section, for messages.
    owner: what has the keys, for messages.
    own: function (Reference) → function with the signature of the table's; None for own code that
      has it already.
    names: the valid names, for messages; () for those of the table.
    **given: additional arguments, which the section may not set.

  Returns:
    functools.partial.

  Raises:
    ValueError: the name is unknown, or a key is unknown or missing; the message lists the valid
      ones.
  """
  checks.check_section(section, where)
  name, arguments = section.get(by), {key: value for key, value in section.items() if key != by}
  also = (by, *also)
  if isinstance(name, (type, types.FunctionType)):
    name = named.of_object(name)
  if isinstance(name, named.Reference):
    return _bind_own(name, arguments, where, own, also=also, owner=owner, **given)
  if name not in list(table):  # a list, because a name from a config may be unhashable
    raise ValueError(_unknown(names or table, name, f'{where}.{by}'))
  return bind_one(
    table[name], arguments, where, also=also, others=tuple(table), owner=owner, **given
  )


def _bind_own(name, arguments, where, own, *, also, owner, **given):
  """`bind` for own code; it is given only the arguments that it accepts."""
  function = named.guarded(name) if own is None else own(name)
  accepted = inspect.signature(function).parameters
  takes_all = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in accepted.values())
  given = {key: value for key, value in given.items() if takes_all or key in accepted}
  return bind_one(function, arguments, where, also=also, owner=owner, **given)


def _unknown(table, name, where):
  if named.is_reference(name):
    return f'{where}={name!r} is own code that was not imported: see config.named.link'
  fix = f'use one of {", ".join(table)}{spelling.meant(name, table)}'
  if isinstance(name, str) and name.endswith('.py'):
    fix = f"name a class or function of the file, '{name}:Name'"
  return f'{where}={name!r} is unknown: {fix}'


def bind_one(
  function: Callable,
  section: dict[str, Any],
  where: str,
  *,
  also: Sequence[str] = (),
  others: Sequence[str] = (),
  owner: str = 'this section',
  **given: Any,
) -> functools.partial:
  """Binds a section as keyword arguments to one function or class.

  Args:
    function: function or class that accepts the keys as keyword arguments.
    section: its arguments.
    where: the section's path in the config, for messages.
    also: other valid keys, which were already removed from the section, for messages.
    others: names that the section could have instead, for messages.
    owner: what has the keys, for messages.
    **given: additional arguments, which the section may not set.

  Returns:
    functools.partial.

  Raises:
    ValueError: a key is unknown or missing; the message lists the valid ones.
  """
  checks.check_section(section, where)
  parameters = inspect.signature(function).parameters
  keys = [key for key in parameters if key not in given and _is_key(parameters[key], function)]
  for key in section:
    if key not in keys:
      below = [
        f'{name}.{inner}'
        for name, part in section.items()
        if isinstance(part, dict)
        for inner in part
      ]
      near = spelling.meant(key, [*keys, *also, *below])
      if key in others:
        near = f'; did you mean name={key!r}, which has other keys?'
      raise ValueError(
        f'{where}.{key} is not a key of {owner}: its keys are {", ".join([*keys, *also])}{near}'
      )
  missing = [
    key for key in keys if key not in section and parameters[key].default is inspect.Parameter.empty
  ]
  if missing:
    raise ValueError(f'{where}.{missing[0]} is missing: add it to the section')
  return functools.partial(function, **section, **given)


LINEN_FIELDS = ('parent', 'name', 'axis_name')  # set by linen or by training, not by configs


def _is_key(parameter, function):
  """Whether a config may set a parameter.

  Configs may set the fields of a class, except those of linen, and the keyword-only arguments of a
  function.
  """
  if isinstance(inspect.unwrap(function), type):
    return parameter.name not in LINEN_FIELDS
  return parameter.kind is inspect.Parameter.KEYWORD_ONLY
