"""Pure training and evaluation steps, and the compiled loops that run many of them in one call."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxdl.devices import parallel
from jaxdl.step import precision
from jaxdl.step.state import State, accepted_kwargs


@dataclasses.dataclass(frozen=True)
class Recipe:
  """What a network is and how one batch changes it.

  Attributes:
    model: linen module, which is told what it asks for: the field axis_name, and train, mask, index
      and reset when called.
    optimizer: optax.GradientTransformation.
    task: function (outputs, batch) → sums over real examples, to train by.
    penalty: function params → [], added to the mean loss; the sum 'penalty' counts it once an
      example. None for none.
    ema_decay: of the average of the parameters, which is what is evaluated and saved as the model;
      0 for none.
    compute: a key of precision.PRECISIONS, the type that training computes in; evaluation keeps
      float32.
  """

  model: Any
  optimizer: Any
  task: Callable
  penalty: Callable | None = None
  ema_decay: float = 0.0
  compute: str = 'float32'


def train_step(state, batch, recipe):
  """One update from one batch, the same on any number of devices.

  Args:
    state: State.
    batch: this device's part: 'inputs' [B, …], 'mask' [B, …], 'index' [B], 'reset' [B] where the
      batch goes on from the one before, and what the task needs.
    recipe: Recipe.

  Returns:
    (State, sums over the real examples of all devices).
  """
  gradients, sums, updated = mean_gradients(state, batch, recipe)
  updates, opt_state = recipe.optimizer.update(gradients, state.opt_state, state.params)
  params = optax.apply_updates(state.params, updates)
  decay = jnp.minimum(
    recipe.ema_decay, (1 + state.step) / (10 + state.step)
  )  # the first steps are forgotten sooner
  average = jax.tree.map(
    lambda old, new: old + (1 - decay) * (new - old), state.average, params if state.average else {}
  )
  return State(
    step=state.step + 1,
    params=params,
    batch_stats=updated.get('batch_stats', {}),
    opt_state=opt_state,
    rng=state.rng,
    carry=updated.get('carry', {}),
    average=average,
  ), sums


def mean_gradients(state, batch, recipe):
  """The gradient that a training step follows: of the mean loss over a batch, and of the penalty.

  Each device differentiates the sum of its own examples' losses; the sums of gradients, losses and
  counts cross the devices once, and the division by the number of real examples comes after.

  Args:
    state, batch, recipe: as in `train_step`.

  Returns:
    (gradients like the parameters, sums over the real examples of all devices, the collections that
    the batch changed).
  """
  model = (
    recipe.model.clone(axis_name=parallel.AXIS)
    if hasattr(recipe.model, 'axis_name')
    else recipe.model
  )
  apply = precision.compute_in(model.apply, recipe.compute)
  keywords = accepted_kwargs(
    model, train=True, mask=batch['mask'], index=batch['index'], **_streams(batch)
  )
  dropout = jax.random.fold_in(state.rng, state.step)

  def summed_loss(params):
    variables = {'params': params, 'batch_stats': state.batch_stats, 'carry': state.carry}
    outputs, updated = apply(
      variables,
      batch['inputs'],
      **keywords,
      mutable=['batch_stats', 'carry'],
      rngs={'dropout': dropout},
    )
    sums = recipe.task(outputs, batch)
    return sums['loss'], (sums, updated)

  gradients, (sums, updated) = jax.grad(summed_loss, has_aux=True)(state.params)
  gradients, sums = parallel.sum_over_devices((gradients, sums))
  gradients = jax.tree.map(lambda gradient: gradient / sums['count'], gradients)
  if (
    recipe.penalty
  ):  # of the parameters that all devices share: once, after their gradients have become one
    value, of_penalty = jax.value_and_grad(recipe.penalty)(state.params)
    gradients = jax.tree.map(jnp.add, gradients, of_penalty)
    sums = {**sums, 'penalty': value * sums['count']}
  return gradients, sums, updated


def eval_step(variables, batch, *, model, task):
  """One batch without dropout and by running averages.

  Args:
    variables: of the model; the collection 'carry' is what the batch before left, and may be absent
      at the first.
    batch: as in `train_step`.
    model, task: as in Recipe; the task to measure by.

  Returns:
    (sums over the real examples, carry for the next batch: {} where nothing goes on).
  """
  outputs, updated = model.apply(
    variables, batch['inputs'], **accepted_kwargs(model, **_streams(batch)), mutable=['carry']
  )
  return task(outputs, batch), updated.get('carry', {})


def _streams(batch):
  """What a model of streams is told: which of them begin anew."""
  return {'reset': batch['reset']} if 'reset' in batch else {}


def many_train_steps(recipe, *, split, prepare):
  """Trains for any number of steps without returning to Python, once it is compiled by
  `parallel.over_devices`.

  The number of steps is an argument of one compiled program, so that a run's bits do not depend on
  where its calls begin and end.

  Args:
    recipe: Recipe.
    split: data Split of the training examples.
    prepare: pure (batch, key) → batch with 'inputs'.

  Returns:
    pure function (state, arrays, feed [S, B, …], steps <= S) → (State, sums of each step [S]).
  """

  def run(state, arrays, feed, steps):
    def one(position, carried):
      state, history = carried
      batch = split.fetch(arrays, jax.tree.map(lambda values: values[position], feed))
      batch = prepare(batch, jax.random.fold_in(state.rng, state.step))
      state, sums = train_step(state, batch, recipe)
      return state, jax.tree.map(
        lambda values, value: values.at[position].set(value), history, sums
      )

    sums, _ = _shapes(
      state.variables(),
      arrays,
      feed,
      model=recipe.model,
      task=recipe.task,
      split=split,
      prepare=prepare,
    )
    history = _zeros(sums, leading=(len(feed['index']),))  # [S] each
    if recipe.penalty:
      history['penalty'] = jnp.zeros_like(history['loss'])
    state = dataclasses.replace(state, carry=parallel.local_shard(state.carry))
    state, history = jax.lax.fori_loop(0, steps, one, (state, history))
    return dataclasses.replace(state, carry=parallel.all_gather(state.carry)), history

  return run


def many_eval_steps(*, model, task, split, prepare):
  """Evaluates a whole split, once it is compiled by `parallel.over_devices`.

  Args:
    model, task: as in Recipe; the task to measure by.
    split, prepare: as in `many_train_steps`.

  Returns:
    pure function (variables, arrays, feed [S, B, …]) → sums over every real example, each counted
    once.
  """

  def run(variables, arrays, feed):
    def one(carried, feed):
      sums, carry = carried
      batch = prepare(split.fetch(arrays, feed), None)
      added, carry = eval_step({**variables, 'carry': carry}, batch, model=model, task=task)
      return (jax.tree.map(jnp.add, sums, added), carry), None

    zeros = _zeros(
      _shapes(variables, arrays, feed, model=model, task=task, split=split, prepare=prepare)
    )
    (sums, _), _ = jax.lax.scan(one, zeros, feed)
    return parallel.sum_over_devices(sums)

  return run


def gradients_of_batch(recipe, *, prepare):
  """The gradients of one fixed batch as its first training step takes them, for whatever the
  parameters have become.

  That is with the augmentation and the dropout of step 0 and batch statistics of the batch, which
  leave no trace.

  Args:
    recipe: Recipe.
    prepare: as in `many_train_steps`.

  Returns:
    pure function (state, {}, batch [1, B, …]) → gradients like the parameters.
  """

  def run(state, arrays, batch):
    del arrays
    first = dataclasses.replace(
      state, step=jnp.zeros_like(state.step), carry=parallel.local_shard(state.carry)
    )
    batch = prepare(
      jax.tree.map(lambda values: values[0], batch), jax.random.fold_in(first.rng, first.step)
    )
    return mean_gradients(first, batch, recipe)[0]

  return run


def _shapes(variables, arrays, feed, *, model, task, split, prepare):
  """Shapes of what `eval_step` returns for the first step of a feed."""

  def first(feed):
    return eval_step(variables, prepare(split.fetch(arrays, feed), None), model=model, task=task)

  return jax.eval_shape(first, jax.tree.map(lambda values: values[0], feed))


def _zeros(shapes, leading=()):
  return jax.tree.map(lambda value: jnp.zeros((*leading, *value.shape), value.dtype), shapes)
