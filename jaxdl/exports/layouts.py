"""Layouts of weights in other tools: names, axes, gates, and the order of flat vectors.

Exports write weights with these functions, and `jaxdl.weights` reads weights with them.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Shaped

from jaxdl.exports.layers import Layer, gates, reordered

Weights = dict[str, Shaped[np.ndarray, '...']]
TORCH_GATES = {'rnn': (0,), 'lstm': (0, 1, 2, 3), 'gru': (1, 0, 2)}  # i f g o; r z n
CELLS = tuple(TORCH_GATES)
IMAGES = ('conv', 'conv_transpose', 'max_pool', 'average_pool')  # kinds that read images
SAME_ORDER = ('activation', 'dropout', 'batch_norm')  # kinds that keep the order of a flat vector
PRODUCTS = ('conv', 'conv_transpose', 'dense')


class Order(NamedTuple):
  """Order of the flat vectors before and after a layer in PyTorch, if it differs from jaxdl.

  Attributes:
    inputs: position in the jaxdl vector of each element of the PyTorch vector; None for
      the same order.
    outputs: the same for the layer's outputs.
  """

  inputs: Int[np.ndarray, ' N'] | None = None
  outputs: Int[np.ndarray, ' N'] | None = None


UNCHANGED = Order()


def channels_first(shape: Sequence[int]) -> Int[np.ndarray, ' N']:
  """Returns the position in a flat [H, W, C] image of each element of the flat [C, H, W] image."""
  positions = np.arange(math.prod(shape)).reshape(shape)
  return np.moveaxis(positions, -1, 0).reshape(-1)


def flat_orders(listed: Sequence[Layer]) -> dict[str, Order]:
  """Finds the layers whose flat vectors have another order in PyTorch.

  PyTorch flattens images with the channels first. The weights of the following dense layer, and of
  batch normalisation before it, are in this order. The same applies if a vector becomes an image.

  Args:
    listed: the layers of a network.

  Returns:
    Name of a flatten, batch_norm, dense or reshape layer → Order. Other layers, also those of
    vectors that jaxdl's own order has (after a dense layer on the channels of images), are absent.
  """
  found, images_first, order = {}, True, None
  for place, layer in enumerate(listed):
    following, vector = _following(listed, place), len(layer.shape) == 1
    inputs, outputs = order, order
    if layer.kind in IMAGES or (layer.kind == 'batch_norm' and len(layer.shape) == 3):
      images_first = True
    elif layer.kind == 'flatten':
      absorbed = images_first and len(layer.shape) == 3 and following.kind == 'dense'
      outputs = channels_first(layer.shape) if absorbed else order
    elif layer.kind == 'dense':
      becomes_image = vector and _makes_images(following)
      outputs = channels_first(following.settings['shape']) if becomes_image else None
      images_first = images_first and vector
    elif layer.kind == 'reshape':
      images_first, outputs = order is not None and _makes_images(layer), None
    if (inputs is not None or outputs is not None) and layer.kind not in ('activation', 'dropout'):
      found[layer.name] = Order(inputs, outputs)
    order = outputs
  return found


def _following(listed, place):
  """The next layer that may change the order of a vector; a layer of kind '' at the end."""
  rest = (layer for layer in listed[place + 1 :] if layer.kind not in SAME_ORDER)
  return next(rest, Layer('', '', ()))


def _makes_images(layer):
  return layer.kind == 'reshape' and len(layer.settings['shape']) == 3


def to_torch(layer: Layer, order: Order = UNCHANGED) -> Weights:
  """The entries of a layer in a state_dict, in PyTorch's order, without the layer's name.

  Args:
    layer: the layer; a layer without weights gives {}.
    order: its Order in `flat_orders`.
  """
  weights = layer.weights
  if layer.kind in CELLS:
    ordered = gates(layer, TORCH_GATES[layer.kind])
    return {
      'weight_ih_l0': ordered['input_kernel'].T,
      'weight_hh_l0': ordered['recurrent_kernel'].T,
      'bias_ih_l0': ordered['bias'],
      'bias_hh_l0': ordered['recurrent_bias'],
    }
  if layer.kind == 'batch_norm':
    names = {'weight': 'scale', 'bias': 'bias', 'running_mean': 'mean', 'running_var': 'var'}
    return {theirs: _taken(weights[ours], order.inputs) for theirs, ours in names.items()}
  if layer.kind == 'embedding':
    return {'weight': weights['kernel']}
  if layer.kind not in PRODUCTS:
    return {}
  kernel, bias = weights['kernel'], _taken(weights['bias'], order.outputs)
  if layer.kind == 'conv':
    return {'weight': kernel.transpose(3, 2, 0, 1), 'bias': bias}
  if layer.kind == 'conv_transpose':
    return {'weight': kernel[::-1, ::-1].transpose(2, 3, 0, 1), 'bias': bias}
  ordered = _taken(_taken(kernel, order.inputs).T, order.outputs)
  return {'weight': ordered, 'bias': bias}


def from_torch(layer: Layer, given: Weights, order: Order = UNCHANGED) -> Weights:
  """The inverse of `to_torch`.

  Args:
    layer: the layer; its weights are not read.
    given: all entries that `to_torch` returns, or those without biases.
    order: the layer's Order in `flat_orders`.

  Returns:
    Name in jaxdl → array, for the entries that were given.
  """
  if layer.kind in CELLS:
    return _cell_from_torch(layer, given)
  if layer.kind == 'batch_norm':
    names = {'weight': 'scale', 'bias': 'bias', 'running_mean': 'mean', 'running_var': 'var'}
    return {names[theirs]: _put(array, order.inputs) for theirs, array in given.items()}
  weight = given['weight']
  if layer.kind == 'conv':
    weight = weight.transpose(2, 3, 1, 0)
  elif layer.kind == 'conv_transpose':
    weight = weight.transpose(2, 3, 0, 1)[::-1, ::-1]
  elif layer.kind == 'dense':
    weight = _put(_put(weight, order.outputs).T, order.inputs)
  found = {'kernel': weight}
  if 'bias' in given:
    found['bias'] = _put(given['bias'], order.outputs)
  return found


def _cell_from_torch(layer, given):
  back = np.argsort(TORCH_GATES[layer.kind]).tolist()
  found = {
    'input_kernel': reordered(given['weight_ih_l0'].T, back),
    'recurrent_kernel': reordered(given['weight_hh_l0'].T, back),
  }
  biases = [given[name] for name in ('bias_ih_l0', 'bias_hh_l0') if name in given]
  if not biases:
    return found
  if layer.kind == 'gru':
    names = ('bias', 'recurrent_bias')
    return found | {name: reordered(bias, back) for name, bias in zip(names, biases, strict=True)}
  return {**found, 'bias': reordered(np.sum(biases, axis=0), back)}


KERAS = {  # kind → name in Keras → name in jaxdl, in the order of Keras's get_weights
  **dict.fromkeys(PRODUCTS, {'kernel': 'kernel', 'bias': 'bias'}),
  'batch_norm': {
    'gamma': 'scale',
    'beta': 'bias',
    'moving_mean': 'mean',
    'moving_variance': 'var',
  },
  'embedding': {'embeddings': 'kernel'},
  **dict.fromkeys(
    CELLS,
    {'kernel': 'input_kernel', 'recurrent_kernel': 'recurrent_kernel', 'bias': 'bias'},
  ),
}


def to_keras(layer: Layer, order: Order = UNCHANGED) -> Weights:
  """The weights of a layer by their names in Keras, in the order of `get_weights`.

  Args:
    layer: the layer; a layer without weights gives {}.
    order: not used, because Keras has the same order as jaxdl.
  """
  weights = dict(layer.weights)
  if layer.kind == 'gru':
    weights['bias'] = np.stack([weights['bias'], weights['recurrent_bias']])
  if layer.kind == 'conv_transpose':
    weights['kernel'] = np.ascontiguousarray(weights['kernel'][::-1, ::-1].swapaxes(2, 3))
  return {theirs: weights[ours] for theirs, ours in KERAS.get(layer.kind, {}).items()}


def from_keras(layer: Layer, given: Weights, order: Order = UNCHANGED) -> Weights:
  """The inverse of `to_keras`; its arguments are those of `from_torch`."""
  found = {KERAS[layer.kind][theirs]: array for theirs, array in given.items()}
  if layer.kind == 'gru' and 'bias' in found:
    found['bias'], found['recurrent_bias'] = found['bias']
  if layer.kind == 'conv_transpose':
    found['kernel'] = found['kernel'][::-1, ::-1].swapaxes(2, 3)
  return found


def _taken(array, positions):
  """Reorders the first axis of an array; None for the same order."""
  return array if positions is None else array[positions]


def _put(array, positions):
  """The inverse of `_taken`."""
  return array if positions is None else array[np.argsort(positions)]
