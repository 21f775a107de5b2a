"""Trains several runs in one program: arrays have an axis of members, split over the devices."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.devices import parallel
from jaxdl.step import steps as step_functions
from jaxdl.step.state import State
from jaxdl.sweeps.grouping import separated, with_numbers
from jaxdl.training import evaluation, experiment
from jaxdl.training.experiment import Experiment
from jaxdl.training.programs import Program


def stacked(states: Sequence[State]) -> State:
  """Stacks M States into one State of arrays [M, …]."""
  return jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)


@jax.jit
def member(states: State, number: int | jax.Array) -> State:
  """The State of one member of a stacked State, on all devices."""
  return jax.tree.map(lambda leaf: leaf[number], states)


def placed(states: State) -> State:
  """Puts a stacked State on the devices that compute its members."""
  return parallel.split_members(states, parallel.members_mesh(len(states.step)))


def compile_steps(experiments: Sequence[Experiment]) -> Callable:
  """Compiles many steps of all members.

  Args:
    experiments: M experiments that share a program.

  Returns:
    (stacked State, arrays, feeds, steps) → (stacked State, name → sums of each step [M, S]).
  """
  parts = [separated(built.config)[1] for built in experiments]
  differing = [place for place in parts[0] if len({part[place] for part in parts}) > 1]
  numbers = {
    str(place): np.array([part[place] for part in parts], np.float32) for place in differing
  }  # [M] each
  first, data = experiments[0], experiments[0].data
  epoch = data.splits['train'].batches

  def run(number, state, arrays, feed, count, numbers):
    config = with_numbers(first.config, {place: numbers[str(place)][number] for place in differing})
    keys = experiment.Config.from_resolved(config)
    recipe = experiment.recipe(keys, steps=first.steps, epoch=epoch)
    return step_functions.many_train_steps(
      recipe, split=data.splits['train'], prepare=data.prepare
    )(state, arrays, feed, count)

  compiled = parallel.over_members(
    run, parallel.members_mesh(len(experiments)), scalars=2, donate=(0,)
  )
  return lambda states, arrays, feeds, count: compiled(states, arrays, feeds, count, numbers)


def feeds(experiments: Sequence[Experiment]) -> Callable[[int, int], dict[str, np.ndarray]]:
  """Stacks the feeds of the members: (first step, steps) → name → [M, S, B, …]."""

  def feed_at(first_step, count):
    each = [built.data.splits['train'].feed(first_step, count) for built in experiments]
    return {name: np.stack([feed[name] for feed in each]) for name in each[0]}

  return feed_at


def split_feeds(count: int) -> Callable:
  """Builds the function that puts the feeds of `count` members on the devices.

  Returns:
    (feeds, steps) → padded feeds.
  """
  mesh = parallel.members_mesh(count)
  return lambda feeds, steps: parallel.split_feeds(feeds, steps, mesh)


def evaluation_of(experiments: Sequence[Experiment]) -> Callable[[State], dict[str, Any]]:
  """Like `evaluation.of_splits`, for a stacked State; sums are [M]."""
  count = len(experiments)
  mesh, split = parallel.members_mesh(count), split_feeds(count)

  def over(run, *, scalars):
    return parallel.over_members(
      lambda number, variables, *further: run(variables, *further), mesh, scalars=scalars
    )

  def split_feed(feed, steps):  # all members have the same examples
    return split(
      {name: np.broadcast_to(values, (count, *values.shape)) for name, values in feed.items()},
      steps,
    )

  return evaluation.of_splits(experiments[0], over=over, split_feed=split_feed)


def program(experiments: Sequence[Experiment]) -> Program:
  """The program of several runs, for `loop.train_runs`."""
  return Program(
    run=compile_steps(experiments),
    evaluate=evaluation_of(experiments),
    feed_at=feeds(experiments),
    split_feed=split_feeds(len(experiments)),
    place=placed,
    join=stacked,
    member=member,
    by_run=lambda values: values,
    initial_states=lambda *, compile_step: [built.initial_state() for built in experiments],
  )
