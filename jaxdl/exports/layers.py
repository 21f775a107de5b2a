"""Library-independent description of the layers of a network, for formats that write layers."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from jaxdl import models
from jaxdl.config.arguments import about
from jaxdl.exports.network import Network
from jaxdl.models import branches, cnn, decoding, geometry, layers, table
from jaxdl.models.language_model import LanguageModel
from jaxdl.models.recurrent import Recurrent
from jaxdl.models.transformer import Transformer

WINDOWED = ('conv', 'depthwise_conv', 'conv_transpose', 'max_pool', 'average_pool')
# Kinds that only these formats have a writer for.
COMPLETE = ('onnx', 'page')
IN_COMPLETE = (
  'depthwise_conv',
  'global_max_pool',
  'global_average_pool',
  'layer_norm',
  'group_norm',
  'residual',
  'project',
  'parallel',
)
KINDS = {
  layers.Conv: 'conv',
  decoding.ConvTranspose: 'conv_transpose',
  layers.Dense: 'dense',
  layers.MaxPool: 'max_pool',
  layers.AveragePool: 'average_pool',
  layers.BatchNorm: 'batch_norm',
  layers.Dropout: 'dropout',
  layers.Flatten: 'flatten',
  decoding.Reshape: 'reshape',
  layers.Activation: 'activation',
  layers.DepthwiseConv: 'depthwise_conv',
  layers.GlobalMaxPool: 'global_max_pool',
  layers.GlobalAveragePool: 'global_average_pool',
  layers.LayerNorm: 'layer_norm',
  layers.GroupNorm: 'group_norm',
  branches.Residual: 'residual',
  branches.Project: 'project',
  branches.Parallel: 'parallel',
}


@dataclasses.dataclass(frozen=True, eq=False)
class Layer:
  """A layer.

  Attributes:
    name: name in jaxdl.
    kind: a value of KINDS, 'embedding', 'rnn', 'lstm', 'gru', or 'last', which selects the last
      step of a sequence.
    shape: shape of the (first) input, without the batch axis.
    settings: settings of the kind. conv, conv_transpose, dense, activation: 'activation', a key of
      `models.ACTIVATIONS` or None. Convolutions and pooling: 'window', 'strides' and 'pads' ((top,
      bottom), (left, right)), which for conv_transpose are added to the dilated input. dropout:
      'rate'. batch_norm: 'momentum'. Normalisation: 'epsilon'. reshape: 'shape'. conv,
      depthwise_conv, group_norm: 'groups'. residual, parallel: 'join' ('add' or 'concatenate').
    weights: name → array, as in the checkpoint.
    sources: the layers of a CNN whose outputs it reads, '' for the inputs of the network.
    output_shape: shape of the outputs of a layer of a CNN, without the batch axis.
  """

  name: str
  kind: str
  shape: tuple[int, ...]
  settings: dict[str, Any] = dataclasses.field(default_factory=dict)
  weights: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
  sources: tuple[str, ...] = ()
  output_shape: tuple[int, ...] = ()

  @property
  def trained(self) -> bool:
    """Whether the weights are trainable. The one-hot vectors of a language model are not."""
    return self.settings.get('trained', True)


def refusal(format: str, what: str, why: str) -> ValueError:
  """Returns the error for a layer that a format cannot express, with a message of one line.

  Args:
    format: name of the format.
    what: the layer or the model.
    why: the reason, as a relative clause.
  """
  message = (
    f'format={format} cannot express {what}, {why}: use format=stablehlo or format=safetensors'
  )
  return about(ValueError(message), 'format')


def layers_of(
  network: Network, format: str, refuse: Callable[[str, str, str], ValueError] = refusal
) -> list[Layer]:
  """Returns the layers of a network in order.

  Args:
    network: the network.
    format: name of the format, for messages.
    refuse: function (format, layer or model, reason) → error for a layer that is not part of jaxdl.

  Raises:
    ValueError: the model or a layer is not part of jaxdl, or the format has no writer for it.
  """
  model = network.model
  if type(model) is cnn.CNN:
    return _of_cnn(network, model, format, refuse)
  if type(model) is Recurrent:
    return _of_recurrent(network, model, format)
  if type(model) is LanguageModel:
    return _of_language_model(network, model, format)
  if type(model) is Transformer:
    raise refuse(format, 'the model transformer', 'whose attention it has no writer for')
  raise refuse(format, f'the model {type(model).__name__}', 'which is not part of jaxdl')


def weights_of(network: Network, name: str) -> dict[str, np.ndarray]:
  """The weights and statistics of a layer: name → array; {} for a layer without any."""
  found = {}
  for collection in ('params', 'batch_stats'):
    below = network.variables.get(collection, {}).get(name, {})
    found |= {key: np.asarray(jax.device_get(value)) for key, value in below.items()}
  return found


def _of_cnn(network, model, format, refuse):
  if model.masked:
    raise refuse(format, 'the model cnn', 'which reads sequences of different lengths')
  rows = {row['name']: row for row in table.layers(model, network.input_shape)}
  found = []
  for name, build, sources, _ in model.nodes():
    layer = build()
    if type(layer) not in KINDS:
      raise refuse(
        format, f'the layer {name}', f'a {type(layer).__name__}, which is not part of jaxdl'
      )
    kind, shape = KINDS[type(layer)], tuple(rows[name]['input'])
    reason = _why_not(format, layer, kind, shape)
    if reason:
      raise refuse(format, f'the layer {name}', reason)
    settings = _settings(layer, kind, shape)
    if kind == 'project':
      settings['strides'] = tuple(
        branches.strides_between(before, after)
        for before, after in zip(shape[:-1], rows[name]['output'][:-1], strict=True)
      )
    if settings.get('activation') == '':
      raise refuse(format, f'the activation of the layer {name}', 'which is not part of jaxdl')
    outputs = tuple(rows[name]['output'])
    found.append(Layer(name, kind, shape, settings, weights_of(network, name), sources, outputs))
  return found


def _why_not(format, layer, kind, shape):
  """Why a format does not have a layer; '' if it has it."""
  if format in COMPLETE:
    is_short = kind in (*WINDOWED, 'group_norm') and len(shape) != 3
    return 'which reads sequences' if is_short and format != 'page' else ''
  if kind in IN_COMPLETE:
    return f'a {type(layer).__name__} that it has no writer for'
  if kind == 'conv' and layer.groups > 1:
    return 'a convolution in groups that it has no writer for'
  if kind in WINDOWED and len(shape) != 3:
    return 'which reads sequences'
  return ''


def _settings(layer, kind, shape):
  settings = {}
  if kind in WINDOWED:
    along = [geometry.window_of(layer, axis, size) for axis, size in enumerate(shape[:-1])]
    rows, columns = (*along, (1, 1, 1, (0, 0)))[:2]  # a sequence is an image of one column
    stride = (
      2 if kind == 'conv_transpose' else 1
    )  # conv_transpose: index of the dilation in (window, stride, dilation)
    settings = {
      'window': (rows[0], columns[0]),
      'strides': (rows[stride], columns[stride]),
      'pads': (tuple(rows[3]), tuple(columns[3])),
    }
  for key in ('rate', 'momentum', 'epsilon'):
    if hasattr(layer, key):
      settings[key] = float(getattr(layer, key))
  if kind in ('conv', 'group_norm'):
    settings['groups'] = layer.groups
  elif kind == 'depthwise_conv':
    settings['groups'] = shape[-1]
  if isinstance(layer, branches.JOINING):
    settings['join'] = branches.join_of(layer)
  if kind == 'reshape':
    settings['shape'] = tuple(layer.shape)
  if hasattr(layer, 'activation'):
    settings['activation'] = _name_of(layer.activation)
  return settings


def _name_of(activation):
  """Returns the name of an activation; None for no activation, '' if it is unknown."""
  if activation is None:
    return None
  return next((name for name, one in models.ACTIVATIONS.items() if one is activation), '')


def _of_recurrent(network, model, format):
  for applies, why in (
    (model.masked, 'which reads sequences of different lengths'),
    (model.bidirectional, 'which reads in both directions'),
    (len(model.layer_names()) > 1, 'which has several recurrent layers'),
    (model.pool != 'last', 'which reads the mean of the states'),
  ):
    if applies:
      raise refusal(format, 'the model recurrent', why)
  shape = network.input_shape
  states = (shape[0], model.named_widths()[0][1])
  return [
    Layer(model.cell, model.cell, shape, {}, weights_of(network, model.cell)),
    Layer('last', 'last', states),
    Layer('logits', 'dense', states[1:], {'activation': None}, weights_of(network, 'logits')),
  ]


def _of_language_model(network, model, format):
  if model.embedding:
    found = [Layer('embedding', 'embedding', (), {}, weights_of(network, 'embedding'))]
    found.append(Layer('dropout0', 'dropout', (), {'rate': float(model.dropout)}))
  else:
    kernel = np.eye(model.classes, dtype=np.float32)
    found = [Layer('one_hot', 'embedding', (), {'trained': False}, {'kernel': kernel})]
  for number in range(1, model.layers + 1):
    name = f'{model.cell}{number}'
    found.append(Layer(name, model.cell, (), {}, weights_of(network, name)))
    found.append(Layer(f'dropout{number}', 'dropout', (), {'rate': float(model.dropout)}))
  weights = weights_of(network, 'logits')
  if model.tie and format != 'jaxdl':  # other tools have a copy of the vectors
    weights = {'kernel': found[0].weights['kernel'].T, **weights}
  found.append(Layer('logits', 'dense', (), {'activation': None}, weights))
  return found


def gates(layer: Layer, order: Sequence[int]) -> dict[str, Float[np.ndarray, '... G']]:
  """Returns the weights of a recurrent layer with reordered gates.

  Args:
    layer: the layer.
    order: for each gate of the result, its position in jaxdl. The order in jaxdl is input, forget,
      candidate, output for 'lstm', and update, reset, candidate for 'gru'.

  Returns:
    Name → array. A missing recurrent bias is zero.
  """
  weights = dict(layer.weights)
  weights.setdefault('recurrent_bias', np.zeros_like(weights['bias']))
  return {name: reordered(array, order) for name, array in weights.items()}


def reordered(
  array: Float[np.ndarray, '... G'], order: Sequence[int]
) -> Float[np.ndarray, '... G']:
  """An array with the gates on its last axis in another order.

  Args:
    array: the gates side by side.
    order: position in the array of each gate of the result.
  """
  parts = np.split(array, len(order), axis=-1)
  return np.concatenate([parts[place] for place in order], axis=-1)
