"""Tests of the recurrent layers: values and gradients equal those of the published equations."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxdl import ops

SIZES = {'layer': (2, 3, 4, 5), 'one step': (3, 1, 4, 6), 'one example': (1, 2, 1, 1)}  # B, T, I, H
GATES = {'rnn': 1, 'lstm': 4, 'gru': 3}


def random_layer(cell, batch, time, features, hidden, dtype=np.float32, seed=0):
  """Returns random (inputs, carry, kernels) of a cell.

  The carry is not zero, so that its gradients are tested too.
  """
  draw = np.random.default_rng(seed).normal
  width = GATES[cell] * hidden
  kernels = {
    'input_kernel': draw(size=(features, width)),
    'recurrent_kernel': draw(size=(hidden, width)) / 2,
    'bias': draw(size=width),
  }
  if cell == 'gru':
    kernels['recurrent_bias'] = draw(size=width)
  carry = (
    tuple(draw(size=(batch, hidden)) for _ in range(2))
    if cell == 'lstm'
    else draw(size=(batch, hidden))
  )
  return jax.tree.map(
    lambda array: jnp.asarray(array, dtype), (draw(size=(batch, time, features)), carry, kernels)
  )


def cell_function(cell):
  function = {'rnn': ops.simple_rnn, 'lstm': ops.lstm, 'gru': ops.gru}[cell]
  return lambda inputs, carry, kernels: function(inputs, carry, **kernels)


def published_equations(cell, inputs, carry, kernels, xp=np):
  """Computes the equations of the papers, gate by gate in Keras's order (i f c o; z r h).

  Args:
    xp: numpy or jax.numpy.
  """
  memory, hidden = carry if cell == 'lstm' else (None, carry)
  outputs = []
  for time in range(inputs.shape[1]):
    x = xp.split(inputs[:, time] @ kernels['input_kernel'] + kernels['bias'], GATES[cell], -1)
    h = xp.split(
      hidden @ kernels['recurrent_kernel'] + kernels.get('recurrent_bias', 0), GATES[cell], -1
    )
    gate = [1 / (1 + xp.exp(-a - b)) for a, b in zip(x, h, strict=True)]
    if cell == 'rnn':
      hidden = xp.tanh(x[0] + h[0])
    elif cell == 'lstm':
      memory = gate[1] * memory + gate[0] * xp.tanh(x[2] + h[2])
      hidden = gate[3] * xp.tanh(memory)
    else:
      hidden = gate[0] * hidden + (1 - gate[0]) * xp.tanh(x[2] + gate[1] * h[2])
    outputs.append(hidden)
  return xp.stack(outputs, 1), (memory, hidden) if cell == 'lstm' else hidden


def by_numpy(cell, *args):
  return published_equations(cell, *jax.tree.map(lambda array: np.asarray(array, np.float64), args))


def gradient(function):
  """Compiles the gradient of a randomly weighted sum of all outputs and final states."""

  def loss(*args):
    leaves, draw = jax.tree.leaves(function(*args)), np.random.default_rng(1).normal
    return sum((leaf * jnp.asarray(draw(size=leaf.shape), leaf.dtype)).sum() for leaf in leaves)

  return jax.jit(jax.grad(loss, argnums=(0, 1, 2)))


def assert_close(actual, expected, tolerance):
  for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
    np.testing.assert_allclose(np.float64(a), np.float64(b), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize('sizes', SIZES.values(), ids=SIZES)
@pytest.mark.parametrize('cell', GATES)
def test_values_equal_those_of_numpy(cell, sizes):
  args = random_layer(cell, *sizes)
  assert_close(jax.jit(cell_function(cell))(*args), by_numpy(cell, *args), 1e-5)


@pytest.mark.parametrize(('dtype', 'tolerance'), [(jnp.float64, 1e-12), (jnp.bfloat16, 0.1)])
@pytest.mark.parametrize('cell', GATES)
def test_dtypes_are_preserved(cell, dtype, tolerance):
  with jax.enable_x64(True):
    args = random_layer(cell, *SIZES['layer'], dtype=dtype)
    found = jax.jit(cell_function(cell))(*args)
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {jnp.dtype(dtype)}
    assert_close(found, by_numpy(cell, *args), tolerance)


@pytest.mark.parametrize('cell', GATES)
def test_mixed_dtypes_are_promoted(cell):
  inputs, carry, kernels = random_layer(cell, *SIZES['layer'])
  inputs, carry = jax.tree.map(lambda array: array.astype(jnp.bfloat16), (inputs, carry))
  assert jax.eval_shape(cell_function(cell), inputs, carry, kernels)[0].dtype == jnp.float32
  assert (
    jax.eval_shape(gradient(cell_function(cell)), inputs, carry, kernels)[0].dtype == jnp.bfloat16
  )


def test_rnn_accepts_another_activation():
  inputs, hidden, kernels = random_layer('rnn', 2, 1, 3, 4)
  sums = (
    inputs[:, 0] @ kernels['input_kernel'] + hidden @ kernels['recurrent_kernel'] + kernels['bias']
  )
  found, last = ops.simple_rnn(inputs, hidden, **kernels, activation=jax.nn.relu)
  assert_close((found[:, 0], last), (np.maximum(sums, 0),) * 2, 1e-5)


@pytest.mark.parametrize('cell', GATES)
def test_gradients_by_finite_differences(cell):
  with jax.enable_x64(True):
    args = random_layer(cell, *SIZES['layer'], dtype=np.float64)
    check_grads(jax.jit(cell_function(cell)), args, order=1, modes=('rev',), atol=1e-5, rtol=1e-5)


@functools.cache
def gradient_of_equations(cell):
  return gradient(lambda *args: published_equations(cell, *args, xp=jnp))


@pytest.mark.parametrize('size', ['layer', pytest.param('one example', marks=pytest.mark.slow)])
@pytest.mark.parametrize('cell', GATES)
def test_gradients_equal_those_of_the_published_equations(cell, size):
  with jax.enable_x64(True):
    args = random_layer(cell, *SIZES[size], dtype=np.float64)
    assert_close(gradient(cell_function(cell))(*args), gradient_of_equations(cell)(*args), 1e-12)


@pytest.mark.parametrize('cell', GATES)
def test_gradients_inside_a_loop_and_under_vmap(cell):
  """Runs steps in a loop of unknown length under vmap over seeds; compares with single seeds."""

  def update(gradient, inputs, carry, kernels):
    return jax.tree.map(
      lambda kernel, slope: kernel - 0.01 * slope, kernels, gradient(inputs, carry, kernels)[2]
    )

  @jax.jit
  @functools.partial(jax.vmap, in_axes=(None, 0, 0, 0))
  def descend(steps, inputs, carry, kernels):
    step = functools.partial(update, gradient(cell_function(cell)), inputs, carry)
    return jax.lax.fori_loop(0, steps, lambda _, kernels: step(kernels), kernels)

  with jax.enable_x64(True):
    args = [random_layer(cell, *SIZES['layer'], np.float64, seed) for seed in (0, 1)]
    found = descend(2, *jax.tree.map(lambda *arrays: jnp.stack(arrays), *args))
    for index, (inputs, carry, kernels) in enumerate(args):
      step = functools.partial(update, gradient_of_equations(cell), inputs, carry)
      assert_close(
        jax.tree.map(lambda array, index=index: array[index], found), step(step(kernels)), 1e-10
      )
