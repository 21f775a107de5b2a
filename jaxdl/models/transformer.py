"""A causal transformer that predicts the next character of a text.

A network reads a text in pieces of any length, like the recurrent language models. The keys and
values of the last characters are kept from piece to piece in the collection 'carry'. The logits
therefore do not depend on the division of a text.
"""

from collections.abc import Mapping, Sequence

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Num

from jaxdl import ops
from jaxdl.models import layers
from jaxdl.models.language_model import Embedding, TiedDense
from jaxdl.ops.types import AnyArray

POSITIONS = ('rotary', 'learned')


class Positions(nn.Module):
  """Adds a learned vector for the position of each character in its block of `context`."""

  context: int

  @nn.compact
  def __call__(
    self, inputs: Float[AnyArray, 'B T E'], context: layers.Context
  ) -> Float[AnyArray, 'B T E']:
    shape = (self.context, inputs.shape[-1])
    kernel = self.param('kernel', nn.initializers.normal(inputs.shape[-1] ** -0.5), shape)
    count = jnp.zeros(inputs.shape[0], jnp.int32)
    if context.reset is not None:
      carry = self.variable('carry', 'state', lambda: (count,))
      count = jnp.where(context.reset, 0, carry.value[0])
      if not self.is_initializing():
        carry.value = ((count + inputs.shape[1]) % self.context,)
    places = (count[:, None] + jnp.arange(inputs.shape[1])) % self.context  # [B, T]
    return inputs + jnp.asarray(kernel)[places]


