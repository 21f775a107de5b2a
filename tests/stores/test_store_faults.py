"""Faults of an object store, with a real S3 server on this machine and a proxy in front of it.

Every run is resumed to the bit, or refused in one line.
"""

import contextlib
import json
import os
import random
import signal
import threading
import time

import forked
import pytest
import store_helpers
from helpers import SMALL, state_of
from store_helpers import BUCKET, environment, equal, figures

from jaxdl import stores
from jaxdl.runs import checkpoint
from jaxdl.stores import commit, lease
from jaxdl.stores.store import Store, StoreError
from jaxdl.training import experiment, loop

pytest.importorskip('moto')
pytest.importorskip('s3fs')

ADDRESS = f's3://{BUCKET}/runs/small'
CONFIG = {
  **SMALL,
  'train_for': '40 steps',
  'checkpoint_every': '4 steps',
  'evaluate_every': '4 steps',
}
TIMES = {
  'pusher.POLL': 0.02,
  'pusher.WAITS': (0.1, 2.0),
  'lease.BEAT': 0.3,
  'lease.EXPIRES': 6.0,
  'lease.SETTLES': 1.0,
}
LIMIT = 300  # seconds


@pytest.fixture(scope='module')
def uninterrupted(tmp_path_factory):
  """(Experiment, folder of an uninterrupted local run)."""
  built, folder = experiment.build(CONFIG, 'small'), tmp_path_factory.mktemp('local') / 'small'
  loop.train(built, folder)
  return built, folder


@pytest.fixture(scope='module')
def server():
  """An S3 server."""
  server = store_helpers.Server()
  yield server
  server.close()


class Place:
  """An address behind a proxy, and processes that train there.

  Attributes:
    proxy: the proxy.
    output: file with the output of the last process.
  """

  def __init__(self, server, tmp_path):
    self._server, self._folder = server, tmp_path
    self.proxy = store_helpers.Proxy(server.port)
    self.output = tmp_path / 'output'

  def environment(self, machine='first'):
    """Environment of a process; machines differ in their mirrors."""
    return {**environment(self.proxy.port), 'JAXDL_STORES': str(self._folder / machine)}

  def started(self, machine='first', address=ADDRESS, **changes):
    """Starts to train; `changes` are environment variables."""
    self.output = self._folder / f'output_{machine}_{random.random()}'
    where = {**self.environment(machine), **changes}
    return forked.started(store_helpers.train, (CONFIG, address, where, TIMES), self.output)

  def trained(self, machine='first', **keywords):
    """Trains; returns (exit code, the last line of the output)."""
    process = self.started(machine, **keywords)
    process.join(LIMIT)
    lines = self.output.read_text().strip().splitlines()
    return process.exitcode, lines[-1] if lines else ''

  def check(self, uninterrupted):
    """Checks that the run in the store equals an uninterrupted one, and can be read."""
    built, local = uninterrupted
    with stores.reading(ADDRESS) as folder:
      assert figures(folder) == figures(local)
      assert checkpoint.last_step(folder) == 40
      assert equal(state_of(built, folder), state_of(built, local))
      best = [checkpoint.read_step(one, 'best')[1] for one in (folder, local)]
      assert equal(*best)
    store = Store(ADDRESS)
    committed = {f'{step}' for step in commit.read(store).checkpoints}
    there = {name.split('/')[1] for name in store.find('checkpoints')}
    assert there == committed
    assert lease.holder(store) is None

  def check_readable(self, built):
    """Checks every checkpoint that a reader gets now; returns their steps."""
    with contextlib.suppress(StoreError), stores.reading(ADDRESS) as folder:
      steps = checkpoint.kept_steps(folder)
      for step in steps:
        assert int(state_of(built, folder, step).step) == step
      return steps
    return []


@pytest.fixture
def place(server, tmp_path, monkeypatch):
  """A Place whose address is empty."""
  with contextlib.suppress(FileNotFoundError):
    server.files().rm(f'{BUCKET}/runs', recursive=True)
  found = Place(server, tmp_path)
  for name, value in {**environment(server.port), 'JAXDL_STORES': str(tmp_path / 'test')}.items():
    monkeypatch.setenv(name, value)
  yield found
  found.proxy.stop()


