"""Pure training and evaluation steps, and loops that run many of them in one compiled call."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from jaxdl.devices import parallel
from jaxdl.devices import shards as sharding
from jaxdl.step import layer_groups, precision, tasks
from jaxdl.step.state import Batch, State, Sums, accepted_kwargs
from jaxdl.step.views import mean_logits

OF_BATCH = ('epoch', 'target_scale')  # values of a batch that are not one for each example


@dataclasses.dataclass(frozen=True)
class Recipe:
  """Model, optimizer and loss used by `train_step`.

  Attributes:
    model: linen module. Training sets its field `axis_name`, if it has one, and passes the keywords
      train, mask, index and reset that its `__call__` accepts.
    optimizer: the optimizer.
    task: function (outputs, batch) → sums over the real examples; its sum 'loss' is minimised.
    penalty: function params → number that is added to the mean loss, or None. The sum 'penalty'
      counts it once for each example.
    ema_decay: decay of the moving average of the parameters, which is evaluated and saved as the
      model; 0 for no average.
    compute: one of precision.PRECISIONS, the type in which training computes; evaluation computes
      in float32.
    accumulate: number of parts of a batch that are computed one after another; their gradients are
      added.
    shards: number of shards of a batch, a multiple of the number of devices. They are added in a
      fixed order, so that the bits do not depend on the number of devices; 1 for no shards.
    frozen: patterns of the names of frozen layers.
  """

  model: nn.Module
  optimizer: optax.GradientTransformation
  task: Callable[..., Sums]
  penalty: Callable | None = None
  ema_decay: float | int = 0.0
  compute: str = 'float32'
  accumulate: int = 1
  shards: int = 1
  frozen: tuple[str, ...] = ()


def train_step(state: State, batch: Batch, recipe: Recipe) -> tuple[State, Sums]:
  """Updates the state from one batch; the result is the same on any number of devices.

  Args:
    state: the state before the step.
    batch: this device's part of the batch: 'inputs' [B, …], 'mask' [B, …], 'index' [B] and the
      arrays that the task needs; also 'reset' [B] if streams continue from the previous batch, and
      'steps' [B, T] and 'rate' [B], a factor of the learning rate, if its length is random.
    recipe: model, optimizer and loss.

  Returns:
    (state after the step, sums over the real examples of all devices).
  """
  gradients, sums, updated = mean_gradients(state, batch, recipe)
  updates, opt_state = recipe.optimizer.update(gradients, state.opt_state, state.params)
  if 'rate' in batch:  # the same for all streams
    updates = jax.tree.map(lambda values: batch['rate'][0] * values, updates)
  params = optax.apply_updates(state.params, updates)
  # The decay is lower in the first steps, so that the average forgets them sooner.
  decay = jnp.minimum(recipe.ema_decay, (1 + state.step) / (10 + state.step))
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


def mean_gradients(state: State, batch: Batch, recipe: Recipe) -> tuple[Any, Sums, Any]:
  """The gradient of the mean loss over a batch plus the penalty.

  Each device differentiates the sum of the losses of its own examples. The sums of gradients,
  losses and counts are added over the devices once, and then divided by the number of real
  examples. An accumulated gradient is therefore that of the complete batch, except that batch
  normalisation uses the statistics of each part.

  Args:
    state, batch, recipe: as in `train_step`.

  Returns:
    (gradients, a tree like the parameters; sums over the real examples of all devices; updated
    collections).
  """
  if recipe.shards > 1:
    gradients, sums, updated = _gradients_of_shards(state, batch, recipe)
  else:
    each = _summed_gradients if recipe.accumulate == 1 else _accumulated_gradients
    gradients, sums, updated = each(state, batch, recipe)
    gradients, sums = parallel.sum_over_devices((gradients, sums))
  share = 1 / sums['count']  # a product, because XLA would store quotients
  gradients = jax.tree.map(lambda gradient: share * gradient, gradients)
  if recipe.penalty:  # once, because all devices have the same parameters
    value, of_penalty = jax.value_and_grad(recipe.penalty)(state.params)
    gradients = jax.tree.map(jnp.add, gradients, of_penalty)
    sums = {**sums, 'penalty': value * sums['count']}
  return gradients, sums, updated


def _summed_gradients(state, batch, recipe):
  """The gradient of the summed loss of this device's examples, its sums, updated collections."""
  model = recipe.model
  if hasattr(model, 'axis_name'):
    model = model.clone(axis_name=_axes(recipe))
  apply = precision.compute_in(model.apply, recipe.compute)
  keywords = accepted_kwargs(
    model, train=True, mask=batch['mask'], index=batch['index'], **_streams(batch)
  )
  dropout = jax.random.fold_in(state.rng, state.step)

  def summed_loss(params):
    variables = {
      'params': layer_groups.without_gradients(params, recipe.frozen),
      'batch_stats': state.batch_stats,
      'carry': state.carry,
    }
    with layer_groups.in_evaluation_mode(recipe.frozen):
      outputs, updated = apply(
        variables,
        batch['inputs'],
        **keywords,
        mutable=['batch_stats', 'carry'],
        rngs={'dropout': dropout},
      )
    sums = tasks.of_mixed(recipe.task, outputs, batch)
    return sums['loss'], (sums, updated)

  gradients, (sums, updated) = jax.grad(summed_loss, has_aux=True)(state.params)
  return gradients, sums, updated


