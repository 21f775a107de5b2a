"""Tests of single training steps, on networks of one parameter whose steps are worked by hand."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl import models
from jaxdl.devices import parallel
from jaxdl.step import steps
from jaxdl.step.state import State

RATE = 0.1


class Line(nn.Module):
  """w · x for inputs [B, 1], which are normalised first if `normalised`."""

  normalised: bool = False

  @nn.compact
  def __call__(self, inputs, *, train=False, mask=None):
    if self.normalised:
      context = models.layers.Context(train=train, mask=mask, axis_name=parallel.AXIS)
      norm = models.layers.BatchNorm(momentum=0.5, name='norm')
      inputs = norm(inputs, context)
    return inputs[:, 0] * self.param('weight', nn.initializers.ones, ())


class Total(nn.Module):
  """w · the sum of all inputs of a stream so far."""

  @nn.compact
  def __call__(self, inputs, *, reset=None):
    total = self.variable('carry', 'total', lambda: jnp.zeros(len(inputs)))
    total.value = jnp.where(reset, 0, total.value) + inputs[:, 0]
    return total.value * self.param('weight', nn.initializers.ones, ())


def squares(outputs, batch):
  errors = jnp.square(outputs - batch['target']) * batch['mask']
  return {'loss': errors.sum(), 'count': batch['mask'].sum()}


def batch_of(inputs, targets, mask, **others):
  count = len(inputs)
  return {
    'inputs': np.float32(inputs)[:, None],
    'target': np.float32(targets),
    'mask': np.float32(mask),
    'index': np.arange(count),
    **{name: np.array(values) for name, values in others.items()},
  }


def recipe_of(model, **fields):
  optimizer = optax.sgd(RATE)
  return steps.Recipe(model=model, optimizer=optimizer, task=squares, **fields)


def state_of(recipe, batch, *, weight=1.0, average=None, **fields):
  variables = recipe.model.init(
    jax.random.PRNGKey(0),
    batch['inputs'],
    **({'reset': batch['reset']} if 'reset' in batch else {}),
  )
  params = {**variables['params'], 'weight': jnp.float32(weight)}
  return State(
    step=jnp.int32(0),
    params=params,
    batch_stats=variables.get('batch_stats', {}),
    opt_state=recipe.optimizer.init(params),
    rng=jax.random.PRNGKey(1),
    carry=fields.get('carry', {}),
    average={'weight': jnp.float32(average)} if average is not None else {},
  )


def stepped(recipe, state, batch, devices=1):
  """(state, sums) after one step on devices that each have a part of the batch."""
  parts = jax.tree.map(lambda values: values.reshape(devices, -1, *values.shape[1:]), batch)

  def step(part):
    return steps.train_step(state, part, recipe)

  state, sums = jax.jit(jax.vmap(step, axis_name=parallel.AXIS))(parts)
  return jax.tree.map(lambda values: values[0], (state, sums))


def after(recipe, batch, devices=1, **fields):
  return stepped(recipe, state_of(recipe, batch, **fields), batch, devices)


@pytest.mark.parametrize(('devices', 'accumulate'), [(1, 1), (1, 2), (1, 4), (2, 1), (2, 2)])
def test_a_step_divides_the_gradient_by_the_number_of_real_examples(devices, accumulate):
  """The errors of x − t are −1, −1 and −2; the gradient is 2 (−1 − 2 − 6) / 3 = −6.

  The penalty 4 w has the gradient 4, so that w becomes 1 + 0.1 · 2. The average moves by 0.9 of
  the way in the first step: its decay is 1 / 10.
  """
  batch = batch_of([1, 2, 9, 3], [2, 3, 100, 5], [1, 1, 0, 1])
  recipe = recipe_of(
    Line(), accumulate=accumulate, penalty=lambda params: 4 * params['weight'], ema_decay=0.99
  )
  state, sums = after(recipe, batch, devices, average=0.2)
  assert int(state.step) == 1
  assert float(state.params['weight']) == pytest.approx(1.2)
  assert float(state.average['weight']) == pytest.approx(0.2 + 0.9 * 1.0)
  found = {name: float(value) for name, value in sums.items()}
  assert found == pytest.approx({'loss': 1 + 1 + 4, 'count': 3, 'penalty': 4 * 3})


def test_the_decay_of_the_average_grows_to_its_limit():
  batch, recipe = batch_of([1], [1], [1]), recipe_of(Line(), ema_decay=0.3)
  state = state_of(recipe, batch, weight=1.0, average=0.0)
  distances = []
  for _ in range(5):  # the weight stays 1
    state, _ = stepped(recipe, state, batch)
    distances.append(1 - float(state.average['weight']))
  expected = np.cumprod([1 / 10, 2 / 11, 3 / 12, 0.3, 0.3])  # 4 / 13 is above the limit
  np.testing.assert_allclose(distances, expected, rtol=1e-4)


@pytest.mark.parametrize(
  ('accumulate', 'mask', 'mean', 'variance'),
  [
    (1, [1, 1, 1, 1], 1.5, 2.25),  # of 1, 2, 3 and 6: 3 and 3.5
    (2, [1, 1, 1, 1], 2.5, 2.5),  # of 1 and 3: 2 and 1; then of 2 and 6: 4 and 4
    (2, [1, 0, 1, 0], 1.0, 1.0),  # the second part has no example
    (1, [1, 0, 1, 0], 1.0, 1.0),
  ],
)
def test_each_part_of_a_batch_has_its_own_statistics(accumulate, mask, mean, variance):
  """The averages begin at 0 and 1 and move half of the way. Part k has every other example."""
  batch = batch_of([1, 2, 3, 6], [0, 0, 0, 0], mask)
  state, sums = after(recipe_of(Line(normalised=True), accumulate=accumulate), batch)
  statistics = state.batch_stats['norm']
  assert float(statistics['mean'][0]) == pytest.approx(mean)
  assert float(statistics['var'][0]) == pytest.approx(variance)
  # The normalised inputs have a mean square of about 1 in each part.
  assert float(sums['loss']) == pytest.approx(sum(mask), rel=2e-3)
  assert float(state.params['weight']) == pytest.approx(1 - RATE * 2, rel=2e-3)


@pytest.mark.parametrize('accumulate', [1, 2, 4])
def test_each_stream_continues_with_its_own_state(accumulate):
  batch = batch_of([1, 2, 3, 4], [1, 22, 33, 44], [1, 1, 1, 1], reset=[True, False, False, False])
  recipe, carry = recipe_of(Total(), accumulate=accumulate), {'total': np.float32([10, 20, 30, 40])}
  state, sums = after(recipe, batch, carry=carry)
  assert state.carry['total'].tolist() == [1, 22, 33, 44]
  assert float(sums['loss']) == 0
  variables = {'params': {'weight': jnp.float32(1)}, 'carry': carry}
  sums, carry = steps.eval_step(variables, batch, model=Total(), task=squares)
  assert carry['total'].tolist() == [1, 22, 33, 44]
  assert {name: float(value) for name, value in sums.items()} == {'loss': 0, 'count': 4}


def test_evaluation_uses_the_running_averages():
  """(x − 1) / √4 of 5 and 9 is 2 and 4, up to the number that avoids a division by 0."""
  variables = {
    'params': {'weight': jnp.float32(3), 'norm': {'scale': jnp.ones(1), 'bias': jnp.zeros(1)}},
    'batch_stats': {'norm': {'mean': jnp.ones(1), 'var': jnp.full(1, 4.0)}},
  }
  batch = batch_of([5, 9], [6, 11], [1, 1])
  sums, carry = steps.eval_step(variables, batch, model=Line(normalised=True), task=squares)
  assert float(sums['loss']) == pytest.approx(1, abs=5e-3)
  assert carry == {}


def test_frozen_layers_have_no_gradient_and_keep_their_statistics():
  """Frozen, the layer divides by the running variance of 1 instead of that of the batch, 3.5."""
  batch, model = batch_of([1, 2, 3, 6], [0, 0, 0, 0], [1, 1, 1, 1]), Line(normalised=True)
  start = state_of(recipe_of(model), batch)
  state, sums = after(recipe_of(model, frozen=('no*',)), batch)
  jax.tree.map(np.testing.assert_array_equal, state.params['norm'], start.params['norm'])
  jax.tree.map(np.testing.assert_array_equal, state.batch_stats, start.batch_stats)
  assert float(sums['loss']) == pytest.approx(1 + 4 + 9 + 36, rel=2e-3)
  assert float(state.params['weight']) != 1
  trained, sums = after(recipe_of(model, frozen=('other',)), batch)
  assert float(trained.params['norm']['scale'][0]) != 1
  assert float(sums['loss']) == pytest.approx(4, rel=2e-3)


class Rows:
  """A split of rows of 'inputs', 'target' and others, two batches an epoch."""

  batches = 2

  def fetch(self, arrays, feed):
    return {name: values[feed['index']] for name, values in arrays.items()} | feed


def over_steps(function, *arguments):
  """Calls a function (…, feed, …) with the feed of one device."""
  run = jax.jit(jax.vmap(lambda _: function(*arguments), axis_name=parallel.AXIS))
  return jax.tree.map(lambda values: values[0], run(jnp.zeros(1)))


def test_steps_know_their_epoch():
  """The input is the number of the epoch, and its square the loss, because the weight stays 1."""

  def prepare(batch, key):
    epoch = jnp.float32(batch.get('epoch', 0))
    return {**batch, 'inputs': jnp.full((2, 1), epoch)}

  recipe = steps.Recipe(model=Line(), optimizer=optax.set_to_zero(), task=squares)
  batch = batch_of([1, 2], [0, 0], [1, 1])
  arrays = {'target': jnp.zeros(6)}
  feed = {'index': jnp.arange(12).reshape(6, 2) % 6, 'mask': jnp.ones((6, 2))}
  run = steps.many_train_steps(recipe, split=Rows(), prepare=prepare)
  for first, expected in ((0, [0, 0, 1, 1, 4, 0]), (3, [1, 4, 4, 9, 9, 0])):
    state = state_of(recipe, batch)
    state = dataclasses.replace(state, step=jnp.int32(first))
    state, history = over_steps(run, state, arrays, feed, 5)  # of six in the feed
    assert int(state.step) == first + 5
    np.testing.assert_allclose(history['loss'], 2 * np.array(expected))
    np.testing.assert_allclose(history['count'], [2] * 5 + [0])


def test_evaluation_adds_all_batches_and_continues_streams():
  """Two streams 1, 3, 5 and 2, 4, 6 with the totals 1, 4, 9 and 2, 6, 12; targets are 0."""
  arrays = {'inputs': jnp.arange(1.0, 7)[:, None], 'target': jnp.zeros(6)}
  feed = {
    'index': jnp.arange(6).reshape(3, 2),
    'mask': jnp.array([[1.0, 1], [1, 1], [1, 0]]),
    'reset': jnp.array([[True, True], [False, False], [False, False]]),
  }
  run = steps.many_eval_steps(
    model=Total(), task=squares, split=Rows(), prepare=lambda batch, key: batch
  )
  sums = over_steps(run, {'params': {'weight': jnp.float32(1)}}, arrays, feed, 3)
  assert float(sums['loss']) == 1 + 4 + 16 + 36 + 81
  assert float(sums['count']) == 5


def test_a_network_is_traced_once():
  """For the shapes of the sums and for the loop; tracing takes a large part of a start."""
  traced = []

  def counted(outputs, batch):
    traced.append(outputs)
    return squares(outputs, batch)

  recipe = steps.Recipe(model=Line(), optimizer=optax.set_to_zero(), task=counted)
  batch = batch_of([1, 2], [0, 0], [1, 1])
  arrays = {'inputs': jnp.ones((2, 1)), 'target': jnp.zeros(2)}
  feed = {'index': jnp.zeros((3, 2), int), 'mask': jnp.ones((3, 2))}
  parts = {'split': Rows(), 'prepare': lambda batch, key: batch}
  state = state_of(recipe, batch)
  over_steps(steps.many_train_steps(recipe, **parts), state, arrays, feed, 3)
  assert len(traced) == 1
  run = steps.many_eval_steps(model=Line(), task=counted, **parts)
  over_steps(run, {'params': state.params}, arrays, feed, 3)
  assert len(traced) == 2


def test_gradients_of_a_batch_are_those_of_the_first_step():
  """The key of the augmentation does not depend on the step of the state."""
  recipe = recipe_of(Line())
  batch = batch_of([1, 2, 9, 3], [2, 3, 100, 5], [1, 1, 0, 1])

  def prepare(batch, key):
    noise = jax.random.normal(key) if noisy else 0
    return {**batch, 'inputs': batch['inputs'] + noise}

  feed = jax.tree.map(lambda values: jnp.asarray(values)[None], batch)
  for noisy in (False, True):
    found = []
    for step in (0, 7):
      state = dataclasses.replace(state_of(recipe, batch), step=jnp.int32(step))
      run = steps.gradients_of_batch(recipe, prepare=prepare)
      found.append(float(over_steps(run, state, {}, feed)['weight']))
    assert found[0] == found[1]
    assert (found[0] == pytest.approx(-6)) != noisy  # 2 (−1 − 2 − 6) / 3
