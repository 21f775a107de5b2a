"""Tests of products with factors that are rounded to bfloat16."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import ops
from jaxdl.ops import patch_convolution


def in_rounded_products(function):
  """The function, traced inside `rounded_products`."""

  def traced(*arguments):
    with ops.rounded_products():
      return function(*arguments)

  return traced


def random(*shapes, seed=0):
  draw = np.random.default_rng(seed).normal
  return [jnp.asarray(draw(size=shape), jnp.float32) for shape in shapes]


def rounded(array):
  """The values of an array after rounding to bfloat16, in float64."""
  return np.asarray(jnp.asarray(array, jnp.bfloat16)).astype(np.float64)


def value_and_gradients(function):
  """The outputs of a function of two arrays, and the products of a cotangent with its Jacobians."""

  def both(first, second, cotangent):
    outputs, pull = jax.vjp(function, first, second)
    return outputs, *pull(cotangent)

  return jax.jit(both)


def assert_close(found, expected):
  """Equal up to the rounding of float32 sums."""
  assert found.dtype == jnp.float32
  scale = np.abs(expected).max()
  np.testing.assert_allclose(found, expected, atol=2e-6 * scale, rtol=0)


@pytest.mark.parametrize(
  ('lines', 'width', 'features'),
  [((7,), 5, 3), ((1,), 17, 1), ((3, 4), 1, 6), ((50,), 300, 200), ((2, 300), 33, 10)],
)
def test_product_is_that_of_rounded_factors(lines, width, features):
  """Only the factors lose digits, in the product and in its gradients; sums do not."""
  left, right, cotangent = random((*lines, width), (width, features), (*lines, features))
  outputs, of_left, of_right = value_and_gradients(in_rounded_products(ops.product))(
    left, right, cotangent
  )
  low, kernel, of_outputs = map(rounded, (left, right, cotangent))
  assert_close(outputs, low @ kernel)
  assert_close(of_left, of_outputs @ kernel.T)
  assert_close(of_right, low.reshape(-1, width).T @ of_outputs.reshape(-1, features))


def test_products_outside_the_context_are_exact():
  left, right, cotangent = random((6, 5), (5, 4), (6, 4))
  for found, expected in zip(
    value_and_gradients(ops.product)(left, right, cotangent),
    value_and_gradients(jnp.matmul)(left, right, cotangent),
    strict=True,
  ):
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
  ('shape', 'window', 'features', 'strides', 'pads'),
  [
    ((4, 9, 8, 3), (3, 3), 5, (1, 1), ((1, 1), (1, 1))),
    ((3, 9, 8, 16), (3, 2), 20, (2, 1), ((0, 1), (-1, 0))),
    pytest.param(
      (8, 40, 40, 64), (5, 5), 16, (1, 1), ((2, 2), (2, 2)), marks=pytest.mark.slow
    ),  # in parts
    pytest.param(
      (1, 400, 40, 64), (5, 5), 16, (1, 1), ((2, 2), (2, 2)), marks=pytest.mark.slow
    ),  # in bands
  ],
  ids=['small', 'strides', 'parts', 'bands'],
)
def test_convolution_is_that_of_rounded_factors(shape, window, features, strides, pads):
  inputs, kernel = random(shape, (*window, shape[-1], features))

  def convolve(inputs, kernel, in_bfloat16=False):
    return patch_convolution.by_patches(inputs, kernel, strides, pads, in_bfloat16)

  (cotangent,) = random(jax.eval_shape(convolve, inputs, kernel).shape, seed=1)
  in_bfloat16 = functools.partial(convolve, in_bfloat16=True)
  found = value_and_gradients(in_bfloat16)(inputs, kernel, cotangent)
  with jax.enable_x64():
    expected = value_and_gradients(convolve)(
      *[jnp.asarray(rounded(array)) for array in (inputs, kernel, cotangent)]
    )
    expected = [np.asarray(array) for array in expected]
  for one, other in zip(found, expected, strict=True):
    assert_close(one, other)


LAYERS = {
  'dense': (lambda x, k: ops.product(x, k), (5, 7), (7, 3)),
  'conv': (lambda x, k: ops.conv(x, k, training=True), (4, 8, 8, 16), (3, 3, 16, 24)),
  'first conv': (lambda x, k: ops.conv(x, k, training=True), (4, 8, 8, 1), (5, 5, 1, 6)),
  'conv_transpose': (
    lambda x, k: ops.conv_transpose(x, k, strides=(2, 2)),
    (4, 5, 5, 6),
    (3, 3, 6, 2),
  ),
  'rnn': (
    lambda x, k: ops.simple_rnn(
      x, jnp.zeros((4, 8)), input_kernel=k[:6], recurrent_kernel=k[6:], bias=jnp.ones(8)
    )[0],
    (4, 5, 6),
    (14, 8),
  ),
  'lstm': (
    lambda x, k: ops.lstm(
      x,
      (jnp.zeros((4, 8)), jnp.zeros((4, 8))),
      input_kernel=k[:6],
      recurrent_kernel=k[6:],
      bias=jnp.ones(32),
    )[0],
    (4, 5, 6),
    (14, 32),
  ),
  'gru': (
    lambda x, k: ops.gru(
      x,
      jnp.zeros((4, 8)),
      input_kernel=k[:6],
      recurrent_kernel=k[6:],
      bias=jnp.ones(24),
      recurrent_bias=jnp.ones(24),
    )[0],
    (4, 5, 6),
    (14, 24),
  ),
}


@pytest.mark.parametrize('layer', LAYERS)
def test_layers_round_their_factors_in_both_directions(layer):
  """Values and gradients are close to the exact ones and differ by the rounding of bfloat16."""
  function, *shapes = LAYERS[layer]
  inputs, kernel = random(*shapes)
  kernel = kernel * 0.3
  (cotangent,) = random(jax.eval_shape(function, inputs, kernel).shape, seed=1)
  exact = value_and_gradients(function)(inputs, kernel, cotangent)
  low = value_and_gradients(in_rounded_products(function))(inputs, kernel, cotangent)
  for found, expected in zip(low, exact, strict=True):
    error = jnp.linalg.norm(found - expected) / jnp.linalg.norm(expected)
    assert found.dtype == jnp.float32
    assert 1e-4 < error < 3e-2


@pytest.mark.parametrize('layer', ['dense', 'conv', 'lstm'])
def test_runs_that_share_a_program_get_the_numbers_of_a_single_run(layer):
  function, *shapes = LAYERS[layer]
  inputs, kernel = random(*[(3, *shape) for shape in shapes])
  (cotangent,) = random(jax.eval_shape(jax.vmap(function), inputs, kernel).shape, seed=1)
  both = value_and_gradients(in_rounded_products(function))
  together = jax.jit(jax.vmap(both))(inputs, kernel, cotangent)
  for run in range(3):
    for found, expected in zip(
      together, both(inputs[run], kernel[run], cotangent[run]), strict=True
    ):
      np.testing.assert_allclose(found[run], expected, rtol=1e-5, atol=1e-5)
