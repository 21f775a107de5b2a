"""Errors about arguments, which commands show as errors about flags."""

import re
from typing import TypeVar

Found = TypeVar('Found', bound=Exception)


def about(error: Found, *names: str) -> Found:
  """Marks the arguments in an error's message, such as 'images=0 is too few: use at least 1'.

  Args:
    error: an exception whose message contains 'NAME=VALUE' for an argument.
    *names: names of those arguments.

  Returns:
    The same exception.
  """
  error.__dict__['arguments'] = names
  return error


def as_flags(error: BaseException) -> str:
  """Returns an error's message with the arguments marked by `about` as flags: '--images=0 …'."""
  message = str(error)
  for name in error.__dict__.get('arguments', ()):
    message = re.sub(rf'(?<![\w.-]){re.escape(name)}=', f'--{name}=', message)
  return message
