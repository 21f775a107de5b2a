"""Tests of portability to Linux, macOS and Windows: dependencies, file locks and system calls."""

import json
import os
import pathlib
import platform
import subprocess
import sys
import threading
from concurrent import futures

import pytest
from helpers import ROOT

from jaxdl.config import memory
from jaxdl.data.raw import sources
from jaxdl.runs import folder as run_folder
from jaxdl.terminal import signals
from jaxdl.training import experiment, loop

PLATFORMS = [
  'x86_64-manylinux_2_28',
  'aarch64-manylinux_2_28',
  'aarch64-apple-darwin',
  'x86_64-pc-windows-msvc',
]
# Modules and functions that exist only on POSIX systems.
POSIX_ONLY = (
  'fcntl',
  'resource',
  'pwd',
  'grp',
  'termios',
  'os.sysconf',
  'os.setsid',
  'os.fork(',
  'os.killpg',
  'os.uname',
  'os.statvfs',
  'os.getuid',
  'signal.SIGHUP',
  'signal.SIGKILL',
  'signal.alarm',
)
HOLDER = """
import json, sys
from jaxdl.runs import folder
with folder.locked(sys.argv[1], {}, 8):
  print('held', flush=True)
  sys.stdin.read()
"""


def resolved(requirements, version, system):
  """Resolves requirements for a platform, using only wheels; returns uv's CompletedProcess.

  Args:
    requirements: path of pyproject.toml, or '-' for a line of standard input.
    version: version of Python.
    system: name of the platform in uv.
  """
  # promise, a dependency of tensorflow-datasets, is pure Python and has no wheel.
  arguments = [
    '-m',
    'uv',
    'pip',
    'compile',
    requirements,
    '--python-version',
    version,
    '--python-platform',
    system,
    '--only-binary',
    ':all:',
    '--no-binary',
    'promise',
    '--no-header',
    '--no-annotate',
  ]
  return subprocess.run(
    [sys.executable, *arguments], input='filelock\n', capture_output=True, text=True, timeout=300
  )


@pytest.fixture(scope='module')
def package_index():
  pytest.importorskip('uv', reason='uv, of the test extra, is not installed')
  tried = resolved('-', '3.12', PLATFORMS[0])
  if tried.returncode:
    pytest.skip(f'no package index is reachable: {tried.stderr.strip().splitlines()[-1]}')


@pytest.mark.slow
def test_platforms_have_wheels_of_every_dependency(package_index):
  # Resolving mostly waits for the package index, so that all cases run at once.
  cases = [(system, version) for system in PLATFORMS for version in ('3.11', '3.12')]
  with futures.ThreadPoolExecutor(len(cases)) as pool:
    project = str(ROOT / 'pyproject.toml')
    results = pool.map(lambda case: resolved(project, case[1], case[0]), cases)
  for (system, version), found in zip(cases, results, strict=True):
    case = f'{system}, Python {version}'
    assert found.returncode == 0, f'{case}: {found.stderr}'
    versions = dict(line.split('==') for line in found.stdout.splitlines())
    assert ('tensorflow-cpu' in versions) is (system == PLATFORMS[0]), case
    assert ('tensorflow' in versions) is (system != PLATFORMS[0]), case
    assert versions['jax'] == versions['jaxlib'], case
    major, minor = map(int, versions['jax'].split('.')[:2])
    assert (major, minor) >= ((0, 12) if version == '3.12' else (0, 10)), case


def test_platforms_no_module_requires_posix():
  for file in sorted((ROOT / 'jaxdl').rglob('*.py')):
    lines = file.read_text().splitlines()
    wanted = [name if '.' in name else f'import {name}' for name in POSIX_ONLY]
    used = [line for line in lines for name in wanted if name in line]
    assert not used, f'{file}: {used}'


