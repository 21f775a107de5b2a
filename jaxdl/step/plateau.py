"""Lowers the learning rate, or ends a run, when the watched metric no longer improves.

The memory of its scores (`watch.Watch.score`; by default, the validation losses) is part of the
optimizer's state, so that checkpoints contain it. A resumed run therefore cuts its learning rate
and ends at the same steps as an uninterrupted one. Only evaluations at multiples of
`evaluate_every` count, because a longer run would not make the evaluation at the end of a shorter
one.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxdl.config import checks


def with_plateau_memory(rule: optax.GradientTransformation) -> optax.GradientTransformation:
  """Adds a memory of validation scores to the state of an optimizer.

  The updates are multiplied by the memory's factor.

  Args:
    rule: the optimizer; its last factor is the learning rate.

  Returns:
    An optimizer with the state {'rule': state of `rule`, 'memory': …}. The memory is a dict of
    'best', the lowest score so far; 'best_step', its step; 'cut_step', the step of the last cut of
    the learning rate; 'last_step', the step of the last evaluation; and 'factor', the factor of the
    learning rate.
  """

  def init(params):
    memory = {name: jnp.int32(0) for name in ('best_step', 'cut_step', 'last_step')}
    return {
      'rule': rule.init(params),
      'memory': {**memory, 'best': jnp.float32(jnp.inf), 'factor': jnp.float32(1)},
    }

  def update(updates, state, params=None):
    updates, rule_state = rule.update(updates, state['rule'], params)
    updates = jax.tree.map(lambda values: state['memory']['factor'] * values, updates)
    return updates, {'rule': rule_state, 'memory': state['memory']}

  return optax.GradientTransformation(init, update)


def observe(
  memory: Mapping[str, Any],
  score: float,
  step: int,
  *,
  patience: int = 0,
  factor: float | int = 1.0,
  minimum: float | int = 0.0,
) -> dict[str, np.generic]:
  """Updates the memory with one score of the watched metric.

  The learning rate is cut if neither a lower score nor a cut was within the last `patience` steps.

  Args:
    memory: the memory of `with_plateau_memory`, on the host.
    score: the number that is minimised; by default, the validation loss.
    step: its step.
    patience: number of steps; 0 for no cuts.
    factor: factor of the learning rate at each cut.
    minimum: the lowest product of the factors of all cuts.

  Returns:
    The updated memory, NumPy scalars of the same types.
  """
  rounded = np.float32(score)  # the memory's type: a resumed run must compare the same numbers
  best, best_step = memory['best'], memory['best_step']
  if rounded < best:
    best, best_step = rounded, step
  cut = patience > 0 and step - max(best_step, memory['cut_step']) >= patience
  product = max(memory['factor'] * factor, minimum) if cut else memory['factor']
  return {
    'best': np.float32(best),
    'best_step': np.int32(best_step),
    'last_step': np.int32(step),
    'cut_step': np.int32(step if cut else memory['cut_step']),
    'factor': np.float32(product),
  }


def on_plateau(
  epoch: int,
  learning_rate: float | int,
  *,
  patience: Any,
  factor: Any = 0.5,
  minimum: Any = 0.0,
) -> Callable[..., dict[str, np.generic]]:
  """`observe` with the settings of a config's plateau section, which it checks.

  Args:
    epoch: number of steps of an epoch.
    learning_rate: learning rate of the optimizer.
    patience: duration, such as '5 epochs'.
    factor: factor of the learning rate at each cut, above 0 and below 1.
    minimum: the lowest learning rate, before the factor of the schedule.

  Returns:
    Function (memory, score, step) → memory.

  Raises:
    ValueError: a value is out of its range.
  """
  checks.check_range(factor, 'config.plateau.factor', 0, 1, above=True)
  checks.check_range(minimum, 'config.plateau.minimum', 0, learning_rate)
  return functools.partial(
    observe,
    patience=checks.in_steps(patience, epoch, 'config.plateau.patience'),
    factor=factor,
    minimum=minimum / learning_rate,
  )


def steps_without_improvement(memory: Mapping[str, Any]) -> int:
  """Number of steps from the lowest score to the last evaluation.

  Args:
    memory: the memory of `with_plateau_memory`.
  """
  return int(memory['last_step']) - int(memory['best_step'])
