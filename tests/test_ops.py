"""The fast lowerings against the platform's own operations and against NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import ops
from jaxdl.ops import convolution, pooling
from jaxdl.ops.dropout import random_bits

GENERATOR = np.random.default_rng(1)
CASES = [  # size, window, strides, padding
    ((7, 8), (3, 3), (1, 1), 'SAME'), ((7, 8), (3, 3), (2, 2), 'SAME'), ((8, 7), (2, 2), (1, 1), 'SAME'),
    ((8, 8), (5, 5), (1, 1), 'VALID'), ((9, 6), (2, 3), (3, 2), 'VALID'), ((6, 6), (1, 1), (2, 2), 'SAME'),
    ((5, 5), (3, 3), (1, 2), ((2, 0), (1, 3)))]


def normal(*shape, dtype=np.float32):
  return jnp.asarray(GENERATOR.normal(size=shape), dtype)


def pads_of(size, window, strides, padding):
  return tuple(ops.explicit_padding(size[a], window[a], strides[a], padding if isinstance(padding, str) else padding[a])
               for a in (0, 1))


def in_loop(function):
  """The function inside a loop whose length is not known at compile time, as training runs it."""
  @jax.jit
  def run(*arguments):
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(function, *arguments))
    return jax.lax.fori_loop(0, arguments[0].shape[0], lambda i, _: function(*arguments), zeros)
  return run


@pytest.mark.parametrize(('size', 'window', 'strides', 'padding'), CASES)
@pytest.mark.parametrize('channels', [1, 3])
def test_conv_by_patches_equals_stock(size, window, strides, padding, channels):
  inputs, kernel = normal(2, *size, channels), normal(*window, channels, 4)
  pads = pads_of(size, window, strides, padding)
  expected, of_expected = jax.vjp(lambda x, k: convolution.stock(x, k, strides, pads), inputs, kernel)
  cotangent = normal(*expected.shape)

  def both(inputs, kernel):
    outputs, pullback = jax.vjp(lambda x, k: convolution.by_patches(x, k, strides, pads), inputs, kernel)
    return outputs, pullback(cotangent)

  for found in (both(inputs, kernel), in_loop(both)(inputs, kernel)):
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5), found,
                 (expected, of_expected(cotangent)))


def test_conv_takes_the_configs_padding_and_names_a_wrong_one():
  inputs, kernel = normal(1, 6, 6, 2), normal(3, 3, 2, 5)
  assert ops.conv(inputs, kernel, padding='SAME').shape == (1, 6, 6, 5)
  assert ops.conv(inputs, kernel, padding='VALID', strides=(2, 1)).shape == (1, 2, 4, 5)
  with pytest.raises(ValueError, match="padding='FULL' is unknown: use 'SAME'"):
    ops.conv(inputs, kernel, padding='FULL')


def test_conv_in_bfloat16_is_near_float32():
  inputs, kernel = normal(2, 6, 6, 3), normal(3, 3, 3, 4)
  low = ops.conv(inputs.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16))
  assert low.dtype == jnp.bfloat16
  np.testing.assert_allclose(low.astype(np.float32), ops.conv(inputs, kernel), atol=0.15)


@pytest.mark.parametrize(('size', 'window', 'strides', 'padding'), CASES)
@pytest.mark.parametrize('ties', [False, True])
def test_max_pool_by_slices_equals_stock_and_ties_go_to_the_first(size, window, strides, padding, ties):
  inputs = jnp.asarray(GENERATOR.integers(0, 2, (2, *size, 3)), jnp.float32) if ties else normal(2, *size, 3)
  pads = pads_of(size, window, strides, padding)
  expected, of_expected = jax.vjp(lambda x: pooling.max_stock(x, window, strides, pads), inputs)
  found, of_found = jax.vjp(lambda x: pooling.max_by_slices(x, window, strides, pads), inputs)
  cotangent = normal(*expected.shape)
  np.testing.assert_array_equal(found, expected)
  np.testing.assert_allclose(of_found(cotangent)[0], of_expected(cotangent)[0], rtol=1e-6, atol=1e-6)


def test_max_pool_gradient_by_hand():
  """Windows 2 × 2 with stride 1 over a 3 × 3 image whose centre is the greatest of all four, then all equal."""
  peak = jnp.zeros((1, 3, 3, 1)).at[0, 1, 1, 0].set(1)
  gradient = jax.grad(lambda x: pooling.max_by_slices(x, (2, 2), (1, 1), ((0, 0), (0, 0))).sum())
  np.testing.assert_array_equal(gradient(peak)[0, :, :, 0], [[0, 0, 0], [0, 4, 0], [0, 0, 0]])
  np.testing.assert_array_equal(gradient(jnp.zeros((1, 3, 3, 1)))[0, :, :, 0], [[1, 1, 0], [1, 1, 0], [0, 0, 0]])


def test_avg_pool_leaves_padding_out():
  pooled = ops.avg_pool(jnp.ones((1, 3, 3, 1)), window=(2, 2), padding='SAME')
  np.testing.assert_array_equal(pooled[0, :, :, 0], [[1, 1], [1, 1]])


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


def numpy_rnn(x, state, w, u, b):
  return np.tanh(x @ w + b + state[0] @ u),


def numpy_lstm(x, state, w, u, b):
  i, f, g, o = np.split(x @ w + b + state[0] @ u, 4, -1)
  cell = sigmoid(f) * state[1] + sigmoid(i) * np.tanh(g)
  return sigmoid(o) * np.tanh(cell), cell


def numpy_gru(x, state, w, u, b, ub):
  xz, xr, xh = np.split(x @ w + b, 3, -1)
  hz, hr, hh = np.split(state[0] @ u + ub, 3, -1)
  z = sigmoid(xz + hz)
  return z * state[0] + (1 - z) * np.tanh(xh + sigmoid(xr + hr) * hh),


@pytest.mark.parametrize(('name', 'gates', 'reference'), [
    ('simple_rnn', 1, numpy_rnn), ('lstm', 4, numpy_lstm), ('gru', 3, numpy_gru)])
@pytest.mark.parametrize(('batch', 'length'), [(3, 6), (1, 1)])
def test_recurrence_equals_numpy(name, gates, reference, batch, length):
  inputs, hidden = normal(batch, length, 4), normal(batch, 5)
  kernels = dict(input_kernel=normal(4, 5 * gates), recurrent_kernel=normal(5, 5 * gates), bias=normal(5 * gates))
  if name == 'gru':
    kernels['recurrent_bias'] = normal(5 * gates)
  carry = (normal(batch, 5), hidden) if name == 'lstm' else hidden
  outputs, last = getattr(ops, name)(inputs, carry, **kernels)
  state = tuple(map(np.float64, carry[::-1] if name == 'lstm' else (carry,)))
  for step in range(length):
    state = reference(np.float64(inputs[:, step]), state, *map(np.float64, kernels.values()))
    np.testing.assert_allclose(outputs[:, step], state[0], atol=1e-5)
  np.testing.assert_allclose(last[1] if name == 'lstm' else last, state[0], atol=1e-5)


def test_recurrence_gradient_equals_plain_scan_and_vmaps_over_seeds():
  inputs, carry = normal(3, 6, 4), (jnp.zeros((3, 5)), jnp.zeros((3, 5)))
  kernels = dict(input_kernel=normal(2, 4, 20), recurrent_kernel=normal(2, 5, 20), bias=normal(2, 20))

  def ours(kernels):
    return (ops.lstm(inputs, carry, **kernels)[0] ** 2).sum()

  def plain(kernels):
    def step(state, x):
      i, f, g, o = jnp.split(x @ kernels['input_kernel'] + kernels['bias'] + state[0] @ kernels['recurrent_kernel'], 4, -1)
      cell = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
      hidden = jax.nn.sigmoid(o) * jnp.tanh(cell)
      return (hidden, cell), hidden
    return (jax.lax.scan(step, carry, inputs.swapaxes(0, 1))[1] ** 2).sum()

  expected = [jax.grad(plain)(jax.tree.map(lambda leaf, i=i: leaf[i], kernels)) for i in range(2)]
  found = jax.vmap(jax.grad(ours))(kernels)
  for seed in range(2):
    jax.tree.map(lambda a, b, seed=seed: np.testing.assert_allclose(a[seed], b, rtol=1e-4, atol=1e-5), found, expected[seed])


def test_dropout_mask_follows_the_example_not_its_place():
  key, inputs, index = jax.random.PRNGKey(0), jnp.ones((6, 50)), jnp.array([5, 9, 2, 7, 0, 4])
  whole = ops.dropout(key, inputs, rate=0.5, index=index)
  order = jnp.array([3, 1, 5, 0, 2, 4])
  np.testing.assert_array_equal(ops.dropout(key, inputs[order], rate=0.5, index=index[order]), whole[order])
  np.testing.assert_array_equal(ops.dropout(key, inputs[2:4], rate=0.5, index=index[2:4]), whole[2:4])
  assert (whole != ops.dropout(jax.random.PRNGKey(1), inputs, rate=0.5, index=index)).any()


def test_dropout_keeps_the_share_and_the_mean():
  kept = ops.dropout(jax.random.PRNGKey(2), jnp.ones((1000, 100)), rate=0.3, index=jnp.arange(1000))
  assert abs(float((kept > 0).mean()) - 0.7) < 5 * np.sqrt(0.21 / 1e5)
  assert set(np.unique(kept)) == {np.float32(0), np.float32(1) / np.float32(0.7)}
  np.testing.assert_array_equal(ops.dropout(jax.random.PRNGKey(2), kept, rate=0, index=jnp.arange(1000)), kept)


@pytest.mark.parametrize('rate', [-0.1, 1.0])
def test_dropout_refuses_a_rate(rate):
  with pytest.raises(ValueError, match=f'dropout rate={rate} is outside'):
    ops.dropout(jax.random.PRNGKey(0), jnp.ones((1, 1)), rate=rate, index=jnp.zeros(1, int))


def test_dropout_bits_are_uniform_and_independent():
  """Chi-square over bytes, and correlation between neighbouring elements, examples and keys."""
  bits = [np.asarray(random_bits(jax.random.PRNGKey(seed), jnp.arange(400), 500)) for seed in (0, 1)]
  for shift in (0, 8, 16, 24):
    counts = np.bincount((bits[0] >> shift & 255).ravel(), minlength=256)
    expected = bits[0].size / 256
    assert ((counts - expected) ** 2 / expected).sum() < 255 + 5 * np.sqrt(2 * 255)
  first = bits[0] / 2**32 - 0.5
  others = {'element': (first[:, :-1], first[:, 1:]), 'example': (first[:-1], first[1:]), 'key': (first, bits[1] / 2**32 - 0.5)}
  for name, (a, b) in others.items():
    assert abs((a * b).mean() * 12) < 5 / np.sqrt(a.size), name
