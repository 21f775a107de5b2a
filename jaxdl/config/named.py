"""Own code by name: 'nets.py:MeanState', 'package.module:Name', or the object itself.

A config may name a user's class or function wherever it names one of jaxdl's. `link` replaces such
names by `Reference`s, which are texts that hold the object. Only `link` imports code; a text that
looks like a reference but was not linked is never executed.
"""

import contextlib
import functools
import hashlib
import importlib
import inspect
import json
import os
import pathlib
import re
import sys
import textwrap
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jaxdl.config import python_files, spelling
from jaxdl.config.python_files import Code

KEY = 'code'  # of a run's config: the files of its own code
FILE = re.compile(r'(?P<file>.+\.py):(?P<name>[A-Za-z_]\w*)', re.DOTALL)
MODULE = re.compile(r'(?P<file>[A-Za-z_][\w.]*):(?P<name>[A-Za-z_]\w*)')
SESSION = re.compile(r'(?P<file>[A-Za-z_][\w.]*):(?P<name>[A-Za-z_<][\w.<>]*)')
NAMES = ('name', 'kind')  # keys whose value may be a reference, besides 'task'
FACTS = ('dataset', 'reported', KEY)  # sections that name no code
NOT_KNOWN = 'not known'  # checksum of a class that is defined in a session without source
FORM = "'file.py:Name' or 'package.module:Name'"


class Reference(str):
  """The name of own code in a config, with the object that it refers to.

  It is equal to the same text, and to another reference with the same text and object.

  Attributes:
    target: class or function.
    code: its files; None for code of an installed library.
    module: name of the module; None if the code is a file.
  """

  target: Any
  code: Code | None
  module: str | None

  def __new__(
    cls, text: str, target: Any, code: Code | None = None, module: str | None = None
  ) -> 'Reference':
    made = super().__new__(cls, text)
    made.target, made.code, made.module = target, code, module
    return made

  @property
  def name(self) -> str:
    """The name of the class or function."""
    return self.rpartition(':')[2]

  @property
  def in_session(self) -> bool:
    """Whether the code has no file, such as a class of a notebook."""
    return self.code is not None and self.code.folder is None

  def __eq__(self, other: object) -> bool:
    same = str.__eq__(self, other)
    if isinstance(other, Reference):
      return same is True and self.target is other.target
    return same

  def __ne__(self, other: object) -> bool:
    return not self == other

  __hash__ = str.__hash__

  def __deepcopy__(self, memory: dict) -> 'Reference':
    return self

  def __copy__(self) -> 'Reference':
    return self

  def __reduce__(self) -> tuple:
    return str, (str(self),)  # another process links it again


def is_reference(value: Any) -> bool:
  """Whether a value is a reference, or a text in the form of one."""
  return isinstance(value, str) and bool(FILE.fullmatch(value) or SESSION.fullmatch(value))


def short(name: str) -> str:
  """The name of a class or function without its file: 'nets.py:MeanState' → 'MeanState'."""
  return name.rpartition(':')[2] if is_reference(name) else name


def resolve(text: str, where: str, *, folder: str | os.PathLike | None = None) -> Reference:
  """Imports what a text names.

  Args:
    text: 'file.py:Name' or 'package.module:Name'.
    where: config key of the text, for messages.
    folder: folder that is searched for the file before the working directory.

  Returns:
    Reference.

  Raises:
    ValueError: there is no such file, module or name, or importing it fails.
  """
  module, name, code = module_of(text, where, folder=folder)
  target = found_in(module, name, where, text)
  if FILE.fullmatch(text):
    return Reference(text, target, code)
  return Reference(text, target, _code_of_module(module), module.__name__)


def module_of(
  text: str, where: str, *, folder: str | os.PathLike | None = None
) -> tuple[types.ModuleType, str, Code | None]:
  """Imports the file or module of a text; arguments and errors as of `resolve`.

  Returns:
    (module, name in it, its code if it is a file).
  """
  if (match := FILE.fullmatch(text)) is not None:
    file = _place(match['file'], folder)
    if not file.is_file():
      near = spelling.meant(file.name, [other.name for other in file.parent.glob('*.py')])
      raise ValueError(
        f'{where}={text!r}: the file {file} does not exist: files are searched in the folder of '
        f'the config, then in the working directory{near}'
      )
    code = python_files.read(file)
    return imported(code, where, text), match['name'], code
  if (match := MODULE.fullmatch(text)) is not None:
    return _importable(match['file'], match['name'], where, text), match['name'], None
  raise ValueError(f'{where}={text!r} is not the name of own code: write {FORM}')


def _importable(place, name, where, text):
  try:
    return importlib.import_module(place)
  except ModuleNotFoundError as error:
    if error.name is None or not f'{place}.'.startswith(f'{error.name}.'):
      raise _failed(error, where, text, None) from error
    raise ValueError(
      f'{where}={text!r}: there is no module {error.name}: install it, or name a file, '
      f"'{place.rpartition('.')[2]}.py:{name}'"
    ) from error
  except Exception as error:
    raise _failed(error, where, text, None) from error


