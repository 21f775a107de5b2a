"""What tests with input that nobody would write share: how many cases, and what must come of each."""

import contextlib
import pathlib
import resource
import signal

from hypothesis import HealthCheck, settings

SECONDS = 60  # of one case, at most: a hundred times what one takes
tried = 0  # cases so far
MEMORY = 3 << 30  # bytes that a case may ask for on top of what the process has


def cases(count):
  """Settings of Hypothesis for so many cases: the same ones in every run, nothing kept, no case too
  slow on a busy machine.
  """
  return settings(
    max_examples=count,
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
  )


@contextlib.contextmanager
def works_or_is_refused(*, naming=''):
  """Lets the block work or be refused by an error of one line, in time and without much memory;
  else the test fails.

  Args:
    naming: str that the error must hold, such as a file's name.
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
    raise AssertionError(f'a {kind.__name__} says nothing of where it comes from') from refusal
  assert len(message.splitlines()) == 1, message
  assert len(message) > 10, message
  assert naming in message, message


@contextlib.contextmanager
def _in_time():
  def late(number, frame):
    raise AssertionError(f'a case takes longer than {SECONDS} s')

  before = signal.signal(signal.SIGALRM, late)
  signal.alarm(SECONDS)
  try:
    yield
  finally:
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _in_memory():
  """Makes an allocation that is far too large a MemoryError, where the system tells how much the
  process has.
  """
  status = pathlib.Path('/proc/self/statm')
  if not status.is_file():
    yield
    return
  soft, hard = resource.getrlimit(resource.RLIMIT_AS)
  now = int(status.read_text().split()[0]) * resource.getpagesize()
  resource.setrlimit(
    resource.RLIMIT_AS, (now + MEMORY if hard < 0 else min(now + MEMORY, hard), hard)
  )
  try:
    yield
  finally:
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
