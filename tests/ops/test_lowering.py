"""`ops.stock_lowering`: equal results, exportable programs, and no effect outside the context."""

import functools
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from jaxdl import ops
from jaxdl.ops import lowering

DRAW = np.random.default_rng(0).normal
KERNEL = np.float32(DRAW(size=(3, 2, 3, 16)))
CELL = {
  'input_kernel': np.float32(DRAW(size=(5, 16))),
  'recurrent_kernel': np.float32(DRAW(size=(4, 16))),
  'bias': np.float32(DRAW(size=16)),
}


def cell(width):
  return {name: array[..., :width] for name, array in CELL.items()}


def zeros(inputs):
  return jnp.zeros((inputs.shape[0], 4), inputs.dtype)


OPERATIONS = {  # name → function of a batch, shape of an example
  'conv': (lambda x: ops.conv(x, KERNEL, strides=(2, 1)), (7, 6, 3)),
  'conv in training': (lambda x: ops.conv(x, KERNEL[..., :1], training=True), (7, 6, 3)),
  'conv that crops': (lambda x: ops.conv(x, KERNEL, padding=((-1, 2), (0, 3))), (7, 6, 3)),
  'conv_transpose': (lambda x: ops.conv_transpose(x, KERNEL, strides=(2, 3)), (4, 3, 3)),
  'conv_transpose, VALID': (
    lambda x: ops.conv_transpose(x, KERNEL, strides=(4, 1), padding='VALID'),
    (4, 3, 3),
  ),
  'max_pool': (functools.partial(ops.max_pool, window=(3, 2), strides=(2, 2)), (7, 6, 3)),
  'max_pool, padded': (
    functools.partial(ops.max_pool, window=(3, 2), padding=((1, 0), (0, 1))),
    (7, 6, 3),
  ),
  'avg_pool': (functools.partial(ops.avg_pool, window=(3, 2), padding='SAME'), (7, 6, 3)),
  'dropout': (
    lambda x: ops.dropout(jax.random.key(1), x, rate=0.4, index=jnp.arange(x.shape[0])),
    (5, 3),
  ),
  'attention': (
    lambda x: ops.attention(
      *(x.reshape(-1, 5, 2, 4) + shift for shift in (0, 1, 2)),
      jnp.broadcast_to(jnp.tril(jnp.ones((5, 5), bool)), (x.shape[0], 5, 5)),
    ),
    (5, 8),
  ),
  'simple_rnn': (lambda x: ops.simple_rnn(x, zeros(x), **cell(4))[0], (6, 5)),
  'lstm': (lambda x: ops.lstm(x, (zeros(x), zeros(x) + 1), **cell(16))[0], (6, 5)),
  'gru': (
    lambda x: ops.gru(x, zeros(x), **cell(12), recurrent_bias=CELL['bias'][:12] + 1)[0],
    (6, 5),
  ),
}
EVERY_OPERATION = pytest.mark.parametrize(
  ('operation', 'shape'), OPERATIONS.values(), ids=OPERATIONS
)


def with_gradient(operation, inputs):
  """Returns outputs and input gradients, for a cotangent with different elements."""

  def both(inputs):  # a new function, so that JAX traces it again
    outputs, pullback = jax.vjp(operation, inputs)
    return outputs, pullback(jnp.cos(jnp.arange(outputs.size)).reshape(outputs.shape))[0]

  return jax.jit(both)(inputs)


@EVERY_OPERATION
def test_stock_lowering_equals_the_platform_lowering(operation, shape):
  inputs = jnp.asarray(np.random.default_rng(1).normal(size=(3, *shape)), jnp.float32)
  expected = with_gradient(operation, inputs)
  with ops.stock_lowering():
    found = with_gradient(operation, inputs)
  for one, other in zip(found, expected, strict=True):
    np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-5)


@EVERY_OPERATION
def test_stock_lowering_can_be_exported_with_a_variable_batch(operation, shape):
  def traced(inputs):
    return operation(inputs)

  with ops.stock_lowering():
    free = jax.ShapeDtypeStruct(export.symbolic_shape(f'b,{",".join(map(str, shape))}'), np.float32)
    found = export.export(jax.jit(traced))(free)
    program = str(jax.make_jaxpr(lambda inputs: operation(inputs))(np.zeros((1, *shape))))
  assert not [word for word in ('platform_index', 'custom_vjp', 'barrier') if word in program]
  for batch in (1, 5):
    inputs = np.random.default_rng(batch).normal(size=(batch, *shape)).astype(np.float32)
    np.testing.assert_allclose(found.call(inputs), jax.jit(operation)(inputs), rtol=2e-5, atol=2e-5)


@EVERY_OPERATION
def test_stock_lowering_has_no_effect_outside_its_context(operation, shape):
  def program():
    return str(jax.make_jaxpr(lambda inputs: operation(inputs))(np.zeros((2, *shape), np.float32)))

  before = program()
  with ops.stock_lowering():
    within = program()
  assert program() == before
  assert (within == before) == (
    operation is OPERATIONS['dropout'][0]
  )  # dropout has only one lowering


def test_stock_lowering_may_be_nested_and_affects_only_its_thread():
  seen = []
  with ops.stock_lowering():
    with ops.stock_lowering():
      assert lowering.is_stock()
    assert lowering.is_stock()
    thread = threading.Thread(target=lambda: seen.append(lowering.is_stock()))
    thread.start()
    thread.join()
  assert seen == [False]
  assert not lowering.is_stock()


def test_stock_lowering_ends_after_an_error():
  with pytest.raises(ValueError, match='window'), ops.stock_lowering():
    ops.max_pool(np.zeros((1, 2, 2, 1), np.float32), window=(3, 3))
  assert not lowering.is_stock()
