"""The report of a run or a sweep while it trains: its state, and when the page is written again."""

import concurrent.futures
import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

import jax
import numpy as np

from jaxdl.config import checks
from jaxdl.report import results
from jaxdl.runs import files
from jaxdl.runs import folder as run_folder
from jaxdl.runs.record import Run
from jaxdl.step import metrics

SHARE = 0.01  # maximum share of the training time that writing the page may take
FIRST = 0.2  # seconds of computation that the first page is expected to take
SOONEST = 2  # seconds between two pages
UNKNOWN = 60  # assumed seconds between two pages, if the speed is unknown
EXAMPLES = 200  # maximum number of examples in the page
TENSORS, POINTS = 24, 60  # maximum numbers of tensors, and of points of each
WIDTH, HEIGHT = 160, 56  # size of the drawing of a tensor, in its own units


@dataclasses.dataclass(frozen=True)
class Moment:
  """A run at an evaluation while it trains.

  Attributes:
    step: the current step.
    seconds_left: estimated seconds to the end of the training; None if unknown.
    every: seconds until the page is expected to be written again.
    layers: the layer table.
  """

  step: int
  seconds_left: float | None
  every: float
  layers: Sequence[Mapping[str, Any]] = ()


class Pace:
  """Decides when the next page is written, so that this takes at most SHARE of the time.

  Args:
    now: the current time in seconds.
  """

  def __init__(self, now: float) -> None:
    self._since, self._cost = now, None  # end of the last page, its seconds
    self._asked, self._between = None, 0.0  # last evaluation, seconds between evaluations

  @property
  def every(self) -> float:
    """The expected seconds between two pages."""
    return max((self._cost or 0) / SHARE, self._between, SOONEST)

  def is_due(self, now: float, seconds_left: float | None) -> bool:
    """Whether a page may be written at this evaluation.

    Args:
      now: the current time in seconds.
      seconds_left: estimated seconds to the end of the training; None if unknown.
    """
    self._between = now - (self._since if self._asked is None else self._asked)
    self._asked = now
    passed = now - self._since
    if self._cost is not None:
      return passed >= max(self._cost / SHARE, SOONEST)
    return seconds_left is not None and SHARE * (passed + seconds_left) >= FIRST

  def wrote(self, now: float, cost: float) -> None:
    """Notes that a page was written.

    Args:
      now: the current time in seconds.
      cost: seconds of computation that it took.
    """
    self._since, self._cost = now, cost


class Writer:
  """Rewrites the page of a run while it trains; used in a `with` block around the training.

  Pages are written in another thread, from a copy of the parameters. If the training raises an
  exception, the page is written once more, without the state of the training.

  Args:
    attempt: function (name, function, *arguments) that turns exceptions into warnings, as
      `SideOutputs.attempt`.
    write: function (Moment, variables) → None that writes the page.
    close: function () → None that writes the page of a run that does not train.
    layers: the layer table.
  """

  def __init__(
    self,
    attempt: Callable[..., Any],
    write: Callable[[Moment, dict[str, Any]], Any],
    close: Callable[[], Any],
    layers: Sequence[Mapping[str, Any]] = (),
  ) -> None:
    self._attempt, self._write, self._close, self._layers = attempt, write, close, layers
    self._pace, self._pages = Pace(time.monotonic()), 0
    self._pool = concurrent.futures.ThreadPoolExecutor(1)
    self._writing: concurrent.futures.Future | None = None

  def __enter__(self) -> 'Writer':
    return self

  def __exit__(
    self,
    kind: type[BaseException] | None,
    error: BaseException | None,
    traceback: TracebackType | None,
  ) -> None:
    self._pool.shutdown()
    if error is not None and self._pages:
      self._attempt('report.html', self._close)

  def after_evaluation(
    self, step: int, seconds_left: float | None, current: Callable[[], Any] | None
  ) -> None:
    """Starts to write the page, if it is due and no page is being written.

    Args:
      step: the current step.
      seconds_left: estimated seconds to the end of the training; None if unknown.
      current: function () → State on the devices; None if the page needs no variables.
    """
    due = self._pace.is_due(time.monotonic(), seconds_left)
    if not due or (self._writing is not None and not self._writing.done()):
      return
    began = time.thread_time()
    variables = {}
    if current is not None:
      # A copy, because the device reuses the memory while the other thread writes the page.
      variables = jax.tree.map(np.array, jax.device_get(current().variables()))
    copying = time.thread_time() - began
    moment = Moment(step, seconds_left, self._pace.every, self._layers)
    self._writing = self._pool.submit(
      self._attempt, 'the report while training', self._write_page, moment, variables, copying
    )

  def _write_page(self, moment, variables, copying):
    began = time.thread_time()
    self._write(moment, variables)
    self._pages += 1
    self._pace.wrote(time.monotonic(), time.thread_time() - began + copying)


def moment_of(record: Run) -> Moment | None:
  """The last logged moment of a run that another process trains; None if none trains it.

  Args:
    record: the run.
  """
  if record.packed is not None or not run_folder.trainer(record.folder).get('now'):
    return None
  seconds, every, speed = None, UNKNOWN, record.speed
  if record.steps and speed:
    a_step = record.examples_of_a_step() / speed
    seconds, every = (record.steps - record.step) * a_step, _evaluate_every(record) * a_step
  return Moment(record.step, seconds, max(every, SOONEST))


def _evaluate_every(record):
  """Steps between two evaluations; 0 if unknown."""
  try:
    return checks.in_steps(
      record.config.get('evaluate_every'), record.epoch() or 1, 'config.evaluate_every'
    )
  except ValueError:
    return 0


