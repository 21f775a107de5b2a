"""The own code of a run: its copy in the run's folder, and conditions for its execution.

A run names its own code (`config.named`), records the paths and checksums of its files under the
key 'code' of its config, and contains a copy of them in the folder `code`. A later command executes
code for a run only if

- this process has already imported it, or
- the files at the recorded paths have the recorded checksums, and this user has trained with them
  under the same name: training records this in the user's cache folder; or
- the caller passes `trust_code`, which executes the copy.

Therefore, the content of a run folder or a packed run can never cause a command to execute code
with which its user has not trained.
"""

import contextlib
import hashlib
import inspect
import os
import pathlib
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from jaxdl.config import named, paths, python_files
from jaxdl.config.named import Reference
from jaxdl.runs import disk, files

FOLDER = 'code'  # in a run's folder
NOTES = 'trusted'  # in the user's cache folder
USED = ('model', 'task', 'data')  # sections of a config whose code later commands need


class RefusedCodeError(ValueError):
  """The own code of a run must not or cannot be executed; the message gives reason and fix."""


def keep(workdir: str | os.PathLike, config: dict[str, Any]) -> None:
  """Copies the own code of a run into its folder, and records that this user trains with it.

  Args:
    workdir: the run's folder.
    config: the resolved config, whose own code is linked.

  Raises:
    OSError: the folder cannot be written.
  """
  for name, (content, _) in named.files(config).items():
    file = pathlib.Path(workdir) / FOLDER / name
    if not file.is_file() or file.read_bytes() != content:
      file.parent.mkdir(parents=True, exist_ok=True)
      disk.write_atomic(file, content)
  sums = _sums(config)
  notes = paths.cache(NOTES)
  with contextlib.suppress(OSError):  # without a note, later commands need trust_code
    for text in _texts(config):
      notes.mkdir(parents=True, exist_ok=True)
      (notes / named.token(text, sums)).touch()


def copies(folder: pathlib.Path, config: Mapping[str, Any]) -> dict[str, bytes]:
  """The copies of a run's own code: 'code/nets.py' → content; {} if it has none."""
  place = folder / FOLDER
  return {
    f'{FOLDER}/{name}': (place / name).read_bytes()
    for name in _sums(config)
    if _is_below(name) and (place / name).is_file()
  }


def linked(
  config: dict[str, Any],
  workdir: str | os.PathLike,
  *,
  trust_code: bool = False,
  to_train: bool = False,
) -> dict[str, Any]:
  """Imports the own code that the config of a run names, if it may be executed.

  Args:
    config: the run's config, as read from a file.
    workdir: the run's folder; for a packed run, its folder in the cache.
    trust_code: whether the copies in the run's folder may be executed.
    to_train: whether all of the code is imported; otherwise only that of the model, the task and
      the data.

  Returns:
    A copy of the config in which a `named.Reference` stands for every name of imported code; the
    config itself if there is none.

  Raises:
    RefusedCodeError: the code has changed, is missing, or may not be executed.
  """
  run = _Run(config, pathlib.Path(workdir), trust_code)
  used = named.references if to_train else _used
  if not list(used(config)):
    return config
  made = {key: named.copied(value) for key, value in config.items()}
  for section, key, where in used(made):
    if not isinstance(section[key], Reference):
      section[key] = named.remember(run.reference(section[key], where), run.sums)
  return made


def _used(config):
  for section, key, where in named.references(config):
    if where.split('.')[1] in USED:
      yield section, key, where


def _texts(config):
  return [section[key] for section, key, _ in named.references(config)]


def _sums(config):
  """File → checksum of a config's own code; {} if there is none or the config is damaged."""
  return _texts_of(config, 'sha256')


def _texts_of(config, key):
  facts = config.get(named.KEY)
  found = facts.get(key) if isinstance(facts, dict) else None
  if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
    return {}
  return found


def _is_below(name):
  """Whether a recorded name is that of a Python file below the folder of the copies."""
  path = pathlib.PurePosixPath(name)
  return path.suffix == '.py' and not path.is_absolute() and not {'..', '\\'} & {*path.parts, *name}


