"""Recurrent layers of the NumPy reference, step by step, with their states, memories and gates.

The argument `real` [B, T] marks the real steps of sequences of different lengths; None if all are
real. A padded step leaves the state as it is.
"""

import itertools
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, Shaped

from jaxdl.analysis.reference.operations import Parameters, sigmoid

Real = Bool[np.ndarray, 'B T'] | None
Inside = dict[str, Float[np.ndarray, 'B T F']]  # 'hidden', and the memory and gates of the cell


def rnn(inputs: Float[np.ndarray, 'B T I'], parameters: Parameters, real: Real = None) -> Inside:
  """Elman's layer.

  Args:
    inputs: rows or vectors.
    parameters: 'input_kernel' [I, F], 'recurrent_kernel' [F, F], 'bias' [F].
    real: the real steps.

  Returns:
    'hidden'.

  Source: Elman 1990.
  """
  hidden, kept = _zeros(inputs, parameters), []
  for step in range(inputs.shape[1]):
    after = np.tanh(
      inputs[:, step] @ parameters['input_kernel']
      + hidden @ parameters['recurrent_kernel']
      + parameters['bias']
    )  # [B, F]
    hidden = _kept(hidden, after, real, step)
    kept.append({'hidden': hidden})
  return _over_time(kept)


def lstm(inputs: Float[np.ndarray, 'B T I'], parameters: Parameters, real: Real = None) -> Inside:
  """Long short-term memory; the forget gate's bias of 1 is in its parameters.

  Args:
    inputs: rows or vectors.
    parameters: 'input_kernel' [I, 4F], 'recurrent_kernel' [F, 4F], 'bias' [4F]; gates in the order
      input, forget, candidate, output.
    real: the real steps.

  Returns:
    'hidden', 'memory' (the cell), and the gates 'input', 'forget', 'output' in 0..1.

  Source: Hochreiter & Schmidhuber 1997; Gers et al. 2000.
  """
  hidden = memory = _zeros(inputs, parameters)
  kept = []
  for step in range(inputs.shape[1]):
    sums = (
      inputs[:, step] @ parameters['input_kernel']
      + hidden @ parameters['recurrent_kernel']
      + parameters['bias']
    )
    entered, forget, candidate, output = np.split(sums, 4, axis=-1)  # [B, F] each
    entered, forget, output = sigmoid(entered), sigmoid(forget), sigmoid(output)
    memory = _kept(memory, forget * memory + entered * np.tanh(candidate), real, step)
    hidden = _kept(hidden, output * np.tanh(memory), real, step)
    kept.append(
      {'hidden': hidden, 'memory': memory, 'input': entered, 'forget': forget, 'output': output}
    )
  return _over_time(kept)


def gru(inputs: Float[np.ndarray, 'B T I'], parameters: Parameters, real: Real = None) -> Inside:
  """Gated recurrent unit that resets after the product with the recurrent kernel.

  Args:
    inputs: rows or vectors.
    parameters: 'input_kernel' [I, 3F], 'recurrent_kernel' [F, 3F], 'bias' and 'recurrent_bias'
      [3F]; gates in the order update, reset, candidate.
    real: the real steps.

  Returns:
    'hidden', and the gates 'update' (1 keeps the state) and 'reset' in 0..1.

  Source: Cho et al. 2014, in the variant of cuDNN.
  """
  hidden, kept = _zeros(inputs, parameters), []
  for step in range(inputs.shape[1]):
    of_input = np.split(
      inputs[:, step] @ parameters['input_kernel'] + parameters['bias'], 3, axis=-1
    )
    of_hidden = np.split(
      hidden @ parameters['recurrent_kernel'] + parameters['recurrent_bias'], 3, axis=-1
    )
    update = sigmoid(of_input[0] + of_hidden[0])  # [B, F]
    reset = sigmoid(of_input[1] + of_hidden[1])
    candidate = np.tanh(of_input[2] + reset * of_hidden[2])
    hidden = _kept(hidden, update * hidden + (1 - update) * candidate, real, step)
    kept.append({'hidden': hidden, 'update': update, 'reset': reset})
  return _over_time(kept)


CELLS = {'rnn': rnn, 'lstm': lstm, 'gru': gru}
GATES = {'rnn': (), 'lstm': ('input', 'forget', 'output'), 'gru': ('update', 'reset')}


