"""Progress display: a bar or a spinner on a terminal, plain lines elsewhere."""

import contextlib
import dataclasses
import datetime
import functools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from jaxdl.step import metrics
from jaxdl.terminal import screen

UNSHOWN = ('examples_per_second', 'learning_rate')  # training metrics omitted from log lines
SILENCE = 30  # seconds without output before a line is printed, if there is no terminal
NAME = 'the progress display'

Figures = dict[str, dict[str, float]]  # split → metric → number


@dataclasses.dataclass(frozen=True)
class Progress:
  """Functions of a progress display.

  Attributes:
    say: (text) → None; prints a line.
    advance: (step, function () → text, speed) → None; moves the bar. Without a terminal it prints a
      line after SILENCE seconds without output.
    doing: (text) → None; shows the current activity next to the bar. Without a terminal it does
      nothing.
    left: (step) → time left, such as '0:01:32 left'; '' until the speed is known.
    seconds_left: (step) → seconds left; None until the speed is known.
    line: (step, figures, time left) → the text of a log line; see the function `line`.
    evaluation_seconds: duration of each evaluation, which is excluded from the time per step.
  """

  say: Callable
  advance: Callable
  doing: Callable
  left: Callable
  seconds_left: Callable
  line: Callable
  evaluation_seconds: list[float]

  def log(self, step: int, figures: Figures) -> None:
    """Prints a line of figures."""
    self.say(self.line(step, figures=figures, left=self.left(step)))

  @contextlib.contextmanager
  def evaluating(self) -> Iterator[None]:
    """Shows that an evaluation is running and records its duration."""
    self.doing('evaluating')
    began = time.monotonic()
    yield
    self.evaluation_seconds.append(time.monotonic() - began)
    self.doing('training')


def _directly(name, function):
  return function()


