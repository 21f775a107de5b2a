"""Recurrent layers, and a classifier of sequences, such as the rows of an image."""

from collections.abc import Callable, Mapping, Sequence

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from jaxdl import ops
from jaxdl.models import layers
from jaxdl.ops.types import AnyArray

KERNEL_INIT = layers.INITIALIZERS['glorot_uniform']
# Keeps the norm of the gradient through time; Keras's default.
RECURRENT_INIT = layers.INITIALIZERS['orthogonal']


class SimpleRNN(nn.Module):
  """Elman's recurrent layer, which returns all hidden states.

  With `reverse`, it reads from the last step to the first; its states are in the order of the
  inputs.
  """

  features: int
  activation: Callable = jnp.tanh
  kernel_init: Callable = KERNEL_INIT
  recurrent_init: Callable = RECURRENT_INIT
  recurrent_dropout: float | int | Float[Array, ''] = 0.0
  reverse: bool = False

  @nn.compact
  def __call__(
    self, inputs: Num[AnyArray, 'B ...'], context: layers.Context
  ) -> Float[Array, 'B T F']:
    kernels = _parameters(self, inputs, context, gates=1)
    (hidden,), keep = _carried(self, inputs, context, parts=1)
    inputs, steps = _in_order(self, inputs, context)
    outputs, hidden = ops.simple_rnn(
      inputs, hidden, **kernels, activation=self.activation, steps=steps
    )
    return keep(outputs, hidden)


class LSTM(nn.Module):
  """Long short-term memory (Hochreiter & Schmidhuber 1997), which returns all hidden states.

  The forget bias is 1 (Gers et al. 2000). `reverse` as in SimpleRNN.
  """

  features: int
  kernel_init: Callable = KERNEL_INIT
  recurrent_init: Callable = RECURRENT_INIT
  recurrent_dropout: float | int | Float[Array, ''] = 0.0
  reverse: bool = False

  @nn.compact
  def __call__(
    self, inputs: Num[AnyArray, 'B ...'], context: layers.Context
  ) -> Float[Array, 'B T F']:
    kernels = _parameters(self, inputs, context, gates=4, bias_init=_forget_bias)
    (memory, hidden), keep = _carried(self, inputs, context, parts=2)
    inputs, steps = _in_order(self, inputs, context)
    outputs, last = ops.lstm(inputs, (memory, hidden), **kernels, steps=steps)
    return keep(outputs, *last)


class GRU(nn.Module):
  """Gated recurrent unit (Cho et al. 2014), which returns all hidden states.

  As in Keras and PyTorch, it resets after the product and has two biases. `reverse` as in
  SimpleRNN.
  """

  features: int
  kernel_init: Callable = KERNEL_INIT
  recurrent_init: Callable = RECURRENT_INIT
  recurrent_dropout: float | int | Float[Array, ''] = 0.0
  reverse: bool = False

  @nn.compact
  def __call__(
    self, inputs: Num[AnyArray, 'B ...'], context: layers.Context
  ) -> Float[Array, 'B T F']:
    kernels = _parameters(self, inputs, context, gates=3)
    recurrent_bias = self.param('recurrent_bias', nn.initializers.zeros, (3 * self.features,))
    (hidden,), keep = _carried(self, inputs, context, parts=1)
    inputs, steps = _in_order(self, inputs, context)
    outputs, hidden = ops.gru(inputs, hidden, **kernels, recurrent_bias=recurrent_bias, steps=steps)
    return keep(outputs, hidden)


def _carried(layer, inputs, context, *, parts):
  """The initial state, `parts` arrays [B, F], and a function that keeps the last state.

  The function takes (outputs, *last state) and returns the outputs.
  """
  zeros = (jnp.zeros((inputs.shape[0], layer.features), inputs.dtype),) * parts
  if context.reset is None:
    return zeros, lambda outputs, *last: outputs[:, ::-1] if layer.reverse else outputs
  carry = layer.variable('carry', 'state', lambda: zeros)

  def keep(outputs, *last):
    if not layer.is_initializing():
      carry.value = last
    return outputs

  return tuple(jnp.where(context.reset[:, None], 0, part) for part in carry.value), keep


