"""Recurrent layers, and the classifier that reads an image row by row."""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp

from jaxdl import ops
from jaxdl.models import layers

KERNEL_INIT = layers.INITIALIZERS['glorot_uniform']
RECURRENT_INIT = layers.INITIALIZERS[
  'orthogonal'
]  # keeps the gradient's norm through time; Keras's default


class SimpleRNN(nn.Module):
  """Elman's recurrent layer: [B, T, I] → every hidden state [B, T, features]."""

  features: int
  activation: Callable = jnp.tanh
  kernel_init: Callable = KERNEL_INIT
  recurrent_init: Callable = RECURRENT_INIT
  recurrent_dropout: float = 0.0

  @nn.compact
  def __call__(self, inputs, context):
    kernels = _parameters(self, inputs, context, gates=1)
    (hidden,), keep = _carried(self, inputs, context, parts=1)
    outputs, hidden = ops.simple_rnn(inputs, hidden, **kernels, activation=self.activation)
    return keep(outputs, hidden)


class LSTM(nn.Module):
  """Long short-term memory (Hochreiter & Schmidhuber 1997) with a forget bias of 1 (Gers et al.
  2000).
  """

  features: int
  kernel_init: Callable = KERNEL_INIT
  recurrent_init: Callable = RECURRENT_INIT
  recurrent_dropout: float = 0.0

  @nn.compact
  def __call__(self, inputs, context):
    kernels = _parameters(self, inputs, context, gates=4, bias_init=_forget_bias)
    carry, keep = _carried(self, inputs, context, parts=2)
    outputs, carry = ops.lstm(inputs, carry, **kernels)
    return keep(outputs, *carry)


class GRU(nn.Module):
  """Gated recurrent unit (Cho et al. 2014): reset after the product, two biases, as in Keras and
  PyTorch.
  """

  features: int
  kernel_init: Callable = KERNEL_INIT
  recurrent_init: Callable = RECURRENT_INIT
  recurrent_dropout: float = 0.0

  @nn.compact
  def __call__(self, inputs, context):
    kernels = _parameters(self, inputs, context, gates=3)
    recurrent_bias = self.param('recurrent_bias', nn.initializers.zeros, (3 * self.features,))
    (hidden,), keep = _carried(self, inputs, context, parts=1)
    outputs, hidden = ops.gru(inputs, hidden, **kernels, recurrent_bias=recurrent_bias)
    return keep(outputs, hidden)


def _carried(layer, inputs, context, *, parts):
  """The state to begin with, `parts` arrays [B, F], and a function (outputs, *last state) → outputs
  that keeps it.
  """
  zeros = (jnp.zeros((inputs.shape[0], layer.features), inputs.dtype),) * parts
  if context.reset is None:
    return zeros, lambda outputs, *last: outputs
  carry = layer.variable('carry', 'state', lambda: zeros)

  def keep(outputs, *last):
    if not layer.is_initializing():
      carry.value = last
    return outputs

  return tuple(jnp.where(context.reset[:, None], 0, part) for part in carry.value), keep


def _parameters(layer, inputs, context, *, gates, bias_init=nn.initializers.zeros):
  """The kernels and the bias; in training the recurrent kernel without the weights that are
  dropped, the same at every step.

  Source: Wan et al. 2013, Regularization of neural networks using DropConnect; Merity et al. 2018,
    as the AWD-LSTM has it.
  """
  if inputs.ndim != 3:
    raise ValueError(
      "it reads steps of numbers, [T, I], such as the rows that config.data.layout='rows' makes of an image"
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
  return (
    jnp.zeros(shape, dtype).at[features : 2 * features].set(1)
  )  # gates stand in the order i, f, g, o


CELLS = {'rnn': SimpleRNN, 'lstm': LSTM, 'gru': GRU}


def cell_named(name):
  """The layer of a name; ValueError names those there are."""
  if name not in CELLS:
    raise ValueError(f'config.model.cell={name!r} is unknown: use one of {", ".join(CELLS)}')
  return CELLS[name]


class Recurrent(nn.Module):
  """One recurrent layer and a dense layer on its last state: [B, T, I] → logits [B, classes].

  Attributes:
    cell: 'rnn' | 'lstm' | 'gru'; the layer has this name.
    features: hidden units.
    classes: K.
    initializer: a key of layers.INITIALIZERS, for the kernels of the inputs and of the dense layer.
    recurrent_initializer: the same for the recurrent kernel.
    recurrent_dropout: share of the recurrent weights that a training step leaves out.
    axis_name: mapped axis of the devices; nothing here needs it.
  """

  cell: str
  features: int
  classes: int
  initializer: str = 'glorot_uniform'
  recurrent_initializer: str = 'orthogonal'
  recurrent_dropout: float = 0.0
  axis_name: str | None = None

  @nn.compact
  def __call__(self, inputs, *, train=False, mask=None, index=None):
    layer = cell_named(self.cell)
    context = layers.Context(train=train, mask=mask, index=index)
    kernel_init = layers.initializer(self.initializer)
    recurrent_init = layers.initializer(self.recurrent_initializer, 'recurrent_initializer')
    cell = layer(
      self.features,
      kernel_init=kernel_init,
      recurrent_init=recurrent_init,
      name=self.cell,
      recurrent_dropout=self.recurrent_dropout,
    )
    states = cell(inputs, context)  # [B, T, F]
    return layers.Dense(self.classes, kernel_init=kernel_init, name='logits')(
      states[:, -1], context
    )  # [B, K]