class _Run:
  """A run whose own code is imported."""

  def __init__(self, config: dict[str, Any], folder: pathlib.Path, trust_code: bool):
    self.folder, self.trust_code = folder, trust_code
    self.sums = _sums(config)
    self.places = [_texts_of(config, 'path'), _texts_of(self._newest(), 'path')]

  def _newest(self):
    """The config.json of the run: it has the present paths of a run that was resumed."""
    with contextlib.suppress(OSError, ValueError):
      return files.read_json(self.folder / 'config.json')
    return {}

  def reference(self, text: str, where: str) -> Reference:
    """Imports what a text of the config names; raises RefusedCodeError."""
    known = named.known(text, self.sums)
    if known is not None:
      return known
    try:
      if (match := named.FILE.fullmatch(text)) is not None:
        return self._of_file(text, match['file'], match['name'], where)
      if named.MODULE.fullmatch(text) and not text.startswith('__main__:'):
        return self._of_module(text, where)
      return self._of_session(text)
    except RefusedCodeError:
      raise
    except (ValueError, OSError) as error:
      raise RefusedCodeError(str(error)) from error

  def _of_file(self, text, file, name, where):
    path = self._original(file)
    code, fault = (
      None,
      f'{file}, the own code of {self.folder}, is not at {path or "a known place"}',
    )
    if path is not None and path.is_absolute() and path.is_file():
      code = python_files.read(path)
      fault = self._difference(code, file)
    if fault is None and not self._is_noted(text):
      fault = f'{self.folder} was not trained here with {text}, so its code is not executed'
    if code is None or fault is not None:
      if not self.trust_code:
        raise self._refused(fault)
      code = self._copy(file)
    module = named.imported(code, where, text)
    return Reference(text, named.found_in(module, name, where, text), code)

  def _is_noted(self, text):
    return (paths.cache(NOTES) / named.token(text, self.sums)).is_file()

  def _original(self, name):
    """The path that a run recorded for a file; that of its config.json if the file is not there."""
    found = [pathlib.Path(place[name]) for place in self.places if name in place]
    there = [path for path in found if path.is_absolute() and path.is_file()]
    return next(iter(there or found), None)

  def _difference(self, code, name):
    """Why a file, with what it imports, is not that of the run; None if it is."""
    below = pathlib.PurePosixPath(name).parent
    for inner, digest in code.sums.items():
      if self.sums.get((below / inner).as_posix()) != digest:
        return f'{code.folder / inner} has changed since {self.folder} was trained'
    return None

  def _copy(self, name):
    """The copy of a file in the run's folder; raises RefusedCodeError if it is damaged."""
    file = self.folder / FOLDER / name
    if not _is_below(name) or not file.is_file():
      raise RefusedCodeError(f'{self.folder} has no copy of {name}: restore the original')
    code = python_files.read(file)
    if self._difference(code, name) is not None:
      raise RefusedCodeError(
        f'{file} is damaged: it is not the code with which {self.folder} was trained'
      )
    return code

  def _refused(self, fault):
    copy = self.folder / FOLDER
    return RefusedCodeError(
      f'{fault}: restore it, or read {copy} and add --trust_code (in Python trust_code=True), '
      'which executes that copy'
    )

  def _of_module(self, text, where):
    module = text.rpartition(':')[0]
    fault = self._fault_of_module(module)
    if fault is None and not self._is_noted(text):
      fault = f'{self.folder} was not trained here with {text}, so it is not imported'
    if fault is not None and not self.trust_code:
      raise RefusedCodeError(
        f'{fault}: install what it was trained with, or add --trust_code (in Python '
        'trust_code=True), which imports the module that is installed'
      )
    return named.resolve(text, where)

  def _fault_of_module(self, module):
    """Why the file of a module is not that of the run; None if it is. Executes nothing."""
    file = python_files.find_module(module)
    below = module.replace('.', '/')
    recorded = [name for name in (f'{below}/__init__.py', f'{below}.py') if name in self.sums]
    if file is None:
      return None if not recorded and module in sys.modules else f'there is no module {module}'
    if not recorded:
      known = python_files.is_library_file(file)
      return None if known else f'the module {module} of {self.folder} is not at {file}'
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    same = digest == self.sums[recorded[0]]
    return None if same else f'{file} has changed since {self.folder} was trained'

  def _of_session(self, text):
    """A class or function of this session that has the recorded source."""
    module, _, name = text.partition(':')
    target = getattr(sys.modules.get(module), name, None)
    if isinstance(target, type) or inspect.isfunction(target):
      found = named.of_object(target)
      sums = named.sums_of(found)
      if found == text and sums.items() <= self.sums.items():
        return found
    raise RefusedCodeError(
      f'{text}, the own code of {self.folder}, was defined in a session and is not in this one: '
      f'define it as in {self.folder / FOLDER} before, or put it into a file and train with that'
    )


def names_of_changed(keys: list[str]) -> Iterator[str]:
  """The files among changed keys of a config, such as 'code.sha256.nets.py'."""
  start = f'{named.KEY}.sha256.'
  yield from (key.removeprefix(start) for key in keys if key.startswith(start))
