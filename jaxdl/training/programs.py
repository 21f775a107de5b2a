"""Compiled functions that train one run, or several runs in lockstep."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from jaxdl.devices import parallel
from jaxdl.step.state import State
from jaxdl.training import chunks, evaluation
from jaxdl.training.experiment import Experiment


@dataclasses.dataclass(frozen=True)
class Program:
  """The functions with which `loop.train_runs` trains M runs.

  `states` is the program's form of M States: the State itself if M is 1, or one State whose arrays
  have a first axis of runs.

  Attributes:
    run: (states, arrays, feed, number of steps) → (states, sums of each step).
    evaluate: states on the devices → split → name → [M] sums over its examples.
    feed_at: (first step, number of steps) → feed of a data Split.
    split_feed: (feed, number of steps) → the feed on the devices.
    place: states → states on the devices.
    join: list of M State → states.
    member: (states, number of a run) → its State.
    by_run: array of the sums of each step → [M, S].
    initial_states: (compile_step: bool) → list of M initial States.
  """

  run: Callable[..., Any]
  evaluate: Callable[[Any], dict[str, dict[str, np.ndarray]]]
  feed_at: Callable[[int, int], Any]
  split_feed: Callable[[Any, int], Any]
  place: Callable[[Any], Any]
  join: Callable[[list[State]], Any]
  member: Callable[[Any, int], State]
  by_run: Callable[[Any], Any]
  initial_states: Callable[..., list[State]]


def of_one(experiment: Experiment) -> Program:
  """The program of a single run.

  Its initial state is drawn while the training step is compiled.

  Args:
    experiment: the experiment to train.
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
