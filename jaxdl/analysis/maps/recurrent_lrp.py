"""Layer-wise relevance propagation (LRP) through recurrent networks.

The score is divided among the terms of each sum in proportion to their values (the ε rule). In a
product of a signal and a gate, the signal takes all relevance and the gate none. An activation
function passes relevance on as it is.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float64, Shaped

from jaxdl.analysis.maps.gradients import batched, check, say_silent
from jaxdl.analysis.maps.last_character import LastCharacter
from jaxdl.analysis.units import BATCH, AnyArray, Neuron, Number, Target, Variables
from jaxdl.models.language_model import LanguageModel, output_kernel
from jaxdl.models.recurrent import Recurrent
from jaxdl.models.transformer import Transformer

EPSILON = 1e-3  # as in Arras et al. 2017


class Relevance(NamedTuple):
  """Relevance, which sums to the score: maps + biases + stabiliser, up to rounding.

  Attributes:
    maps: relevance of the inputs.
    biases: relevance that the biases take.
    stabiliser: relevance that ε takes; it falls to 0 with ε.
  """

  maps: Float[np.ndarray, 'B T I']
  biases: Float64[np.ndarray, 'B']
  stabiliser: Float64[np.ndarray, 'B']


def recurrent_lrp(
  model: nn.Module,
  variables: Variables,
  sequences: Shaped[AnyArray, 'B T I'],
  target: Target,
  *,
  epsilon: Number = EPSILON,
  batch_size: int = BATCH,
) -> Relevance:
  """LRP with the ε rule for a network of simple recurrent, LSTM or GRU layers.

  A term a of a sum z that has the relevance R takes R · a / (z + ε · sign(z)). The sums are those
  of the dense layer, of the mean over the steps, of the candidates (inputs, hidden state and bias),
  of an LSTM's memory (f · memory + i · candidate) and of a GRU's state (u · state +
  (1 − u) · candidate). The gates i, f, o, u and r take nothing.

  Args:
    model: Recurrent, or LastCharacter of a LanguageModel.
    variables: its variables.
    sequences: [B, T, I] floating point; with model.masked, the last channel is the mask.
    target: classes [B] int, whose logits are explained.
    epsilon: ε, in units of the sums; 0 is exact and may divide by 0.
    batch_size: sequences in one compiled call.

  Returns:
    Relevance.

  Raises:
    ValueError: another model, sequences or a target that do not fit, or a negative ε.

  Source: Arras et al. 2017, Explaining recurrent neural network predictions in sentiment analysis,
    section 2.3 ('LRP-all'); the ε rule of Bach et al. 2015, equation 58.
  """
  reason = lacking(model)
  if reason:
    raise ValueError(reason)
  if isinstance(target, Neuron):
    raise ValueError(f'LRP explains the logit of a class, not {target}: give one integer each')
  if epsilon < 0:
    raise ValueError(f'epsilon={epsilon} is negative: use 0 or more')
  sequences = check(model, variables, sequences, target)
  maps, biases, stabiliser = batched(
    _relevance,
    model,
    variables,
    sequences,
    target,
    np.full(len(sequences), epsilon, sequences.dtype),
    batch_size=batch_size,
  )
  totals = (part.astype(np.float64) for part in (biases, stabiliser))
  return Relevance(say_silent(maps, target), *totals)


def lacking(model: nn.Module) -> str:
  """Why LRP does not apply to a model; '' if it does."""
  if isinstance(model, LastCharacter):
    model = model.network
  if isinstance(model, (Recurrent, LanguageModel)):
    return ''
  if isinstance(model, Transformer):
    return (
      'LRP has no rule here for products of two signals (queries and keys) or for the division of '
      'a layer normalisation: use a gradient method for a transformer'
    )
  return (
    f'LRP of steps takes simple recurrent, LSTM and GRU layers, not a model {type(model).__name__}'
  )


def _relevance(model, variables, sequences, target, epsilon):
  network = model.network if isinstance(model, LastCharacter) else model
  parameters = variables['params']
  epsilon = epsilon[:1]  # one for all sequences
  inputs, real = sequences, None
  if getattr(network, 'masked', False):
    inputs, real = sequences[..., :-1], sequences[..., -1] > 0
  layers = []  # of the network: [(name, reads backward, kept values)]
  outputs = inputs
  for directions in _directions(network):
    layer = []
    for name in directions:
      backward = name.endswith('_backward')
      layer.append((name, backward, _forward(network, parameters[name], outputs, real, backward)))
    layers.append(layer)
    outputs = jnp.concatenate([kept['hidden'] for _, _, kept in layer], axis=-1)
  head = {**parameters['logits'], 'kernel': output_kernel(parameters)}
  relevance, lost = _top(network, head, layers[-1], real, target, epsilon)
  for layer in reversed(layers):
    widths = np.cumsum([kept['hidden'].shape[-1] for _, _, kept in layer])[:-1]
    parts = jnp.split(relevance, widths, axis=-1)
    relevance = jnp.zeros(())
    for (name, backward, kept), part in zip(layer, parts, strict=True):
      of_inputs, of_layer = _backward(
        network, parameters[name], kept, part, real, backward, epsilon
      )
      relevance += of_inputs
      lost += of_layer
  if real is not None:
    relevance = jnp.concatenate([relevance, jnp.zeros_like(relevance[..., :1])], axis=-1)
  return relevance, lost[0], lost[1]


def _directions(network):
  """Names of the layers of each depth: one, or one for each direction."""
  if isinstance(network, Recurrent):
    return [
      [f'{name}{direction}' for direction in network.directions()]
      for name, _ in network.named_widths()
    ]
  return [[f'{network.cell}{number}'] for number in range(1, network.layers + 1)]


def _divided(relevance, total, epsilon):
  """Relevance for each unit of a sum's terms, and the relevance that ε takes."""
  stabiliser = jnp.where(total < 0, -epsilon, epsilon)
  unit = relevance / (total + stabiliser)
  return unit, stabiliser * unit


