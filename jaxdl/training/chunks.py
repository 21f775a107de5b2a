"""Trains in compiled calls of many steps; prepares the next feed while the device computes."""

import concurrent.futures
import time
from collections.abc import Generator
from typing import Any

import jax
import numpy as np

from jaxdl.devices import parallel, processes
from jaxdl.step import steps
from jaxdl.step.state import State
from jaxdl.training.experiment import Experiment

SECONDS = 2.0  # length of a call, so that the progress bar moves and a stop signal is noticed
# Each call gets its memory from the operating system anew, which can take a tenth of a second per
# gigabyte. Where steps are long, a call therefore takes FEW steps, unless it exceeds LONGEST.
FEW = 4
LONGEST = 10.0
MOST = 1000  # most steps of one call


def compile_steps(experiment: Experiment) -> Any:
  """Compiles `steps.many_train_steps` of an experiment; its calls reuse the state's memory.

  Args:
    experiment: the experiment to train.
  """
  data = experiment.data
  run = steps.many_train_steps(experiment.recipe, split=data.splits['train'], prepare=data.prepare)
  return parallel.over_devices(run, scalars=1, donate=(0,))


def capacity_of(experiment: Experiment) -> int:
  """The largest number of steps of a compiled call.

  Args:
    experiment: the experiment to train.
  """
  most = min(MOST, experiment.log_every)
  return min(most, experiment.data.splits['train'].capacity or most)


def first_state(experiment: Experiment, run: Any, capacity: int | None = None) -> State:
  """Draws the initial State while another thread compiles the first call; each takes seconds.

  Args:
    experiment: the experiment to train.
    run: the function that `compile_steps` returns.
    capacity: steps of a call; by default, `capacity_of` the experiment.
  """
  if jax.process_count() > 1:  # compiling may communicate, so all processes must use the same order
    return experiment.initial_state()
  drawing = experiment.drawing()
  with concurrent.futures.ThreadPoolExecutor(1) as aside:
    drawn = aside.submit(lambda: drawing.lower().compile()())
    split = experiment.data.splits['train']
    feed = parallel.split_feed(split.feed(0, 1), capacity or capacity_of(experiment))
    shapes = parallel.replicated_shapes((drawing.out_info, split.arrays))
    run.lower(*shapes, feed, np.int32(1)).compile()
  return drawn.result()


def steps_of_call(seconds: float) -> int:
  """The number of steps of a call.

  Args:
    seconds: time of a step.
  """
  return max(1, int(SECONDS / seconds), min(FEW, int(LONGEST / seconds)))


def run_in_chunks(experiment: Experiment, step: int, program: Any) -> Generator[Any, Any, None]:
  """A generator that trains: it runs one compiled call of many steps for each `states` it is sent.

  A call ends at the next log, evaluation or checkpoint, or earlier if it would take too long. The
  first `next` starts the generator. The states sent may be modified copies of those yielded, but at
  the same step.

  Args:
    experiment: the experiment, or one of several that are compiled together.
    step: step at which training starts or resumes.
    program: programs.Program of the run, or of several runs.

  Yields:
    (states, name → sums of each step [M, S], seconds of the call).
  """
  current = program.place((yield))  # a finished run reads no data
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
    # The next feed is prepared and copied while the device computes.
    feed = program.split_feed(program.feed_at(step, ahead), capacity)
    history = {
      name: program.by_run(values)[:, :count] for name, values in jax.device_get(history).items()
    }
    seconds = time.monotonic() - started
    current = yield current, history, seconds
    calls += 1
    # The first call includes compilation.
    quick = steps_of_call(seconds / count) if calls > 1 else 1
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
