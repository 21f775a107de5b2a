"""Recurrent layers: one product a step forward, and one product for each kernel's gradient after all steps."""

import functools

import jax
import jax.numpy as jnp


def simple_rnn(inputs, hidden, *, input_kernel, recurrent_kernel, bias, activation=jnp.tanh):
  """Elman's recurrence h ← activation(x·W + b + h·U).

  Args:
    inputs: [B, T, I].
    hidden: [B, H].
    input_kernel: [I, H].
    recurrent_kernel: [H, H].
    bias: [H].
    activation: elementwise function.

  Returns:
    every hidden state [B, T, H] and the last one [B, H].

  Source: Elman 1990, Finding structure in time. Reverse mode only, as all of this file.
  """
  cell = functools.partial(_rnn_cell, activation)
  outputs, (hidden,) = _recur(cell, (hidden,), inputs.swapaxes(0, 1), (input_kernel, recurrent_kernel, bias, None))
  return outputs.swapaxes(0, 1), hidden


def _rnn_cell(activation, carry, gates):
  del carry
  return (activation(gates),)


def lstm(inputs, carry, *, input_kernel, recurrent_kernel, bias):
  """Long short-term memory, gates in the order input, forget, candidate, output.

  Args:
    inputs: [B, T, I].
    carry: (cell [B, H], hidden [B, H]).
    input_kernel: [I, 4H].
    recurrent_kernel: [H, 4H].
    bias: [4H].

  Returns:
    every hidden state [B, T, H] and the last (cell, hidden).

  Source: Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000.
  """
  memory, hidden = carry
  kernels = (input_kernel, recurrent_kernel, bias, None)
  outputs, (hidden, memory) = _recur(_lstm_cell, (hidden, memory), inputs.swapaxes(0, 1), kernels)
  return outputs.swapaxes(0, 1), (memory, hidden)


def _lstm_cell(carry, gates):
  i, f, g, o = jnp.split(gates, 4, axis=-1)  # [B, H] each
  memory = jax.nn.sigmoid(f) * carry[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
  return jax.nn.sigmoid(o) * jnp.tanh(memory), memory


def gru(inputs, hidden, *, input_kernel, recurrent_kernel, bias, recurrent_bias):
  """Gated recurrent unit that resets after the product, gates in the order update, reset, candidate.

  Args:
    inputs: [B, T, I].
    hidden: [B, H].
    input_kernel: [I, 3H].
    recurrent_kernel: [H, 3H].
    bias: [3H].
    recurrent_bias: [3H].

  Returns:
    every hidden state [B, T, H] and the last one [B, H].

  Source: Cho et al. 2014; the variant of cuDNN, Keras (reset_after=True) and PyTorch.
  """
  kernels = (input_kernel, recurrent_kernel, bias, recurrent_bias)
  outputs, (hidden,) = _recur(_gru_cell, (hidden,), inputs.swapaxes(0, 1), kernels)
  return outputs.swapaxes(0, 1), hidden


def _gru_cell(carry, gates):
  projected, recurrent = gates
  input_z, input_r, input_h = jnp.split(projected, 3, axis=-1)  # [B, H] each
  hidden_z, hidden_r, hidden_h = jnp.split(recurrent, 3, axis=-1)
  update = jax.nn.sigmoid(input_z + hidden_z)
  candidate = jnp.tanh(input_h + jax.nn.sigmoid(input_r + hidden_r) * hidden_h)
  return (update * carry[0] + (1 - update) * candidate,)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _recur(cell, carry, inputs, kernels):
  """Scans a cell over time.

  Args:
    cell: elementwise (carry, gates) → carry; carry[0] is the hidden state [B, H]. The gates are the sum [B, G] of the
      inputs' and the hidden state's part, or a pair of both where there is a recurrent bias.
    carry: tuple of [B, H].
    inputs: [T, B, I].
    kernels: (input_kernel [I, G], recurrent_kernel [H, G], bias [G], recurrent_bias [G] or None).

  Returns:
    hidden states [T, B, H] and the last carry.
  """
  return _recur_forward(cell, carry, inputs, kernels)[0]


def _recur_forward(cell, carry, inputs, kernels):
  input_kernel, recurrent_kernel, bias, recurrent_bias = kernels
  joined = jnp.concatenate([input_kernel, recurrent_kernel])  # [I + H, G]

  def step(carry, inputs):
    if recurrent_bias is None:  # one product a step, and no [T, B, G] of projected inputs to write and read back
      gates = jnp.concatenate([inputs, carry[0]], axis=-1) @ joined + bias  # [B, G]
    else:
      gates = (inputs @ input_kernel + bias, carry[0] @ recurrent_kernel + recurrent_bias)
    carry, pullback = jax.vjp(cell, carry, gates)
    return carry, (carry[0], pullback)

  last, (outputs, pullbacks) = jax.lax.scan(step, carry, inputs)
  return (outputs, last), (carry[0], inputs, outputs, pullbacks, kernels)


def _recur_backward(cell, saved, cotangents):
  first, inputs, outputs, pullbacks, (input_kernel, recurrent_kernel, bias, recurrent_bias) = saved
  of_outputs, of_last = cotangents

  def step(of_carry, at_time):
    pullback, of_output = at_time
    of_carry, of_gates = pullback((of_carry[0] + of_output, *of_carry[1:]))
    of_recurrent = of_gates if recurrent_bias is None else of_gates[1]
    return (of_carry[0] + of_recurrent @ recurrent_kernel.T, *of_carry[1:]), of_gates

  of_first, of_gates = jax.lax.scan(step, of_last, (pullbacks, of_outputs), reverse=True)
  of_projected, of_recurrent = (of_gates, of_gates) if recurrent_bias is None else of_gates  # [T, B, G] each
  before = jnp.concatenate([first[None], outputs[:-1]])  # [T, B, H], the hidden state that each step began with
  of_kernels = (_over_time(inputs, of_projected), _over_time(before, of_recurrent), of_projected.sum((0, 1)),
                None if recurrent_bias is None else of_recurrent.sum((0, 1)))
  return of_first, of_projected @ input_kernel.T, of_kernels


def _over_time(values, cotangents):
  """A kernel's gradient in one product over all T·B instead of T small ones: [T, B, N], [T, B, G] → [N, G]."""
  return values.reshape(-1, values.shape[-1]).T @ cotangents.reshape(-1, cotangents.shape[-1])


_recur.defvjp(_recur_forward, _recur_backward)
