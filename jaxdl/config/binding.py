"""Config sections become keyword arguments of functions and classes."""

import functools
import inspect

from jaxdl.config import checks, spelling


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
  checks.check_section(section, where)
  name, arguments = section.get(by), {key: value for key, value in section.items() if key != by}
  if name not in list(table):  # of which a list is none, though it has no hash
    raise ValueError(
      f'{where}.{by}={name!r} is unknown: use one of '
      f'{", ".join(table)}{spelling.meant(name, table)}'
    )
  return bind_one(table[name], arguments, where, also=(by, *also), others=tuple(table), **given)


def bind_one(function, section, where, *, also=(), others=(), **given):
  """Binds a section as keyword arguments to one function; raises as `bind` does.

  `others` are names that the section could have instead, for messages.
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
        near = f'; did you mean name={key!r}, which has keys of its own?'
      raise ValueError(
        f'{where}.{key} is not a key of this section: its keys are '
        f'{", ".join([*keys, *also])}{near}'
      )
  missing = [
    key for key in keys if key not in section and parameters[key].default is inspect.Parameter.empty
  ]
  if missing:
    raise ValueError(f'{where}.{missing[0]} is missing: add it to the section')
  return functools.partial(function, **section, **given)


LINEN_FIELDS = (
  'parent',
  'name',
  'axis_name',
)  # of every linen module, and of training: never set by a config


def _is_key(parameter, function):
  """What a config may set: every field of a linen module but its own, and what a function takes by
  keyword only.
  """
  if isinstance(function, type):
    return parameter.name not in LINEN_FIELDS
  return parameter.kind is inspect.Parameter.KEYWORD_ONLY
