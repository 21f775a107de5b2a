"""A CNN as a graph of parts, each linear, elementwise or a selection, for LRP and DeepLIFT.

Batch normalisation right after a linear layer is folded into it.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, cast

import flax.linen as nn
import jax
from jax import Array
from jaxtyping import Float

from jaxdl.analysis.units import AnyArray, Neuron, Target, Variables
from jaxdl.models import CNN, branches, decoding, layers
from jaxdl.models.cnn import INPUTS, Node

CONVOLUTION, DENSE = 'convolution', 'dense'  # linear, with a kernel and a bias
MEAN = 'mean'  # means and sums, without parameters
MOVED = 'moved'  # another order or shape of the inputs
MAXIMUM = 'maximum'
PASSED = 'passed'  # elementwise
KIND_OF = {
  layers.Conv: CONVOLUTION,
  layers.DepthwiseConv: CONVOLUTION,
  layers.Dense: DENSE,
  branches.Project: CONVOLUTION,
  layers.AveragePool: MEAN,
  layers.GlobalAveragePool: MEAN,
  branches.Residual: MEAN,
  branches.Parallel: MEAN,
  layers.MaxPool: MAXIMUM,
  layers.GlobalMaxPool: MAXIMUM,
  layers.Flatten: MOVED,
  layers.Dropout: MOVED,
  decoding.Reshape: MOVED,
  layers.Activation: PASSED,
  layers.BatchNorm: PASSED,
}


@dataclasses.dataclass(frozen=True)
class Part:
  """A part of a network.

  Attributes:
    name: name of the layer; of the batch normalisation, where one was folded into it.
    kind: CONVOLUTION | DENSE | MEAN | MOVED | MAXIMUM | PASSED.
    sources: names of the parts that it reads; INPUTS for the inputs of the network.
    operation: function (parameters, *inputs) → outputs before the activation. Of a convolution or a
      dense layer, it is linear in its first input, and reads only the shape of a second one.
    parameters: 'kernel' and 'bias' of a convolution or a dense layer; otherwise empty.
    activation: elementwise function of the outputs, or None.
  """

  name: str
  kind: str
  sources: tuple[str, ...]
  operation: Callable[..., Array]
  parameters: dict[str, Any]
  activation: Callable[[Array], Array] | None = None


def nodes_until(model: nn.Module, target: Target, method: str) -> list[Node]:
  """The layers of a network up to the explained one, all of kinds that have a `Part`.

  Args:
    model: linen module.
    target: classes, or Neuron.
    method: name of the attribution method, for messages.

  Returns:
    nodes of the network, in the order of the computation.

  Raises:
    ValueError: the model is not a CNN, reads sequences of different lengths, or has a layer of
      another kind.
  """
  if not isinstance(model, CNN):
    raise ValueError(
      f"{method} is defined for the model 'cnn', not for {type(model).__name__}: use saliency or "
      'integrated gradients'
    )
  if model.masked:
    raise ValueError(
      f'{method} is not defined for sequences of different lengths (masked=True): use saliency or '
      'integrated gradients'
    )
  nodes = model.nodes()
  if isinstance(target, Neuron):
    names = [node.name for node in nodes]
    nodes = nodes[: names.index(target.layer) + 1]
  for node in nodes:
    kind = type(node.build())
    if kind not in KIND_OF:
      raise ValueError(
        f'{method} has no rule for layer {node.name!r} of kind {kind.__name__}: use saliency or '
        'integrated gradients'
      )
  return nodes


def parts_of(nodes: Sequence[Node], variables: Variables) -> list[Part]:
  """The parts of a network, with batch normalisation folded where a linear layer precedes it.

  Only a batch normalisation that alone reads a linear layer without activation is folded.

  Args:
    nodes: as `nodes_until` returns them.
    variables: variables of the network.

  Returns:
    parts, in the order of the computation.
  """
  readers = [source for node in nodes for source in node.sources]
  parts: dict[str, Part] = {}
  for node in nodes:
    layer = node.build()
    part = _part(node, layer, variables)
    before = parts.get(node.sources[0])
    if isinstance(layer, layers.BatchNorm) and before is not None and _folds(before, readers):
      part = _folded(before, node.name, layer, part.parameters)
      del parts[before.name]
    if isinstance(layer, layers.BatchNorm) and part.kind == PASSED:
      part = dataclasses.replace(part, parameters={})
    parts[node.name] = part
  return list(parts.values())


def _folds(part, readers):
  """Whether a batch normalisation that reads a part can be folded into it."""
  linear = part.kind in (CONVOLUTION, DENSE)
  return linear and part.activation is None and readers.count(part.name) == 1


def _part(node, layer, variables):
  own = {kind: found[node.name] for kind, found in variables.items() if node.name in found}
  kind, activation = KIND_OF[type(layer)], None
  if isinstance(layer, branches.Parallel) and layer.join == 'concatenate':
    kind = MOVED
  if isinstance(layer, (layers.Conv, layers.DepthwiseConv, layers.Dense)):
    activation, layer = layer.activation, layer.clone(activation=None)
  layer = layer.clone(name=None)
  fixed = {} if kind in (CONVOLUTION, DENSE) else own

  def operation(parameters, *inputs):
    read = inputs[0] if len(inputs) == 1 else inputs
    given = {'params': parameters} if parameters else fixed
    return cast(Array, layer.apply(given, read, layers.Context()))

  if isinstance(layer, layers.Activation):
    return Part(node.name, kind, node.sources, lambda _, inputs: inputs, {}, layer.activation)
  parameters = own.get('params', {}) if kind in (CONVOLUTION, DENSE) else {}
  if isinstance(layer, layers.BatchNorm):
    parameters = {**own['params'], **own['batch_stats']}
    return Part(node.name, kind, node.sources, lambda _, inputs: operation({}, inputs), parameters)
  return Part(node.name, kind, node.sources, operation, dict(parameters), activation)


def _folded(part, name, norm, parameters):
  """A linear part with the batch normalisation `norm` after it as one linear part."""
  scale = parameters['scale'] * jax.lax.rsqrt(parameters['var'] + norm.epsilon)
  merged = {
    'kernel': part.parameters['kernel'] * scale,
    'bias': (part.parameters['bias'] - parameters['mean']) * scale + parameters['bias'],
  }
  return dataclasses.replace(part, name=name, parameters=merged)


def values_of(parts: Sequence[Part], images: Float[AnyArray, 'B ...']) -> dict[str, Any]:
  """The outputs of all parts (a pure function).

  Args:
    parts: as `parts_of` returns them.
    images: inputs of the network.

  Returns:
    part → outputs after its activation; also INPUTS → images.
  """
  values: dict[str, Any] = {INPUTS: images}
  for part in parts:
    outputs = part.operation(part.parameters, *(values[source] for source in part.sources))
    values[part.name] = part.activation(outputs) if part.activation else outputs
  return values
