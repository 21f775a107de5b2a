"""A folder of many files at an address, which are fetched one by one when they are read."""

import dataclasses
import functools
import hashlib
import os
import pathlib
import tempfile
import time
from collections.abc import Iterable

from jaxdl.config import paths
from jaxdl.stores import commit
from jaxdl.stores.local import base_of
from jaxdl.stores.store import Found, Store, StoreError, in_parallel

WAITS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # seconds between tries of a read that fails


@dataclasses.dataclass(frozen=True)
class Folder:
  """A folder at an address, as it was when it was listed. Picklable, since workers read it.

  Attributes:
    address: the address.
    root: the path that stands for the address; the paths of files are below it. Nothing is there.
    files: name → Found.
    cache: local folder with the files that were fetched.
  """

  address: str
  root: pathlib.Path
  files: dict[str, Found]
  cache: pathlib.Path

  def below(self, folder: pathlib.Path) -> list[tuple[str, pathlib.Path, bool]]:
    """Sorted (name, path, whether it is a folder) of what a folder contains."""
    start = '' if folder == self.root else f'{self._name(folder)}/'
    return [
      (name, folder / name, is_folder)
      for name, is_folder in sorted(self._tree.get(start, {}).items())
    ]

  @functools.cached_property
  def _tree(self) -> dict[str, dict[str, bool]]:
    """Folder, '' or with '/' at its end → name → whether it is a folder."""
    tree: dict[str, dict[str, bool]] = {}
    for name in self.files:
      parts = name.split('/')
      for depth, part in enumerate(parts):
        start = ''.join(f'{one}/' for one in parts[:depth])
        tree.setdefault(start, {})[part] = depth < len(parts) - 1
    return tree

  def about(self, file: pathlib.Path) -> Found:
    """The size and the time of a file."""
    return self.files[self._name(file)]

  def shown(self, file: pathlib.Path) -> str:
    """The address of a file."""
    return f'{self.address}/{self._name(file)}'

  def read(self, file: pathlib.Path) -> bytes:
    """The content of a file, from the local cache if it was fetched before.

    Raises:
      FileNotFoundError: it was deleted.
      StoreError: the store fails, for about a minute, or the file has another size than listed.
    """
    name, there = self._name(file), self.about(file)
    key = hashlib.sha256(f'{name}\0{there.version}\0{there.size}'.encode()).hexdigest()
    cached = self.cache / key[:2] / key
    try:
      content = cached.read_bytes()
      if len(content) == there.size:
        return content
    except FileNotFoundError:
      pass
    content = self._fetched(name)
    if len(content) != there.size:
      raise StoreError(
        f'{self.shown(file)} has {len(content):,} bytes instead of {there.size:,}: it has changed '
        'since it was listed; rerun the command'
      )
    _keep(cached, content)
    return content

  def _fetched(self, name):
    for wait in (*WAITS, None):
      try:
        return _store(self.address).read(name)
      except FileNotFoundError:
        raise FileNotFoundError(f'{self.address}/{name} was deleted: restore it') from None
      except StoreError:
        if wait is None:
          raise
        time.sleep(wait)
    raise AssertionError('the last try returns or raises')

  def fetch(self, names: Iterable[str]) -> None:
    """Fetches files into the local cache, several at a time.

    Args:
      names: their names below the address.

    Raises:
      FileNotFoundError, StoreError: as `read`.
    """
    in_parallel(lambda name: self.read(self.root / name) and None, names)

  def _name(self, path):
    return path.relative_to(self.root).as_posix()


def listed(address: str) -> Folder:
  """Lists a folder at an address.

  Raises:
    FileNotFoundError: nothing is there.
    StoreError: the store fails.
  """
  store = Store(address)
  files = {name: found for name, found in store.find().items() if commit.is_inside(name)}
  if not files:
    raise FileNotFoundError(f'{store.address} does not exist: give a folder in the bucket')
  base = base_of(store, 'photographs')
  paths.name_as(base / store.name, store.address)
  return Folder(store.address, base / store.name, files, base / 'files')


@functools.cache
def _store(address: str) -> Store:
  """The store of an address, opened once in each process."""
  return Store(address)


def _keep(file: pathlib.Path, content: bytes) -> None:
  """Writes a file into the cache; nothing happens if the disk has no space."""
  try:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as aside:
      aside.write(content)
    os.replace(aside.name, file)
  except OSError:
    return
