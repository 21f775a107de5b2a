"""What the units of a language model do on each character of a text, and which one follows what in
it.
"""

import itertools
from typing import NamedTuple

import numpy as np

from jaxdl.analysis import reference_recurrence
from jaxdl.analysis.reference import arrays
from jaxdl.models.language_model import LanguageModel
from jaxdl.models.recurrent import Recurrent


class Characters(NamedTuple):
  """A text as a language model reads it from its first character on.

  Attributes:
    hidden: [T, F], the layer's output after each character.
    memory: [T, F], what the layer remembers: tanh of an LSTM's cells, else the hidden state.
    probabilities: [T, V], of the character that follows each.
    bits: [T], −log2 of the probability that each character had; NaN for the first, which nothing
      predicts.
  """

  hidden: np.ndarray
  memory: np.ndarray
  probabilities: np.ndarray
  bits: np.ndarray


def characters(model, variables, text, layer=None):
  """Reads a text in one go, the state going on from its first character to its last.

  Args:
    model: LanguageModel.
    variables: its variables.
    text: [T] int, positions in the vocabulary.
    layer: name of the recurrent layer whose units are returned; None for the last.

  Returns:
    Characters; the mean of `bits` without the first is the bits per character of this text.

  Raises:
    ValueError: another model, an unknown layer, an empty text, or characters that are not in the
      vocabulary.

  Source: Karpathy, Johnson & Fei-Fei 2015, Visualizing and understanding recurrent networks.
  """
  if not isinstance(model, LanguageModel):
    raise ValueError(
      f'characters takes a model {LanguageModel.__name__}, not {type(model).__name__}'
    )
  layer, text = recurrent_layer(model, layer), np.asarray(text)
  if text.ndim != 1 or not len(text):
    raise ValueError(
      f'text of shape {text.shape}: give [T] positions in the vocabulary, at least one'
    )
  parameters = arrays(variables['params'])
  layers = reference_recurrence.inside(model.cell, parameters, text[None])
  last, wanted = list(layers.values())[-1]['hidden'][0], layers[layer]
  logits = (
    last.astype(np.float64) @ parameters['logits']['kernel'] + parameters['logits']['bias']
  )  # [T, V]
  logits -= logits.max(-1, keepdims=True)
  log_probabilities = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
  of_next = np.take_along_axis(log_probabilities[:-1], text[1:, None], axis=-1)[:, 0]  # [T − 1]
  return Characters(
    hidden=wanted['hidden'][0],
    memory=np.tanh(wanted['memory'])[0] if 'memory' in wanted else wanted['hidden'][0],
    probabilities=np.exp(log_probabilities),
    bits=np.concatenate([[np.nan], -of_next / np.log(2)]),
  )


def ranking(values, signal):
  """The units whose value goes most with a signal along the text.

  Args:
    values: [T, F], such as `Characters.memory`.
    signal: [T] numbers or bool, such as one of `signals`.

  Returns:
    (units [F] int, the best first; correlation [F] of each of them, −1 to 1, 0 where unit or signal
    never changes).

  Raises:
    ValueError: another length.
  """
  values, signal = np.asarray(values, np.float64), np.asarray(signal, np.float64)
  if values.ndim != 2 or signal.shape != values.shape[:1]:
    raise ValueError(
      f'values of shape {values.shape} and a signal of shape {signal.shape}: give [T, F] and [T]'
    )
  values, signal = values - values.mean(0), signal - signal.mean()
  lengths = np.linalg.norm(values, axis=0) * np.linalg.norm(signal)  # [F]
  changing = (np.ptp(values, axis=0) > 0) & (np.ptp(signal) > 0)
  correlation = np.divide(
    signal @ values, lengths, out=np.zeros(len(lengths)), where=changing & (lengths > 0)
  )
  order = np.argsort(-np.abs(correlation), kind='stable')
  return order, correlation[order]


def signals(text):
  """What a unit might keep track of in a text, each known once the character has been read.

  Args:
    text: str of T characters.

  Returns:
    name → [T] int: characters since the line began, letters since the word began, whether inside
    double quotes, how deep inside brackets, whether a capital, whether a space or line break.
  """
  since_line = itertools.accumulate(
    text, lambda count, character: 0 if character == '\n' else count + 1, initial=0
  )
  since_word = itertools.accumulate(
    text, lambda count, character: count + 1 if character.isalpha() else 0, initial=0
  )
  quoted = itertools.accumulate(
    text, lambda inside, character: inside ^ (character == '"'), initial=0
  )
  depth = itertools.accumulate(
    text,
    lambda depth, character: max(depth + (character in '([{') - (character in ')]}'), 0),
    initial=0,
  )
  found = {
    'place in the line': list(since_line)[1:],
    'place in the word': list(since_word)[1:],
    'inside quotes': list(quoted)[1:],
    'inside brackets': list(depth)[1:],
    'capital': [character.isupper() for character in text],
    'space': [character.isspace() for character in text],
  }
  return {name: np.array(values, int) for name, values in found.items()}


def recurrent_layers(model):
  """Names of the recurrent layers, in order; ValueError where the model has none."""
  if isinstance(model, Recurrent):
    return [model.cell]
  if isinstance(model, LanguageModel):
    return [f'{model.cell}{number}' for number in range(1, model.layers + 1)]
  raise ValueError(
    f'a model {type(model).__name__} has no recurrent layer: use recurrent or language_model'
  )


def recurrent_layer(model, layer):
  """The layer of a name, the last one for None; ValueError lists the names there are."""
  names = recurrent_layers(model)
  if layer is not None and layer not in names:
    raise ValueError(f'layer {layer!r} is not recurrent: use {" or ".join(names)}')
  return layer or names[-1]
