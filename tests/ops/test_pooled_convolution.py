"""Tests of convolution, bias, ReLU and max-pooling in one loop."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxdl import ops
from jaxdl.ops import pooled_convolution

CASES = {  # image, channels, kernel, padding, window, most bytes of a part
  'one part': ((6, 8), 3, (3, 3), 'SAME', (2, 2), 1 << 20),
  'a part for each image': ((6, 8), 3, (3, 3), 'SAME', (2, 2), 6 * 8 * 4 * 4),
  'bands of two rows': ((8, 6), 2, (3, 5), 'SAME', (2, 2), 2 * 6 * 4 * 4),
  'bands of rows that no window covers': ((9, 7), 2, (2, 2), 'VALID', (3, 2), 6 * 4 * 4),
  'rows and columns beyond the windows': ((7, 5), 1, (3, 2), 'SAME', (2, 3), 1 << 20),
  'padding on one side': ((5, 5), 2, (3, 3), ((2, 0), (0, 1)), (2, 2), 2 * 4 * 4 * 4),
  'Winograd, bands': ((12, 12), 16, (3, 3), 'SAME', (2, 2), 4 * 12 * 16 * 4),
}


def operands(image, channels, kernel, dtype=np.float32):
  features = 16 if channels == 16 else 4
  draw = np.random.default_rng(0).normal
  return tuple(
    jnp.asarray(draw(size=shape), dtype)
    for shape in ((2, *image, channels), (*kernel, channels, features), (features,))
  )


def one_by_one(inputs, kernel, bias, padding, window):
  outputs = ops.conv(inputs, kernel, padding=padding, training=True) + bias
  return ops.max_pool(jax.nn.relu(outputs), window=window)


def value_and_gradients(function, *arrays):
  outputs, pullback = jax.vjp(function, *arrays)
  return outputs, *pullback(jnp.cos(jnp.arange(outputs.size)).reshape(outputs.shape))


@pytest.mark.parametrize(
  ('image', 'channels', 'kernel', 'padding', 'window', 'part'), CASES.values(), ids=CASES
)
def test_equals_the_operations_one_after_another(
  image, channels, kernel, padding, window, part, monkeypatch
):
  """Outputs and the gradients of inputs, kernel and bias, with and without the stock lowering."""
  monkeypatch.setattr(pooled_convolution, 'PART', part)
  arrays = operands(image, channels, kernel)
  fused = functools.partial(ops.conv_relu_max_pool, padding=padding, window=window)
  found = jax.jit(functools.partial(value_and_gradients, fused))(*arrays)
  expected = value_and_gradients(lambda *a: one_by_one(*a, padding, window), *arrays)
  with ops.stock_lowering():
    stock = value_and_gradients(fused, *arrays)
  for one, other, of_stock in zip(found, expected, stock, strict=True):
    np.testing.assert_allclose(one, other, rtol=2e-5, atol=5e-5)
    np.testing.assert_allclose(one, of_stock, rtol=2e-5, atol=5e-5)


@pytest.mark.parametrize('part', [1 << 20, 2 * 6 * 4 * 8])
def test_gradients_equal_finite_differences(part, monkeypatch):
  monkeypatch.setattr(pooled_convolution, 'PART', part)
  with jax.enable_x64(True):
    arrays = operands((6, 6), 2, (3, 3), np.float64)
    check_grads(ops.conv_relu_max_pool, arrays, order=1, modes=['rev'], eps=1e-6)


def test_gradient_of_equal_pixels_goes_to_the_first_and_none_at_the_threshold():
  """One pixel kernel of 1: maxima of 2 at two positions, and a window of zeros."""
  image = jnp.array([[1.0, 2, 0, 0], [2, 0, 0, -1]])[None, :, :, None]
  kernel, bias = jnp.ones((1, 1, 1, 1)), jnp.zeros(1)
  outputs, of_image, of_kernel, of_bias = value_and_gradients(
    lambda *arrays: ops.conv_relu_max_pool(*arrays), image, kernel, bias
  )
  np.testing.assert_array_equal(outputs[0, 0, :, 0], [2, 0])
  np.testing.assert_array_equal(of_image[0, :, :, 0], [[0, 1, 0, 0], [0, 0, 0, 0]])
  assert of_kernel == 2
  assert of_bias == 1


def test_nan_reaches_the_maximum():
  image = jnp.full((1, 2, 2, 1), jnp.nan)
  assert np.isnan(ops.conv_relu_max_pool(image, jnp.ones((1, 1, 1, 1)), jnp.zeros(1))).all()


def test_under_vmap_equals_each_alone():
  inputs, kernel, bias = operands((6, 6), 2, (3, 3))
  kernels = jnp.stack([kernel, -kernel])
  found = jax.vmap(lambda kernel: ops.conv_relu_max_pool(inputs, kernel, bias))(kernels)
  for one, kernel in zip(found, kernels, strict=True):
    np.testing.assert_allclose(
      one, ops.conv_relu_max_pool(inputs, kernel, bias), rtol=1e-5, atol=1e-5
    )


def test_rounded_products_round_both_passes():
  """Inside the mode, outputs and gradients are those of the rounded operations."""
  arrays = operands((6, 8), 3, (3, 3))
  with ops.rounded_products():
    found = value_and_gradients(ops.conv_relu_max_pool, *arrays)
    expected = value_and_gradients(lambda *a: one_by_one(*a, 'SAME', (2, 2)), *arrays)
  for one, other in zip(found, expected, strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
  exact = ops.conv_relu_max_pool(*arrays)
  assert 1e-4 < np.abs(found[0] - exact).max() < 0.1


def test_errors_name_the_value():
  inputs, kernel, bias = operands((4, 4), 3, (3, 3))
  with pytest.raises(ValueError, match='5 pixels is larger than the axis of 4'):
    ops.conv_relu_max_pool(inputs, kernel, bias, window=(5, 2))
  with pytest.raises(ValueError, match='takes 3 channels'):
    ops.conv_relu_max_pool(inputs[..., :2], kernel, bias)