def _code_of_module(module: types.ModuleType) -> Code | None:
  """The file of a module under its full name; None for one of an installed library."""
  file = getattr(module, '__file__', None)
  if file is None or not os.path.isfile(file) or python_files.is_library_file(file):
    return None
  below = module.__name__.replace('.', '/')
  name = f'{below}/__init__.py' if os.path.basename(file) == '__init__.py' else f'{below}.py'
  path = pathlib.Path(os.path.abspath(file))
  folder = path.parents[len(pathlib.PurePosixPath(name).parts) - 1]
  return Code(folder, name, {name: path.read_bytes()})


def imported(code: Code, where: str, text: str) -> types.ModuleType:
  """Imports a file; raises ValueError if that fails. `where` and `text` are for messages."""
  try:
    return python_files.load(code)
  except Exception as error:
    raise _failed(error, where, text, code) from error


def _failed(error, where, text, code):
  line = python_files.line_of(error, code) if code is not None else ''
  place = f' in {line}' if line else ''
  reason = ' '.join(str(error).split())
  return ValueError(
    f'{where}={text!r} cannot be imported ({type(error).__name__}{place}: {reason})'
  )


def found_in(module: types.ModuleType, name: str, where: str, text: str) -> Any:
  """The value of a name of a module; raises ValueError with the module's names if there is none."""
  if hasattr(module, name):
    return getattr(module, name)
  public = {key: value for key, value in vars(module).items() if not key.startswith('_')}
  own = [
    key for key, value in public.items() if getattr(value, '__module__', None) == module.__name__
  ]
  place = text.rpartition(':')[0]
  there = f'it has {", ".join(own)}' if own else 'it defines no classes or functions itself'
  raise ValueError(
    f'{where}={text!r}: {place} has no {name}; {there}{spelling.meant(name, public)}'
  )


def _place(file: str, folder: str | os.PathLike | None) -> pathlib.Path:
  """The absolute path of a file: in a folder, else in the working directory."""
  path = pathlib.Path(file).expanduser()
  if folder is not None and (not path.is_file() or (pathlib.Path(folder) / path).is_file()):
    path = pathlib.Path(folder) / path
  return pathlib.Path(os.path.abspath(path))


def of_object(target: Any) -> Reference:
  """The reference of a class or function.

  Args:
    target: the class or function.

  Raises:
    ValueError: it has no name, such as a functools.partial.
  """
  module, name = getattr(target, '__module__', None), getattr(target, '__qualname__', None)
  if not isinstance(module, str) or not isinstance(name, str):
    raise ValueError(
      f'{target!r} has no name by which a run could import it again: give a class or a function'
    )
  there = sys.modules.get(module)
  is_top = module != '__main__' and name.isidentifier()
  if there is not None and is_top and getattr(there, name, None) is target:
    return _of_importable(target, there, name)
  file = _file_of(target)
  if there is None and is_top and file is not None:  # of a config file
    return Reference(f'{file.name}:{name}', target, python_files.read(file))
  main = re.sub(r'\W+', '_', f'{module}_{name}').strip('_') + '.py'
  return Reference(f'{module}:{name}', target, Code(None, main, {main: _source_of(target)}), module)


def _of_importable(target, module, name):
  code = _code_of_module(module)
  if code is not None and code.folder is not None and '/' not in code.main:
    file = code.folder / code.main
    return Reference(f'{file.name}:{name}', target, python_files.read(file))
  return Reference(f'{module.__name__}:{name}', target, code, module.__name__)


def _file_of(target) -> pathlib.Path | None:
  """The file in which a class or function is defined; None if there is none."""
  parts = vars(target).values() if isinstance(target, type) else (target,)
  for part in parts:
    part = inspect.unwrap(part) if callable(part) else part
    code = getattr(part, '__code__', None)
    if code is not None and os.path.isfile(code.co_filename):
      return pathlib.Path(code.co_filename)
  return None


def _source_of(target) -> bytes:
  """The source of a class or function, as bytes; empty if it is not known."""
  try:
    return textwrap.dedent(inspect.getsource(target)).encode()
  except (OSError, TypeError):
    return b''


def references(config: Any) -> Iterator[tuple[Any, str, str]]:
  """(section, key, 'config.model.name') of every reference of a config, also of a ConfigDict."""
  yield from _below(config, 'config')


def _below(node: Any, where: str) -> Iterator[tuple[Any, Any, str]]:
  is_section = hasattr(node, 'items')
  entries = node.items() if is_section else ()
  if isinstance(node, (list, tuple)):
    entries = enumerate(node)
  for key, value in entries:
    place = f'{where}.{key}' if is_section else f'{where}[{key}]'
    if is_section and (key in NAMES or place == 'config.task') and is_reference(value):
      yield node, key, place
    elif not (where == 'config' and key in FACTS):
      yield from _below(value, place)


def locate(config: Any, folder: str | os.PathLike) -> None:
  """Converts the paths of files in a config to absolute paths, in place.

  Args:
    config: a ConfigDict or dict, as in a config file.
    folder: folder of the config file.
  """
  for section, key, _ in list(references(config)):
    match = FILE.fullmatch(section[key])
    if match is not None and not isinstance(section[key], Reference):
      section[key] = f'{_place(match["file"], folder)}:{match["name"]}'


