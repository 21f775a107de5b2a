"""Leases of runs in object stores."""

import json
import time

import pytest

from jaxdl.stores import lease
from jaxdl.stores.lease import Lease
from jaxdl.stores.store import Store, StoreError


@pytest.fixture
def store():
  """An empty store in memory."""
  import fsspec

  fsspec.filesystem('memory').store.clear()
  return Store('memory://bucket/run')


@pytest.fixture(autouse=True)
def short(monkeypatch):
  """Shortens all times to fractions of a second."""
  monkeypatch.setattr(lease, 'BEAT', 0.05)
  monkeypatch.setattr(lease, 'EXPIRES', 0.5)
  monkeypatch.setattr(lease, 'SETTLES', 0.1)


def never():
  raise AssertionError('the lease is lost')


def wait_until(condition):
  end = time.monotonic() + 20
  while not condition():
    assert time.monotonic() < end
    time.sleep(0.01)


def test_a_second_writer_is_refused_in_one_line_with_the_holder(store):
  first = Lease(store, 'a')
  with pytest.raises(StoreError, match=r'run is in use by process \d+ of .+ on .+: wait') as error:
    Lease(store, 'b')
  assert '\n' not in str(error.value)
  assert ' UTC)' in str(error.value)
  assert first.is_held()


def test_a_writer_inside_a_folder_in_use_is_refused(store):
  """A run of a sweep that trains at an address may not be trained by itself meanwhile."""
  held = Lease(store, 'a')
  member = Store('memory://bucket/run/rate=1/seed0')
  with pytest.raises(StoreError, match=r'seed0 is in a folder in use by process \d+ of .+: wait'):
    Lease(member, 'b')
  assert member.find() == {}
  assert lease.holder_above(member)['mirror'] == 'a'
  assert lease.holder_above(Store('memory://bucket/runs')) is None
  held.release()
  Lease(member, 'b').release()


def test_an_expired_lease_above_does_not_count(store):
  Lease(store, 'a')
  time.sleep(0.6)
  Lease(Store('memory://bucket/run/seed0'), 'b').release()


def test_a_renewed_lease_does_not_expire(store):
  first = Lease(store, 'a')
  first.keep(never)
  time.sleep(0.8)
  with pytest.raises(StoreError, match='is in use by'):
    Lease(store, 'b')
  first.release()
  assert store.find() == {}
  Lease(store, 'b')


def test_an_expired_lease_is_taken_over_with_its_holder(store, capsys):
  first = Lease(store, 'a')
  wait_until(lambda: lease.has_expired(lease.holder(store)))
  second = Lease(store, 'b')
  assert 'taking over the lease of memory://bucket/run, which process' in capsys.readouterr().err
  assert second.is_held()
  assert not first.is_held()
  assert first.lost['token'] == lease.holder(store)['token']
  first.release()  # which must not delete the lease of the other
  assert lease.holder(store) is not None
  assert second.is_held()


def test_the_holder_is_told_when_its_lease_was_taken(store):
  called = []
  first = Lease(store, 'a')
  first.keep(lambda: called.append(True))
  other = dict(lease.holder(store), token='other', user='eve')
  store.write(lease.NAME, json.dumps(other).encode())
  wait_until(lambda: called)
  assert lease.described(first.lost).startswith('process ')
  assert 'of eve on' in lease.described(first.lost)
  time.sleep(0.2)
  assert lease.holder(store) == other


def test_a_killed_process_on_this_machine_does_not_hold_its_lease(store, capsys):
  Lease(store, 'a')  # whose process was killed: the lock of the mirror is free
  assert Lease(store, 'a').is_held()
  assert capsys.readouterr().err == ''


def test_a_deleted_lease_is_written_again(store):
  first = Lease(store, 'a')
  first.keep(never)
  store.delete([lease.NAME])
  wait_until(lambda: lease.holder(store) is not None)
  assert first.is_held()
  first.release()


@pytest.mark.parametrize('content', [b'', b'[]', b'{}', b'[' * 10**5, b'{"host": 1}'])
def test_a_damaged_lease_has_expired(store, content):
  store.write(lease.NAME, content)
  assert Lease(store, 'a').is_held()


def test_one_of_many_writers_gets_the_lease(store):
  from concurrent import futures

  def attempt(number):
    try:
      return Lease(store, str(number))
    except StoreError:
      return None

  with futures.ThreadPoolExecutor(8) as pool:
    found = [one for one in pool.map(attempt, range(8)) if one]
  assert len(found) == 1


@pytest.mark.slow
def test_at_most_one_of_many_writers_takes_over_an_expired_lease(store, capsys):
  from concurrent import futures

  for _ in range(20):
    store.write(lease.NAME, json.dumps(lease.DAMAGED).encode())

    def attempt(number):
      try:
        return Lease(store, str(number))
      except StoreError:
        return None

    with futures.ThreadPoolExecutor(4) as pool:
      found = [one for one in pool.map(attempt, range(4)) if one]
    assert sum(one.is_held() for one in found) <= 1


def test_addresses_in_their_shortest_form():
  assert Store('memory://bucket//runs/').address == 'memory://bucket/runs'
  assert Store('file:///tmp//runs/').address == 'file:///tmp/runs'  # of an absolute path
