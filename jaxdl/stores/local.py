"""The local folders of addresses: where they are, and their lock."""

import contextlib
import hashlib
import os
import pathlib
from collections.abc import Iterator

import filelock

from jaxdl.config import paths
from jaxdl.stores.store import Store, StoreError

PLACE = 'JAXDL_STORES'  # environment variable: the folder of all of them
WAIT = 600.0  # seconds to wait for another command that fetches from the same address


def base_of(store: Store, kind: str) -> pathlib.Path:
  """The local folder of an address; it may not exist.

  Args:
    store: the store at the address.
    kind: 'training', 'reading', 'data' or 'photographs'; each has a folder of its own.
  """
  root = pathlib.Path(os.environ.get(PLACE) or paths.cache('stores')).expanduser().absolute()
  return root / hashlib.sha256(store.address.encode()).hexdigest()[:12] / kind


@contextlib.contextmanager
def locked(base: pathlib.Path, address: str, wait: float = 1.0) -> Iterator[None]:
  """Creates and locks a local folder inside the `with` block.

  Args:
    base: the folder.
    address: the address, for the message.
    wait: seconds to wait for another process.

  Raises:
    StoreError: another process of this machine has locked it.
  """
  base.mkdir(parents=True, exist_ok=True)
  lock = filelock.FileLock(base / '.lock', thread_local=False)
  try:
    lock.acquire(timeout=wait)
  except filelock.Timeout:
    raise StoreError(
      f'{address} is in use by another process on this machine: wait until it ends, or give '
      'another --workdir'
    ) from None
  except (OSError, NotImplementedError):  # a file system without locks
    yield
    return
  try:
    yield
  finally:
    lock.release()
