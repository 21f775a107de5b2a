"""Python files of a user: their import, and the files that they import from their folder.

A file is imported as if its folder were at the end of `sys.path`: it can import other files and
packages of its folder, but these never replace installed libraries. The bytes that were read are
executed, and no bytecode is cached, so checksums always describe the executed code.
"""

import ast
import contextlib
import dataclasses
import functools
import hashlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import pathlib
import re
import site
import sys
import sysconfig
import threading
import types
from collections.abc import Iterator, Sequence

PREFIX = 'own_code_'  # of the names of the modules in sys.modules

_lock = threading.RLock()
_modules: dict[str, types.ModuleType] = {}  # name in sys.modules → module


@dataclasses.dataclass(frozen=True)
class Code:
  """A Python file with the files that it imports from its folder.

  Attributes:
    folder: absolute path of the folder; None for source that has no file.
    main: name of the file.
    files: path relative to the folder, with slashes → content; the file itself comes first.
  """

  folder: pathlib.Path | None
  main: str
  files: dict[str, bytes]

  @functools.cached_property
  def sums(self) -> dict[str, str]:
    """The sha256 of every file."""
    return {name: hashlib.sha256(content).hexdigest() for name, content in self.files.items()}


def read(file: str | os.PathLike) -> Code:
  """Reads a file and the files that it imports from its folder; executes nothing.

  Args:
    file: path of the file.

  Raises:
    OSError: a file cannot be read.
  """
  file = pathlib.Path(os.path.abspath(file))
  files, waiting = {}, [file.name]
  while waiting:
    name = waiting.pop(0)
    if name not in files:
      files[name] = (file.parent / name).read_bytes()
      waiting += _imports(files[name], name, file.parent)
  return Code(file.parent, file.name, files)