def _top(network, dense, layer, real, target, epsilon):
  """Relevance of the states of the last layer [B, T, F], and (biases, stabiliser) [2, B]."""
  hidden = jnp.concatenate([kept['hidden'] for _, _, kept in layer], axis=-1)  # [B, T, F]
  is_mean = getattr(network, 'pool', 'last') == 'mean'
  read = [  # share of each step in what the dense layer reads, [B, T, F]
    jnp.broadcast_to(_weights(is_mean, backward, real, hidden[..., 0])[..., None], kept.shape)
    for backward, kept in ((backward, kept['hidden']) for _, backward, kept in layer)
  ]
  terms = hidden * jnp.concatenate(read, axis=-1)
  pooled = terms.sum(1)  # [B, F]
  kernel, bias = jnp.asarray(dense['kernel']).T[target], jnp.asarray(dense['bias'])[target]
  logit = (pooled * kernel).sum(1) + bias  # [B]
  unit, stabiliser = _divided(logit, logit, epsilon)
  relevance = pooled * kernel * unit[:, None]
  lost = jnp.stack([bias * unit, stabiliser])
  if not is_mean:  # the pooled state is the state of one step
    return terms * kernel[:, None] * unit[:, None, None], lost
  unit, stabiliser = _divided(relevance, pooled, epsilon)
  return terms * unit[:, None], lost.at[1].add(stabiliser.sum(1))


def _weights(is_mean, backward, real, like):
  """Weight of the state after each step in what the dense layer reads, [B, T]."""
  if not is_mean:
    return jnp.zeros_like(like).at[:, 0 if backward else -1].set(1)
  if real is None:
    return jnp.full_like(like, 1 / like.shape[1])
  return real / jnp.maximum(real.sum(1, keepdims=True), 1).astype(like.dtype)


def _in_order(array, backward):
  """Time first, in the order in which the layer reads: [B, T, …] ↔ [T, B, …]."""
  array = array[:, ::-1] if backward else array
  return array.swapaxes(0, 1)


def _forward(network, parameters, inputs, real, backward):
  """The values of a layer at all steps, [T, B, F] in the order of reading; 'hidden' [B, T, F]."""
  parameters = {name: jnp.asarray(value) for name, value in parameters.items()}
  steps = _in_order(inputs, backward)
  marks = jnp.ones(steps.shape[:2], bool) if real is None else _in_order(real, backward)
  features = len(parameters['recurrent_kernel'])
  zeros = jnp.zeros((steps.shape[1], features), steps.dtype)

  def step(state, given):
    inputs, is_real = given
    after, kept = VALUES[network.cell](parameters, inputs, *state)
    after = tuple(
      jnp.where(is_real[:, None], new, old) for new, old in zip(after, state, strict=True)
    )
    return after, {**kept, 'before': state, 'after': after[0]}

  _, kept = jax.lax.scan(step, (zeros,) * (2 if network.cell == 'lstm' else 1), (steps, marks))
  hidden = kept.pop('after').swapaxes(0, 1)
  return {
    **kept,
    'hidden': hidden[:, ::-1] if backward else hidden,
    'inputs': steps,
    'marks': marks,
  }