def steps(
  cell: str,
  parameters: Mapping[str, Parameters],
  inputs: Float[np.ndarray, 'B T I'],
  real: Real = None,
) -> dict[str, Inside]:
  """States, memories and gates of every recurrent layer of a network, step by step.

  Args:
    cell: 'rnn' | 'lstm' | 'gru'.
    parameters: layer name → arrays, of the model `recurrent` or `language_model`.
    inputs: rows, or characters as `vectors` returns them.
    real: the real steps.

  Returns:
    layer name → arrays, in the order of the layers. Those of a layer that reads backward are in the
    order of the inputs.

  Raises:
    ValueError: an unknown cell, or one that is not in the parameters.
  """
  if cell not in CELLS:
    raise ValueError(f'cell {cell!r} is unknown: use one of {", ".join(CELLS)}')
  names = _names(cell, parameters)
  if not names:
    raise ValueError(
      f'the parameters have no layer of cell {cell!r}: they have {", ".join(parameters)}'
    )
  found = {}
  for directions in names:
    for name in directions:
      found[name] = _read(CELLS[cell], inputs, parameters[name], real, name.endswith('_backward'))
    inputs = np.concatenate([found[name]['hidden'] for name in directions], axis=-1)
  return found


def _read(layer, inputs: np.ndarray, parameters: Parameters, real: Real, backward: bool) -> Inside:
  if not backward:
    return layer(inputs, parameters, real)
  inside = layer(inputs[:, ::-1], parameters, None if real is None else real[:, ::-1])
  return {name: values[:, ::-1] for name, values in inside.items()}


def _names(cell: str, parameters: Mapping[str, Parameters]) -> list[tuple[str, ...]]:
  """Names of the directions of each layer: the cell alone, or the cell with numbers from 1."""

  def directions(name):
    both = (f'{name}_forward', f'{name}_backward')
    return both if both[0] in parameters else (name,) if name in parameters else ()

  if directions(cell):
    return [directions(cell)]
  numbered = (directions(f'{cell}{number}') for number in itertools.count(1))
  return list(itertools.takewhile(bool, numbered))


def inside(
  cell: str,
  parameters: Mapping[str, Parameters],
  inputs: Shaped[np.ndarray, 'B T ...'],
  real: Real = None,
) -> dict[str, Inside]:
  """`steps` for rows [B, T, I], or for the characters [B, T] int of a language model."""
  if inputs.ndim == 2:
    inputs = vectors(cell, parameters, inputs)
  return steps(cell, parameters, inputs, real)


def vectors(
  cell: str, parameters: Mapping[str, Parameters], characters: np.ndarray
) -> Float[np.ndarray, 'B T E']:
  """Inputs of a language model's first layer: learned or one-hot vectors of the characters.

  Args:
    cell: as in `steps`.
    parameters: as in `steps`.
    characters: [B, T] int, positions in the vocabulary.

  Returns:
    vectors.

  Raises:
    ValueError: characters that are not integers, or not in the vocabulary.
  """
  if 'embedding' in parameters:
    table = parameters['embedding']['kernel']  # [V, E]
  else:
    kernel = parameters[f'{cell}1']['input_kernel']
    table = np.eye(len(kernel), dtype=kernel.dtype)
  if characters.ndim != 2 or not np.issubdtype(characters.dtype, np.integer):
    raise ValueError(
      f'characters of shape {characters.shape} and type {characters.dtype}: give [B, T] integers'
    )
  if characters.size and not (characters.min() >= 0 and characters.max() < len(table)):
    raise ValueError(
      f'characters from {characters.min()} to {characters.max()}: use 0 to {len(table) - 1}'
    )
  return table[characters]


def _zeros(inputs: np.ndarray, parameters: Parameters) -> np.ndarray:
  return np.zeros((len(inputs), len(parameters['recurrent_kernel'])), inputs.dtype)


def _kept(before: np.ndarray, after: np.ndarray, real: Real, step: int) -> np.ndarray:
  """The state after a step, which padding leaves as it is."""
  return after if real is None else np.where(real[:, step, None], after, before)


def _over_time(kept: list[dict[str, np.ndarray]]) -> Inside:
  return {name: np.stack([step[name] for step in kept], axis=1) for name in kept[0]}
