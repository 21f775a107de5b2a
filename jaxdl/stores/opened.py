"""Opens a run at an address as a local folder: to train, to read, or to look at its progress."""

import contextlib
import os
import pathlib
import re
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from jaxdl.config import paths
from jaxdl.stores import commit, lease
from jaxdl.stores.lease import Lease
from jaxdl.stores.local import WAIT, base_of, locked
from jaxdl.stores.mirror import Mirror
from jaxdl.stores.pusher import Pusher
from jaxdl.stores.shown import as_address
from jaxdl.stores.store import Store, StoreError, in_parallel

SMALL = re.compile(r'(.*/)?(config\.json|summary\.json|metrics\.jsonl|command\.txt|lock)')
Place = TypeVar('Place')


@contextlib.contextmanager
def training(
  place: Place, *, is_first: bool = True, is_part: bool = False
) -> Iterator[Place | pathlib.Path]:
  """The folder in which a command trains the run or the sweep of a place.

  For an address, the run is fetched into its mirror, whose checkpoints are sent to the store while
  the block runs, and everything else at its end. Nobody else can train there meanwhile.

  Args:
    place: a folder, which is yielded unchanged, or an address.
    is_first: whether this is the process that reads and writes the folder.
    is_part: whether the run is part of a sweep that `coordinating` has opened, as in Lease.

  Raises:
    StoreError: the store fails, or another process trains there. At the end of the block: not
      everything could be sent; the mirror has it.
  """
  if not paths.is_address(place):
    yield place
    return
  store = Store(place)
  base = base_of(store, 'training')
  if not is_first:
    yield base / store.name
    return
  with locked(base, store.address), contextlib.ExitStack() as stack:
    mirror = Mirror(store, base)
    store.find()  # a missing bucket or wrong credentials are reported before anything is written
    held = Lease(store, mirror.state.mirror, is_part=is_part)
    stack.callback(held.release)
    held.keep(lambda: _stop_training(held))  # also while a large run is fetched
    mirror.pull()
    pusher = Pusher(mirror, held)
    try:
      with as_address(mirror.folder, store.address):
        yield mirror.folder
    except Exception:
      with contextlib.suppress(StoreError):  # the error of the block is the one to show
        pusher.finish()
      raise
    pusher.finish()


class Coordinated:
  """A sweep at an address whose runs other processes train, each at its own address below.

  Args:
    mirror: its mirror.

  Attributes:
    folder: the local folder, without the checkpoints until `fetch`.
    address: the address.
  """

  def __init__(self, mirror: Mirror):
    self._mirror = mirror
    self.folder, self.address = mirror.folder, mirror.store.address

  def refresh(self) -> None:
    """Fetches the small files of all runs; if the store fails, nothing changes."""
    with contextlib.suppress(StoreError):
      self._mirror.pull(checkpoints=False)

  def fetch(self) -> None:
    """Fetches everything, with the checkpoints.

    Raises:
      StoreError: the store fails.
    """
    self._mirror.pull()

  def trained(self, folders: Sequence[str]) -> set[str]:
    """Those of the folders of the sweep in which a process trains now; none if the store fails."""

    def trains(folder):
      with contextlib.suppress(StoreError):
        held = lease.holder(Store(f'{self.address}/{folder}'))
        return held is not None and not lease.has_expired(held)
      return False

    return {
      folder for folder, now in zip(folders, in_parallel(trains, folders), strict=True) if now
    }


@contextlib.contextmanager
def coordinating(address: str) -> Iterator[Coordinated]:
  """A sweep at an address whose runs other processes train by `training` with `is_part`.

  This process holds the lease of the sweep. What it writes beside the runs is sent at the end.

  Args:
    address: the address of the sweep.

  Raises:
    StoreError: the store fails, or another process trains there.
  """
  store = Store(address)
  base = base_of(store, 'coordinating')
  with locked(base, store.address), contextlib.ExitStack() as stack:
    mirror = Mirror(store, base)
    store.find()
    held = Lease(store, mirror.state.mirror)
    stack.callback(held.release)
    held.keep(lambda: _stop_training(held))
    mirror.pull(checkpoints=False)
    with as_address(mirror.folder, store.address):
      yield Coordinated(mirror)
    mirror.push_others()


