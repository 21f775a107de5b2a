"""Recurrent layers, and a classifier that reads an image row by row."""

from collections.abc import Callable

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
  """Elman's recurrent layer, which returns all hidden states."""

  features: int
  activation: Callable = jnp.tanh
  kernel_init: Callable = KERNEL_INIT
  recurrent_init: Callable = RECURRENT_INIT
  recurrent_dropout: float | int | Float[Array, ''] = 0.0

  @nn.compact
  def __call__(
    self, inputs: Num[AnyArray, 'B ...'], context: layers.Context
  ) -> Float[Array, 'B T F']:
    kernels = _parameters(self, inputs, context, gates=1)
    (hidden,), keep = _carried(self, inputs, context, parts=1)
    outputs, hidden = ops.simple_rnn(inputs, hidden, **kernels, activation=self.activation)
    return keep(outputs, hidden)


class LSTM(nn.Module):
  """Long short-term memory (Hochreiter & Schmidhuber 1997), which returns all hidden states.

  The forget bias is 1 (Gers et al. 2000).
  """

  features: int
  kernel_init: Callable = KERNEL_INIT
  recurrent_init: Callable = RECURRENT_INIT
  recurrent_dropout: float | int | Float[Array, ''] = 0.0

  @nn.compact
  def __call__(
    self, inputs: Num[AnyArray, 'B ...'], context: layers.Context
  ) -> Float[Array, 'B T F']:
    kernels = _parameters(self, inputs, context, gates=4, bias_init=_forget_bias)
    (memory, hidden), keep = _carried(self, inputs, context, parts=2)
    outputs, last = ops.lstm(inputs, (memory, hidden), **kernels)
    return keep(outputs, *last)


class GRU(nn.Module):
  """Gated recurrent unit (Cho et al. 2014), which returns all hidden states.

  As in Keras and PyTorch, it resets after the product and has two biases.
  """

  features: int
  kernel_init: Callable = KERNEL_INIT
  recurrent_init: Callable = RECURRENT_INIT
  recurrent_dropout: float | int | Float[Array, ''] = 0.0

  @nn.compact
  def __call__(
    self, inputs: Num[AnyArray, 'B ...'], context: layers.Context
  ) -> Float[Array, 'B T F']:
    kernels = _parameters(self, inputs, context, gates=3)
    recurrent_bias = self.param('recurrent_bias', nn.initializers.zeros, (3 * self.features,))
    (hidden,), keep = _carried(self, inputs, context, parts=1)
    outputs, hidden = ops.gru(inputs, hidden, **kernels, recurrent_bias=recurrent_bias)
    return keep(outputs, hidden)


def _carried(layer, inputs, context, *, parts):
  """The initial state, `parts` arrays [B, F], and a function that keeps the last state.

  The function takes (outputs, *last state) and returns the outputs.
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


class Recurrent(nn.Module):
  """One recurrent layer and a dense layer on its last state, which returns logits.

  Attributes:
    cell: 'rnn' | 'lstm' | 'gru', also the name of the layer.
    features: hidden units.
    classes: number K of classes.
    initializer: a key of layers.INITIALIZERS, for the kernels of the inputs and of the dense layer.
    recurrent_initializer: the same for the recurrent kernel.
    recurrent_dropout: share of the recurrent weights that a training step leaves out.
    axis_name: mapped axis of the devices; not used by this model.
  """

  cell: str
  features: int
  classes: int
  initializer: str = 'glorot_uniform'
  recurrent_initializer: str = 'orthogonal'
  recurrent_dropout: float | int | Float[Array, ''] = 0.0
  axis_name: str | None = None

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
    logits = layers.Dense(self.classes, kernel_init=kernel_init, name='logits')
    return logits(states[:, -1], context)
