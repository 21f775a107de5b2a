"""Configs: read from files and command lines, checked, and bound to keyword arguments.

A section of a config becomes the keyword arguments of one function or class. An unknown key raises
an error that names the valid ones.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
  from jaxdl.config.binding import bind, bind_one
  from jaxdl.config.reading import from_command_line, read_file, to_dict

__all__ = ['bind', 'bind_one', 'from_command_line', 'read_file', 'to_dict']

_MODULES = {
  'bind': 'binding',
  'bind_one': 'binding',
  'from_command_line': 'reading',
  'read_file': 'reading',
  'to_dict': 'reading',
}


def __getattr__(name: str) -> Any:
  """Imports a public name at its first use, so that the command line does not wait for JAX."""
  if name not in _MODULES:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  return getattr(importlib.import_module(f'{__name__}.{_MODULES[name]}'), name)
