"""Recurrent layers: one product a step, forward and backward, and one for each kernel's gradient
after all steps.

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
  outputs, (hidden,) = _recur(
    _rnn_cell(activation), *_of_one_type((hidden,), inputs, (input_kernel, recurrent_kernel, bias))
  )
  return outputs.swapaxes(0, 1), hidden


def _rnn_cell(activation):
  def forward(carry, gate):
    del carry
    return (activation(gate),), (gate,)

  def backward(carry, kept, of_after):
    del carry
    return (0.0,), jax.vjp(activation, *kept)[1](*of_after)

  return forward, backward


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
  outputs, (hidden, memory) = _recur(
    (_lstm_forward, _lstm_backward), *_of_one_type((hidden, memory), inputs, kernels)
  )
  return outputs.swapaxes(0, 1), (memory, hidden)


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


def gru(inputs, hidden, *, input_kernel, recurrent_kernel, bias, recurrent_bias):
  """Gated recurrent unit that resets after the product, gates in the order update, reset,
  candidate.

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
  outputs, (hidden,) = _recur(
    (_gru_forward, _gru_backward), *_of_one_type((hidden,), inputs, kernels)
  )
  return outputs.swapaxes(0, 1), hidden


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


def _of_one_type(carry, inputs, kernels):
  """The same arrays in their common type, inputs time-major [T, B, I]: a scan's carry must keep its
  type.
  """
  dtype = jnp.result_type(*carry, inputs, *kernels)
  return jax.tree.map(lambda array: array.astype(dtype), (carry, inputs.swapaxes(0, 1), kernels))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _recur(cell, carry, inputs, kernels):
  """Scans a cell over time.

  Args:
    cell: two elementwise functions. Forward, (carry, *gates) → (carry, what backward needs);
      carry[0] is the hidden state. Backward, (carry before, what forward kept, cotangents of the
      carry after) → (cotangents of the carry before, without what reaches carry[0] through the
      gates; the gates' cotangents). Gates [B, H] are sums of the inputs' and the hidden state's
      part or, where there is a recurrent bias, first the inputs' and then the hidden state's.
    carry: tuple of [B, H].
    inputs: [T, B, I].
    kernels: (input_kernel [I, G], recurrent_kernel [H, G], bias [G]), and a recurrent bias [G] or
      none.

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
    gates = [
      gate
      for array in sums
      for gate in jnp.split(array, array.shape[-1] // carry[0].shape[-1], axis=-1)
    ]
    after, kept = cell[0](carry, *gates)
    return after, (after[0], carry, kept)

  last, (outputs, carries, kept) = jax.lax.scan(step, carry, inputs)
  return (outputs, last), (inputs, carries, kept, kernels)


def _recur_backward(cell, saved, cotangents):
  inputs, carries, kept, (input_kernel, recurrent_kernel, *biases) = saved
  of_outputs, of_last = cotangents

  def step(of_carry, at_time):
    carry, kept, of_output = at_time
    of_carry, of_gates = cell[1](carry, kept, (of_carry[0] + of_output, *of_carry[1:]))
    ways = len(biases)  # into the gates: the inputs' and the hidden state's apart, or both in one
    each = len(of_gates) // ways
    joined = [
      jnp.concatenate(of_gates[way * each : (way + 1) * each], axis=-1) for way in range(ways)
    ]
    joined = jax.lax.optimization_barrier(
      joined
    )  # else XLA computes them anew in each of their users
    return (of_carry[0] + joined[-1] @ recurrent_kernel.T, *of_carry[1:]), joined

  of_first, of_sums = jax.lax.scan(
    step, of_last, (carries, kept, of_outputs), reverse=True
  )  # [T, B, G] each
  of_inputs = of_sums[0] @ input_kernel.T
  of_kernels = (
    _over_time(inputs, of_sums[0]),
    _over_time(carries[0], of_sums[-1]),
    *[of_sum.sum((0, 1)) for of_sum in of_sums],
  )
  return of_first, of_inputs, of_kernels


def _over_time(values, of_sums):
  """A kernel's gradient, one product over all T·B instead of T small ones: [T, B, N], [T, B, G] →
  [N, G].
  """
  return jnp.tensordot(values, of_sums, axes=((0, 1), (0, 1)))


_recur.defvjp(_recur_forward, _recur_backward)