def test_a_run_in_s3_equals_a_local_one(place, uninterrupted):
  """The only test with a server that is not slow."""
  with stores.training(ADDRESS) as folder:
    loop.train(experiment.build(CONFIG, 'small'), folder)
  place.check(uninterrupted)
  with pytest.raises(StoreError, match='create the bucket none, or correct the address$'):
    stores.training('s3://none/run').__enter__()


@pytest.mark.slow
@pytest.mark.parametrize('number', [1, 3, 10, 40, 60, 80, 100, 130, 160, 200])
def test_faults_killed_in_the_middle_of_an_upload(place, uninterrupted, number, reliability):
  """SIGKILL while the proxy has forwarded half of a request."""
  process, puts = None, 0
  ready = threading.Event()

  def kill(method, path, _):
    nonlocal puts
    ready.wait(LIMIT)
    if method == 'PUT' and 'lease.json' not in path:
      puts += 1
      if puts == number:
        os.kill(process.pid, signal.SIGKILL)
        return 'cut', 700
    return None

  place.proxy.fault = kill
  process = place.started()
  ready.set()
  process.join(LIMIT)
  if process.exitcode == 0:
    pytest.skip('fewer files were sent')  # the store was slower than the checkpoints
  assert process.exitcode == -signal.SIGKILL
  place.proxy.fault = lambda *request: None
  steps = place.check_readable(uninterrupted[0])
  code, line = place.trained('second' if number % 20 else 'first')
  if code and number % 20:  # another machine waits until the lease has expired
    assert f'is in use by process {process.pid} of' in line
    time.sleep(TIMES['lease.EXPIRES'] + 1)
    code, line = place.trained('second')
  assert code == 0, line
  text = place.output.read_text()
  assert not steps or 'resuming' in text or 'is finished already' in text
  place.check(uninterrupted)
  reliability(
    'object store, SIGKILL in the middle of an upload: the run resumed on the same machine, or from an '
    'empty folder, equals an uninterrupted one bit for bit',
    1,
    1,
  )


@pytest.mark.slow
@pytest.mark.parametrize(('after', 'seconds'), [(2, 60), (40, 5), (100, 15), (180, 5)])
def test_faults_connection_refused_for_a_while(place, uninterrupted, after, seconds, reliability):
  def stop(method, path, number):
    if number == after:
      place.proxy.stop()
      threading.Timer(seconds, place.proxy.start).start()
    return None

  place.proxy.fault = stop
  began = time.monotonic()
  code, line = place.trained()
  if code:  # the store was not reachable when the run was started
    assert line.startswith(f'jaxdl: {ADDRESS} cannot be ')
    time.sleep(max(0, seconds + 1 - (time.monotonic() - began)))
    code, line = place.trained()
  assert code == 0, line
  place.check(uninterrupted)
  reliability(
    'object store, connections refused for 5 to 60 s: the run equals an uninterrupted one bit for '
    'bit, or is refused in one line before it starts',
    1,
    1,
  )


@pytest.mark.slow
@pytest.mark.parametrize('seed', range(8))
def test_faults_slow_and_failing_requests(place, uninterrupted, seed, reliability):
  """A share of the requests is dropped, answered with 503, delayed, cut or truncated."""
  generator = random.Random(seed)
  share = generator.choice([0.05, 0.15, 0.3])

  def disturb(method, path, number):
    if generator.random() > share:
      return None
    amount = generator.randrange(0, 900)
    return generator.choice(
      ['drop', 'busy', ('delay', generator.random()), ('cut', amount), ('truncate', amount)]
    )

  place.proxy.fault = disturb
  tries = 0
  code, line = place.trained()
  while code and tries < 20:
    assert code == 1
    assert line.startswith(f'jaxdl: {ADDRESS} '), line
    tries += 1
    time.sleep(1)
    code, line = place.trained()
  assert code == 0, line
  place.proxy.fault = lambda *request: None
  assert place.trained()[0] == 0  # which deletes what a failed request may have left
  place.check(uninterrupted)
  reliability(
    'object store, 5 to 30 % of the requests dropped, delayed, refused or truncated: the run equals '
    'an uninterrupted one bit for bit, or is refused in one line and resumes',
    1,
    1,
  )


