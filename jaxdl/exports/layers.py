"""The layers of a network, free of any library, for the formats that write them one by one."""

import dataclasses
from collections.abc import Sequence
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
# Kinds that only ONNX has a writer for.
IN_ONNX = (
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
  """One layer.

  Attributes:
    name: its name in jaxdl.
    kind: a value of KINDS, 'embedding', 'rnn', 'lstm', 'gru' or 'last' (the last step of a
      sequence).
    shape: shape of one example of its inputs, of the first ones where it has several.
    settings: 'activation' (a key of `models.ACTIVATIONS` or None) of conv, conv_transpose, dense
      and activation; 'window', 'strides' and 'pads' ((top, bottom), (left, right)) of convolutions
      and pooling, where the pads of conv_transpose are around the spread image; 'rate' of dropout;
      'momentum' of batch_norm, 'epsilon' of normalisation; 'shape' of reshape; 'groups' of conv,
      depthwise_conv and group_norm; 'join' ('add' or 'concatenate') of residual and parallel.
    weights: name → array, as in the checkpoint.
    sources: the layers of a CNN whose outputs it reads, '' for the inputs of the network.
  """

  name: str
  kind: str
  shape: tuple[int, ...]
  settings: dict[str, Any] = dataclasses.field(default_factory=dict)
  weights: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
  sources: tuple[str, ...] = ()

  @property
  def trained(self) -> bool:
    """Whether training changes its weights; the one-hot vectors of a language model are fixed."""
    return self.settings.get('trained', True)


def refusal(format: str, what: str, why: str) -> ValueError:
  """The error for a layer that a format cannot express, in one line.

  Args:
    format: name of the format.
    what: the layer or the model.
    why: the reason.
  """
  message = (
    f'format={format} cannot express {what}, {why}: use format=stablehlo or format=safetensors'
  )
  return about(ValueError(message), 'format')


def layers_of(network: Network, format: str) -> list[Layer]:
  """The layers of a network in their order.

  Args:
    network: the network.
    format: name of the format, for messages.

  Raises:
    ValueError: the model or a layer is not one of jaxdl's, or the format has no writer for it.
  """
  model = network.model
  if type(model) is cnn.CNN:
    return _of_cnn(network, model, format)
  if type(model) is Recurrent:
    return _of_recurrent(network, model, format)
  if type(model) is LanguageModel:
    return _of_language_model(network, model)
  if type(model) is Transformer:
    raise refusal(format, 'the model transformer', 'whose attention it has no writer for')
  raise refusal(format, f'the model {type(model).__name__}', 'which is not one of jaxdl')


def _weights(network, name):
  found = {}
  for collection in ('params', 'batch_stats'):
    below = network.variables.get(collection, {}).get(name, {})
    found |= {key: np.asarray(jax.device_get(value)) for key, value in below.items()}
  return found


def _of_cnn(network, model, format):
  if model.masked:
    raise refusal(format, 'the model cnn', 'which reads sequences of different lengths')
  rows = {row['name']: row for row in table.layers(model, network.input_shape)}
  found = []
  for name, build, sources, _ in model.nodes():
    layer = build()
    if type(layer) not in KINDS:
      raise refusal(
        format, f'the layer {name}', f'a {type(layer).__name__} that is not one of jaxdl'
      )
    kind, shape = KINDS[type(layer)], tuple(rows[name]['input'])
    _check_writer(format, name, layer, kind, shape)
    settings = _settings(layer, kind, shape)
    if kind == 'project':
      settings['strides'] = tuple(
        branches.strides_between(before, after)
        for before, after in zip(shape[:-1], rows[name]['output'][:-1], strict=True)
      )
    if settings.get('activation') == '':
      raise refusal(format, f'the activation of the layer {name}', 'which is not one of jaxdl')
    found.append(Layer(name, kind, shape, settings, _weights(network, name), sources))
  return found


def _check_writer(format, name, layer, kind, shape):
  """Raises ValueError for a layer that the format has no writer for."""
  what = f'the layer {name}'
  if kind in IN_ONNX and format != 'onnx':
    raise refusal(format, what, f'a {type(layer).__name__} that it has no writer for')
  if kind == 'conv' and layer.groups > 1 and format != 'onnx':
    raise refusal(format, what, 'a convolution in groups that it has no writer for')
  if kind in (*WINDOWED, 'group_norm') and len(shape) != 3:
    raise refusal(format, what, 'which reads sequences')


def _settings(layer, kind, shape):
  settings = {}
  if kind in WINDOWED:
    (rows, columns) = (geometry.window_of(layer, axis, shape[axis]) for axis in (0, 1))
    stride = 2 if kind == 'conv_transpose' else 1  # place of the factor in (window, stride, spread)
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
  """The name of an activation; None for no activation, '' for an unknown one."""
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
    Layer(model.cell, model.cell, shape, {}, _weights(network, model.cell)),
    Layer('last', 'last', states),
    Layer('logits', 'dense', states[1:], {'activation': None}, _weights(network, 'logits')),
  ]


def _of_language_model(network, model):
  if model.embedding:
    found = [Layer('embedding', 'embedding', (), {}, _weights(network, 'embedding'))]
    found.append(Layer('dropout0', 'dropout', (), {'rate': float(model.dropout)}))
  else:
    kernel = np.eye(model.classes, dtype=np.float32)
    found = [Layer('one_hot', 'embedding', (), {'trained': False}, {'kernel': kernel})]
  for number in range(1, model.layers + 1):
    name = f'{model.cell}{number}'
    found.append(Layer(name, model.cell, (), {}, _weights(network, name)))
    found.append(Layer(f'dropout{number}', 'dropout', (), {'rate': float(model.dropout)}))
  found.append(Layer('logits', 'dense', (), {'activation': None}, _weights(network, 'logits')))
  return found


def gates(layer: Layer, order: Sequence[int]) -> dict[str, Float[np.ndarray, '... G']]:
  """The weights of a recurrent layer with its gates in another order.

  Args:
    layer: the layer.
    order: position in jaxdl's order of each gate of the result. jaxdl's order is input, forget,
      candidate, output for 'lstm' and update, reset, candidate for 'gru'.

  Returns:
    Name → array; a recurrent bias of zeros where the layer has none.
  """
  weights = dict(layer.weights)
  weights.setdefault('recurrent_bias', np.zeros_like(weights['bias']))
  ordered = {}
  for name, array in weights.items():
    parts = np.split(array, len(order), axis=-1)
    ordered[name] = np.concatenate([parts[place] for place in order], axis=-1)
  return ordered
