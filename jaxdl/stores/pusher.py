"""Sends the checkpoints of a run in a thread while it trains."""

import sys
import threading
import time

from jaxdl.stores.lease import Lease, described
from jaxdl.stores.mirror import Mirror, checkpoints
from jaxdl.stores.store import StoreError

POLL = 1.0  # seconds between two looks for new checkpoints
SHARE = 0.02  # most of the time that these take
WAITS = (1.0, 60.0)  # first and longest wait after a failure, in seconds
PATIENCE = 180.0  # seconds of tries at the end


class Pusher:
  """A thread that sends new checkpoints, one state of the folder after another.

  Training never waits for it: if the store is slow, states between two transfers are left out. If
  the store fails, there is one warning, and further tries after increasing waits.

  Args:
    mirror: the mirror.
    lease: the lease, which is asked before each commit.
  """

  def __init__(self, mirror: Mirror, lease: Lease):
    self._mirror, self._lease = mirror, lease
    self._ended = threading.Event()
    self._warned = False
    self._thread = threading.Thread(target=self._run, daemon=True)
    self._thread.start()

  def _run(self):
    sent, wait, poll = None, WAITS[0], POLL
    while not self._ended.wait(poll) and self._lease.lost is None:
      began = time.monotonic()
      there = checkpoints(self._mirror.folder)
      poll = max(POLL, (time.monotonic() - began) / SHARE)
      if there == sent:
        continue
      try:
        self._mirror.push(self._lease.is_held)
        sent, wait = there, WAITS[0]
      except Exception as error:  # nothing that is sent may end the training
        self._warn(error)
        poll, wait = wait, min(2 * wait, WAITS[1])

  def _warn(self, error):
    if not self._warned:
      print(
        f'warning: {error}; training continues, and the checkpoints are sent later',
        file=sys.stderr,
        flush=True,
      )
    self._warned = True

  def finish(self) -> None:
    """Sends what is left; tries again for PATIENCE seconds.

    Raises:
      StoreError: the store still fails, or another process has taken the lease.
    """
    self._ended.set()
    self._thread.join()
    end, wait = time.monotonic() + PATIENCE, WAITS[0]
    place = f'{self._mirror.folder} has everything'
    while True:
      if self._lease.lost is not None:
        raise StoreError(
          f'{self._mirror.store.address} was taken over by {described(self._lease.lost)}, and '
          f'nothing more was sent: {place}'
        )
      try:
        return self._mirror.push(self._lease.is_held)
      except StoreError as error:
        if self._lease.lost is not None:
          continue
        if time.monotonic() + wait > end:
          raise StoreError(f'{error}; {place}: rerun the command to send it') from error
        self._warn(error)
        time.sleep(wait)
        wait = min(2 * wait, WAITS[1])