def of_run(record: Run, moment: Moment) -> dict[str, Any]:
  """Returns the data of the section about the training, for the page template.

  Args:
    record: the run.
    moment: the moment of the training.

  Returns:
    A dict:

      'state': text, such as 'training, step 300 of 8,600, 3 minutes left'.
      'step', 'steps': numbers for the progress bar; 'steps' may be None.
      'reached': text, such as 'step 300'.
      'written': time of writing in milliseconds since 1970.
      'every': seconds until the page is expected to be written again.
      'figures': table of the last evaluation and of the best values so far, or None.
      'weights': drawings returned by `drawings`.
  """
  step = max(moment.step, record.step)
  of_steps = f' of {record.steps:,}' if record.steps else ''
  parts = ['training', f'step {step:,}{of_steps}']
  if moment.seconds_left is not None:
    parts.append(f'{duration(moment.seconds_left)} left')
  return {
    'state': ', '.join(parts),
    'step': step,
    'steps': record.steps,
    'reached': f'step {step:,}',
    'written': round(time.time() * 1000),
    'every': math.ceil(moment.every),
    'figures': _figures(record),
    'weights': drawings(files.weights(record.folder)),
  }


def of_sweep(
  found: Sequence[Run], labels: Sequence[str], count: int, every: float
) -> dict[str, Any]:
  """Returns the data of the section about the training of a sweep, for the page template.

  Args:
    found: the runs that have started.
    labels: their names.
    count: the number of runs of the sweep.
    every: seconds until the page is expected to be written again.

  Returns:
    A dict as returned by `of_run`; 'step' and 'steps' count finished and all runs, 'figures' is the
    table of the runs that train now, and 'weights' is [].
  """
  ended = sum(record.finished for record in found)
  reached = f'{ended:,} of {_counted(count, "run")}'
  rows = [
    [label, f'{record.step:,}', '–' if record.steps is None else f'{record.steps:,}']
    for label, record in zip(labels, found, strict=True)
    if run_folder.trainer(record.folder).get('now') and not record.finished
  ]
  table = {'columns': ['training now', 'step', 'of'], 'rows': rows, 'numbers': [1, 2]}
  return {
    'state': f'training, {reached} finished',
    'step': ended,
    'steps': count,
    'reached': reached,
    'written': round(time.time() * 1000),
    'every': math.ceil(every),
    'figures': table if rows else None,
    'weights': [],
  }


def duration(seconds: float) -> str:
  """Formats a duration in words: '40 seconds', '3 minutes', '2 hours 5 minutes'."""
  seconds = max(seconds, 0)
  if seconds < 59.5:
    return _counted(max(1, round(seconds)), 'second')
  minutes = round(seconds / 60)
  hours, rest = divmod(minutes, 60)
  if not hours:
    return _counted(minutes, 'minute')
  return ' '.join([_counted(hours, 'hour'), *([_counted(rest, 'minute')] if rest else [])])


def _counted(number, unit):
  return f'{number:,} {unit}' if number == 1 else f'{number:,} {unit}s'


def _figures(record):
  """The table of the evaluations so far: the last and the best value of each metric."""
  rows, names = [], []
  for (name, split), points in record.curves().items():
    metric = metrics.METRICS.get(name)
    if metric is None or not metric.evaluated:
      continue
    finite = [(value, step) for step, value in points if math.isfinite(value)]
    if not finite:
      continue
    best, at = (max if metric.higher_is_better else min)(finite, key=lambda pair: pair[0])
    key = f'{split}_{name}'
    now = metrics.shown(key, points[-1][1])
    rows.append([f'{split} {metrics.words(name)}', now, metrics.shown(key, best), f'{at:,}'])
    names.append(key)
  columns = ['figure', 'now', 'best so far', 'at step']
  results.add_chance(record, names, columns, rows)
  return {'columns': columns, 'rows': rows, 'numbers': [1, 2, 3, 4]} if rows else None


def drawings(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
  """Returns the coordinates of small drawings of the weights by step.

  Args:
    lines: lines of `weights.jsonl`, as returned by `files.weights`.

  Returns:
    For each of the first TENSORS kernels, a dict with 'name', 'bands' (polygons, the widest first),
    'middle' (polyline of the medians), 'low', 'high' (text of the limits), 'steps' (text), 'width'
    and 'height'; [] for fewer than two lines.
  """
  every = math.ceil(len(lines) / POINTS) if lines else 1
  lines = [*lines[:-1:every], *lines[-1:]]
  if len(lines) < 2:
    return []
  names = [name for name in lines[-1] if name != 'step' and not name.endswith('bias')]
  return [_drawing(name, lines) for name in names[:TENSORS]]


def _drawing(name, lines):
  lines = [line for line in lines if name in line]
  values = np.array([line[name] for line in lines])  # [S, 9]
  steps = np.array([line['step'] for line in lines], float)
  low, high = values.min(), values.max()
  x = WIDTH * (steps - steps[0]) / max(steps[-1] - steps[0], 1)
  y = HEIGHT * (1 - (values - low) / (high - low if high > low else 1))
  last = values.shape[1] - 1

  def points(column, order=1):
    return [f'{a:.1f},{b:.1f}' for a, b in zip(x[::order], y[::order, column], strict=True)]

  return {
    'name': name,
    'bands': [' '.join([*points(k), *points(last - k, -1)]) for k in range(last // 2)],
    'middle': ' '.join(points(last // 2)),
    'low': _signed(low),
    'high': _signed(high),
    'steps': f'steps {int(steps[0]):,} to {int(steps[-1]):,}',
    'width': WIDTH,
    'height': HEIGHT,
  }


def _signed(value):
  return f'{value:.3g}'.replace('-', '−')
