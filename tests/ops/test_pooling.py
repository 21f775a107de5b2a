"""Tests of pooling: both lowerings equal a NumPy loop over the windows."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxdl import ops
from jaxdl.ops import pooling

CASES = {  # image, window, strides, padding
  'adjacent windows': ((6, 5), (2, 2), None, 'VALID'),
  'overlapping': ((4, 5), (2, 2), (1, 1), 'SAME'),
  'gaps between windows': ((7, 7), (2, 1), (3, 2), 'VALID'),
  'odd window, odd image': ((5, 7), (3, 3), (2, 2), 'SAME'),
  'explicit': ((3, 4), (3, 2), (1, 2), ((2, 0), (0, 1))),
  'window of the size of the image': ((3, 3), (3, 3), None, 'VALID'),
}
KINDS = {'max': ops.max_pool, 'avg': ops.avg_pool}


def images(size, batch=2, channels=3, ties=False, dtype=np.float32):
  """Returns distinct negative values, 0.1 apart, or many ties of −1 and 0.

  In both, padding with 0 instead of −∞ would change the maxima.
  """
  shape, generator = (batch, *size, channels), np.random.default_rng(0)
  values = (
    generator.integers(-1, 1, shape)
    if ties
    else -1 - generator.permutation(np.prod(shape)).reshape(shape) / 10
  )
  return jnp.asarray(values, dtype)


def numpy_pool(kind, inputs, window, strides, padding):
  """Computes the outputs, and the gradient for a cotangent cos(0, 1, 2, …), window by window."""
  inputs, strides = np.float64(inputs), strides or window
  pads = [
    ops.explicit_padding(
      inputs.shape[1 + axis],
      window[axis],
      strides[axis],
      padding if isinstance(padding, str) else padding[axis],
    )
    for axis in (0, 1)
  ]
  counts = [
    (inputs.shape[1 + axis] + sum(pads[axis]) - window[axis]) // strides[axis] + 1
    for axis in (0, 1)
  ]
  outputs, gradient = np.zeros((len(inputs), *counts, inputs.shape[-1])), np.zeros_like(inputs)
  cotangent = np.cos(np.arange(outputs.size)).reshape(outputs.shape)
  for b, row, column, c in np.ndindex(outputs.shape):
    start = row * strides[0] - pads[0][0], column * strides[1] - pads[1][0]
    window_slice = np.s_[
      b, max(start[0], 0) : start[0] + window[0], max(start[1], 0) : start[1] + window[1], c
    ]
    pixels = inputs[window_slice]
    outputs[b, row, column, c] = pixels.max() if kind == 'max' else pixels.mean()
    share = np.zeros_like(pixels) if kind == 'max' else np.full_like(pixels, 1 / pixels.size)
    if kind == 'max':
      first_maximum = np.unravel_index(pixels.argmax(), pixels.shape)  # in row-major order
      share[first_maximum] = 1
    gradient[window_slice] += share * cotangent[b, row, column, c]
  return outputs, gradient


def outputs_and_gradient(function):
  def compute(inputs):
    outputs, pullback = jax.vjp(function, inputs)
    return outputs, pullback(
      jnp.cos(jnp.arange(outputs.size)).reshape(outputs.shape).astype(outputs.dtype)
    )[0]

  return compute


def assert_close(found, expected, tolerance=1e-5):
  for a, b in zip(found, expected, strict=True):
    np.testing.assert_allclose(np.float64(a), b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(('size', 'window', 'strides', 'padding'), CASES.values(), ids=CASES)
@pytest.mark.parametrize('ties', [False, True])
@pytest.mark.parametrize('kind', KINDS)
def test_pool_equals_the_numpy_loop(kind, ties, size, window, strides, padding):
  inputs = images(size, ties=ties)
  pool = functools.partial(KINDS[kind], window=window, strides=strides, padding=padding)
  assert_close(
    jax.jit(outputs_and_gradient(pool))(inputs), numpy_pool(kind, inputs, window, strides, padding)
  )


@pytest.mark.parametrize('lowering', [pooling.max_by_slices, pooling.max_stock])
@pytest.mark.parametrize(('dtype', 'tolerance'), [(jnp.bfloat16, 0.05), (jnp.float64, 1e-12)])
def test_lowerings_preserve_dtype_and_assign_ties_to_the_first(lowering, dtype, tolerance):
  with jax.enable_x64(True):
    inputs = images((5, 4), batch=1, channels=1, ties=True, dtype=dtype)
    found = jax.jit(outputs_and_gradient(lambda x: lowering(x, (2, 3), (1, 1), ((1, 0), (1, 1)))))(
      inputs
    )
    assert {leaf.dtype for leaf in found} == {jnp.dtype(dtype)}
    assert_close(found, numpy_pool('max', inputs, (2, 3), (1, 1), ((1, 0), (1, 1))), tolerance)


@pytest.mark.parametrize('dtype', [jnp.bfloat16, jnp.float64])
def test_avg_pool_preserves_the_dtype(dtype):
  with jax.enable_x64(True):
    found = outputs_and_gradient(functools.partial(ops.avg_pool, padding='SAME'))(
      images((3, 3), dtype=dtype)
    )
    assert {leaf.dtype for leaf in found} == {jnp.dtype(dtype)}


@pytest.mark.parametrize('padding', ['SAME', 'VALID'])
@pytest.mark.parametrize('kind', KINDS)
def test_gradients_by_finite_differences(kind, padding):
  with jax.enable_x64(True):
    pool = functools.partial(KINDS[kind], window=(3, 2), strides=(2, 1), padding=padding)
    check_grads(
      jax.jit(pool),
      (images((5, 4), dtype=np.float64),),
      order=1,
      modes=('rev',),
      atol=1e-6,
      rtol=1e-6,
    )


@pytest.mark.parametrize('kind', KINDS)
def test_gradients_inside_a_loop_mapped_over_seeds_and_devices(kind):
  inputs = images((4, 4), batch=6).reshape(1, 3, 2, 4, 4, 3)  # [devices, seeds, B, H, W, C]
  pool = outputs_and_gradient(functools.partial(KINDS[kind], strides=(1, 1)))

  def last_result(steps, inputs):
    zeros = jax.tree.map(jnp.zeros_like, pool(inputs))
    return jax.lax.fori_loop(0, steps, lambda _, carry: pool(inputs + 0 * carry[0].sum()), zeros)

  found = jax.pmap(jax.vmap(last_result, in_axes=(None, 0)), in_axes=(None, 0))(2, inputs)
  for seed in range(3):
    assert_close(
      [leaf[0, seed] for leaf in found], numpy_pool(kind, inputs[0, seed], (2, 2), (1, 1), 'VALID')
    )


@pytest.mark.parametrize('pool', KINDS.values(), ids=KINDS)
def test_errors_name_the_value_and_the_fix(pool):
  with pytest.raises(ValueError, match="padding='valid' is unknown: use 'SAME'"):
    pool(images((4, 4)), padding='valid')
  with pytest.raises(ValueError, match='a window of 3 pixels is larger than the axis of 2'):
    pool(images((4, 2)), window=(2, 3))
