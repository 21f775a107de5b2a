"""Compiled functions that train one run, or several runs step by step."""

import dataclasses
from collections.abc import Callable

import numpy as np

from jaxdl.devices import parallel
from jaxdl.training import chunks, evaluation
from jaxdl.training.experiment import Experiment


@dataclasses.dataclass(frozen=True)
class Program:
  """The functions by which `loop.train_runs` trains M runs.

  `states` is what the program makes of M States: the State itself where M is 1, or one State whose
  arrays have an axis of runs before their own.

  Attributes:
    run: (states, arrays, feed, number of steps) → (states, sums of each step).
    evaluate: states on the devices → split → name → [M] sums over its examples.
    feed_at: (first step, number of steps) → feed, as that of a data Split.
    split_feed: (feed, number of steps) → the feed on the devices.
    place: states → states on the devices.
    join: list of M State → states.
    member: (states, number of a run) → its State.
    by_run: array of the sums of each step → [M, S].
    initial_states: (compile_step: bool) → list of M State before the first step.
  """

  run: Callable
  evaluate: Callable
  feed_at: Callable
  split_feed: Callable
  place: Callable
  join: Callable
  member: Callable
  by_run: Callable
  initial_states: Callable


def of_one(experiment: Experiment) -> Program:
  """The program of a single run.

  Its initial state is drawn while the training step is compiled.
  """
  run, evaluate = chunks.compile_steps(experiment), evaluation.of_splits(experiment)

  def evaluate_one(state):
    return {
      split: {name: np.asarray(value)[None] for name, value in sums.items()}
      for split, sums in evaluate(state).items()
    }

  def initial_states(*, compile_step):
    if compile_step:
      return [chunks.first_state(experiment, run)]
    return [experiment.initial_state()]

  return Program(
    run=run,
    evaluate=evaluate_one,
    feed_at=experiment.data.splits['train'].feed,
    split_feed=parallel.split_feed,
    place=parallel.replicate,
    join=lambda states: states[0],
    member=lambda state, number: state,
    by_run=lambda values: values[None],
    initial_states=initial_states,
  )
