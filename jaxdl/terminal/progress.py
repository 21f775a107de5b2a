"""What a person sees while something goes on: a bar or a moving line on a terminal, plain lines
elsewhere.
"""

import contextlib
import dataclasses
import datetime
import functools
import sys
import threading
import time
from collections.abc import Callable

from jaxdl.step import metrics

UNSHOWN = ('examples_per_second', 'learning_rate')  # of a line's figures: it ends with the speed
SILENCE = 30  # seconds after which a line is printed between two logs, where there is no terminal


@dataclasses.dataclass(frozen=True)
class Progress:
  """The functions that show.

  Attributes:
    say: (text); a line of its own.
    advance: (step, text, speed); moves the bar. Where there is no terminal it prints a line, after
      a silence.
    doing: (text); the bar says what else is done just now. Where there is no terminal it prints
      nothing.
    left: (step) → time left in words, such as '0:01:32 left'; '' as long as the pace is not known.
    line: (step, figures, time left) → what is said of a log, as `line` has it.
    apart: list of float, seconds of each evaluation, which are not the steps'.
  """

  say: Callable
  advance: Callable
  doing: Callable
  left: Callable
  line: Callable
  apart: list

  def log(self, step, figures):
    """Says a line of figures, split → name → number."""
    self.say(self.line(step, figures=figures, left=self.left(step)))

  @contextlib.contextmanager
  def evaluating(self):
    """Says that it is evaluated, and keeps for how long."""
    self.doing('evaluating')
    began = time.monotonic()
    yield
    self.apart.append(time.monotonic() - began)
    self.doing('training')


@contextlib.contextmanager
def show(total, *, first_step, evaluate_every=0, counted='examples'):
  """Shows a run of `total` steps that begins or goes on at `first_step`, its speed in what is
  `counted`; yields Progress.
  """
  asked, apart = [], []  # (step, moment) of the first time; seconds of each evaluation

  def left(step):
    """At the steps' pace since it was first asked, and the quickest evaluation's: what starts and
    compiles is left out.
    """
    now = time.monotonic() - sum(apart)
    if not asked:
      asked.append((step, now))
    since, moment = asked[0]
    if since == step < total:
      return ''
    seconds = (now - moment) / max(step - since, 1) * (total - step)
    if apart and evaluate_every:
      seconds += min(apart) * (total // evaluate_every - step // evaluate_every)
    return f'{datetime.timedelta(seconds=round(seconds))} left'

  common = {
    'left': left,
    'line': functools.partial(line, total=total, counted=counted),
    'apart': apart,
  }
  if not sys.stdout.isatty():
    yield Progress(**common, **_plain(total, left, counted, begins=first_step < total))
    return
  from rich import progress

  columns = (
    progress.SpinnerColumn(),
    progress.MofNCompleteColumn(),
    progress.TextColumn('steps'),
    progress.BarColumn(),
    progress.TimeElapsedColumn(),
    progress.TextColumn('{task.description}'),
  )
  with progress.Progress(*columns) as bar:
    task = bar.add_task('compiling', total=total, completed=first_step)

    def advance(step, text, speed):
      bar.update(task, completed=step, description=f'{text}  {pace(speed, left(step), counted)}')

    def say(text):
      bar.console.print(fitted(text, bar.console.width), highlight=False, markup=False)

    yield Progress(
      **common, say=say, advance=advance, doing=lambda text: bar.update(task, description=text)
    )


def _plain(total, left, counted, *, begins):
  """The functions of Progress that print lines."""
  said = time.monotonic()

  def say(text):
    nonlocal said
    print(text, flush=True)
    said = time.monotonic()

  def advance(step, text, speed):
    remaining = left(step)  # asked for after the first step, which compiled
    if time.monotonic() - said > SILENCE:
      say(f'step {step:,} of {total:,}  {text}  {pace(speed, remaining, counted)}')

  if begins:
    say('compiling …')
  return {'say': say, 'advance': advance, 'doing': lambda text: None}


@contextlib.contextmanager
def waiting(text=''):
  """Shows that something is done, and for how long; yields a function that says what. Printing goes
  on above.

  Where there is no terminal it prints a line after each silence.
  """
  if not sys.stdout.isatty():
    with _plainly_waiting(text) as now:
      yield now
    return
  from rich import progress

  with progress.Progress(
    progress.SpinnerColumn(),
    progress.TextColumn('{task.description}'),
    progress.TimeElapsedColumn(),
    transient=True,
  ) as shown:
    task = shown.add_task(text, total=None)
    yield lambda text: shown.update(task, description=text)


@contextlib.contextmanager
def _plainly_waiting(text):
  doing, over, began = [text], threading.Event(), time.monotonic()

  def tell():
    while not over.wait(SILENCE):
      print(f'… {doing[-1]}, {round(time.monotonic() - began)} s so far', flush=True)

  teller = threading.Thread(target=tell, daemon=True)
  teller.start()
  try:
    yield doing.append
  finally:
    over.set()
    teller.join()


def fitted(text, width):
  """A line broken where two spaces part what it says, so that no figure is torn from its name on a
  narrow terminal.
  """
  first, *rest = text.split('  ')
  lines = [first]
  for part in rest:
    if len(lines[-1]) + 2 + len(part) <= width:
      lines[-1] += f'  {part}'
    else:
      lines.append(f'  {part}')
  return '\n'.join(lines)


def describe(figures: dict[str, float]) -> str:
  """{'loss': 0.1, 'accuracy': 0.97} → 'loss 0.1000, accuracy 97.00 %'."""
  return ', '.join(f'{name} {metrics.shown(name, value)}' for name, value in figures.items())


def line(step, total, figures, left, counted='examples'):
  """'step 50 of 5,500  train loss …  validation loss …  9,000 examples/s, 0:01:10 left'.

  Args:
    step, total: int.
    figures: split → name → number.
    left: str, as `Progress.left` gives it.
    counted: what the speed counts.
  """
  speed = figures.get('train', {}).get('examples_per_second')
  shown = [
    f'{split} {describe({k: v for k, v in values.items() if k not in UNSHOWN})}'
    for split, values in figures.items()
  ]
  return '  '.join(
    part for part in (f'step {step:,} of {total:,}', *shown, pace(speed, left, counted)) if part
  )


def pace(speed, left, counted):
  """'9,000 examples/s, 0:01:10 left'; what is None or '' is left out."""
  return ', '.join(part for part in (speed and f'{speed:,.0f} {counted}/s', left) if part)