def _axes(recipe):
  """The mapped axes over which batch statistics are summed."""
  return parallel.AXIS if recipe.shards == 1 else (parallel.AXIS, sharding.SHARDS)


def _gradients_of_shards(state, batch, recipe):
  """As `_summed_gradients`, with the sums over all shards of all devices."""
  shared, examples = _divided(batch)

  def of_shard(shard):
    batch, carry = shard
    before = dataclasses.replace(state, carry=carry)
    return _summed_gradients(before, {**shared, **batch}, recipe)

  gradients, sums, updated = sharding.over_shards(of_shard, (examples, state.carry), recipe.shards)
  gradients, sums = sharding.sum_of_shards((gradients, sums))
  stats = jax.tree.map(lambda values: values[0], updated.get('batch_stats', {}))
  carry = jax.tree.map(_joined, updated.get('carry', {}))
  return gradients, sums, {'batch_stats': stats, 'carry': carry}


def _prepared(batch, key, prepare, shards):
  """Prepares a batch for training, each shard by itself."""
  if shards == 1:
    return prepare(batch, key)
  shared, examples = _divided(batch)
  prepared = sharding.over_shards(lambda rows: prepare({**shared, **rows}, key), examples, shards)
  return {
    name: values[0] if name in OF_BATCH else _joined(values) for name, values in prepared.items()
  }


def _joined(values):
  """The rows of all shards or parts of a batch, [n, b, …] → [n · b, …]."""
  return values.reshape(-1, *values.shape[2:])


def _divided(batch):
  """The values of a batch that are not one for each example, and the others."""
  shared = {name: batch[name] for name in OF_BATCH if name in batch}
  return shared, {name: values for name, values in batch.items() if name not in shared}


