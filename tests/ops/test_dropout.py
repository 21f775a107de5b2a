"""Tests of dropout: its random bits are uniform and independent, its mask and gradients correct."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxdl import ops
from jaxdl.ops.dropout import random_bits

BASE = np.array([7, 11], np.uint32)


def bits(key=BASE, first=0, examples=256, count=300):
  return np.asarray(
    random_bits(jnp.asarray(key, jnp.uint32), jnp.arange(first, first + examples), count)
  )


def assert_independent(a, b):
  """Checks that all 32 × 32 pairs of bits are uncorrelated, within six standard deviations."""
  a, b = (
    (array[..., None] >> np.arange(32, dtype=np.uint32) & 1).reshape(-1, 32).astype(np.float32)
    - 0.5
    for array in (a, b)
  )
  correlation = 4 * (a.T @ b) / len(a)
  assert np.abs(correlation).max() < 6 / np.sqrt(len(a))


@pytest.mark.parametrize('step', [1, 2, 28, 256])
def test_neighbouring_elements_are_independent(step):
  values = bits()
  assert_independent(values[:, :-step], values[:, step:])


@pytest.mark.parametrize('step', [1, 2, 128, 50_000])
def test_neighbouring_examples_are_independent(step):
  assert_independent(bits(), bits(first=step))


@pytest.mark.parametrize(
  'key', [(7, 12), (8, 11), (11, 7), (7 ^ 1 << 31, 11), (7, 11 ^ 1 << 31), (0, 0)]
)
def test_neighbouring_keys_are_independent(key):
  assert_independent(bits(), bits(key))


@pytest.mark.slow
def test_bits_are_uniform_and_collide_at_the_expected_rate():
  values = bits(examples=1024, count=1024).ravel()
  ones = (values[:, None] >> np.arange(32, dtype=np.uint32) & 1).mean(0)
  assert np.abs(ones - 0.5).max() < 5 * 0.5 / np.sqrt(values.size)
  for shift in (0, 16):  # chi-squared test of the lower and upper 16 bits
    counts = np.bincount(values >> shift & 0xFFFF, minlength=1 << 16)
    assert abs(((counts - 16) ** 2 / 16).sum() - 65535) < 5 * np.sqrt(2 * 65535)
  repeated = values.size - np.unique(values).size
  assert abs(repeated - 128) < 5 * np.sqrt(128)  # 2²⁰ draws of 2³²: 2⁴⁰ / 2³³ pairs


@pytest.mark.parametrize('key', [BASE, (0, 0), (7, 0), (0, 7)])
def test_elements_differ_between_examples(key):
  values = np.sort(bits(key, examples=500), axis=0)
  # Expected number of equal pairs: 300 elements · 125,000 pairs of examples / 2³² = 0.01.
  assert (values[1:] == values[:-1]).sum() <= 2


def test_number_of_kept_elements_is_binomially_distributed():
  kept = (bits(examples=2000, count=400) >= np.uint32(0.3 * 2**32)).sum(1)
  assert kept.mean() == pytest.approx(280, abs=5 * np.sqrt(84 / 2000))
  assert kept.var() == pytest.approx(84, rel=5 * np.sqrt(2 / 2000))


def test_mask_follows_the_example_over_batches_and_devices():
  """Six examples get the same mask when permuted, split, mapped, compiled or in a loop."""
  key, index = jax.random.key(3), jnp.array([5, 900, 2, 7, 0, 41])
  inputs = jnp.asarray(np.random.default_rng(0).normal(size=(6, 4, 5, 3)), jnp.float32)
  expected = ops.dropout(key, inputs, rate=0.4, index=index)
  assert 0 < (expected == 0).sum() < expected.size

  def drop(inputs, index):
    return ops.dropout(key, inputs, rate=0.4, index=index)

  order = jnp.array([3, 1, 5, 0, 2, 4])
  np.testing.assert_array_equal(jax.jit(drop)(inputs[order], index[order]), expected[order])
  halves = jax.vmap(drop)(inputs.reshape(3, 2, 4, 5, 3), index.reshape(3, 2))
  np.testing.assert_array_equal(halves.reshape(inputs.shape), expected)
  np.testing.assert_array_equal(jax.pmap(drop)(inputs[None], index[None])[0], expected)
  looped = jax.jit(lambda n: jax.lax.fori_loop(0, n, lambda _, x: drop(inputs, index), inputs))(2)
  np.testing.assert_array_equal(looped, expected)


def test_old_and_new_style_keys_give_the_same_mask():
  inputs, index = jnp.ones((3, 9)), jnp.arange(3)
  old, new = (
    ops.dropout(make(5), inputs, rate=0.5, index=index)
    for make in (jax.random.PRNGKey, jax.random.key)
  )
  np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize('dtype', [jnp.bfloat16, jnp.float32, jnp.float64])
def test_gradients_equal_the_mask_and_finite_differences(dtype):
  with jax.enable_x64(True):
    inputs, index = jnp.asarray(np.random.default_rng(0).normal(size=(3, 8)), dtype), jnp.arange(3)

    def drop(x):
      return ops.dropout(jax.random.PRNGKey(1), x, rate=0.25, index=index)

    gradient = jax.grad(lambda x: drop(x).sum())(inputs)
    assert gradient.dtype == drop(inputs).dtype == dtype
    np.testing.assert_array_equal(gradient, drop(jnp.ones_like(inputs)))
    if dtype == jnp.float64:
      check_grads(drop, (inputs,), order=1, modes=('rev',), atol=1e-8, rtol=1e-8)


def test_rate_near_one_drops_all_and_wrong_index_raises():
  dropped = ops.dropout(
    jax.random.PRNGKey(0), jnp.ones((2, 9)), rate=1 - 1e-12, index=jnp.arange(2)
  )
  np.testing.assert_array_equal(dropped, 0)
  with pytest.raises(
    ValueError,
    match=r'dropout index of shape \(3,\) for inputs \(2, 9\): give the global index of each',
  ):
    ops.dropout(jax.random.PRNGKey(0), dropped, rate=0.5, index=jnp.arange(3))


def test_dropout_preserves_the_mean():
  kept = ops.dropout(jax.random.PRNGKey(2), jnp.ones((1000, 100)), rate=0.3, index=jnp.arange(1000))
  assert abs(float((kept > 0).mean()) - 0.7) < 5 * np.sqrt(0.21 / 1e5)
  assert set(np.unique(kept)) == {np.float32(0), np.float32(1) / np.float32(0.7)}
  np.testing.assert_array_equal(
    ops.dropout(jax.random.PRNGKey(2), kept, rate=0, index=jnp.arange(1000)), kept
  )


@pytest.mark.parametrize('rate', [-0.1, 1.0])
def test_rate_outside_the_valid_range_raises(rate):
  with pytest.raises(ValueError, match=f'dropout rate={rate} is outside'):
    ops.dropout(jax.random.PRNGKey(0), jnp.ones((1, 1)), rate=rate, index=jnp.zeros(1, int))
