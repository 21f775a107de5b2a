"""The config files of the package, by name: 'lstm_mnist', 'sweeps/losses_cifar10'."""

import ast
import pathlib
import re

import jaxdl


def folder() -> pathlib.Path:
  """The folder of the config files: inside an installed package, or next to it in a checkout."""
  package = pathlib.Path(jaxdl.__path__[0])
  installed = package / 'configs'
  return installed if installed.is_dir() else package.parent / 'configs'


def names() -> list[str]:
  """The names of all config files, experiments first: 'lstm_mnist', …, 'sweeps/losses_cifar10'."""
  root = folder()
  files = [
    file for folder in ('', 'sweeps', 'exam') for file in sorted((root / folder).glob('*.py'))
  ]
  found = [file.relative_to(root).with_suffix('').as_posix() for file in files]
  return [name for name in found if not name.endswith('__init__')]


def find(name: str) -> pathlib.Path | None:
  """The config file with a name; None if the package has no such file."""
  if re.fullmatch(r'((sweeps|exam)/)?\w+', name) is None:
    return None
  file = folder() / f'{name}.py'
  return file if file.is_file() else None


def title(name: str) -> str:
  """The first sentence of a config file, which describes what it trains."""
  text = ast.get_docstring(ast.parse((folder() / f'{name}.py').read_text(encoding='utf-8'))) or ''
  paragraph = text.partition('\n\n')[0]
  return ' '.join(paragraph.split())
