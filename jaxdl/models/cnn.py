"""Convolutional networks, autoencoders among them, as a list of layers read from the config."""

from collections.abc import Callable, Mapping

import flax.linen as nn

from jaxdl.config import binding
from jaxdl.models import decoding, layers

KINDS = {
  'conv': layers.Conv,
  'conv_transpose': decoding.ConvTranspose,
  'dense': layers.Dense,
  'max_pool': layers.MaxPool,
  'average_pool': layers.AveragePool,
  'batch_norm': layers.BatchNorm,
  'dropout': layers.Dropout,
  'flatten': layers.Flatten,
  'reshape': decoding.Reshape,
  'activation': layers.Activation,
}


class CNN(nn.Module):
  """Layers one after another: [B, H, W, C] → logits [B, K], or an image [B, H, W, C] again.

  Attributes:
    layers: one mapping a layer: 'kind' (a key of KINDS), the kind's own arguments, for conv,
      conv_transpose and dense 'activate' (default True), and 'name' (default: kind and number, such
      as conv1, max_pool2).
    activation: after every conv and dense layer that does not say activate=False.
    initializer: a key of layers.INITIALIZERS, for every kernel.
    axis_name: mapped axis of the devices, set by the training step.
  """

  layers: tuple[Mapping, ...]
  activation: Callable = nn.relu
  initializer: str = 'glorot_uniform'
  axis_name: str | None = None

  @nn.compact
  def __call__(self, inputs, *, train=False, mask=None, index=None):
    context = layers.Context(train=train, mask=mask, index=index, axis_name=self.axis_name)
    outputs = inputs
    for name, build in self.named_layers():
      outputs = build(name=name)(outputs, context)
    return outputs

  def named_layers(self):
    """(name, constructor) of every layer, in order; a conv or dense layer gets the activation and
    the initializer.
    """
    if not isinstance(self.layers, (list, tuple)) or not self.layers:
      raise ValueError(
        f"config.model.layers={self.layers!r} is not a list of layers: write (dict(kind='flatten'), …)"
      )
    kernel_init = layers.initializer(self.initializer)
    counts, named = {}, []
    for position, layer in enumerate(self.layers):
      arguments = dict(layer)
      kind, name, activate = (
        arguments.get('kind'),
        arguments.pop('name', None),
        arguments.pop('activate', True),
      )
      given, also = {}, ('name',)
      if kind in ('conv', 'conv_transpose', 'dense'):
        also = ('name', 'activate')
        given = {'activation': self.activation if activate else None, 'kernel_init': kernel_init}
      elif kind == 'activation':
        given = {'activation': self.activation}
      build = binding.bind(
        KINDS, arguments, f'config.model.layers[{position}]', by='kind', also=also, **given
      )
      counts[kind] = counts.get(kind, 0) + 1
      named.append((name or f'{kind}{counts[kind]}', build))
    return named
