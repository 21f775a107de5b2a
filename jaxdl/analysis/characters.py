"""Units of a character model along a text, and its predictions of each next character."""

import itertools
from typing import NamedTuple

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import Float, Float64, Integer

from jaxdl.analysis.reference import arrays, recurrence
from jaxdl.analysis.units import ArrayLike, Variables
from jaxdl.models.language_model import LanguageModel, output_kernel
from jaxdl.models.recurrent import Recurrent
from jaxdl.models.transformer import Transformer


class Characters(NamedTuple):
  """A text as a language model reads it, starting at its first character.

  Attributes:
    hidden: output of the layer after each character.
    memory: what the layer remembers: tanh of the cells of an LSTM, otherwise the hidden state.
    probabilities: distribution of the character that follows each.
    bits: −log2 of the probability of each character; NaN for the first, which is not predicted.
  """

  hidden: Float[np.ndarray, 'T F']
  memory: Float[np.ndarray, 'T F']
  probabilities: Float64[np.ndarray, 'T V']
  bits: Float64[np.ndarray, 'T']


def characters(
  model: nn.Module, variables: Variables, text: ArrayLike, layer: str | None = None
) -> Characters:
  """Reads a text in one pass, carrying the state from its first character to its last.

  Args:
    model: LanguageModel or Transformer.
    variables: its variables.
    text: [T] int, positions in the vocabulary.
    layer: name of the recurrent layer or of the block whose units are returned; None selects the
      last.

  Returns:
    Characters; the mean of `bits` without the first is the bits per character of this text.

  Raises:
    ValueError: another model, an unknown layer, an empty text, or characters that are not in the
      vocabulary.

  Source: Karpathy, Johnson & Fei-Fei 2015, Visualizing and understanding recurrent networks.
  """
  if not isinstance(model, (LanguageModel, Transformer)):
    raise ValueError(
      f'characters takes a model {LanguageModel.__name__} or {Transformer.__name__}, not '
      f'{type(model).__name__}'
    )
  layer, text = text_layer(model, layer), np.asarray(text)
  if text.ndim != 1 or not len(text):
    raise ValueError(
      f'text of shape {text.shape}: give [T] positions in the vocabulary, at least one'
    )
  if isinstance(model, Transformer):
    logits, wanted = _read_in_blocks(model, variables, text, layer)
  else:
    parameters = arrays(variables['params'])
    layers = recurrence.inside(model.cell, parameters, text[None])
    last, wanted = list(layers.values())[-1]['hidden'][0], layers[layer]
    kernel = output_kernel(parameters)
    logits = last.astype(np.float64) @ kernel + parameters['logits']['bias']  # [T, V]
  logits -= logits.max(-1, keepdims=True)
  log_probabilities = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
  of_next = np.take_along_axis(log_probabilities[:-1], text[1:, None], axis=-1)[:, 0]  # [T − 1]
  hidden = wanted['hidden'][0]
  return Characters(
    hidden=hidden,
    memory=np.tanh(wanted['memory'])[0] if 'memory' in wanted else hidden,
    probabilities=np.exp(log_probabilities),
    bits=np.concatenate([[np.nan], -of_next / np.log(2)]),
  )


def _read_in_blocks(model, variables, text, layer):
  """Logits [T, V] float64 and {'hidden': [1, T, E]} of a layer, `context` characters at a time."""

  @jax.jit
  def read(carry, block, reset):
    found = {}

    def note(following, arguments, keywords, context):
      result = following(*arguments, **keywords)
      if context.method_name == '__call__' and context.module.name == layer:
        found['hidden'] = result
      return result

    with nn.intercept_methods(note):
      logits, updated = model.apply(
        {**variables, 'carry': carry}, block, reset=reset, mutable=['carry']
      )
    return logits, found['hidden'], updated['carry']

  size = min(model.context, len(text))
  blocks = np.pad(text, (0, -len(text) % size)).reshape(-1, 1, size)
  shapes = jax.eval_shape(
    lambda: model.apply(variables, blocks[0], reset=np.ones(1, bool), mutable=['carry'])
  )
  carry = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes[1]['carry'])
  parts = []
  for number, block in enumerate(blocks):
    logits, hidden, carry = read(carry, block, np.array([number == 0]))
    parts.append((logits, hidden))
  logits, hidden = (
    np.concatenate(part, axis=1)[:, : len(text)] for part in zip(*parts, strict=True)
  )
  return logits[0].astype(np.float64), {'hidden': hidden}


