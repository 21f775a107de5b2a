"""A transformer of the NumPy reference, one character after another as it is defined, not fast."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Integer

from jaxdl.analysis.reference.operations import Parameters, dense, gelu, layer_norm

Vectors = Float[np.ndarray, 'B T E']


def forward(
  section: Mapping[str, Any],
  parameters: Mapping[str, Parameters],
  characters: Integer[np.ndarray, 'B T'],
) -> tuple[Float[np.ndarray, 'B T V'], dict[str, Float[np.ndarray, 'B T ...']]]:
  """Computes a transformer on texts from their first character.

  Args:
    section: the model section of a config.
    parameters: layer name → arrays.
    characters: positions in the vocabulary.

  Returns:
    (logits, layer name → output, in the order of the layers).

  Raises:
    KeyError: the parameters have no such layer or array.
  """
  vectors, context = parameters['embedding']['kernel'], section.get('context', 128)
  found = {'embedding': vectors[characters]}
  outputs = found['embedding']
  learned = section.get('positions', 'rotary') == 'learned'
  if learned:
    places = np.arange(characters.shape[1]) % context
    outputs = found['positions'] = outputs + parameters['positions']['kernel'][places]
  found['dropout0'] = outputs
  for number in range(1, section.get('layers', 4) + 1):
    attention, mlp = f'attention{number}', f'mlp{number}'
    normed = found[f'{attention}_norm'] = layer_norm(outputs, parameters[f'{attention}_norm'])
    found[attention] = attend(
      normed, parameters[attention], section.get('heads', 4), context, learned
    )
    found[f'{attention}_dropout'] = found[attention]
    outputs = found[f'{attention}_sum'] = found[attention] + outputs
    normed = found[f'{mlp}_norm'] = layer_norm(outputs, parameters[f'{mlp}_norm'])
    found[f'{mlp}_hidden'] = gelu(dense(normed, parameters[f'{mlp}_hidden']))
    found[mlp] = found[f'{mlp}_dropout'] = dense(found[f'{mlp}_hidden'], parameters[mlp])
    outputs = found[f'block{number}'] = found[mlp] + outputs
  found['norm'] = layer_norm(outputs, parameters['norm'])
  head = dict(parameters['logits'])
  if section.get('tie', True):
    head['kernel'] = vectors.T
  found['logits'] = dense(found['norm'], head)
  return found['logits'], found


def attend(
  inputs: Vectors, parameters: Parameters, heads: int, context: int, learned: bool
) -> Vectors:
  """Attention of each character to itself and to earlier ones.

  Args:
    inputs: B texts.
    parameters: kernels and biases of the queries, keys, values and outputs.
    heads: number of heads.
    context: characters that a character may see.
    learned: whether they are those of its block, instead of the last ones; then nothing is rotated.

  Returns:
    The outputs.
  """

  def part(name, vectors):
    return vectors @ parameters[f'{name}_kernel'] + parameters[f'{name}_bias']

  means = np.zeros_like(inputs)
  size = inputs.shape[-1] // heads
  queries, keys, values = (part(name, inputs) for name in ('query', 'key', 'value'))
  for head in range(heads):
    of_head = slice(head * size, (head + 1) * size)
    for time in range(inputs.shape[1]):
      first = time // context * context if learned else max(0, time - context + 1)
      query = _turned(queries[:, time, of_head], 0 if learned else time)  # [B, D]
      products = np.stack(
        [
          (query * _turned(keys[:, place, of_head], 0 if learned else place)).sum(-1)
          for place in range(first, time + 1)
        ],
        axis=-1,
      ) / math.sqrt(size)  # [B, S]
      weights = np.exp(products - products.max(-1, keepdims=True))
      weights /= weights.sum(-1, keepdims=True)
      seen = values[:, first : time + 1, of_head]
      means[:, time, of_head] = (weights[..., None] * seen).sum(1)
  return part('output', means)


def _turned(vectors: np.ndarray, position: int) -> np.ndarray:
  """Turns the pairs (p, p + D / 2) as complex numbers, pair p by position / 10000^(2p / D)."""
  half = vectors.shape[-1] // 2
  angles = position / 10000.0 ** (np.arange(half) / half)
  turned = (vectors[..., :half] + 1j * vectors[..., half:]) * np.exp(1j * angles)
  joined = np.concatenate([turned.real, turned.imag], axis=-1)
  return joined.astype(vectors.dtype)