def _in_order(layer, inputs, context):
  """The inputs and the marks of real steps, in the order in which the layer reads them."""
  steps = context.steps
  if not layer.reverse:
    return inputs, steps
  return inputs[:, ::-1], None if steps is None else steps[:, ::-1]


def _parameters(layer, inputs, context, *, gates, bias_init=nn.initializers.zeros):
  """The kernels and the bias.

  In training, recurrent dropout sets some recurrent weights to 0, the same ones at every step.

  Source: Wan et al. 2013, Regularization of neural networks using DropConnect; Merity et al. 2018,
    as in their AWD-LSTM.
  """
  if inputs.ndim != 3:
    raise ValueError(
      'it reads steps of numbers, [T, I], such as the rows of an image, which '
      "config.data.layout='rows' gives"
    )
  width = gates * layer.features
  found = {
    'input_kernel': layer.param('input_kernel', layer.kernel_init, (inputs.shape[-1], width)),
    'recurrent_kernel': layer.param(
      'recurrent_kernel', layer.recurrent_init, (layer.features, width)
    ),
    'bias': layer.param('bias', bias_init, (width,)),
  }
  if context.train and layer.recurrent_dropout:
    found['recurrent_kernel'] = ops.dropout(
      layer.make_rng('dropout'),
      found['recurrent_kernel'],
      rate=layer.recurrent_dropout,
      index=jnp.arange(layer.features),
    )
  return found


def _forget_bias(key, shape, dtype=jnp.float32):
  del key
  features = shape[0] // 4
  # The gates are in the order i, f, g, o.
  return jnp.zeros(shape, dtype).at[features : 2 * features].set(1)


CELLS = {'rnn': SimpleRNN, 'lstm': LSTM, 'gru': GRU}


def cell_named(name: str) -> type[nn.Module]:
  """Returns the class of a recurrent layer.

  Args:
    name: a key of CELLS.

  Raises:
    ValueError: the name is unknown; the message lists the valid ones.
  """
  if name not in CELLS:
    raise ValueError(f'config.model.cell={name!r} is unknown: use one of {", ".join(CELLS)}')
  return CELLS[name]


POOLS = ('last', 'mean')