@pytest.mark.slow
def test_platforms_lock_ends_with_its_process(tmp_path):
  run = tmp_path / 'run'
  holder = subprocess.Popen(
    [sys.executable, '-c', HOLDER, str(run)],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    cwd=ROOT,
    env={**os.environ, 'PYTHONPATH': str(ROOT)},
  )
  expected = {'process': holder.pid, 'host': platform.node(), 'steps': 8, 'now': True}
  try:
    assert holder.stdout.readline() == b'held\n'
    before = (run / 'lock').stat().st_mtime_ns
    for _ in range(3):
      assert run_folder.trainer(run) == expected
    refused = pytest.raises(OSError, match=rf'in use by process {holder.pid} on ')
    with refused, run_folder.locked(run, {}, 8):
      pass
    assert (run / 'lock').stat().st_mtime_ns == before
  finally:
    holder.kill()
    holder.communicate()
  assert run_folder.trainer(run)['now'] is False
  with run_folder.locked(run, {}, 8):
    assert run_folder.trainer(run) == {**expected, 'process': os.getpid()}
  assert run_folder.trainer(run)['now'] is False


def test_platforms_reading_the_lock_owner_never_blocks_training(tmp_path):
  """One thread reads the owner of the lock continuously while another takes the lock repeatedly."""
  ended = threading.Event()

  def read_owner():
    while not ended.is_set():
      run_folder.trainer(tmp_path)

  reader = threading.Thread(target=read_owner)
  reader.start()
  try:
    for _ in range(20):
      with run_folder.locked(tmp_path, {}, 8):
        assert run_folder.trainer(tmp_path)['now'] is True
  finally:
    ended.set()
    reader.join()


@pytest.mark.parametrize(
  ('change', 'now'), [({}, True), ({'process': 2**22 + 1}, False), ({'host': 'another'}, False)]
)
def test_platforms_lock_owner_is_read_without_lock_permission(change, now, tmp_path, monkeypatch):
  def refuse(*arguments, **keywords):
    raise PermissionError

  with run_folder.locked(tmp_path, {}, 8):
    owner = json.loads((tmp_path / 'lock').read_text())
  (tmp_path / 'lock').write_text(json.dumps({**owner, **change}))
  monkeypatch.setattr(run_folder.filelock.FileLock, 'acquire', refuse)
  assert run_folder.trainer(tmp_path)['now'] is now
  os.utime(tmp_path / 'lock', (1, 1))  # before the start of this process
  assert run_folder.trainer(tmp_path)['now'] is False


def test_platforms_trains_on_file_systems_without_locks(tmp_path, monkeypatch):
  def refuse(*arguments, **keywords):
    raise OSError(38, 'Function not implemented')

  monkeypatch.setattr(run_folder.filelock.FileLock, 'acquire', refuse)
  with run_folder.locked(tmp_path, {}, 8):
    assert (tmp_path / 'config.json').exists()


def test_platforms_memory_check_uses_the_physical_memory():
  pages = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
  memory.check(int(pages * 0.98), 'this')
  message = r'^this needs [\d,]+ GB and the machine has [\d,]+: make it smaller$'
  with pytest.raises(ValueError, match=message):
    memory.check(int(pages * 1.02), 'this')


def test_platforms_cifar10_is_copied_if_links_are_forbidden(tmp_path, monkeypatch):
  def refuse(self, target, target_is_directory=False):
    raise OSError(1314, 'A required privilege is not held by the client')

  folder, linked = tmp_path / 'cifar-10-batches-bin', tmp_path / 'aside'
  folder.mkdir()
  linked.mkdir()
  (folder / 'a.bin').write_bytes(b'a')
  monkeypatch.setattr(pathlib.Path, 'symlink_to', refuse)
  sources.link_or_copy(folder, linked / 'there')
  assert (linked / 'there/a.bin').read_bytes() == b'a'


def test_platforms_trains_in_a_background_thread(small, tmp_path):
  """As in web applications. Python allows signal handlers only in the main thread."""
  built, found = experiment.build(small, 'small'), []
  thread = threading.Thread(target=lambda: found.append(loop.train(built, tmp_path)))
  thread.start()
  thread.join()
  assert found
  assert found[0]['step'] > 0
  assert found[0]['stopped'] is None


def test_platforms_background_thread_keeps_the_signal_handlers():
  received = []

  def stop_in_thread():
    with signals.stop_signals() as stop:
      received.append(stop)

  thread = threading.Thread(target=stop_in_thread)
  thread.start()
  thread.join()
  assert received == [[]]
