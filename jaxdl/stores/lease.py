"""The lease of a run in an object store: the process that may write there.

It is the object `lease.json`, which its holder renews. Whoever finds a lease that was not renewed
for `EXPIRES` seconds takes it over. The clocks of all machines have to agree within a minute.
"""

import contextlib
import datetime
import getpass
import json
import os
import platform
import sys
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from jaxdl.stores.store import Store, StoreError

NAME = 'lease.json'
BEAT = 20.0  # seconds between two renewals
EXPIRES = 120.0  # seconds without a renewal after which a lease has expired
SETTLES = 2.0  # seconds in which another writer would replace a new lease
ATTEMPTS = 3
DAMAGED = {
  'host': 'an unknown host',
  'user': 'an unknown user',
  'process': 0,
  'heartbeat': 0.0,
  'expires': 0.0,
  'token': '',
  'mirror': '',
}


class Lease:
  """The lease of this process.

  Args:
    store: the store.
    mirror: name of the local folder, whose lock this process holds. A lease of the same folder
      belongs to a process that has ended.
    is_part: whether the run is part of a sweep whose process holds the lease of the folder above
      and has given the run to this process. A lease of another process is then waited for until it
      expires, because that process has died.

  Raises:
    StoreError: another process holds the lease; the message names it.
  """

  def __init__(self, store: Store, mirror: str, *, is_part: bool = False):
    self._store, self._mirror = store, mirror
    self._token, self._started = uuid.uuid4().hex, time.time()
    self._ended, self._thread = threading.Event(), None
    self.lost: dict[str, Any] | None = None
    if is_part:
      self._wait_until_expired()
    else:
      self._check_above()
    self._acquire()

  def _wait_until_expired(self):
    end = time.monotonic() + EXPIRES + BEAT
    said = False
    while time.monotonic() < end:
      held = holder(self._store)
      if held is None or held['mirror'] == self._mirror or has_expired(held):
        return
      if not said:
        print(f'waiting until the lease of {described(held)} expires', flush=True)
      said = True
      time.sleep(BEAT / 10)

  def _check_above(self):
    if held := holder_above(self._store):
      raise StoreError(
        f'{self._store.address} is in a folder in use by {described(held)}: wait until it ends, or '
        'give another --workdir'
      )

  def _acquire(self):
    took_over = False
    for _ in range(ATTEMPTS):
      held = holder(self._store)
      if held is not None:
        if held['mirror'] != self._mirror and not has_expired(held):
          raise StoreError(
            f'{self._store.address} is in use by {described(held)}: wait until it ends (if it has '
            f'died, until {_clock(held["expires"])}), or give another --workdir'
          )
        if held['mirror'] != self._mirror:
          print(
            f'jaxdl: taking over the lease of {self._store.address}, which {described(held)} has '
            f'not renewed since {_clock(held["heartbeat"])}',
            file=sys.stderr,
            flush=True,
          )
        took_over = True
        self._store.delete([NAME])
      with contextlib.suppress(FileExistsError):  # also if the answer to the first try was lost
        self._store.create(NAME, self._content())
      if took_over or not self._store.is_atomic:
        time.sleep(SETTLES)
      if self._is_ours(holder(self._store)):
        return
    raise StoreError(
      f'{self._store.address} is being started by another process: rerun the command, or give '
      'another --workdir'
    )

  def keep(self, when_lost: Callable[[], Any]) -> None:
    """Renews the lease in a thread until `release`.

    Args:
      when_lost: called once in that thread if another process has taken the lease.
    """
    self._thread = threading.Thread(target=self._renew, args=(when_lost,), daemon=True)
    self._thread.start()

  def _renew(self, when_lost):
    while not self._ended.wait(BEAT):
      with contextlib.suppress(StoreError):  # the next renewal may succeed
        if not self.is_held():
          when_lost()
          return
        self._store.write(NAME, self._content())

  def is_held(self) -> bool:
    """Whether no other process has taken the lease; asks the store.

    Raises:
      StoreError: the store does not answer.
    """
    if self.lost is None:
      held = holder(self._store)
      if held is not None and not self._is_ours(held):
        self.lost = held
    return self.lost is None

  @property
  def is_released(self) -> bool:
    """Whether `release` was called."""
    return self._ended.is_set()

  def release(self) -> None:
    """Ends the renewals and deletes the lease, if it is still held."""
    self._ended.set()
    if self._thread is not None:
      self._thread.join(BEAT)
    with contextlib.suppress(StoreError):
      if self._is_ours(holder(self._store)):
        self._store.delete([NAME])

  def _is_ours(self, held):
    return held is not None and held['token'] == self._token

  def _content(self):
    found = {
      'host': platform.node(),
      'process': os.getpid(),
      'user': _user(),
      'started': round(self._started, 1),
      'heartbeat': round(time.time(), 1),
      'expires': round(time.time() + EXPIRES, 1),
      'mirror': self._mirror,
      'token': self._token,
    }
    return json.dumps(found, indent=2).encode()


def holder(store: Store) -> dict[str, Any] | None:
  """The content of the lease of a store; None if there is none. A damaged one has expired."""
  try:
    found = json.loads(store.read(NAME))
  except FileNotFoundError:
    return None
  except (ValueError, RecursionError):
    return DAMAGED
  is_valid = (
    isinstance(found, dict)
    and all(isinstance(found.get(key), str) for key in ('host', 'user', 'token', 'mirror'))
    and all(isinstance(found.get(key), (int, float)) for key in ('process', 'heartbeat', 'expires'))
  )
  return found if is_valid else DAMAGED


def holder_above(store: Store) -> dict[str, Any] | None:
  """The content of the lease of a folder above a store, such as a sweep that trains there.

  Leases that have expired, and folders that may not be read, are left out.
  """
  address = store.address
  while '/' in (address := address.rpartition('/')[0]).partition('://')[2]:
    with contextlib.suppress(StoreError):
      held = holder(Store(address))
      if held is not None and not has_expired(held):
        return held
  return None


def has_expired(held: dict[str, Any]) -> bool:
  """Whether the holder of a lease has not renewed it in time."""
  return time.time() > held['expires']


def described(held: dict[str, Any]) -> str:
  """The holder of a lease, such as 'process 7 of ada on node1'."""
  return f'process {held["process"]:.0f} of {held["user"]} on {held["host"]}'


def _clock(seconds):
  """A time as text, such as '14:05:00 UTC'."""
  with contextlib.suppress(ValueError, OverflowError, OSError):
    return f'{datetime.datetime.fromtimestamp(seconds, datetime.UTC):%Y-%m-%d %H:%M:%S} UTC'
  return 'an unknown time'


def _user():
  try:
    return getpass.getuser()
  except (KeyError, OSError, ImportError):  # a container without names of users
    return 'unknown'