def attention(
  model: nn.Module, variables: Variables, text: ArrayLike
) -> dict[str, Float[np.ndarray, 'H T T']]:
  """How much each character attends to the earlier ones, in every block and head.

  Args:
    model: Transformer.
    variables: its variables.
    text: [T] int, positions in the vocabulary, at most the context of the model.

  Returns:
    layer name → weights; each row, of the attending character, sums to 1.

  Raises:
    ValueError: another model, or a text of another length.

  Source: Vaswani et al. 2017, Attention is all you need, section 3.2.
  """
  text = np.asarray(text)
  if not isinstance(model, Transformer):
    raise ValueError(f'attention takes a model Transformer, not {type(model).__name__}')
  if text.ndim != 1 or not 1 <= len(text) <= model.context:
    raise ValueError(
      f'text of shape {text.shape}: give [T] positions in the vocabulary, from 1 to '
      f'{model.context}, the context of the model'
    )
  _, kept = model.apply(variables, text[None], mutable=['intermediates'])
  names = [f'attention{number}' for number in range(1, len(model.block_names()) + 1)]
  return {name: np.asarray(kept['intermediates'][name]['weights'][0][0]) for name in names}


def ranking(
  values: ArrayLike, signal: ArrayLike
) -> tuple[Integer[np.ndarray, 'F'], Float64[np.ndarray, 'F']]:
  """Ranks units by their correlation with a signal along the text.

  Args:
    values: [T, F], such as `Characters.memory`.
    signal: [T] numbers or bool, such as one of `signals`.

  Returns:
    (units, those of the greatest absolute correlation first; correlation of each of them, −1 to 1,
    and 0 where the unit or the signal is constant).

  Raises:
    ValueError: unequal lengths.
  """
  values, signal = np.asarray(values, np.float64), np.asarray(signal, np.float64)
  if values.ndim != 2 or signal.shape != values.shape[:1]:
    raise ValueError(
      f'values of shape {values.shape} and a signal of shape {signal.shape}: give [T, F] and [T]'
    )
  of_units, of_signal = values - values.mean(0), signal - signal.mean()
  lengths = np.linalg.norm(of_units, axis=0) * np.linalg.norm(of_signal)  # [F]
  changing = (np.ptp(of_units, axis=0) > 0) & (np.ptp(of_signal) > 0) & (lengths > 0)
  correlation = np.zeros(len(lengths))
  np.divide(of_signal @ of_units, lengths, out=correlation, where=changing)
  order = np.argsort(-np.abs(correlation), kind='stable')
  return order, correlation[order]


def signals(text: str) -> dict[str, Integer[np.ndarray, 'T']]:
  """Properties of a text that a unit might track, each known once the character has been read.

  Args:
    text: T characters.

  Returns:
    name → values: characters since the start of the line, letters since the start of the word,
    whether inside double quotes, nesting depth of brackets, whether a capital, whether a space or
    line break.
  """
  found = {
    'place in the line': list(itertools.accumulate(text, _place_in_line, initial=0))[1:],
    'place in the word': list(itertools.accumulate(text, _place_in_word, initial=0))[1:],
    'inside quotes': list(itertools.accumulate(text, _inside_quotes, initial=0))[1:],
    'inside brackets': list(itertools.accumulate(text, _depth, initial=0))[1:],
    'capital': [character.isupper() for character in text],
    'space': [character.isspace() for character in text],
  }
  return {name: np.array(values, int) for name, values in found.items()}


def _place_in_line(place: int, character: str) -> int:
  return 0 if character == '\n' else place + 1


def _place_in_word(place: int, character: str) -> int:
  return place + 1 if character.isalpha() else 0


def _inside_quotes(inside: int, character: str) -> int:
  return 1 - inside if character == '"' else inside


def _depth(depth: int, character: str) -> int:
  if character in '([{':
    return depth + 1
  if character in ')]}':
    return max(depth - 1, 0)
  return depth


def recurrent_layers(model: nn.Module) -> list[str]:
  """Names of the recurrent layers in order; raises ValueError for a model without any."""
  if isinstance(model, Recurrent):
    return model.layer_names()
  if isinstance(model, LanguageModel):
    assert isinstance(model.layers, int)
    return [f'{model.cell}{number}' for number in range(1, model.layers + 1)]
  raise ValueError(
    f'a model {type(model).__name__} has no recurrent layer: use recurrent or language_model'
  )


def text_layers(model: nn.Module) -> list[str]:
  """Names of the recurrent layers or of the blocks of a character model, in order."""
  return model.block_names() if isinstance(model, Transformer) else recurrent_layers(model)


def text_layer(model: nn.Module, layer: str | None) -> str:
  """The recurrent layer or block of this name, or the last one for None.

  Raises:
    ValueError: an unknown name; the message lists the names.
  """
  if not isinstance(model, Transformer):
    return recurrent_layer(model, layer)
  names = model.block_names()
  if layer is not None and layer not in names:
    raise ValueError(f'layer {layer!r} is not a block: use {" or ".join(names)}')
  return layer or names[-1]


def recurrent_layer(model: nn.Module, layer: str | None) -> str:
  """The recurrent layer of this name, or the last one for None.

  Raises:
    ValueError: an unknown name; the message lists the names.
  """
  names = recurrent_layers(model)
  if layer is not None and layer not in names:
    raise ValueError(f'layer {layer!r} is not recurrent: use {" or ".join(names)}')
  return layer or names[-1]
