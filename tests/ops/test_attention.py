"""Attention: against a plain loop, its gradient, and examples that do not affect each other."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxdl import ops

DRAW = np.random.default_rng(0)
ALLOWED = DRAW.random((3, 4, 6)) < 0.5
ALLOWED[:, :, 2] = True  # every query may see one position


def given(dtype=np.float64):
  """Queries [3, 4, 2, 5], keys and values [3, 6, 2, 5]."""
  return tuple(DRAW.normal(size=(3, length, 2, 5)).astype(dtype) for length in (4, 6, 6))


def by_loop(queries, keys, values):
  """Means and weights, one query of one head after another."""
  means, weights = np.zeros(queries.shape), np.zeros((3, 2, 4, 6))
  for b, t, h in np.ndindex(3, 4, 2):
    places = np.flatnonzero(ALLOWED[b, t])
    products = np.array([queries[b, t, h] @ keys[b, s, h] for s in places]) / np.sqrt(5)
    shares = np.exp(products) / np.exp(products).sum()
    weights[b, h, t, places] = shares
    means[b, t, h] = sum(share * values[b, s, h] for share, s in zip(shares, places, strict=True))
  return means, weights


def test_attention_equals_a_loop():
  with jax.enable_x64():
    arrays = given()
    means, weights = by_loop(*arrays)
    np.testing.assert_allclose(ops.attention(*arrays, ALLOWED), means, atol=1e-12)
    found = ops.attention_weights(*arrays[:2], ALLOWED)
    np.testing.assert_allclose(found, weights, atol=1e-12)
    np.testing.assert_allclose(np.asarray(found).sum(-1), 1)


@pytest.mark.parametrize('lowering', [contextlib.nullcontext, ops.stock_lowering])
def test_gradients_of_attention_match_finite_differences(lowering):
  with jax.enable_x64(), lowering():
    check_grads(
      lambda *arrays: ops.attention(*arrays, ALLOWED), given(), order=2, atol=1e-6, rtol=1e-6
    )


def test_an_example_does_not_affect_another():
  queries, keys, values = given(np.float32)
  gradient = jax.grad(lambda q: ops.attention(q, keys, values, ALLOWED)[1].sum())(queries)
  assert np.all(np.asarray(gradient)[[0, 2]] == 0)
  assert np.any(np.asarray(gradient)[1] != 0)
  alone = ops.attention(*(array[1:2] for array in (queries, keys, values)), ALLOWED[1:2])
  np.testing.assert_array_equal(alone[0], ops.attention(queries, keys, values, ALLOWED)[1])


def test_attention_keeps_the_type():
  arrays = (jnp.asarray(array, jnp.bfloat16) for array in given(np.float32))
  queries, keys, values = arrays
  assert ops.attention(queries, keys, values, ALLOWED).dtype == jnp.bfloat16
  assert ops.attention_weights(queries, keys, ALLOWED).dtype == jnp.float32
