"""Errors about arguments, which a command shows as errors about its flags."""

import re
from typing import TypeVar

Found = TypeVar('Found', bound=Exception)


def about(error: Found, *names: str) -> Found:
  """Marks the arguments that an error's message names, as in 'images=0 is too few: use at least 1'.

  Args:
    error: an exception whose message has 'NAME=VALUE' where it speaks of an argument.
    *names: of those arguments.

  Returns:
    The same exception.
  """
  error.__dict__['arguments'] = names
  return error


def as_flags(error: BaseException) -> str:
  """The message of an error, the arguments that `about` marked written as flags: '--images=0 …'."""
  message = str(error)
  for name in error.__dict__.get('arguments', ()):
    message = re.sub(rf'(?<![\w.-]){re.escape(name)}=', f'--{name}=', message)
  return message
