"""Character models as functions of vectors, so that attributions have numbers to differentiate."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from jaxdl.analysis.units import AnyArray, Variables
from jaxdl.models.language_model import LanguageModel
from jaxdl.models.transformer import Transformer

CHARACTER_MODELS = (LanguageModel, Transformer)


class LastCharacter(nn.Module):
  """The logits of the character after the last one, as a function of the characters' vectors.

  The variables are those of the character model. Its state is zero before the first character.

  Attributes:
    network: LanguageModel or Transformer.
  """

  network: nn.Module

  def setup(self) -> None:
    """Uses the variables of the network as its own."""
    nn.share_scope(self, self.network)

  def __call__(self, vectors: Float[AnyArray, 'B T E']) -> Float[Array, 'B V']:
    """Applies the network to vectors in the place of its embedded or one-hot characters."""
    characters = jnp.zeros(vectors.shape[:2], jnp.int32)  # replaced by the vectors

    def replace(following, arguments, keywords, context):
      if context.method_name == '__call__' and context.module.name == first_layer(self.network):
        if isinstance(self.network, Transformer) or self.network.embedding:
          return vectors
        return following(vectors, *arguments[1:], **keywords)
      return following(*arguments, **keywords)

    with nn.intercept_methods(replace):
      return self.network(characters)[:, -1]


def first_layer(model: nn.Module) -> str:
  """Name of the layer that returns the vectors, or that reads them if they are one-hot."""
  if isinstance(model, LanguageModel) and not model.embedding:
    return f'{model.cell}1'
  return 'embedding'


def vectors(
  model: nn.Module, variables: Variables, characters: Shaped[AnyArray, 'B T']
) -> Float[np.ndarray, 'B T E']:
  """The vectors of characters that the first layer reads: embedded, or one-hot.

  Args:
    model: LanguageModel or Transformer.
    variables: its variables.
    characters: [B, T] int, positions in the vocabulary.

  Returns:
    vectors; E is the length of the vocabulary for one-hot vectors.

  Raises:
    ValueError: characters that are not integers, or not in the vocabulary.
  """
  characters = np.asarray(characters)
  parameters: Any = variables['params']
  if 'embedding' in parameters:
    table = np.asarray(parameters['embedding']['kernel'])  # [V, E]
  else:
    kernel = parameters[first_layer(model)]['input_kernel']
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


def differentiable(
  model: nn.Module, variables: Variables, inputs: Shaped[AnyArray, 'B T ...']
) -> tuple[nn.Module, Shaped[AnyArray, 'B T ...']]:
  """The model and the inputs of which an attribution computes gradients.

  Args:
    model: a classifier of steps, a character model, or LastCharacter.
    variables: its variables.
    inputs: steps [B, T, I], or characters [B, T] int of a character model.

  Returns:
    (LastCharacter, vectors) for a character model; otherwise the arguments.

  Raises:
    ValueError: characters that are not integers, or not in the vocabulary.
  """
  if not isinstance(model, CHARACTER_MODELS):
    return model, inputs
  return LastCharacter(model), vectors(model, variables, inputs)
