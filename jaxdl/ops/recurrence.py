"""Recurrent layers.

Each step takes one product, forward and backward. Each kernel's gradient is one product after all
steps. The functions are differentiable once, in reverse mode; forward mode (`jax.jvp`) is an error.

The argument `steps` of each function marks the real steps of sequences of different lengths with 1
and padding with 0. A padded step leaves the state as it is, so that any amount of padding gives the
same last state, to the bit.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from jaxdl.ops.lowering import is_stock
from jaxdl.ops.products import are_rounded, multiply, rounded, rows_of_transpose
from jaxdl.ops.types import AnyArray


def simple_rnn(
  inputs: Float[AnyArray, 'B T I'],
  hidden: Float[AnyArray, 'B H'],
  *,
  input_kernel: Float[AnyArray, 'I H'],
  recurrent_kernel: Float[AnyArray, 'H H'],
  bias: Float[AnyArray, ' H'],
  activation: Callable = jnp.tanh,
  steps: Num[AnyArray, 'B T'] | None = None,
) -> tuple[Float[Array, 'B T H'], Float[Array, 'B H']]:
  """Elman's recurrence h ← activation(x·W + b + h·U).

  Args:
    inputs: B sequences of T steps of I numbers.
    hidden: the hidden state before the first step.
    input_kernel: W.
    recurrent_kernel: U.
    bias: b.
    activation: elementwise function.
    steps: 1 for real steps and 0 for padding; None if all are real.

  Returns:
    All hidden states and the last one.

  Source: Elman 1990, Finding structure in time.
  """
  kernels = (input_kernel, recurrent_kernel, bias)
  carry, inputs, kernels, real = _in_one_type((hidden,), inputs, kernels, steps)
  outputs, (last,) = _recurrence()(
    _rnn_cell(activation), are_rounded(), carry, inputs, kernels, real
  )
  return outputs.swapaxes(0, 1), last


def _rnn_cell(activation):
  def forward(carry, gate):
    del carry
    return (activation(gate),), (gate,)

  def backward(carry, kept, of_after):
    del carry
    return (0.0,), jax.vjp(activation, *kept)[1](*of_after)

  return forward, backward


def lstm(
  inputs: Float[AnyArray, 'B T I'],
  carry: tuple[Float[AnyArray, 'B H'], Float[AnyArray, 'B H']],
  *,
  input_kernel: Float[AnyArray, 'I 4*H'],
  recurrent_kernel: Float[AnyArray, 'H 4*H'],
  bias: Float[AnyArray, ' 4*H'],
  steps: Num[AnyArray, 'B T'] | None = None,
) -> tuple[Float[Array, 'B T H'], tuple[Float[Array, 'B H'], Float[Array, 'B H']]]:
  """Long short-term memory, with gates in the order input, forget, candidate, output.

  Args:
    inputs: B sequences of T steps of I numbers.
    carry: (cell, hidden state) before the first step.
    input_kernel: kernels of the inputs, one gate after another.
    recurrent_kernel: kernels of the hidden state, one gate after another.
    bias: biases, one gate after another.
    steps: 1 for real steps and 0 for padding; None if all are real.

  Returns:
    All hidden states and the last (cell, hidden state).

  Source: Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000.
  """
  memory, hidden = carry
  kernels = (input_kernel, recurrent_kernel, bias)
  state, inputs, kernels, real = _in_one_type((hidden, memory), inputs, kernels, steps)
  cell = (_lstm_forward, _lstm_backward)
  outputs, last = _recurrence()(cell, are_rounded(), state, inputs, kernels, real)
  return outputs.swapaxes(0, 1), (last[1], last[0])


def _lstm_forward(carry, *gates):
  i, f, g, o = (
    jnp.tanh(gate) if place == 2 else jax.nn.sigmoid(gate) for place, gate in enumerate(gates)
  )
  memory = f * carry[1] + i * g
  squashed = jnp.tanh(memory)
  return (o * squashed, memory), (i, f, g, o, squashed)


def _lstm_backward(carry, kept, of_after):
  i, f, g, o, squashed = kept
  of_hidden, of_memory = of_after
  of_memory = of_memory + of_hidden * o * (1 - squashed**2)
  return (0.0, of_memory * f), (
    of_memory * g * i * (1 - i),
    of_memory * carry[1] * f * (1 - f),
    of_memory * i * (1 - g**2),
    of_hidden * squashed * o * (1 - o),
  )


def gru(
  inputs: Float[AnyArray, 'B T I'],
  hidden: Float[AnyArray, 'B H'],
  *,
  input_kernel: Float[AnyArray, 'I 3*H'],
  recurrent_kernel: Float[AnyArray, 'H 3*H'],
  bias: Float[AnyArray, ' 3*H'],
  recurrent_bias: Float[AnyArray, ' 3*H'],
  steps: Num[AnyArray, 'B T'] | None = None,
) -> tuple[Float[Array, 'B T H'], Float[Array, 'B H']]:
  """Gated recurrent unit that resets after the product, with gates update, reset, candidate.

  Args:
    inputs: B sequences of T steps of I numbers.
    hidden: the hidden state before the first step.
    input_kernel: kernels of the inputs, one gate after another.
    recurrent_kernel: kernels of the hidden state, one gate after another.
    bias: biases of the inputs, one gate after another.
    recurrent_bias: biases of the hidden state, one gate after another.
    steps: 1 for real steps and 0 for padding; None if all are real.

  Returns:
    All hidden states and the last one.

  Source: Cho et al. 2014; the variant of cuDNN, Keras (reset_after=True) and PyTorch.
  """
  kernels = (input_kernel, recurrent_kernel, bias, recurrent_bias)
  carry, inputs, kernels, real = _in_one_type((hidden,), inputs, kernels, steps)
  cell = (_gru_forward, _gru_backward)
  outputs, (last,) = _recurrence()(cell, are_rounded(), carry, inputs, kernels, real)
  return outputs.swapaxes(0, 1), last


def _gru_forward(carry, input_z, input_r, input_h, hidden_z, hidden_r, hidden_h):
  update, reset = jax.nn.sigmoid(input_z + hidden_z), jax.nn.sigmoid(input_r + hidden_r)
  candidate = jnp.tanh(input_h + reset * hidden_h)
  return (update * carry[0] + (1 - update) * candidate,), (update, reset, candidate, hidden_h)


def _gru_backward(carry, kept, of_after):
  update, reset, candidate, hidden_h = kept
  (of_hidden,) = of_after
  of_h = of_hidden * (1 - update) * (1 - candidate**2)
  of_r = of_h * hidden_h * reset * (1 - reset)
  of_z = of_hidden * (carry[0] - candidate) * update * (1 - update)
  return (of_hidden * update,), (of_z, of_r, of_h, of_z, of_r, of_h * reset)


def _in_one_type(carry, inputs, kernels, steps):
  """The same arrays in their common type, because the carry of a scan must keep its type.

  The inputs become time-major, [T, B, I], and the marks of real steps [T, B, 1] Boolean.
  """
  if steps is not None and steps.shape != inputs.shape[:2]:
    raise ValueError(
      f'steps of shape {steps.shape} for inputs {inputs.shape}: give one mark for each step'
    )
  dtype = jnp.result_type(*carry, inputs, *kernels)
  arrays = (carry, inputs.swapaxes(0, 1), kernels)
  real = None if steps is None else (steps > 0).swapaxes(0, 1)[..., None]
  return *jax.tree.map(lambda array: array.astype(dtype), arrays), real


def _scan(cell, in_bfloat16, carry, inputs, kernels, real) -> tuple[Array, Any]:
  """Scans a cell over time.

  Args:
    cell: two elementwise functions, forward and backward.
      Forward: (carry, *gates) → (next carry, values kept for backward). carry[0] is the hidden
      state.
      Backward: (carry, kept values, cotangents of the next carry) → (cotangents of the carry,
      cotangents of the gates). The cotangent of carry[0] leaves out the part that comes through the
      gates.
      Gates [B, H] are sums of a part from the inputs and a part from the hidden state. With a
      recurrent bias, they are the parts from the inputs, followed by those from the hidden state.
    in_bfloat16: whether the factors of the products are rounded to bfloat16.
    carry: tuple of [B, H].
    inputs: [T, B, I].
    kernels: (input_kernel [I, G], recurrent_kernel [H, G], bias [G]), optionally followed by a
      recurrent bias [G].
    real: [T, B, 1] bool, the steps that change the carry; None for all.

  Returns:
    Hidden states [T, B, H] and the last carry.
  """
  return _recur_forward(cell, in_bfloat16, carry, inputs, kernels, real)[0]


def _recur_forward(cell, in_bfloat16, carry, inputs, kernels, real):
  input_kernel, recurrent_kernel, bias, *recurrent_bias = kernels
  factor, times = _products(in_bfloat16, inputs.dtype)
  input_kernel, recurrent_kernel = factor(input_kernel), factor(recurrent_kernel)
  joined = jnp.concatenate([input_kernel, recurrent_kernel])  # [I + H, G]

  def step(carry, at_time):
    inputs, real = at_time
    if recurrent_bias:
      sums = (
        times(factor(inputs), input_kernel) + bias,
        times(factor(carry[0]), recurrent_kernel) + recurrent_bias[0],
      )
    else:  # one product for each step; projected inputs [T, B, G] would be written and read back
      values = factor(jnp.concatenate([inputs, carry[0]], axis=-1))
      sums = (times(values, joined) + bias,)  # [B, G]
    gates = [
      gate
      for array in sums
      for gate in jnp.split(array, array.shape[-1] // carry[0].shape[-1], axis=-1)
    ]
    after, kept = cell[0](carry, *gates)
    after = _where_real(real, after, carry)
    return after, (after[0], carry, kept)

  last, (outputs, carries, kept) = jax.lax.scan(step, carry, (inputs, real))
  return (outputs, last), (inputs, carries, kept, kernels, real)


def _where_real(real, values, others):
  """The values of real steps, and the others of padded steps."""
  if real is None:
    return values
  return tuple(jnp.where(real, *pair) for pair in zip(values, others, strict=True))


def _recur_backward(cell, in_bfloat16, saved, cotangents):
  inputs, carries, kept, (input_kernel, recurrent_kernel, *biases), real = saved
  of_outputs, of_last = cotangents
  to_hidden = _by_transpose(recurrent_kernel, in_bfloat16)

  def step(of_carry, at_time):
    carry, kept, of_output, real = at_time
    of_after = (of_carry[0] + of_output, *of_carry[1:])
    zeros = (0.0,) * len(of_after)
    of_carry, of_gates = cell[1](carry, kept, _where_real(real, of_after, zeros))
    if real is not None:  # a padded step passes the cotangent on
      of_carry = _sums(of_carry, _where_real(real, zeros, of_after))
    ways = len(biases)  # 2 where inputs and hidden state enter the gates separately, else 1
    each = len(of_gates) // ways
    joined = [
      jnp.concatenate(of_gates[way * each : (way + 1) * each], axis=-1) for way in range(ways)
    ]
    # Without the barrier, XLA computes them again in each of their users.
    joined = jax.lax.optimization_barrier(joined)
    return (of_carry[0] + to_hidden(joined[-1]), *of_carry[1:]), joined

  # of_sums: [T, B, G] each
  of_first, of_sums = jax.lax.scan(step, of_last, (carries, kept, of_outputs, real), reverse=True)
  of_inputs = _by_transpose(input_kernel, in_bfloat16)(of_sums[0])
  of_kernels = (
    _over_time(inputs, of_sums[0], in_bfloat16),
    _over_time(carries[0], of_sums[-1], in_bfloat16),
    *[of_sum.sum((0, 1)) for of_sum in of_sums],
  )
  return of_first, of_inputs, of_kernels, None


def _sums(first, second):
  return tuple(one + other for one, other in zip(first, second, strict=True))


def _over_time(values, of_sums, in_bfloat16):
  """A kernel's gradient, one product over all T · B instead of T small ones.

  Args:
    values: [T, B, N].
    of_sums: [T, B, G].
    in_bfloat16: as in `_scan`.

  Returns:
    [N, G].
  """
  if not in_bfloat16:
    return jnp.tensordot(values, of_sums, axes=((0, 1), (0, 1)))
  lines, of_lines = (rounded(array.reshape(-1, array.shape[-1])) for array in (values, of_sums))
  return multiply(rows_of_transpose(lines), of_lines, values.dtype)


def _products(in_bfloat16, dtype):
  """Functions that prepare a factor of a product, and that multiply two factors."""
  if not in_bfloat16:
    return jnp.asarray, jnp.matmul
  return rounded, functools.partial(multiply, dtype=dtype)


def _by_transpose(kernel, in_bfloat16):
  """A function that multiplies an array by the transpose of a kernel."""
  if not in_bfloat16:
    return lambda array: array @ kernel.T
  transpose = rows_of_transpose(rounded(kernel))
  return lambda array: multiply(rounded(array), transpose, array.dtype)


def _recurrence():
  """The scan of a cell, with the gradients of this module or those of JAX."""
  return _scan if is_stock() else _recur


_recur = jax.custom_vjp(_scan, nondiff_argnums=(0, 1))
_recur.defvjp(_recur_forward, _recur_backward)
