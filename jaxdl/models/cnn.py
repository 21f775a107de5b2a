"""Networks as a list of layers from the config: dense and convolutional ones, autoencoders."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
from jaxtyping import Num

from jaxdl.config import binding
from jaxdl.config import named as references
from jaxdl.models import branches, decoding, layers
from jaxdl.ops.types import AnyArray

KINDS = {
  'conv': layers.Conv,
  'depthwise_conv': layers.DepthwiseConv,
  'conv_transpose': decoding.ConvTranspose,
  'dense': layers.Dense,
  'max_pool': layers.MaxPool,
  'average_pool': layers.AveragePool,
  'global_max_pool': layers.GlobalMaxPool,
  'global_average_pool': layers.GlobalAveragePool,
  'batch_norm': layers.BatchNorm,
  'layer_norm': layers.LayerNorm,
  'group_norm': layers.GroupNorm,
  'dropout': layers.Dropout,
  'flatten': layers.Flatten,
  'reshape': decoding.Reshape,
  'activation': layers.Activation,
  'residual': branches.Residual,
  'parallel': branches.Parallel,
}
ACTIVATED = ('conv', 'depthwise_conv', 'conv_transpose', 'dense')
INPUTS = ''  # the name of the network's inputs


class Node(NamedTuple):
  """A layer and its place in the network.

  Attributes:
    name: its name.
    build: its constructor.
    sources: the layers whose outputs it reads; INPUTS for the inputs of the network. Layers of
      `branches` read several, in the order of their arguments; any other layer reads one.
    where: its place in the config.
  """

  name: str
  build: Callable[..., nn.Module]
  sources: tuple[str, ...]
  where: str


class CNN(nn.Module):
  """Layers one after another: vectors, sequences or images → outputs [B, K], or images.

  The inputs are [B, F], [B, T, F] or [B, H, W, C].

  Attributes:
    layers: one mapping for each layer: 'kind' (a key of KINDS, or own code), the arguments of the
      kind, 'activate' for convolutions and dense layers (default True), and 'name' (default: kind
      and number, such as conv1, max_pool2; inside a branch after the name of the layer that joins
      it, such as residual1_conv2, parallel1_2_conv1).
    activation: applied after every convolution and dense layer without activate=False.
    initializer: a key of layers.INITIALIZERS, for the kernels of all layers that have no
      'initializer' of their own, a key of layers.INITIALIZERS or layers.OF_LAYERS.
    masked: whether the last channel of sequences is 1 for real steps and 0 for padding.
    axis_name: mapped axis of the devices, set by the training step.
  """

  layers: Sequence[Mapping] | int
  activation: Callable = nn.relu
  initializer: str = 'glorot_uniform'
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
  ) -> Num[AnyArray, 'B ...']:
    """Applies the layers; train, mask and index are those of `layers.Context`."""
    steps = None
    if self.masked:
      inputs, steps = layers.split_steps(inputs)
    context = layers.Context(train=train, mask=mask, index=index, axis_name=self.axis_name)
    values: dict[str, Any] = {INPUTS: (inputs, steps)}
    outputs = inputs
    nodes, done = self.nodes(), set()
    for node in nodes:
      if node.name in done:
        continue
      read, steps = zip(*(values[source] for source in node.sources), strict=True)
      layer = node.build(name=node.name)
      read = read[0] if len(read) == 1 else read
      pooled, window = _pooling(nodes, node, layer, read) if train else (None, None)
      if pooled:
        outputs = layer(read, context, window)
        values[pooled.name] = outputs, None
        done.add(pooled.name)
      else:
        outputs = layers.call(layer, read, dataclasses.replace(context, steps=steps[0]))
        values[node.name] = outputs, _steps_after(layer, steps[0], outputs)
    return outputs

  def named_layers(self) -> list[tuple[str, Callable[..., nn.Module]]]:
    """The name and the constructor of every layer, as in `nodes`."""
    return [(node.name, node.build) for node in self.nodes()]

  def nodes(self) -> list[Node]:
    """Every layer in the order of the computation; the layers of a branch before its join.

    The constructors of convolutions and dense layers have the activation and the initializer as
    arguments.

    Raises:
      ValueError: the list is empty, or a layer has an unknown kind or key.
    """
    found: list[Node] = []
    self._add_layers(found, self.layers, '', 'config.model.layers', INPUTS)
    return found

  def stem(self) -> list[Node]:
    """The first layers, up to the first branch: each reads the one before it alone."""
    found = self.nodes()
    readers = [source for node in found for source in node.sources]
    last, stem = INPUTS, []
    for node in found:
      if node.sources != (last,) or readers.count(last) > 1:
        break
      stem.append(node)
      last = node.name
    return stem

  def _add_layers(self, found, section, prefix, where, source):
    """Adds the nodes of a list of layers that reads `source`; returns the name of the last one."""
    if not isinstance(section, (list, tuple)) or not section:
      raise ValueError(
        f"{where}={section!r} is not a list of layers: write (dict(kind='flatten'), …)"
      )
    counts = {}
    for position, layer in enumerate(section):
      build = self._constructor(layer, f'{where}[{position}]')
      kind = layer['kind']
      if references.is_reference(kind):
        kind = references.short(kind).lower()
      counts[kind] = counts.get(kind, 0) + 1
      name = layer.get('name') or f'{prefix}{kind}{counts[kind]}'
      sources = self._add_branches(found, layer, name, f'{where}[{position}]', source)
      found.append(Node(name, build, sources, f'{where}[{position}]'))
      source = name
    return source

  def _add_branches(self, found, layer, name, where, source):
    """Adds the layers inside a layer; returns the names of what the layer itself reads."""
    sources = (source,)
    if layer['kind'] == 'residual':
      last = self._add_layers(found, layer['layers'], f'{name}_', f'{where}.layers', source)
      sources = (last, source)
      if layer.get('project'):
        project = binding.bind_one(
          branches.Project, {}, where, kernel_init=layers.initializer(self.initializer)
        )
        found.append(Node(f'{name}_project', project, (source, last), where))
        sources = (last, f'{name}_project')
    elif layer['kind'] == 'parallel':
      sources = tuple(
        self._add_layers(
          found, branch, f'{name}_{number + 1}_', f'{where}.branches[{number}]', source
        )
        if branch
        else source
        for number, branch in enumerate(layer['branches'])
      )
    return sources

  def _constructor(self, layer, where):
    arguments = dict(layer)
    kind = arguments.get('kind')
    arguments.pop('name', None)
    activate = arguments.pop('activate', True)
    given: dict[str, Any] = {}
    also = ('name',)
    if kind in ACTIVATED:
      also = ('name', 'activate', 'initializer')
      kernel_init = layers.initializer(self.initializer)
      if (own := arguments.pop('initializer', None)) is not None:
        kernel_init = layers.layer_initializer(own, layer, f'{where}.initializer')
      given = {
        'activation': self.activation if activate else None,
        'kernel_init': kernel_init,
      }
    elif kind == 'activation':
      given = {'activation': self.activation}
    elif isinstance(kind, references.Reference):
      given = {'axis_name': self.axis_name}
    return binding.bind(KINDS, arguments, where, by='kind', also=also, own=_own_layer, **given)


def _pooling(nodes, node, layer, read):
  """(max-pooling, its window) that a training step computes with a convolution; or (None, None)."""
  readers = [reader for reader in nodes if node.name in reader.sources]
  if not isinstance(layer, layers.Conv) or read.ndim != 4 or len(readers) != 1:
    return None, None
  window = layer.pooling(readers[0].build(parent=None))
  return (readers[0], window) if window else (None, None)


def _steps_after(layer, steps, outputs):
  """The marks of the real steps of a layer's outputs; None where they are not sequences."""
  if steps is None or outputs.ndim != 3:
    return None
  if not isinstance(layer, layers.MOVING):
    return steps
  window = layer.kernel if hasattr(layer, 'kernel') else layer.window
  return layers.steps_after(steps, outputs.shape[1], window, layer.strides or window, layer.padding)


def _own_layer(reference):
  """The class of a layer of own code."""
  if not isinstance(reference.target, type) or not issubclass(reference.target, nn.Module):
    raise ValueError(
      f'{str(reference)!r} is not a layer: name a class that is a linen Module, called as '
      'layer(inputs, context) or layer(inputs)'
    )
  return references.guarded(reference)