class Attention(nn.Module):
  """Causal attention with several heads, and a dense layer: [B, T, E] → [B, T, E].

  With rotary positions, a character sees itself and the `context` − 1 characters before it. With
  learned positions, the text is divided into blocks of `context` characters, and a character sees
  those of its block up to itself.

  Attributes:
    heads: number H of heads; it divides E.
    context: number of characters.
    rotary: whether queries and keys are rotated by their positions.
    kernel_init: for all kernels.
  """

  heads: int
  context: int
  rotary: bool = True
  kernel_init: nn.initializers.Initializer = layers.INITIALIZERS['glorot_uniform']

  @nn.compact
  def __call__(
    self, inputs: Float[AnyArray, 'B T E'], context: layers.Context
  ) -> Float[Array, 'B T E']:
    batch, time, features = inputs.shape
    queries, keys, values = (
      self._dense(inputs, part, features).reshape(batch, time, self.heads, -1)
      for part in ('query', 'key', 'value')
    )
    before, count, keep = self._carried(inputs, context)
    keys, values = (
      jnp.concatenate([past.astype(new.dtype), new], axis=1)
      for past, new in zip(before, (keys, values), strict=True)
    )  # [B, S, H, D]
    keep(keys, values)
    past = before[0].shape[1]
    if self.rotary:
      places = jnp.arange(past + time)
      queries, rotated = ops.rotate(queries, places[past:]), ops.rotate(keys, places)
    else:
      rotated = keys
    allowed = self._allowed(count, time, past)
    means = ops.attention(queries, rotated, values, allowed)
    if self.is_mutable_collection('intermediates') and not self.is_initializing():
      weights = ops.attention_weights(queries, rotated, allowed)
      self.sow('intermediates', 'weights', weights)  # for `analysis.characters.attention`
    return self._dense(means.reshape(inputs.shape), 'output', features)

  def _dense(self, inputs, part, features):
    kernel = self.param(f'{part}_kernel', self.kernel_init, (inputs.shape[-1], features))
    bias = self.param(f'{part}_bias', nn.initializers.zeros, (features,))
    return ops.product(inputs, kernel) + bias

  def _carried(self, inputs, context):
    """Returns the keys and values of earlier characters, the number of these, and `keep`.

    The keys are not rotated, because their distance to the next characters grows.
    """
    batch, time, features = inputs.shape
    length = self.context - 1 if context.reset is not None else 0
    empty = jnp.zeros((batch, length, self.heads, features // self.heads), inputs.dtype)
    none = jnp.zeros(batch, jnp.int32)
    if context.reset is None:
      return (empty, empty), none, lambda keys, values: None
    carry = self.variable('carry', 'state', lambda: (empty, empty, none))
    *before, count = carry.value
    count = jnp.where(context.reset, 0, count)

    def keep(keys, values):
      if not self.is_initializing():
        after = count + time
        after = jnp.minimum(after, length) if self.rotary else after % self.context
        start = keys.shape[1] - length
        carry.value = (keys[:, start:], values[:, start:], after)

    return before, count, keep

  def _allowed(self, count, time, past):
    """The characters that each character may see, [B, T, S]."""
    query = count[:, None, None] + jnp.arange(time)[:, None]  # [B, T, 1]
    key = count[:, None, None] + jnp.arange(-past, time)  # [B, 1, S]
    near = query - key < self.context
    if not self.rotary:
      near = query // self.context == key // self.context
    return (key >= 0) & (key <= query) & near


class Add(nn.Module):
  """Adds the outputs of a branch to its inputs; called with (outputs, inputs)."""

  def __call__(
    self, inputs: Sequence[Float[AnyArray, 'B T E']], context: layers.Context
  ) -> Float[AnyArray, 'B T E']:
    outputs, shortcut = inputs
    return outputs + shortcut


class Transformer(nn.Module):
  """Vectors of the characters, blocks of attention and dense layers, and logits.

  Each block normalises before its layers ('pre-LN', Xiong et al. 2020). Its dense layers have 4 · E
  hidden units and the activation GELU. The layers of block 1 are attention1_norm, attention1,
  attention1_dropout, attention1_sum, mlp1_norm, mlp1_hidden, mlp1, mlp1_dropout and block1, the
  output of the block.

  With `reset`, the keys and values of the last characters continue from one batch to the next in
  the collection 'carry', which must then be mutable. No gradient goes through them.

  Attributes:
    features: length E of the vectors; the heads divide it, into even lengths for rotary positions.
    classes: number V of characters of the vocabulary.
    layers: number of blocks.
    heads: heads of each attention.
    context: number of characters that an attention sees; see `Attention`.
    positions: 'rotary' (Su et al. 2021) | 'learned', a vector for each position in a block.
    dropout: rate after the embedding, each attention and each pair of dense layers.
    tie: whether the logits use the vectors of the embedding as their kernel (Press & Wolf 2017).
    initializer: a key of layers.INITIALIZERS, for all kernels but the vectors of the embedding.
    axis_name: mapped axis of the devices; not used by this model.
  """

  features: int
  classes: int
  layers: Sequence[Mapping] | int = 4
  heads: int = 4
  context: int = 128
  positions: str = 'rotary'
  dropout: float | int | Float[Array, ''] = 0.0
  tie: bool = True
  initializer: str = 'glorot_uniform'
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
  ) -> Float[AnyArray, 'B T V']:
    """Applies the layers; the keywords are those of `layers.Context`."""
    self._check()
    kernel_init = layers.initializer(self.initializer)
    context = layers.Context(train=train, mask=mask, index=index, reset=reset)
    embedding = Embedding(self.classes, self.features, name='embedding')
    outputs = embedding(inputs, context)  # [B, T, E]
    if self.positions == 'learned':
      outputs = Positions(self.context, name='positions')(outputs, context)
    outputs = layers.Dropout(self.dropout, name='dropout0')(outputs, context)
    for number in range(1, len(self.block_names()) + 1):
      outputs = self._block(outputs, number, context, kernel_init)
    outputs = layers.LayerNorm(name='norm')(outputs, context)
    if self.tie:
      vectors = embedding.variables['params']['kernel']
      return TiedDense(name='logits')(outputs, context, vectors)
    return layers.Dense(self.classes, kernel_init=kernel_init, name='logits')(outputs, context)

  def block_names(self) -> list[str]:
    """The names of the outputs of the blocks.

    Raises:
      ValueError: the number of layers is not an integer.
    """
    if not isinstance(self.layers, int):
      raise ValueError(
        'config.model.layers of a transformer is the number of its blocks: write 1 or more'
      )
    return [f'block{number}' for number in range(1, self.layers + 1)]

  def _block(self, inputs, number, context, kernel_init):
    attend = Attention(
      self.heads,
      self.context,
      rotary=self.positions == 'rotary',
      kernel_init=kernel_init,
      name=f'attention{number}',
    )
    outputs = layers.LayerNorm(name=f'attention{number}_norm')(inputs, context)
    outputs = attend(outputs, context)
    outputs = layers.Dropout(self.dropout, name=f'attention{number}_dropout')(outputs, context)
    inputs = Add(name=f'attention{number}_sum')((outputs, inputs), context)
    outputs = layers.LayerNorm(name=f'mlp{number}_norm')(inputs, context)
    hidden = layers.Dense(4 * self.features, nn.gelu, kernel_init, name=f'mlp{number}_hidden')
    outputs = hidden(outputs, context)
    outputs = layers.Dense(self.features, None, kernel_init, name=f'mlp{number}')(outputs, context)
    outputs = layers.Dropout(self.dropout, name=f'mlp{number}_dropout')(outputs, context)
    return Add(name=f'block{number}')((outputs, inputs), context)

  def _check(self):
    if self.positions not in POSITIONS:
      raise ValueError(
        f'config.model.positions={self.positions!r} is unknown: use one of {", ".join(POSITIONS)}'
      )
    if self.features % self.heads:
      raise ValueError(
        f'config.model.heads={self.heads} does not divide config.model.features={self.features}: '
        'use a divisor'
      )
    if self.positions == 'rotary' and self.features // self.heads % 2:
      raise ValueError(
        f'config.model.features={self.features} gives each of {self.heads} heads '
        f'{self.features // self.heads} numbers, which rotary positions cannot pair: use an even '
        "number for each head, or positions='learned'"
      )
