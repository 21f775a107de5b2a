"""Tests of portability to Linux, macOS and Windows: dependencies, file locks and system calls."""

import ast
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import tempfile
import threading
from concurrent import futures

import pytest
from helpers import ROOT

from jaxdl.config import memory
from jaxdl.data.raw import sources
from jaxdl.runs import checkpoint
from jaxdl.runs import folder as run_folder
from jaxdl.terminal import signals
from jaxdl.training import experiment, loop

PLATFORMS = [
  'x86_64-manylinux_2_28',
  'aarch64-manylinux_2_28',
  'aarch64-apple-darwin',
  'x86_64-pc-windows-msvc',
]
# What exists only on POSIX systems.
POSIX_MODULES = {
  *('fcntl', 'resource', 'pwd', 'grp', 'termios', 'tty', 'pty', 'posix', 'syslog', 'curses'),
  'readline',
}
POSIX_NAMES = {
  'os': {
    *('fork', 'forkpty', 'openpty', 'posix_spawn', 'wait', 'wait3', 'wait4', 'WIFSIGNALED'),
    *('WTERMSIG', 'killpg', 'setsid', 'setpgid', 'getpgid', 'getpgrp', 'setpgrp', 'tcgetpgrp'),
    *('getuid', 'geteuid', 'getgid', 'getegid', 'getgroups', 'setuid', 'setgid', 'chown', 'lchown'),
    *('fchown', 'chroot', 'mkfifo', 'mknod', 'sysconf', 'pathconf', 'uname', 'statvfs', 'nice'),
    *('getloadavg', 'getpriority', 'setpriority', 'sched_getaffinity', 'sched_setaffinity'),
    *('sched_yield', 'sendfile', 'posix_fadvise', 'posix_fallocate', 'memfd_create', 'pread'),
    *('pwrite', 'O_NOFOLLOW', 'O_DIRECTORY', 'O_CLOEXEC', 'O_NONBLOCK'),
  },
  'signal': {
    *('SIGKILL', 'SIGHUP', 'SIGQUIT', 'SIGALRM', 'SIGCHLD', 'SIGPIPE', 'SIGUSR1', 'SIGUSR2'),
    *('SIGSTOP', 'SIGCONT', 'SIGTSTP', 'SIGBUS', 'alarm', 'setitimer', 'pause', 'pthread_kill'),
    *('pthread_sigmask', 'sigwait', 'siginterrupt', 'set_wakeup_fd'),
  },
  'time': {'tzset'},
  'socket': {'AF_UNIX'},
}
POSIX_ARGUMENTS = {'preexec_fn', 'start_new_session', 'pass_fds', 'umask'}
POSIX_PATH = re.compile(r'/(tmp|var|proc|sys|dev|etc|usr|bin|home|root)(/|$)')
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
  cases = [
    (system, version) for system in PLATFORMS for version in ('3.11', '3.12', '3.13', '3.14')
  ]
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
    assert (major, minor) >= ((0, 10) if version == '3.11' else (0, 12)), case


def checks_platform(node):
  """Whether `sys.platform` is used in a node."""
  return any(
    isinstance(one, ast.Attribute) and ast.unparse(one) == 'sys.platform' for one in ast.walk(node)
  )


def posix_uses(tree):
  """Yields what exists only on POSIX systems and is used in a tree."""
  for node in ast.walk(tree):
    match node:
      case ast.Import():
        yield from POSIX_MODULES & {alias.name for alias in node.names}
      case ast.ImportFrom():
        yield from POSIX_MODULES & {node.module}
        yield from POSIX_NAMES.get(node.module, set()) & {alias.name for alias in node.names}
      case ast.Attribute(value=ast.Name(id=module), attr=name):
        yield from (f'{module}.{name}' for _ in POSIX_NAMES.get(module, set()) & {name})
      case ast.Call(func=ast.Attribute(attr='get_context' | 'set_start_method')):
        yield from {'fork', 'forkserver'} & {getattr(one, 'value', None) for one in node.args}
      case ast.keyword(arg=name):
        yield from POSIX_ARGUMENTS & {name}
      case ast.Constant(value=str(text)) if POSIX_PATH.match(text):
        yield text


