"""Shared by the fuzz tests: the number of cases, and the required outcome of each case."""

import contextlib
import pathlib
import signal
import sys

import hypothesis
import pytest

SECONDS = 60  # time limit of a case: about a hundred times its usual duration
tried = 0  # number of cases so far
seed = None  # of the cases of a nightly test, else None
MEMORY = 3 << 30  # bytes that a case may allocate in addition to the memory of the process


def counts(few, many, most):
  """Returns the parameters of a test: the number of cases by default, `-m slow` and `-m nightly`."""
  return [few, *more_counts(many, most)]


def more_counts(many, most):
  """Returns the parameters of a test that runs only with `-m slow` and `-m nightly`."""
  return [
    pytest.param(many, marks=pytest.mark.slow),
    pytest.param(most, marks=pytest.mark.nightly),
  ]


def cases(count):
  """Returns a decorator: settings of Hypothesis for a number of cases.

  Nothing is saved, and slow cases do not fail. The cases are the same in every run, except in
  nightly tests. A failing case is printed, with the line that repeats it.
  """
  settings = hypothesis.settings(
    max_examples=count,
    derandomize=seed is None,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(hypothesis.HealthCheck),
  )
  return settings if seed is None else lambda test: hypothesis.seed(seed)(settings(test))


@contextlib.contextmanager
def works_or_is_refused(*, naming=''):
  """Fails the test unless the block succeeds or raises an expected error with a message of one line.

  The block must also keep to the limits of time and memory.

  Args:
    naming: text that the message must contain, such as a file name.
  """
  global tried
  tried += 1
  with _in_time(), _in_memory():
    try:
      yield
    except (ValueError, OSError, FloatingPointError) as error:
      refusal = error
    else:
      return
  kind, message = type(refusal), str(refusal)
  if kind in (UnicodeDecodeError, UnicodeEncodeError) or not isinstance(message, str):
    raise AssertionError(f'a {kind.__name__} does not name its cause') from refusal
  assert len(message.splitlines()) == 1, message
  assert len(message) > 10, message
  assert naming in message, message


@contextlib.contextmanager
def _in_time():
  if sys.platform == 'win32':
    yield
    return

  def fail(number, frame):
    raise AssertionError(f'a case takes longer than {SECONDS} s')

  before = signal.signal(signal.SIGALRM, fail)
  signal.alarm(SECONDS)
  try:
    yield
  finally:
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _in_memory():
  """Limits the memory, so that a far too large allocation raises MemoryError.

  Does nothing on systems without /proc/self/statm.
  """
  status = pathlib.Path('/proc/self/statm')
  if not status.is_file():
    yield
    return
  import resource

  soft, hard = resource.getrlimit(resource.RLIMIT_AS)
  now = int(status.read_text().split()[0]) * resource.getpagesize()
  resource.setrlimit(
    resource.RLIMIT_AS, (now + MEMORY if hard < 0 else min(now + MEMORY, hard), hard)
  )
  try:
    yield
  finally:
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