def link(config: dict[str, Any]) -> dict[str, Any]:
  """Imports the own code named in a config.

  Files are named by their paths below the folder that all of them share, so that the names do not
  depend on where the folder is.

  Args:
    config: plain data; the result of `reading.to_dict`.

  Returns:
    A copy with a Reference in the place of every name; the config itself if it names none.

  Raises:
    ValueError: as in `resolve`, or what is named is not a class or function.
  """
  linked = copied(config)
  found = []
  for section, key, where in references(linked):
    one = section[key]
    one = one if isinstance(one, Reference) else resolve(one, where)
    if not callable(one.target):
      kind = type(one.target).__name__
      raise ValueError(f'{where}={str(one)!r} is a {kind}: name a class or a function')
    found.append((section, key, one))
  if not found:
    return config
  folders = [one.code.folder for _, _, one in found if _is_file(one)]
  for section, key, one in found:
    section[key] = _renamed(one, folders) if _is_file(one) else one
  sums = record(linked).get('sha256', {})
  for section, key, _ in found:
    remember(section[key], sums)
  return linked


_known: dict[str, Reference] = {}  # token → what this process linked


def _is_file(reference):
  return reference.module is None


def _renamed(reference, folders):
  """A reference to a file, named by its path below the folder that `folders` share."""
  folder = reference.code.folder
  try:
    below = pathlib.Path(os.path.relpath(folder, os.path.commonpath(folders))).as_posix()
  except ValueError:
    raise ValueError(f'{folder} is on another drive than the other files of own code') from None
  place = reference.code.main if below == '.' else f'{below}/{reference.code.main}'
  return Reference(f'{place}:{reference.name}', reference.target, reference.code)


def copied(value: Any) -> Any:
  """A copy of the dicts and lists of plain data."""
  if isinstance(value, dict):
    return {key: copied(part) for key, part in value.items()}
  return [copied(part) for part in value] if isinstance(value, (list, tuple)) else value


def files(config: Mapping[str, Any]) -> dict[str, tuple[bytes, pathlib.Path | None]]:
  """The files of the own code of a linked config.

  Args:
    config: as returned by `link`.

  Returns:
    Name in the run's folder `code` → (content, absolute path or None).
  """
  found = {}
  for section, key, _ in references(config):
    one = section[key]
    if not isinstance(one, Reference) or one.code is None:
      continue
    below = pathlib.PurePosixPath(one.rpartition(':')[0]).parent if _is_file(one) else ''
    for name, content in one.code.files.items():
      path = None if one.code.folder is None else one.code.folder / name
      found[(pathlib.PurePosixPath(below) / name).as_posix()] = content, path
  return found


def record(config: Mapping[str, Any]) -> dict[str, dict[str, str]]:
  """The facts about the own code of a linked config, for the key 'code' of a run's config.

  Args:
    config: as returned by `link`.

  Returns:
    {'sha256': file → checksum, 'path': file → absolute path}; {} if there are no files. A class of
    a session whose source is not known has the checksum 'not known'.
  """
  found = files(config)
  if not found:
    return {}
  return {
    'sha256': {name: _sum(content) for name, (content, _) in sorted(found.items())},
    'path': {name: str(path) for name, (_, path) in sorted(found.items()) if path is not None},
  }


def sums_of(reference: Reference) -> dict[str, str]:
  """The checksums of the files of one reference, as in `record`."""
  return record({'model': {'name': reference}}).get('sha256', {})


def _sum(content):
  return hashlib.sha256(content).hexdigest() if content else NOT_KNOWN


def token(text: str, sums: Mapping[str, str]) -> str:
  """A digest of a reference and the checksums of all files of own code of its config."""
  return hashlib.sha256(json.dumps([str(text), sorted(sums.items())]).encode()).hexdigest()


def remember(reference: Reference, sums: Mapping[str, str]) -> Reference:
  """Records a linked reference for `known`. Returns it."""
  _known[token(reference, sums)] = reference
  return reference


def known(text: str, sums: Mapping[str, str]) -> Reference | None:
  """What this process has already linked under a text, from files of the same checksums."""
  return _known.get(token(text, sums))


@contextlib.contextmanager
def errors_of(reference: Reference) -> Iterator[None]:
  """Turns the errors that own code raises into a ValueError of one line with their place.

  Args:
    reference: the code that the block calls.
  """
  try:
    yield
  except (ValueError, OSError):
    raise  # the code's own message
  except Exception as error:
    line = python_files.line_of(error, reference.code) if reference.code is not None else ''
    place = f' in {line}' if line else ''
    raise ValueError(
      f'{reference} failed ({type(error).__name__}{place}: {" ".join(str(error).split())})'
    ) from error


def guarded(reference: Reference) -> Callable:
  """The class or function of a reference, with errors as in `errors_of` when it is called."""

  @functools.wraps(reference.target, updated=())
  def call(*arguments, **keywords):
    with errors_of(reference):
      return reference.target(*arguments, **keywords)

  return call