@pytest.mark.slow
@pytest.mark.parametrize('when', ['before', 'during', 'missing'])
def test_faults_wrong_credentials(place, uninterrupted, server, when, reliability):
  if when == 'missing':
    none = {'AWS_ACCESS_KEY_ID': '', 'AWS_SECRET_ACCESS_KEY': '', 'HOME': str(place.output.parent)}
    code, line = place.trained(**none)
  elif when == 'before':
    server.check_credentials(True)
    code, line = place.trained()
    server.check_credentials(False)
  else:
    place.proxy.fault = lambda method, path, number: (
      server.check_credentials(number < 140) if number in (80, 140) else None
    )
    code, line = place.trained()
    assert code == 0, line
    assert place.output.read_text().count('warning: s3://') <= 1
  if code:
    assert line.startswith(f'jaxdl: {ADDRESS} cannot be ')
    assert line.endswith(': check the credentials of this machine and their permissions')
    assert place.trained()[0] == 0
  place.check(uninterrupted)
  reliability(ONE_LINE, 1, 1)


ONE_LINE = (
  'object store, wrong credentials, missing bucket, unreachable server: refused in one line; the '
  'run equals an uninterrupted one bit for bit afterwards'
)


@pytest.mark.slow
@pytest.mark.parametrize('what', ['bucket', 'server'])
def test_faults_missing_bucket_and_server(place, uninterrupted, what, reliability):
  if what == 'bucket':
    code, line = place.trained(address='s3://no-such-bucket/run')
    assert line.endswith(': create the bucket no-such-bucket, or correct the address')
  else:
    place.proxy.stop()
    code, line = place.trained()
    assert line.endswith(': check the network and the address, and rerun the command')
    place.proxy.start()
  assert code == 1
  assert line.startswith('jaxdl: s3://')
  assert place.trained()[0] == 0
  place.check(uninterrupted)
  reliability(ONE_LINE, 1, 1)


def wait_for(condition):
  end = time.monotonic() + LIMIT
  while not condition():
    assert time.monotonic() < end
    time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize('after', [60, 120, 180])
def test_faults_two_writers(place, uninterrupted, after, reliability):
  """The first process is suspended until the second has taken over; then it has to stop."""
  seen = threading.Event()

  def note(method, path, number):
    if number == after:
      seen.set()
    return None

  place.proxy.fault = note
  first = place.started('first')
  first_output = place.output
  assert seen.wait(LIMIT)
  os.kill(first.pid, signal.SIGSTOP)
  code, line = place.trained('second')
  held = lease.holder(Store(ADDRESS))
  if held is not None and held['process'] == first.pid and not lease.has_expired(held):
    assert (code, f'is in use by process {first.pid} of' in line) == (1, True)
  if code:
    time.sleep(TIMES['lease.EXPIRES'] + 1)
    code, line = place.trained('second')
  assert code == 0, line
  assert f'which process {first.pid} of' in place.output.read_text()
  place.check(uninterrupted)
  os.kill(first.pid, signal.SIGCONT)
  first.join(LIMIT)
  lines = first_output.read_text().strip().splitlines()
  assert first.exitcode in (0, 1)
  if first.exitcode:
    assert lines[-1].startswith(f'jaxdl: {ADDRESS} ')
  place.check(uninterrupted)
  assert place.trained('first')[0] == 0
  place.check(uninterrupted)
  reliability(
    'object store, two writers: the second is refused in one line, or takes over after the lease '
    'has expired; the run equals an uninterrupted one bit for bit',
    1,
    1,
  )


@pytest.mark.slow
def test_faults_reader_during_the_training(place, uninterrupted, reliability):
  """Reads all checkpoints again and again while they are replaced."""
  process = place.started()
  seen = set()
  while process.is_alive():
    seen |= set(place.check_readable(uninterrupted[0]))
  assert process.exitcode == 0
  place.check(uninterrupted)
  assert json.loads(Store(ADDRESS).read('committed.json'))['step'] == 40
  reliability(
    'object store, read during the training: every checkpoint that a reader gets is complete', 1, 1
  )
