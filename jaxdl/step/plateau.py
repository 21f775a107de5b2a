"""What follows when the validation loss no longer falls: a lower learning rate on a plateau, and an
early end.

What a run remembers of its losses is part of the optimizer's state, so that a checkpoint holds it:
a resumed run cuts its rate and ends where an uninterrupted one does. Only evaluations at multiples
of `evaluate_every` count, for the one at the end of a shortened run would not have been made by a
longer one.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxdl.config import checks


def with_plateau_memory(rule):
  """An optimizer whose state also holds the run's memory, and whose updates are multiplied by the
  memory's factor.

  Args:
    rule: optax.GradientTransformation; its last factor is the learning rate.

  Returns:
    optax.GradientTransformation; its state is {'rule': the rule's, 'memory': {'best': lowest loss
    so far, 'best_step': where, 'cut_step': where the rate was last cut, 'last_step': of the last
    evaluation, 'factor': on the rate}}.
  """

  def init(params):
    memory = {name: jnp.int32(0) for name in ('best_step', 'cut_step', 'last_step')}
    return {
      'rule': rule.init(params),
      'memory': {**memory, 'best': jnp.float32(jnp.inf), 'factor': jnp.float32(1)},
    }

  def update(gradients, state, params=None):
    updates, rule_state = rule.update(gradients, state['rule'], params)
    updates = jax.tree.map(lambda values: state['memory']['factor'] * values, updates)
    return updates, {'rule': rule_state, 'memory': state['memory']}

  return optax.GradientTransformation(init, update)


def observe(memory, loss, step, *, patience=0, factor=1.0, minimum=0.0):
  """Takes one validation loss into account.

  The rate is cut where neither a lower loss nor a cut lies within the last `patience` steps.

  Args:
    memory: as in `remembering`, on the host.
    loss: float, nats.
    step: int.
    patience: int, steps; 0 never cuts.
    factor: float that each cut multiplies the learning rate by.
    minimum: float, the lowest product of all cuts.

  Returns:
    the memory after it, NumPy scalars of the same types.
  """
  loss = np.float32(loss)  # as the memory keeps it: a resumed run must compare the same numbers
  best, best_step = (loss, step) if loss < memory['best'] else (memory['best'], memory['best_step'])
  cut = patience > 0 and step - max(best_step, memory['cut_step']) >= patience
  product = max(memory['factor'] * factor, minimum) if cut else memory['factor']
  return {
    'best': np.float32(best),
    'best_step': np.int32(best_step),
    'last_step': np.int32(step),
    'cut_step': np.int32(step if cut else memory['cut_step']),
    'factor': np.float32(product),
  }


def on_plateau(epoch, learning_rate, *, patience, factor=0.5, minimum=0.0):
  """`observe` as a config's plateau section sets it.

  Args:
    epoch: steps of an epoch.
    learning_rate: float, the optimizer's.
    patience: duration, such as '5 epochs'.
    factor: of each cut, above 0 and below 1.
    minimum: the lowest learning rate, before the schedule's own factor.

  Returns:
    function (memory, loss, step) → memory.

  Raises:
    ValueError: a value out of its range.
  """
  checks.check_range(factor, 'config.plateau.factor', 0, 1, above=True)
  checks.check_range(minimum, 'config.plateau.minimum', 0, learning_rate)
  return functools.partial(
    observe,
    patience=checks.in_steps(patience, epoch, 'config.plateau.patience'),
    factor=factor,
    minimum=minimum / learning_rate,
  )


def steps_without_improvement(memory):
  """Steps from the lowest loss to the last evaluation: int."""
  return int(memory['last_step']) - int(memory['best_step'])