def _rnn_values(parameters, inputs, hidden):
  total = (
    inputs @ parameters['input_kernel']
    + hidden @ parameters['recurrent_kernel']
    + parameters['bias']
  )
  return (jnp.tanh(total),), {'total': total}


def _lstm_values(parameters, inputs, hidden, memory):
  totals = (
    inputs @ parameters['input_kernel']
    + hidden @ parameters['recurrent_kernel']
    + parameters['bias']
  )
  entered, forget, candidate, output = jnp.split(totals, 4, axis=-1)
  from_memory = jax.nn.sigmoid(forget) * memory
  from_candidate = jax.nn.sigmoid(entered) * jnp.tanh(candidate)
  memory = from_memory + from_candidate
  after = jax.nn.sigmoid(output) * jnp.tanh(memory), memory
  return after, {'total': candidate, 'old': from_memory, 'new': from_candidate}


def _gru_values(parameters, inputs, hidden):
  of_inputs = jnp.split(inputs @ parameters['input_kernel'] + parameters['bias'], 3, axis=-1)
  of_hidden = jnp.split(
    hidden @ parameters['recurrent_kernel'] + parameters['recurrent_bias'], 3, axis=-1
  )
  update = jax.nn.sigmoid(of_inputs[0] + of_hidden[0])
  reset = jax.nn.sigmoid(of_inputs[1] + of_hidden[1])
  total = of_inputs[2] + reset * of_hidden[2]
  old, new = update * hidden, (1 - update) * jnp.tanh(total)
  return (old + new,), {'total': total, 'old': old, 'new': new, 'reset': reset}


VALUES = {'rnn': _rnn_values, 'lstm': _lstm_values, 'gru': _gru_values}
CANDIDATE = {'rnn': 0, 'lstm': 2, 'gru': 2}  # its place among the gates of the kernels


def _backward(network, parameters, kept, relevance, real, backward, epsilon):
  """Relevance of a layer's inputs [B, T, I], and (biases, stabiliser) [2, B]."""
  place, features = CANDIDATE[network.cell], len(parameters['recurrent_kernel'])
  parts = {
    name: jnp.asarray(value)[..., place * features : (place + 1) * features]
    for name, value in parameters.items()
  }  # the kernels and biases of the candidate
  given = {name: value for name, value in kept.items() if name != 'hidden'}
  given['relevance'] = _in_order(relevance, backward)

  def step(state, given):
    total = (state[0] + given['relevance'], *state[1:])
    before, of_inputs, lost = _step(network.cell, parts, given, total, epsilon)
    is_real = given['marks'][:, None]
    before = tuple(
      jnp.where(is_real, new, passed) for new, passed in zip(before, total, strict=True)
    )
    return before, (jnp.where(is_real, of_inputs, 0), jnp.where(given['marks'], lost, 0))

  start = tuple(jnp.zeros_like(part[0]) for part in kept['before'])
  _, (of_inputs, lost) = jax.lax.scan(step, start, given, reverse=True)
  of_inputs = of_inputs.swapaxes(0, 1)
  return of_inputs[:, ::-1] if backward else of_inputs, lost.sum(0)


def _step(cell, parts, given, relevance, epsilon):
  """Relevance of the state before a step and of its inputs, and (biases, stabiliser) [2, B]."""
  hidden, stabilised = given['before'][0], 0.0
  of_candidate, of_old = relevance[0], 0.0
  if cell != 'rnn':  # a sum of the old memory (or state) and the candidate
    unit, stabilised = _divided(sum(relevance), given['old'] + given['new'], epsilon)
    of_candidate, of_old = given['new'] * unit, given['old'] * unit
    stabilised = stabilised.sum(1)
  unit, stabiliser = _divided(of_candidate, given['total'], epsilon)
  recurrent_unit = unit * given['reset'] if cell == 'gru' else unit
  of_inputs = given['inputs'] * (unit @ parts['input_kernel'].T)
  of_hidden = hidden * (recurrent_unit @ parts['recurrent_kernel'].T)
  biases = unit @ parts['bias']
  if cell == 'gru':
    biases += recurrent_unit @ parts['recurrent_bias']
    of_hidden += of_old
  before = (of_hidden, of_old) if cell == 'lstm' else (of_hidden,)
  return before, of_inputs, jnp.stack([biases, stabilised + stabiliser.sum(1)])
