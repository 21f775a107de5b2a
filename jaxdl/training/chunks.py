"""Compiled calls of many training steps: the feed of the next one is made while the device works on
one.
"""

import concurrent.futures
import time

import jax
import numpy as np

from jaxdl.devices import parallel, processes
from jaxdl.step import steps

SECONDS = 2.0  # the longest that one call should take, so that the bar moves and a stop is heard
MOST = 1000  # steps of one call


def compile_steps(experiment):
  """Compiles `steps.many_train_steps` of an experiment; the state's memory is reused."""
  data = experiment.data
  run = steps.many_train_steps(experiment.recipe, split=data.splits['train'], prepare=data.prepare)
  return parallel.over_devices(run, scalars=1, donate=(0,))


def capacity_of(experiment):
  """Steps that a compiled call can be asked for."""
  most = min(MOST, experiment.log_every)
  return min(most, experiment.data.splits['train'].capacity or most)


def first_state(experiment, run, capacity=None):
  """The State before the first step, drawn while another thread has the first call compiled: both
  take seconds.

  Args:
    experiment: Experiment.
    run: as `compile_steps` returns it.
    capacity: steps of a call, `capacity_of` where there are none.
  """
  if jax.process_count() > 1:  # to compile, processes may speak with each other, in one order
    return experiment.initial_state()
  drawing = experiment.drawing()
  with concurrent.futures.ThreadPoolExecutor(1) as aside:
    drawn = aside.submit(lambda: drawing.lower().compile()())
    split = experiment.data.splits['train']
    feed = parallel.split_feed(split.feed(0, 1), capacity or capacity_of(experiment))
    shapes = parallel.replicated_shapes((drawing.out_info, split.arrays))
    run.lower(*shapes, feed, np.int32(1)).compile()
  return drawn.result()


def run_in_chunks(experiment, step, program):
  """A generator that trains: sent the states at a step, it runs one compiled call of many steps.

  A call ends at the next log, evaluation or checkpoint, or earlier where it would take too long.
  The first `next` starts the generator. The states sent may be modified copies of those yielded,
  but at the same step.

  Args:
    experiment: Experiment, or one of several that are trained together.
    step: int, where training starts or resumes.
    program: programs.Program.

  Yields:
    (states, name → sums of each step [M, S], seconds of the call).
  """
  current = program.place((yield))  # nothing is read for a run that is finished already
  split = experiment.data.splits['train']
  capacity = capacity_of(experiment)
  arrays = parallel.replicate(split.arrays)
  count, calls = 1, 0
  feed = program.split_feed(program.feed_at(step, capacity), capacity)
  while True:
    started = time.monotonic()
    current, history = program.run(current, arrays, feed, np.int32(count))
    step += count
    ahead = min(capacity, experiment.steps - step)
    # The next feed is made, and on its way, while the device works.
    feed = program.split_feed(program.feed_at(step, ahead), capacity)
    history = {
      name: program.by_run(values)[:, :count] for name, values in jax.device_get(history).items()
    }
    seconds = time.monotonic() - started
    current = yield current, history, seconds
    calls += 1
    quick = 1  # the first call's time is compilation
    if calls > 1:
      quick = max(1, int(SECONDS * count / seconds))
    everies = (
      experiment.log_every,
      experiment.evaluate_every,
      experiment.checkpoint_every,
      experiment.keep_every,
      experiment.profile,
    )
    count = min(
      *(every - step % every for every in everies if every),
      experiment.steps - step,
      capacity,
      processes.min_over_processes(quick),
    )