def _imports(content: bytes, name: str, folder: pathlib.Path) -> list[str]:
  """The files of a folder that one of its files, `name`, imports."""
  try:
    tree = ast.parse(content)
  except (SyntaxError, ValueError, RecursionError):
    return []  # importing it raises the error
  package = pathlib.PurePosixPath(name).parent.parts
  modules = []
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      modules += [alias.name.split('.') for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.level <= len(package):
      start = package[: len(package) + 1 - node.level] if node.level else ()
      base = [*start, *(node.module.split('.') if node.module else ())]
      modules += [[*base, alias.name] for alias in node.names]
  return [file for parts in modules for file in _files_of(parts, folder)]


def _files_of(parts: Sequence[str], folder: pathlib.Path) -> list[str]:
  """The files of a folder that the import of a module executes: 'a/__init__.py' and 'a/b.py'."""
  if is_installed(parts[0]):
    return []
  found = []
  for depth in range(1, len(parts) + 1):
    place = '/'.join(parts[:depth])
    found += [name for name in (f'{place}/__init__.py', f'{place}.py') if (folder / name).is_file()]
  return found


@functools.cache
def is_installed(top: str) -> bool:
  """Whether a top-level module belongs to Python, jaxdl, or an installed library."""
  if top in sys.stdlib_module_names or top == 'jaxdl':
    return True
  return importlib.machinery.PathFinder.find_spec(top, _libraries()) is not None


def _libraries() -> list[str]:
  """The folders of installed libraries."""
  schemes = [sysconfig.get_path(name) for name in ('purelib', 'platlib')]
  return [*dict.fromkeys([*schemes, *site.getsitepackages(), site.getusersitepackages()])]


def is_library_file(file: str | os.PathLike) -> bool:
  """Whether a file belongs to Python, jaxdl, or an installed library."""
  import jaxdl

  path = pathlib.Path(os.path.abspath(file))
  if any(path.is_relative_to(os.path.abspath(folder)) for folder in _libraries()):
    return True
  if any(path.is_relative_to(os.path.abspath(folder)) for folder in jaxdl.__path__):
    return True
  standard = [sysconfig.get_path(name) for name in ('stdlib', 'platstdlib')]
  return any(path.is_relative_to(folder) for folder in standard)


class _Loader(importlib.abc.SourceLoader):
  """Executes bytes that were read before; without `path_stats` no bytecode is used or written."""

  def __init__(self, path: pathlib.Path, content: bytes):
    self.path, self.content = path, content

  def get_filename(self, fullname: str) -> str:
    return str(self.path)

  def get_data(self, path: str | bytes) -> bytes:
    return self.content


class _Finder(importlib.abc.MetaPathFinder):
  """Finds the files beside a file that is being imported, in the thread that imports it."""

  def __init__(self, code: Code):
    self.code, self.thread = code, threading.get_ident()

  def find_spec(self, fullname, path=None, target=None):
    if threading.get_ident() != self.thread:
      return None
    place = fullname.replace('.', '/')
    for name in (f'{place}/__init__.py', f'{place}.py'):
      if name in self.code.files and self.code.folder is not None:
        loader = _Loader(self.code.folder / name, self.code.files[name])
        spec = importlib.util.spec_from_loader(
          fullname, loader, is_package=name.endswith('/__init__.py')
        )
        assert spec is not None
        spec.has_location, spec.origin = True, str(loader.path)
        return spec
    return None


def load(code: Code) -> types.ModuleType:
  """Imports a file. The same content in the same folder results in the same module.

  Args:
    code: the file, as returned by `read`.

  Returns:
    The module, which has a unique name in `sys.modules`.

  Raises:
    Exception: whatever executing the file raises.
  """
  assert code.folder is not None, 'source without a file cannot be imported'
  key = '\n'.join([str(code.folder), *(f'{name} {digest}' for name, digest in code.sums.items())])
  stem = re.sub(r'\W', '_', pathlib.PurePosixPath(code.main).stem)
  name = f'{PREFIX}{stem}_{hashlib.sha256(key.encode()).hexdigest()[:16]}'
  with _lock:
    if name not in _modules:
      _modules[name] = _executed(name, code, code.folder)
    return _modules[name]


def _executed(name, code, folder):
  loader = _Loader(folder / code.main, code.files[code.main])
  spec = importlib.util.spec_from_file_location(name, loader.path, loader=loader)
  assert spec is not None
  module = importlib.util.module_from_spec(spec)
  sys.modules[name] = module
  try:
    with _siblings(code):
      loader.exec_module(module)
  except BaseException:
    del sys.modules[name]
    raise
  return module


@contextlib.contextmanager
def _siblings(code: Code) -> Iterator[None]:
  """Allows a file to import the files in its folder, without leaving their names in `sys.modules`.

  Two files may each have their own 'blocks.py'.
  """
  tops = {name.split('/')[0].removesuffix('.py') for name in list(code.files)[1:]}

  def taken():
    return {name for name in sys.modules if name.split('.')[0] in tops}

  before = {name: sys.modules.pop(name) for name in taken()}
  finder = _Finder(code)
  sys.meta_path.insert(0, finder)
  try:
    yield
  finally:
    sys.meta_path.remove(finder)
    for name in taken():
      del sys.modules[name]
    sys.modules.update(before)


def find_module(name: str) -> pathlib.Path | None:
  """The file of an importable module, found without executing anything; None if there is none.

  Args:
    name: such as 'package.module'.
  """
  top, *rest = name.split('.')
  try:
    spec = importlib.util.find_spec(top)
  except (ImportError, ValueError):
    return None
  if spec is None:
    return None
  if not rest:
    return None if spec.origin in (None, 'built-in', 'frozen') else pathlib.Path(spec.origin)
  for place in spec.submodule_search_locations or ():
    below = pathlib.Path(place, *rest)
    for file in (below / '__init__.py', below.with_name(f'{below.name}.py')):
      if file.is_file():
        return file
  return None


def line_of(error: BaseException, code: Code) -> str:
  """'nets.py, line 12' of the last place in a file's code where an error was raised; '' if none."""
  if isinstance(error, SyntaxError) and error.lineno:
    return f'{pathlib.Path(error.filename or code.main).name}, line {error.lineno}'
  found, trace = '', error.__traceback__
  while trace is not None:
    file = pathlib.Path(trace.tb_frame.f_code.co_filename)
    if code.folder is not None and file.is_relative_to(code.folder):
      name = file.relative_to(code.folder).as_posix()
      found = f'{name}, line {trace.tb_lineno}' if name in code.files else found
    trace = trace.tb_next
  return found
