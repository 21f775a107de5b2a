"""Recurrent layers: one product a step forward, and one product for each kernel's gradient after all steps.

Differentiable in reverse mode, once; forward mode (`jax.jvp`) is an error.
"""

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

  Source: Elman 1990, Finding structure in time.
  """
  cell = functools.partial(_rnn_cell, activation)
  outputs, (hidden,) = _recur(cell, *_of_one_type((hidden,), inputs, (input_kernel, recurrent_kernel, bias)))
  return outputs.swapaxes(0, 1), hidden


def _rnn_cell(activation, carry, gate):
  del carry
  return (activation(gate),)


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
  kernels = (input_kernel, recurrent_kernel, bias)
  outputs, (hidden, memory) = _recur(_lstm_cell, *_of_one_type((hidden, memory), inputs, kernels))
  return outputs.swapaxes(0, 1), (memory, hidden)


def _lstm_cell(carry, i, f, g, o):
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
  outputs, (hidden,) = _recur(_gru_cell, *_of_one_type((hidden,), inputs, kernels))
  return outputs.swapaxes(0, 1), hidden


def _gru_cell(carry, input_z, input_r, input_h, hidden_z, hidden_r, hidden_h):
  update = jax.nn.sigmoid(input_z + hidden_z)
  candidate = jnp.tanh(input_h + jax.nn.sigmoid(input_r + hidden_r) * hidden_h)
  return (update * carry[0] + (1 - update) * candidate,)


def _of_one_type(carry, inputs, kernels):
  """The same arrays in their common type, inputs time-major [T, B, I]: a scan's carry must keep its type."""
  dtype = jnp.result_type(*carry, inputs, *kernels)
  return jax.tree.map(lambda array: array.astype(dtype), (carry, inputs.swapaxes(0, 1), kernels))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _recur(cell, carry, inputs, kernels):
  """Scans a cell over time.

  Args:
    cell: elementwise (carry, *gates) → carry; carry[0] is the hidden state. Gates [B, H] are sums of the inputs' and
      the hidden state's part or, where there is a recurrent bias, first the inputs' and then the hidden state's.
    carry: tuple of [B, H].
    inputs: [T, B, I].
    kernels: (input_kernel [I, G], recurrent_kernel [H, G], bias [G]), and a recurrent bias [G] or none.

  Returns:
    hidden states [T, B, H] and the last carry.
  """
  return _recur_forward(cell, carry, inputs, kernels)[0]


def _recur_forward(cell, carry, inputs, kernels):
  input_kernel, recurrent_kernel, bias, *recurrent_bias = kernels
  joined = jnp.concatenate([input_kernel, recurrent_kernel])  # [I + H, G]

  def step(carry, inputs):
    if recurrent_bias:
      sums = (inputs @ input_kernel + bias, carry[0] @ recurrent_kernel + recurrent_bias[0])
    else:  # one product a step, and no [T, B, G] of projected inputs to write and read back
      sums = (jnp.concatenate([inputs, carry[0]], axis=-1) @ joined + bias,)  # [B, G]
    after = cell(carry, *_gates(carry, sums))
    return after, (after[0], carry, sums)

  last, (outputs, carries, sums) = jax.lax.scan(step, carry, inputs)
  return (outputs, last), (inputs, carries, sums, kernels)


def _recur_backward(cell, saved, cotangents):
  inputs, carries, sums, (input_kernel, recurrent_kernel, *biases) = saved
  of_outputs, of_last = cotangents
  count = len(biases[0]) // len(recurrent_kernel)  # gates
  split = functools.partial(jnp.split, indices_or_sections=count, axis=-1)

  def step(of_carry, at_time):
    carry, sums, of_output = at_time
    # The cell is computed again: to write and read back its inner values takes longer, and half the memory more.
    _, pullback = jax.vjp(cell, carry, *_gates(carry, sums))
    of_carry, *of_gates = pullback((of_carry[0] + of_output, *of_carry[1:]))
    # A product a gate: to join the gates' cotangents for a single product takes longer than the products.
    of_hidden = sum((gate @ part.T for gate, part in zip(of_gates[-count:], split(recurrent_kernel), strict=True)),
                    of_carry[0])
    return (of_hidden, *of_carry[1:]), of_gates

  of_first, of_gates = jax.lax.scan(step, of_last, (carries, sums, of_outputs), reverse=True)  # [T, B, H] each
  of_projected, of_recurrent = of_gates[:count], of_gates[-count:]
  of_inputs = sum(gate @ part.T for gate, part in zip(of_projected, split(input_kernel), strict=True))
  of_biases = [jnp.concatenate([gate.sum((0, 1)) for gate in gates]) for gates in (of_projected, of_recurrent)]
  of_kernels = (_over_time(inputs, of_projected), _over_time(carries[0], of_recurrent), *of_biases[:len(biases)])
  return of_first, of_inputs, of_kernels


def _gates(carry, sums):
  """Arrays [B, n·H] → all their gates [B, H]."""
  return [gate for array in sums for gate in jnp.split(array, array.shape[-1] // carry[0].shape[-1], axis=-1)]


def _over_time(values, of_gates):
  """A kernel's gradient, one product over all T·B instead of T small ones: [T, B, N], gates [T, B, H] → [N, G]."""
  return jnp.concatenate([jnp.tensordot(values, gate, axes=((0, 1), (0, 1))) for gate in of_gates], axis=-1)


_recur.defvjp(_recur_forward, _recur_backward)
