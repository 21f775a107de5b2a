"""Dropout's random bits: even in every bit, and unlike between neighbours of every kind."""

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


def assert_unlike(a, b):
  """Each of the 32 × 32 pairs of bits agrees in half of all places, within six deviations."""
  a, b = (
    (array[..., None] >> np.arange(32, dtype=np.uint32) & 1).reshape(-1, 32).astype(np.float32)
    - 0.5
    for array in (a, b)
  )
  correlation = 4 * (a.T @ b) / len(a)
  assert np.abs(correlation).max() < 6 / np.sqrt(len(a))


@pytest.mark.parametrize('step', [1, 2, 28, 256])
def test_neighbouring_elements_are_independent(step):
  drawn = bits()
  assert_unlike(drawn[:, :-step], drawn[:, step:])


@pytest.mark.parametrize('step', [1, 2, 128, 50_000])
def test_neighbouring_examples_are_independent(step):
  assert_unlike(bits(), bits(first=step))


@pytest.mark.parametrize(
  'key', [(7, 12), (8, 11), (11, 7), (7 ^ 1 << 31, 11), (7, 11 ^ 1 << 31), (0, 0)]
)
def test_neighbouring_keys_are_independent(key):
  assert_unlike(bits(), bits(key))


def test_bits_are_even_and_collide_as_often_as_chance():
  drawn = bits(examples=1024, count=1024).ravel()
  ones = (drawn[:, None] >> np.arange(32, dtype=np.uint32) & 1).mean(0)
  assert np.abs(ones - 0.5).max() < 5 * 0.5 / np.sqrt(drawn.size)
  for shift in (0, 16):  # chi-square over halves of a word
    counts = np.bincount(drawn >> shift & 0xFFFF, minlength=1 << 16)
    assert abs(((counts - 16) ** 2 / 16).sum() - 65535) < 5 * np.sqrt(2 * 65535)
  repeated = drawn.size - np.unique(drawn).size
  assert abs(repeated - 128) < 5 * np.sqrt(128)  # 2²⁰ draws of 2³²: 2⁴⁰ / 2³³ pairs


@pytest.mark.parametrize('key', [BASE, (0, 0), (7, 0), (0, 7)])
def test_no_element_is_the_same_in_all_examples(key):
  drawn = np.sort(bits(key, examples=500), axis=0)
  assert (
    drawn[1:] == drawn[:-1]
  ).sum() <= 2  # 300 elements, 125 thousand pairs of examples each, 2³² values: 0.01


def test_the_share_of_ones_in_an_example_varies_as_binomial():
  kept = (bits(examples=2000, count=400) >= np.uint32(0.3 * 2**32)).sum(1)
  assert kept.mean() == pytest.approx(280, abs=5 * np.sqrt(84 / 2000))
  assert kept.var() == pytest.approx(84, rel=5 * np.sqrt(2 / 2000))


def test_mask_follows_the_example_over_batches_and_devices():
  """Six examples whole, permuted, split and mapped, under jit and in a loop: bit for bit the same
  fates.
  """
  key, index = jax.random.key(3), jnp.array([5, 900, 2, 7, 0, 41])
  inputs = jnp.asarray(np.random.default_rng(0).normal(size=(6, 4, 5, 3)), jnp.float32)
  whole = ops.dropout(key, inputs, rate=0.4, index=index)
  assert 0 < (whole == 0).sum() < whole.size

  def drop(inputs, index):
    return ops.dropout(key, inputs, rate=0.4, index=index)

  order = jnp.array([3, 1, 5, 0, 2, 4])
  np.testing.assert_array_equal(jax.jit(drop)(inputs[order], index[order]), whole[order])
  halves = jax.vmap(drop)(inputs.reshape(3, 2, 4, 5, 3), index.reshape(3, 2))
  np.testing.assert_array_equal(halves.reshape(inputs.shape), whole)
  np.testing.assert_array_equal(jax.pmap(drop)(inputs[None], index[None])[0], whole)
  looped = jax.jit(lambda n: jax.lax.fori_loop(0, n, lambda _, x: drop(inputs, index), inputs))(2)
  np.testing.assert_array_equal(looped, whole)


def test_old_and_new_keys_are_one():
  inputs, index = jnp.ones((3, 9)), jnp.arange(3)
  old, new = (
    ops.dropout(make(5), inputs, rate=0.5, index=index)
    for make in (jax.random.PRNGKey, jax.random.key)
  )
  np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize('dtype', [jnp.bfloat16, jnp.float32, jnp.float64])
def test_gradients_are_the_mask_by_finite_differences(dtype):
  with jax.enable_x64(True):
    inputs, index = jnp.asarray(np.random.default_rng(0).normal(size=(3, 8)), dtype), jnp.arange(3)
    drop = lambda x: ops.dropout(jax.random.PRNGKey(1), x, rate=0.25, index=index)  # noqa: E731
    gradient = jax.grad(lambda x: drop(x).sum())(inputs)
    assert gradient.dtype == drop(inputs).dtype == dtype
    np.testing.assert_array_equal(gradient, drop(jnp.ones_like(inputs)))
    if dtype == jnp.float64:
      check_grads(drop, (inputs,), order=1, modes=('rev',), atol=1e-8, rtol=1e-8)


def test_a_rate_next_to_one_and_a_missing_index():
  dropped = ops.dropout(
    jax.random.PRNGKey(0), jnp.ones((2, 9)), rate=1 - 1e-12, index=jnp.arange(2)
  )
  np.testing.assert_array_equal(dropped, 0)
  with pytest.raises(
    ValueError,
    match=r'dropout index of shape \(3,\) for inputs \(2, 9\): give the global index of each',
  ):
    ops.dropout(jax.random.PRNGKey(0), dropped, rate=0.5, index=jnp.arange(3))


def test_the_kept_are_scaled_to_keep_the_mean_and_a_rate_of_zero_keeps_all():
  kept = ops.dropout(jax.random.PRNGKey(2), jnp.ones((1000, 100)), rate=0.3, index=jnp.arange(1000))
  assert abs(float((kept > 0).mean()) - 0.7) < 5 * np.sqrt(0.21 / 1e5)
  assert set(np.unique(kept)) == {np.float32(0), np.float32(1) / np.float32(0.7)}
  np.testing.assert_array_equal(
    ops.dropout(jax.random.PRNGKey(2), kept, rate=0, index=jnp.arange(1000)), kept
  )


@pytest.mark.parametrize('rate', [-0.1, 1.0])
def test_a_rate_outside_is_refused(rate):
  with pytest.raises(ValueError, match=f'dropout rate={rate} is outside'):
    ops.dropout(jax.random.PRNGKey(0), jnp.ones((1, 1)), rate=rate, index=jnp.zeros(1, int))