def _accumulated_gradients(state, batch, recipe):
  """As `_summed_gradients`, with the parts of the batch one after another.

  Part k has the examples k, k + n, k + 2n, … of n parts, so that it has the same examples on any
  number of devices. Batch statistics are updated by each part that has real examples.
  """
  shared, examples = _divided(batch)
  parts = _parts(examples, recipe.accumulate)

  def one(batch_stats, part):
    batch, carry = part
    before = dataclasses.replace(state, batch_stats=batch_stats, carry=carry)
    gradients, sums, updated = _summed_gradients(before, {**shared, **batch}, recipe)
    stats = updated.get('batch_stats', {})
    if stats:  # without examples, the statistics are not numbers
      is_real = parallel.sum_over_devices(batch['mask'].sum()) > 0
      gradients, sums, stats = jax.tree.map(
        functools.partial(jnp.where, is_real),
        (gradients, sums, stats),
        (*jax.tree.map(jnp.zeros_like, (gradients, sums)), batch_stats),
      )
    return (gradients, sums), stats, updated.get('carry', {})

  def add(carried, part):
    total, stats = carried
    found, stats, carry = one(stats, part)
    return (jax.tree.map(jnp.add, total, found), stats), carry

  carries = _parts(state.carry, recipe.accumulate)
  shapes, _, _ = jax.eval_shape(
    one, state.batch_stats, jax.tree.map(lambda values: values[0], (parts, carries))
  )
  start = (_zeros(shapes), state.batch_stats)
  ((gradients, sums), stats), carries = jax.lax.scan(add, start, (parts, carries))
  carry = jax.tree.map(lambda values: _joined(jnp.swapaxes(values, 0, 1)), carries)
  return gradients, sums, {'batch_stats': stats, 'carry': carry}


def _parts(tree, count):
  """Divides arrays [B, …] into parts [count, B / count, …]; part k has the rows k, k + count, …"""
  return jax.tree.map(
    lambda values: jnp.swapaxes(values.reshape(-1, count, *values.shape[1:]), 0, 1), tree
  )


def eval_step(
  variables: Any, batch: Batch, *, model: nn.Module, task: Callable[..., Sums]
) -> tuple[Sums, Any]:
  """Evaluates one batch, without dropout and with running averages.

  Args:
    variables: variables of the model. The collection 'carry' is the carry of the previous batch; it
      may be absent for the first batch.
    batch: as in `train_step`.
    model: the network.
    task: task for evaluation.

  Returns:
    (sums over the real examples of this device, carry for the next batch or {}).
  """
  outputs, updated = model.apply(
    variables, batch['inputs'], **accepted_kwargs(model, **_streams(batch)), mutable=['carry']
  )
  return task(outputs, batch), updated.get('carry', {})


def _streams(batch):
  """The keywords of a model of streams: which of them start in this batch, and the real steps."""
  return {name: batch[name] for name in ('reset', 'steps') if name in batch}


