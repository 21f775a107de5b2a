"""Local copies of data at addresses: files, and folders such as those of TFDS."""

import json
import os
import pathlib
from typing import TypeVar

from jaxdl.config import paths
from jaxdl.stores import commit
from jaxdl.stores.local import WAIT, base_of, locked
from jaxdl.stores.store import Found, Store, in_parallel

RECORD = 'copied.json'  # name → version of the objects that were copied
Place = TypeVar('Place')


def copied(place: Place) -> Place | pathlib.Path:
  """A local copy of the file or folder at an address; any other place is returned unchanged.

  Objects that have not changed are not fetched again.

  Raises:
    FileNotFoundError: nothing is there.
    StoreError: the store fails.
  """
  if not paths.is_address(place):
    return place
  store = Store(place)
  base = base_of(store, 'data')
  with locked(base, store.address, WAIT):
    found = store.at()
    listed = store.find() if found is None else {'': found}
    if not listed:
      raise FileNotFoundError(
        f'{store.address} does not exist: give a file or folder in the bucket'
      )
    _copy(store, listed, base)
  paths.name_as(base / store.name, store.address)
  return base / store.name


def copied_below(address: str, name: str) -> pathlib.Path:
  """The local copy of a folder at an address, of which only one folder below it is up to date.

  Args:
    address: the address.
    name: the folder below it; '' for none.
  """
  store = Store(address)
  base = base_of(store, 'data')
  with locked(base, store.address, WAIT):
    _copy(store, store.find(name) if name else {}, base)
  paths.name_as(base / store.name, store.address)
  return base / store.name


def _copy(store: Store, listed: dict[str, Found], base: pathlib.Path) -> None:
  """Fetches the objects that have changed since the last copy."""
  target, record = base / store.name, base / RECORD
  known = _versions(record)

  def fetch(name):
    file = target / name if name else target
    if not (known.get(name) == listed[name].version and _has_size(file, listed[name].size)):
      store.download(name, file)
    return name, listed[name].version

  names = [name for name in listed if name == '' or commit.is_inside(name)]
  known |= dict(in_parallel(fetch, names))
  aside = record.with_name(f'{RECORD}.new')
  aside.write_text(json.dumps(known), encoding='utf-8')
  os.replace(aside, record)


def _has_size(file, size):
  return file.is_file() and file.stat().st_size == size


def _versions(record):
  try:
    return {
      str(name): str(one) for name, one in json.loads(record.read_text(encoding='utf-8')).items()
    }
  except (OSError, ValueError, AttributeError, RecursionError):
    return {}
