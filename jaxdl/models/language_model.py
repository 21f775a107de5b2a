"""A recurrent network that predicts the next character of a text."""

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Num

from jaxdl import ops
from jaxdl.models import layers
from jaxdl.models.recurrent import cell_named
from jaxdl.ops.types import AnyArray


class Embedding(nn.Module):
  """A learned vector for each of `classes` characters."""

  classes: int
  features: int

  @nn.compact
  def __call__(
    self, inputs: Int[AnyArray, 'B T'], context: layers.Context
  ) -> Float[Array, 'B T E']:
    kernel = self.param(
      'kernel', nn.initializers.normal(self.features**-0.5), (self.classes, self.features)
    )
    # Parameters of a checkpoint are NumPy arrays, which do not accept a traced index.
    return jnp.asarray(kernel)[inputs]


class TiedDense(nn.Module):
  """A dense layer whose kernel is that of the embedding: products with its vectors, and a bias."""

  @nn.compact
  def __call__(
    self,
    inputs: Float[AnyArray, 'B T E'],
    context: layers.Context,
    vectors: Float[AnyArray, 'V E'],
  ) -> Float[AnyArray, 'B T V']:
    bias = self.param('bias', nn.initializers.zeros, (len(vectors),))
    return ops.product(inputs, jnp.asarray(vectors).T) + bias


def output_kernel(parameters: Mapping[str, Any]) -> Float[AnyArray, 'E V']:
  """The kernel of the layer 'logits': its own, or that of the embedding if they are tied.

  Args:
    parameters: layer name → arrays, of a language model.
  """
  head = parameters['logits']
  return head['kernel'] if 'kernel' in head else parameters['embedding']['kernel'].T


class LanguageModel(nn.Module):
  """Vectors of the characters, recurrent layers and a dense layer that returns logits.

  With `reset`, the recurrent state continues from one batch to the next in the collection 'carry',
  which must then be mutable. With `steps`, it is that after the last real step.

  Attributes:
    cell: 'rnn' | 'lstm' | 'gru'; the layers are named lstm1, lstm2, …
    features: hidden units of each recurrent layer.
    classes: number V of characters of the vocabulary.
    layers: number of recurrent layers.
    embedding: length of the learned vector of a character; 0 for one-hot vectors.
    tie: whether the logits use the vectors of the embedding as their kernel (Press & Wolf 2017);
      `embedding` must then be `features`.
    dropout: rate after the embedding and after each recurrent layer (Zaremba et al. 2014).
    locked_dropout: whether `dropout` leaves out the same units at all steps of a batch (Gal &
      Ghahramani 2016).
    recurrent_dropout: share of the recurrent weights that a training step leaves out (Merity et al.
      2018).
    initializer: a key of layers.INITIALIZERS, for the kernels of the inputs and of the dense layer.
    recurrent_initializer: the same for the recurrent kernels.
    axis_name: mapped axis of the devices; not used by this model.
  """

  cell: str
  features: int
  classes: int
  layers: Sequence[Mapping] | int = 1
  embedding: int = 0
  tie: bool = False
  dropout: float | int | Float[Array, ''] = 0.0
  locked_dropout: bool = False
  recurrent_dropout: float | int | Float[Array, ''] = 0.0
  initializer: str = 'glorot_uniform'
  recurrent_initializer: str = 'orthogonal'
  axis_name: str | tuple[str, str] | None = None

  @nn.compact
  def __call__(
    self,
    inputs: Int[AnyArray, 'B T'],
    *,
    train: bool = False,
    mask: Num[AnyArray, 'B ...'] | None = None,
    index: Num[AnyArray, ' B'] | None = None,
    reset: Bool[AnyArray, ' B'] | None = None,
    steps: Num[AnyArray, 'B T'] | None = None,
  ) -> Float[AnyArray, 'B T V']:
    """Applies the layers; the keywords are those of `layers.Context`."""
    layer = cell_named(self.cell)
    if not isinstance(self.layers, int):
      raise ValueError(
        'config.model.layers of a language model is the number of its recurrent layers: '
        'write 1 or more'
      )
    self._check_tie()
    kernel_init = layers.initializer(self.initializer)
    recurrent_init = layers.initializer(
      self.recurrent_initializer, 'config.model.recurrent_initializer'
    )
    context = layers.Context(train=train, mask=mask, index=index, reset=reset, steps=steps)
    embedding = None
    if self.embedding:
      embedding = Embedding(self.classes, self.embedding, name='embedding')
      outputs = embedding(inputs, context)  # [B, T, E]
      dropout = layers.Dropout(self.dropout, self.locked_dropout, name='dropout0')
      outputs = dropout(outputs, context)
    else:
      given = jax.tree.leaves(self.variables.get('params', {}))
      dtype = given[0].dtype if given else None
      outputs = jax.nn.one_hot(inputs, self.classes, dtype=dtype)  # [B, T, V]
    for number in range(1, self.layers + 1):
      recurrent = layer(
        self.features,
        kernel_init=kernel_init,
        recurrent_init=recurrent_init,
        name=f'{self.cell}{number}',
        recurrent_dropout=self.recurrent_dropout,
      )
      outputs = recurrent(outputs, context)  # [B, T, F]
      dropout = layers.Dropout(self.dropout, self.locked_dropout, name=f'dropout{number}')
      outputs = dropout(outputs, context)
    if embedding and self.tie:
      vectors = embedding.variables['params']['kernel']
      return TiedDense(name='logits')(outputs, context, vectors)
    return layers.Dense(self.classes, kernel_init=kernel_init, name='logits')(outputs, context)

  def _check_tie(self):
    if self.tie and self.embedding != self.features:
      raise ValueError(
        f'config.model.tie=True needs vectors of config.model.features={self.features} numbers, '
        f'not config.model.embedding={self.embedding}: make both equal, or set tie=False'
      )