class Recurrent(nn.Module):
  """Recurrent layers and a dense layer on the last real step, or on the mean over the steps.

  The layers are named after the cell, with a number where there are several and with '_forward' or
  '_backward' where both directions are read: lstm, or lstm1 and lstm2, or lstm1_forward, ….

  Attributes:
    cell: 'rnn' | 'lstm' | 'gru'.
    features: hidden units of each layer and direction, or a tuple with the units of each layer.
    classes: number K of outputs.
    layers: number of recurrent layers, each of which reads the states of the previous one.
    bidirectional: whether each layer reads the sequence in both directions. Its states are joined.
    pool: 'last' for the state after the last real step (of each direction), 'mean' for the mean of
      the states over the real steps.
    dropout: rate between the recurrent layers.
    locked_dropout: whether `dropout` leaves out the same units at all steps of an example (Gal &
      Ghahramani 2016).
    initializer: a key of layers.INITIALIZERS, for the kernels of the inputs and of the dense layer.
    recurrent_initializer: the same for the recurrent kernel.
    recurrent_dropout: share of the recurrent weights that a training step leaves out.
    masked: whether the last channel of the inputs is 1 for real steps and 0 for padding.
    axis_name: mapped axis of the devices; not used by this model.
  """

  cell: str
  features: int | Sequence[int]
  classes: int
  layers: Sequence[Mapping] | int = 1
  bidirectional: bool = False
  pool: str = 'last'
  dropout: float | int | Float[Array, ''] = 0.0
  locked_dropout: bool = False
  initializer: str = 'glorot_uniform'
  recurrent_initializer: str = 'orthogonal'
  recurrent_dropout: float | int | Float[Array, ''] = 0.0
  masked: bool = False
  axis_name: str | tuple[str, str] | None = None

  @nn.compact
  def __call__(
    self,
    inputs: Num[AnyArray, 'B ...'],
    *,
    train: bool = False,
    mask: Num[AnyArray, ' B'] | None = None,
    index: Num[AnyArray, ' B'] | None = None,
  ) -> Float[AnyArray, 'B K']:
    """Applies the layers to sequences [B, T, I]; the keywords are those of `layers.Context`."""
    if self.pool not in POOLS:
      raise ValueError(f'config.model.pool={self.pool!r} is unknown: use one of {", ".join(POOLS)}')
    steps = None
    if self.masked:
      inputs, steps = layers.split_steps(inputs)
    context = layers.Context(train=train, mask=mask, index=index, steps=steps)
    kernel_init = layers.initializer(self.initializer)
    outputs, read = inputs, {}
    for number, (name, features) in enumerate(self.named_widths()):
      if number:
        dropout = layers.Dropout(self.dropout, self.locked_dropout, name=f'dropout{number}')
        outputs = dropout(outputs, context)
      read = {
        direction: self._cell(features, kernel_init, direction, name)(outputs, context)
        for direction in self.directions()
      }  # [B, T, F] each
      outputs = jnp.concatenate(list(read.values()), axis=-1) if len(read) > 1 else read['']
    logits = layers.Dense(self.classes, kernel_init=kernel_init, name='logits')
    return logits(self.pooled(read, steps), context)

  def named_widths(self) -> list[tuple[str, int]]:
    """The name, without a direction, and the hidden units of each recurrent layer.

    Raises:
      ValueError: the number of layers does not fit the hidden units.
    """
    if not isinstance(self.layers, int):
      raise ValueError(
        'config.model.layers of a recurrent model is the number of its recurrent layers: '
        'write 1 or more'
      )
    if isinstance(self.features, int):
      widths = [self.features] * self.layers
    else:
      widths = list(self.features)
      if self.layers not in (1, len(widths)):
        raise ValueError(
          f'config.model.layers={self.layers} and {len(widths)} numbers in config.model.features '
          'differ: leave out layers'
        )
    if len(widths) == 1:
      return [(self.cell, widths[0])]
    return [(f'{self.cell}{number}', width) for number, width in enumerate(widths, 1)]

  def directions(self) -> tuple[str, ...]:
    """The endings of the names of each layer's directions."""
    return ('_forward', '_backward') if self.bidirectional else ('',)

  def layer_names(self) -> list[str]:
    """The names of all recurrent layers, in order."""
    return [
      f'{name}{direction}' for name, _ in self.named_widths() for direction in self.directions()
    ]

  def pooled(
    self,
    read: Mapping[str, Float[AnyArray, 'B T F']],
    steps: Num[AnyArray, 'B T'] | None,
  ) -> Float[AnyArray, 'B G']:
    """What the dense layer reads.

    Args:
      read: direction → states of the last layer.
      steps: 1 for real steps and 0 for padding; None if all are real.
    """
    if self.pool == 'last':
      ends = [
        states[:, 0 if direction == '_backward' else -1] for direction, states in read.items()
      ]
      return jnp.concatenate(ends, axis=-1) if len(ends) > 1 else ends[0]
    states = jnp.concatenate(list(read.values()), axis=-1)
    return layers.mean_over(states, steps)

  def _cell(self, features, kernel_init, direction, name):
    recurrent_init = layers.initializer(
      self.recurrent_initializer, 'config.model.recurrent_initializer'
    )
    return cell_named(self.cell)(
      features,
      kernel_init=kernel_init,
      recurrent_init=recurrent_init,
      name=f'{name}{direction}',
      recurrent_dropout=self.recurrent_dropout,
      reverse=direction == '_backward',
    )