def _stop_training(held):
  """Stops the training of this process as a signal does, as soon as it trains."""
  while not held.is_released:
    if signal.getsignal(signal.SIGTERM) not in (signal.SIG_DFL, signal.SIG_IGN, None):
      signal.raise_signal(signal.SIGTERM)
      return
    time.sleep(0.1)


@contextlib.contextmanager
def reading(place: Place) -> Iterator[Place | pathlib.Path]:
  """The folder of the run or the runs of a place, for a command that reads them.

  For an address, they are fetched into a mirror of their own, and what the block adds to it is sent
  to the store at its end.

  Args:
    place: a folder or file, which is yielded unchanged, or an address.

  Raises:
    StoreError: the store fails, or has no run there.
  """
  if not paths.is_address(place):
    yield place
    return
  mirror = _fetched(place)
  with as_address(mirror.folder, mirror.store.address):
    yield mirror.folder
  with locked(mirror.base, mirror.store.address, WAIT):
    mirror.push_others()


def send(file: pathlib.Path, address: str) -> None:
  """Sends a file to an address, the folder of the object.

  Raises:
    StoreError: the store fails.
    FileNotFoundError: there is no such file.
  """
  Store(address).upload(file, file.name)


def fetched(place: Place) -> Place | pathlib.Path:
  """The folder of the run of a place, fetched from its address; as `reading`, but nothing is sent.

  Args:
    place: a folder or file, which is returned unchanged, or an address.
  """
  if not paths.is_address(place):
    return place
  return _fetched(place).folder


def _fetched(address: str) -> Mirror:
  store = Store(address)
  _check_not_packed(store)
  base = base_of(store, 'reading')
  with locked(base, store.address, WAIT):
    mirror = Mirror(store, base)
    mirror.pull()
  if not any(mirror.folder.iterdir()):
    raise StoreError(f'{store.address} contains no run: give the address of a run')
  return mirror


def _check_not_packed(store):
  if store.name.endswith(paths.PACKED):
    raise StoreError(f'{store.address} is a packed run: download it, and give the file')


@contextlib.contextmanager
def peeked(place: Place) -> Iterator[tuple[Place | pathlib.Path, dict[str, Any] | None]]:
  """A folder with the small files of the runs of a place, and who trains there now.

  For an address, the folder is temporary. Its checkpoints are empty folders, with the times at
  which they were written.

  Args:
    place: a folder or file, which is yielded unchanged with None, or an address.

  Yields:
    (folder, content of the lease, or of that of a folder above; None if nobody trains there).
  """
  if not paths.is_address(place):
    yield place, None
    return
  store = Store(place)
  _check_not_packed(store)
  with tempfile.TemporaryDirectory(prefix='jaxdl-') as temporary:
    folder = pathlib.Path(temporary) / store.name
    folder.mkdir()
    _fetch_small(store, folder)
    held = lease.holder(store)
    if held is None or lease.has_expired(held):
      held = lease.holder_above(store)
    with as_address(folder, store.address):
      yield folder, held


def _fetch_small(store, folder):
  listed = store.find()

  def fetch(name):
    try:
      store.download(name, folder / name)
    except FileNotFoundError:
      return
    if (modified := listed[name].modified) is not None:
      _set_time(folder / name, modified)

  in_parallel(fetch, [name for name in listed if commit.is_inside(name) and SMALL.fullmatch(name)])
  commits = [name for name in listed if name.rpartition('/')[2] == commit.NAME]
  runs = [name.removesuffix(commit.NAME) for name in commits if commit.is_inside(name)]
  for run, found in zip(runs, in_parallel(lambda run: commit.read(store, run), runs), strict=True):
    for step in found.checkpoints if found else ():
      place = folder / run / commit.CHECKPOINTS / str(step)
      place.mkdir(parents=True)
      if found and step in found.saved:
        _set_time(place, found.saved[step])


def _set_time(path, seconds):
  os.utime(path, (seconds, seconds))