@contextlib.contextmanager
def show(
  total: int,
  *,
  first_step: int,
  evaluate_every: int = 0,
  counted: str = 'examples',
  attempt: Callable[[str, Callable[[], Any]], Any] = _directly,
) -> Iterator[Progress]:
  """Shows the progress of a run.

  Args:
    total: number of steps of the run.
    first_step: step at which the run starts or resumes.
    evaluate_every: steps between two evaluations; 0 for none.
    counted: unit of the speed, such as 'examples'.
    attempt: function (name, function) that calls a function, such as `SideOutputs.attempt`. If it
      catches an exception, the functions of Progress return None.

  Yields:
    Progress.
  """
  first_call = []  # (step, time)
  evaluation_seconds = []

  def seconds_left(step):
    """Returns the time left at the speed since the first call, without start and compilation."""
    now = time.monotonic() - sum(evaluation_seconds)
    if not first_call:
      first_call.append((step, now))
    first_call_step, first_time = first_call[0]
    if first_call_step == step < total:
      return None
    seconds = (now - first_time) / max(step - first_call_step, 1) * (total - step)
    if evaluation_seconds and evaluate_every:
      seconds += min(evaluation_seconds) * (total // evaluate_every - step // evaluate_every)
    return seconds

  def left(step):
    seconds = seconds_left(step)
    return '' if seconds is None else f'{datetime.timedelta(seconds=round(seconds))} left'

  def guarded(function):
    return lambda *arguments, **keywords: attempt(NAME, lambda: function(*arguments, **keywords))

  def start():
    if sys.stdout.isatty():
      return _bar(total, left, counted, first_step)
    return None, _plain(total, left, counted, begins=first_step < total)

  bar, functions = attempt(NAME, start) or (
    None,
    dict.fromkeys(('say', 'advance', 'doing'), _silent),
  )
  functions |= {
    'left': left,
    'seconds_left': seconds_left,
    'line': functools.partial(line, total=total, counted=counted),
  }
  try:
    yield Progress(
      evaluation_seconds=evaluation_seconds,
      **{name: guarded(function) for name, function in functions.items()},
    )
  finally:
    if bar:
      attempt(NAME, bar.stop)


def _silent(*anything):
  """A function of Progress that shows nothing."""


def _bar(total, left, counted, first_step):
  """Starts a bar; returns it and the functions of Progress that use it."""
  from rich import progress

  columns = (
    progress.SpinnerColumn(),
    progress.MofNCompleteColumn(),
    progress.TextColumn('steps'),
    progress.BarColumn(),
    progress.TimeElapsedColumn(),
    progress.TextColumn('{task.description}', markup=False),
  )
  bar = screen.progress_bar(*columns)
  task = bar.add_task('compiling', total=total, completed=first_step)
  bar.start()

  def advance(step, text, speed):
    shown = f'{text()}  {pace(speed, left(step), counted)}'
    bar.update(task, completed=step, description=screen.printable(shown))

  def say(text):
    text = fitted(screen.printable(text), bar.console.width)
    bar.console.print(text, highlight=False, markup=False)

  def doing(text):
    bar.update(task, description=screen.printable(text))

  return bar, {'say': say, 'advance': advance, 'doing': doing}


def _plain(total, left, counted, *, begins):
  """Returns the functions of Progress for plain lines."""
  last_print = time.monotonic()

  def say(text):
    nonlocal last_print
    print(text, flush=True)
    last_print = time.monotonic()

  def advance(step, text, speed):
    remaining = left(step)  # the first call is after the first step, which compiles
    if time.monotonic() - last_print > SILENCE:
      say(f'step {step:,} of {total:,}  {text()}  {pace(speed, remaining, counted)}')

  if begins:
    say('compiling …')
  return {'say': say, 'advance': advance, 'doing': lambda text: None}


@contextlib.contextmanager
def counting(total: int, unit: str) -> Iterator[Callable[[int], Any]]:
  """Shows how many of a number of things are done; other output is printed above it.

  Without a terminal, a line is printed every SILENCE seconds.

  Args:
    total: number of things.
    unit: their name in the plural, such as 'images'.

  Yields:
    A function (number) that is called with the number of things done so far.
  """
  if not sys.stdout.isatty():
    with _plainly_waiting(f'0 of {total:,} {unit}') as now:
      yield lambda done: now(f'{done:,} of {total:,} {unit}')
    return
  from rich import progress

  with screen.progress_bar(
    progress.SpinnerColumn(),
    progress.MofNCompleteColumn(),
    progress.TextColumn(screen.printable(unit), markup=False),
    progress.BarColumn(),
    progress.TimeElapsedColumn(),
    transient=True,
  ) as shown:
    task = shown.add_task(unit, total=total)
    yield lambda done: shown.update(task, completed=done)


@contextlib.contextmanager
def waiting(text: str = '') -> Iterator[Callable[[str], Any]]:
  """Shows an activity and its elapsed time; other output is printed above it.

  Without a terminal, a line is printed every SILENCE seconds.

  Args:
    text: description of the activity.

  Yields:
    A function (text) that sets the description of the current activity.
  """
  if not sys.stdout.isatty():
    with _plainly_waiting(text) as now:
      yield now
    return
  from rich import progress

  with screen.progress_bar(
    progress.SpinnerColumn(),
    progress.TextColumn('{task.description}', markup=False),
    progress.TimeElapsedColumn(),
    transient=True,
  ) as shown:
    task = shown.add_task(screen.printable(text), total=None)
    yield lambda text: shown.update(task, description=screen.printable(text))


@contextlib.contextmanager
def _plainly_waiting(text):
  doing, over, began = [text], threading.Event(), time.monotonic()

  def report():
    while not over.wait(SILENCE):
      print(f'… {doing[-1]}, {round(time.monotonic() - began)} s so far', flush=True)

  reporter = threading.Thread(target=report, daemon=True)
  reporter.start()
  try:
    yield doing.append
  finally:
    over.set()
    reporter.join()


def fitted(text: str, width: int) -> str:
  """Wraps a line at double spaces, which keeps names and values together on narrow terminals."""
  first, *rest = text.split('  ')
  lines = [first]
  for part in rest:
    if len(lines[-1]) + 2 + len(part) <= width:
      lines[-1] += f'  {part}'
    else:
      lines.append(f'  {part}')
  return '\n'.join(lines)


def describe(figures: dict[str, float]) -> str:
  """Formats metrics: {'loss': 0.1, 'accuracy': 0.97} → 'loss 0.1000, accuracy 97.00 %'."""
  return ', '.join(f'{name} {metrics.shown(name, value)}' for name, value in figures.items())


def line(step: int, total: int, figures: Figures, left: str, counted: str = 'examples') -> str:
  """Formats a log line.

  The result is such as
  'step 50 of 5,500  train loss …  validation loss …  9,000 examples/s, 0:01:10 left'.

  Args:
    step, total: current and last step.
    figures: split → metric → number.
    left: time left, as returned by `Progress.left`.
    counted: unit of the speed, such as 'examples'.
  """
  speed = figures.get('train', {}).get('examples_per_second')
  shown = [
    f'{split} {describe({k: v for k, v in values.items() if k not in UNSHOWN})}'
    for split, values in figures.items()
  ]
  return '  '.join(
    part for part in (f'step {step:,} of {total:,}', *shown, pace(speed, left, counted)) if part
  )


def pace(speed: float | None, left: str | None, counted: str) -> str:
  """'9,000 examples/s, 0:01:10 left'; what is None or '' is left out."""
  parts = []
  if speed:
    parts.append(f'{speed:,.0f} {counted}/s')
  if left:
    parts.append(left)
  return ', '.join(parts)
