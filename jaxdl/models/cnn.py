"""Convolutional networks, including autoencoders, as a list of layers from the config."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
from jaxtyping import Num

from jaxdl.config import binding
from jaxdl.config import named as references
from jaxdl.models import decoding, layers
from jaxdl.ops.types import AnyArray

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
  """Layers one after another: images [B, H, W, C] → logits [B, K], or images [B, H, W, C].

  Attributes:
    layers: one mapping for each layer: 'kind' (a key of KINDS, or own code), the arguments of the
      kind, 'activate' for conv, conv_transpose and dense layers (default True), and 'name'
      (default: kind and number, such as conv1, max_pool2).
    activation: applied after every conv, conv_transpose and dense layer without activate=False.
    initializer: a key of layers.INITIALIZERS, for all kernels.
    axis_name: mapped axis of the devices, set by the training step.
  """

  layers: Sequence[Mapping] | int
  activation: Callable = nn.relu
  initializer: str = 'glorot_uniform'
  axis_name: str | None = None

  @nn.compact
  def __call__(
    self,
    inputs: Num[AnyArray, 'B ...'],
    *,
    train: bool = False,
    mask: Num[AnyArray, ' B'] | None = None,
    index: Num[AnyArray, ' B'] | None = None,
  ) -> Num[AnyArray, 'B ...']:
    """Applies the layers; train, mask and index are those of `layers.Context`."""
    context = layers.Context(train=train, mask=mask, index=index, axis_name=self.axis_name)
    outputs = inputs
    for name, build in self.named_layers():
      outputs = layers.call(build(name=name), outputs, context)
    return outputs

  def named_layers(self) -> list[tuple[str, Callable[..., nn.Module]]]:
    """The name and the constructor of every layer, in order.

    The constructors of conv, conv_transpose and dense layers have the activation and the
    initializer as arguments.

    Raises:
      ValueError: the list is empty, or a layer has an unknown kind or key.
    """
    if not isinstance(self.layers, (list, tuple)) or not self.layers:
      raise ValueError(
        f'config.model.layers={self.layers!r} is not a list of layers: '
        "write (dict(kind='flatten'), …)"
      )
    kernel_init = layers.initializer(self.initializer)
    counts, named = {}, []
    for position, layer in enumerate(self.layers):
      arguments = dict(layer)
      kind: Any = arguments.get('kind')
      name = arguments.pop('name', None)
      activate = arguments.pop('activate', True)
      given: dict[str, Any] = {}
      also = ('name',)
      if kind in ('conv', 'conv_transpose', 'dense'):
        also = ('name', 'activate')
        given = {'activation': self.activation if activate else None, 'kernel_init': kernel_init}
      elif kind == 'activation':
        given = {'activation': self.activation}
      elif isinstance(kind, references.Reference):
        given = {'axis_name': self.axis_name}
      where = f'config.model.layers[{position}]'
      build = binding.bind(KINDS, arguments, where, by='kind', also=also, own=_own_layer, **given)
      word = references.short(kind).lower() if references.is_reference(kind) else kind
      counts[word] = counts.get(word, 0) + 1
      named.append((name or f'{word}{counts[word]}', build))
    return named


def _own_layer(reference):
  """The class of a layer of own code."""
  if not isinstance(reference.target, type) or not issubclass(reference.target, nn.Module):
    raise ValueError(
      f'{str(reference)!r} is not a layer: name a class that is a linen Module, called as '
      'layer(inputs, context) or layer(inputs)'
    )
  return references.guarded(reference)