def many_train_steps(recipe: Recipe, *, split: Any, prepare: Callable) -> Callable:
  """Builds a function that trains for any number of steps without returning to Python.

  The number of steps is an argument of one compiled program, so that the bits of a run do not
  depend on how it is divided into calls.

  Args:
    recipe: model, optimizer and loss.
    split: the training examples, a `data.dataset.Split`.
    prepare: pure function (batch, key) → batch with 'inputs'.

  Returns:
    A pure function (state, arrays, feed [S, B, …], steps <= S) → (State, sums of each step [S]), to
    be compiled by `parallel.over_devices`.
  """

  @functools.partial(jax.jit, inline=True)  # traced once for both of its uses
  def one(state, arrays, rows):
    batch = {**split.fetch(arrays, rows), 'epoch': state.step // split.batches}
    batch = _prepared(batch, jax.random.fold_in(state.rng, state.step), prepare, recipe.shards)
    return train_step(state, batch, recipe)

  def run(state, arrays, feed, steps):
    def step_at(position, state):
      rows = jax.tree.map(lambda values: values[position], feed)
      return one(state, arrays, rows)

    def next_step(position, carried):
      state, history = carried
      state, sums = step_at(position, state)
      return state, jax.tree.map(
        lambda values, value: values.at[position].set(value), history, sums
      )

    state = dataclasses.replace(state, carry=parallel.local_shard(state.carry))
    _, sums = jax.eval_shape(functools.partial(step_at, 0), state)
    history = _zeros(sums, leading=(len(feed['index']),))  # [S] each
    state, history = jax.lax.fori_loop(0, steps, next_step, (state, history))
    return dataclasses.replace(state, carry=parallel.all_gather(state.carry)), history

  return run


def many_eval_steps(
  *,
  model: nn.Module,
  task: Callable[..., Sums],
  split: Any,
  prepare: Callable,
  views: Sequence[Callable] = (),
  shards: int = 1,
) -> Callable:
  """Builds a function that evaluates all batches of a feed.

  Args:
    model: the network.
    task: task for evaluation.
    split, prepare: as in `many_train_steps`.
    views: functions of images, the views of test-time augmentation (`views.read`). If there are
      any, the sum 'correct_augmented' counts the correct classes of their mean probabilities.
    shards: as in Recipe; each shard is evaluated separately.

  Returns:
    A pure function (variables, arrays, feed [S, B, …], steps <= S) → sums over all real examples of
    these steps, each counted once, to be compiled by `parallel.over_devices`.
  """

  @functools.partial(jax.jit, inline=True)  # traced once for both of its uses
  def one(variables, carry, arrays, rows):
    fetched = split.fetch(arrays, rows)
    batch = prepare(fetched, None)
    sums, carry = eval_step({**variables, 'carry': carry}, batch, model=model, task=task)
    if views:
      correct = _correct_augmented(
        variables, fetched, model=model, task=task, prepare=prepare, views=views
      )
      sums = {**sums, 'correct_augmented': correct}
    return sums, carry

  def run(variables, arrays, feed, steps):
    def step_at(position, carry):
      rows = jax.tree.map(lambda values: values[position], feed)
      return one(variables, carry, arrays, rows)

    def next_step(position, carried):
      sums, carry = carried
      added, carry = step_at(position, carry)
      return jax.tree.map(jnp.add, sums, added), carry

    first = _zeros(jax.eval_shape(functools.partial(step_at, 0), {}))
    sums, _ = jax.lax.fori_loop(0, steps, next_step, first)
    return sums

  def of_all(variables, arrays, feed, steps):
    if shards == 1:
      return parallel.sum_over_devices(run(variables, arrays, feed, steps))
    rows = jax.tree.map(lambda values: jnp.moveaxis(values, 1, 0), feed)  # [B, S, …]

    def of_shard(rows):
      feed = jax.tree.map(lambda values: jnp.moveaxis(values, 0, 1), rows)
      return run(variables, arrays, feed, steps)

    return sharding.sum_of_shards(sharding.over_shards(of_shard, rows, shards))

  return of_all


def _correct_augmented(variables, batch, *, model, task, prepare, views):
  """The number of correct classes of the mean probabilities of the views of a batch."""

  def logits(batch):
    return model.apply(variables, prepare(batch, None)['inputs'])

  return task(mean_logits(logits, batch, views), batch)['correct']


def gradients_of_batch(recipe: Recipe, *, prepare: Callable) -> Callable:
  """Builds a function that computes the gradients of one fixed batch for any state.

  They are computed as in training, with the augmentation and the dropout of step 0 and with the
  statistics of the batch. The state is not changed.

  Args:
    recipe: model, optimizer and loss.
    prepare: as in `many_train_steps`.

  Returns:
    A pure function (state, {}, batch [1, B, …]) → gradients, a tree like the parameters, to be
    compiled by `parallel.over_devices`.
  """

  def run(state, arrays, batch):
    del arrays
    first = dataclasses.replace(
      state, step=jnp.zeros_like(state.step), carry=parallel.local_shard(state.carry)
    )
    batch = jax.tree.map(lambda values: values[0], batch)
    key = jax.random.fold_in(first.rng, first.step)
    batch = _prepared(batch, key, prepare, recipe.shards)
    return mean_gradients(first, batch, recipe)[0]

  return run


def _zeros(shapes, leading=()):
  return jax.tree.map(lambda value: jnp.zeros((*leading, *value.shape), value.dtype), shapes)
