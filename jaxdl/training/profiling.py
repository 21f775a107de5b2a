"""A trace of some training steps, for TensorBoard's Profile tab and for Perfetto."""

import contextlib
import pathlib

import jax

from jaxdl.monitoring.side_outputs import SideOutputs

NAME = 'the trace'  # of the side output: a trace that could not be started is not stopped


@contextlib.contextmanager
def profiled(run, workdir, *, first_step, steps):
  """Yields a compiled function of many steps that leaves a trace of some of them and returns what
  it always does.

  Traced are the steps from n to 2n, and of a run that goes on later those from the next multiple of
  n; never those of the first call, which compiles.

  Args:
    run: as `chunks.compile_steps` returns it; none of its calls goes across a multiple of n.
    workdir: the run's folder; the trace is in tensorboard/plugins/profile.
    first_step: int, where training begins or goes on.
    steps: n; 0 for no trace.
  """
  if not steps:
    yield run
    return
  step, begun, tracing, outputs = first_step, None, False, SideOutputs()
  options = jax.profiler.ProfileOptions()
  options.python_tracer_level = (
    0  # Python's own calls would be most of the trace, and slow what is traced
  )

  def call(state, arrays, feed, count):
    nonlocal step, begun, tracing
    if begun is None and step > first_step and step % steps == 0:
      folder = pathlib.Path(workdir) / 'tensorboard'
      outputs.attempt(NAME, lambda: jax.profiler.start_trace(folder, profiler_options=options))
      begun, tracing = step, True
    state, history = run(state, arrays, feed, count)
    step += int(count)
    if tracing and step >= begun + steps:
      jax.block_until_ready(history)
      tracing = False
      outputs.attempt(NAME, jax.profiler.stop_trace)
    return state, history

  try:
    yield call
  finally:
    if tracing:  # a signal or an error ended the run
      outputs.attempt(NAME, jax.profiler.stop_trace)