def unguarded_posix_uses(tree):
  """Yields the POSIX-only uses of a module.

  A statement, function or method in which `sys.platform` is used may contain any.
  """
  for node in tree.body:
    if isinstance(node, ast.ClassDef):
      yield from unguarded_posix_uses(node)
    elif not checks_platform(node):
      yield from posix_uses(node)


def import_time(tree):
  """The statements that importing a module executes, without the bodies of its functions."""
  for node in tree.body:
    if isinstance(node, ast.FunctionDef):
      node.body = []
  return tree


def test_platforms_nothing_requires_posix():
  """Nothing in jaxdl/ and launch/*.py requires POSIX, and all tests can be imported without it."""
  for folder in ('jaxdl', 'launch', 'tests'):
    for file in sorted((ROOT / folder).rglob('*.py')):
      tree = ast.parse(file.read_text(encoding='utf-8'))
      found = list(unguarded_posix_uses(import_time(tree) if folder == 'tests' else tree))
      if folder == 'tests':
        found = [use for use in found if not use.startswith('/')]  # paths are data there
      assert not found, f'{file}: {found}: check sys.platform'


@pytest.mark.parametrize(
  ('text', 'expected'),
  [
    ('import fcntl', ['fcntl']),
    ('from resource import getrusage', ['resource']),
    ('from os import path, fork', ['fork']),
    ('class A:\n  def b(self):\n    return os.geteuid() or os.getcwd()', ['os.geteuid']),
    ('signal.signal(signal.SIGKILL, signal.SIG_IGN)', ['signal.SIGKILL']),
    ('def read():\n  return open("/proc/self/status")', ['/proc/self/status']),
    ('places = (f"/tmp/{name}", "tmp", "a/tmp", "/temporary")', ['/tmp/']),
    ('subprocess.Popen([], start_new_session=True)', ['start_new_session']),
    ('multiprocessing.get_context("fork")', ['fork']),
    ('signal.signal(signal.SIGTERM, stop)', []),
    ('if sys.platform != "win32":\n  import fcntl', []),
    ('def a():\n  return os.getuid() if sys.platform == "linux" else 0', []),
    ('def a():\n  sys.platform\ndef b():\n  os.fork()', ['os.fork']),
  ],
)
def test_platforms_uses_of_posix_are_found(text, expected):
  assert list(unguarded_posix_uses(ast.parse(text))) == expected


@pytest.mark.parametrize(
  ('path', 'plain'),
  [
    ('C:\\Users\\me\\runs\\lstm_mnist\\checkpoints', True),
    ('D:\\50%', False),
    ('C:\\runs\\a?b', False),
    ('/home/me/runs/lstm_mnist/checkpoints', True),
    ('/home/me/a\\b', False),
    ('/home/C:/runs', False),
    ('/gs/bucket', False),
  ],
)
def test_platforms_usual_paths_of_checkpoints_need_no_link(path, plain):
  """A link is made for the others; most users of Windows may not make links."""
  assert bool(checkpoint.PLAIN.fullmatch(path)) is plain


def test_platforms_checkpoints_that_need_a_forbidden_link_are_refused(tmp_path, monkeypatch):
  def refuse(*arguments, **keywords):
    raise OSError(1314, 'A required privilege is not held by the client')

  (tmp_path / 'temporary').mkdir()
  monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path / 'temporary'))
  monkeypatch.setattr(os, 'symlink', refuse)
  with pytest.raises(
    OSError, match=r'50%/checkpoints has a special character in its name .*: rename it'
  ):
    checkpoint.manager(tmp_path / '50%')
  assert not list((tmp_path / 'temporary').iterdir())


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


@pytest.mark.skipif(sys.platform == 'win32', reason='Windows has no sysconf')
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
