"""A trace of some training steps, for TensorBoard's Profile tab and for Perfetto."""

import contextlib
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import jax

from jaxdl.config import checks
from jaxdl.monitoring.side_outputs import SideOutputs

NAME = 'the trace'  # one side output, so that a trace that failed to start is not stopped


@contextlib.contextmanager
def profiled(
  run: Callable[..., Any], workdir: str | pathlib.Path, *, first_step: int, steps: int
) -> Iterator[Callable[..., Any]]:
  """Adds a trace of n steps to a compiled function of many training steps.

  The traced steps are those from n to 2n. If a run resumes later, they are the n steps from the
  next multiple of n. The first call is never traced, because it compiles.

  Args:
    run: the function that `chunks.compile_steps` returns; none of its calls crosses a multiple of
      n.
    workdir: the run's folder; the trace is written to tensorboard/plugins/profile.
    first_step: step at which training starts or resumes.
    steps: number n of steps; 0 for no trace.

  Yields:
    A function with the arguments and the results of `run`.
  """
  if not steps:
    yield run
    return
  step, traced_from, tracing, outputs = first_step, None, False, SideOutputs()
  options = jax.profiler.ProfileOptions()
  # Tracing Python calls would dominate the trace and slow down training.
  options.python_tracer_level = 0

  def call(state, arrays, feed, count):
    nonlocal step, traced_from, tracing
    if traced_from is None and step > first_step and step % steps == 0:
      folder = pathlib.Path(workdir) / 'tensorboard'
      outputs.attempt(NAME, lambda: jax.profiler.start_trace(folder, profiler_options=options))
      traced_from, tracing = step, True
    state, history = run(state, arrays, feed, count)
    step += int(count)
    if tracing and traced_from is not None and step >= traced_from + steps:
      jax.block_until_ready(history)
      tracing = False
      outputs.attempt(NAME, jax.profiler.stop_trace)
    return state, history

  try:
    yield call
  finally:
    if tracing:  # a signal or an error ended the run
      outputs.attempt(NAME, jax.profiler.stop_trace)


def in_steps(profile: Any, *, steps: int, epoch: int) -> int:
  """The number of steps to trace.

  Args:
    profile: the key `config.profile`, a duration; None for no trace.
    steps: length of the run in steps.
    epoch: length of an epoch in steps.

  Raises:
    ValueError: the value is no duration, or the run ends before the trace does.
  """
  traced = 0 if profile is None else checks.in_steps(profile, epoch, 'config.profile')
  if 2 * traced > steps:
    raise ValueError(
      f'config.profile={profile!r} traces the second {traced:,} steps, but the run has {steps:,}: '
      'make it shorter'
    )
  return traced
