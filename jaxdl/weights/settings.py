"""Compares settings of layers in a file, such as strides, with those of the config."""

from collections.abc import Iterator
from typing import Any

from jaxdl.exports.layers import Layer
from jaxdl.ops import explicit_padding

EPSILON = {'torch': 1e-5, 'keras': 1e-3}  # of batch normalisation, by default
FIXED = {  # kind → setting in Keras → the only value that jaxdl has
  'conv': {'dilation_rate': (1, 1), 'groups': 1, 'data_format': 'channels_last'},
  'conv_transpose': {'dilation_rate': (1, 1), 'data_format': 'channels_last'},
  'rnn': {'go_backwards': False, 'activation': 'tanh'},
  'lstm': {'go_backwards': False, 'activation': 'tanh', 'recurrent_activation': 'sigmoid'},
  'gru': {
    'go_backwards': False,
    'activation': 'tanh',
    'recurrent_activation': 'sigmoid',
    'reset_after': True,
  },
}


def check(layer: Layer, settings: dict[str, Any], file: object) -> list[str]:
  """Compares the settings of a layer of Keras with those of the config.

  Args:
    layer: the layer of the config.
    settings: config of the layer in the file; {} if it is not known.
    file: the file, for messages.

  Returns:
    Warnings about settings that only change training.

  Raises:
    ValueError: a setting changes the outputs; the message names it and both values.
  """
  for name, theirs, ours in _pairs(layer, settings):
    if theirs != ours:
      raise ValueError(
        f'{file}: {settings.get("name", layer.name)} has {name}={theirs!r}, but the layer '
        f'{layer.name} of the config has {ours!r}: change the config'
      )
  theirs, ours = settings.get('momentum'), layer.settings.get('momentum')
  if layer.kind == 'batch_norm' and theirs is not None and theirs != ours:
    return [
      f'{layer.name} has momentum={ours!r} in the config and {theirs!r} in the file, which matters '
      'in training alone'
    ]
  return []


def _pairs(layer, settings) -> Iterator[tuple[str, Any, Any]]:
  """(name, value in the file, value in the config) of the settings of a file."""
  for name, only in FIXED.get(layer.kind, {}).items():
    if settings.get(name) is not None:
      yield name, _plain(settings[name]), only
  if layer.kind == 'batch_norm' and 'epsilon' in settings:
    yield 'epsilon', settings['epsilon'], layer.settings['epsilon']
  if layer.kind in ('conv', 'dense', 'conv_transpose'):
    activation = settings.get('activation')
    if isinstance(activation, str) and activation != 'linear':  # may be a layer of its own
      yield 'activation', activation, layer.settings['activation']
  if layer.kind == 'conv' and 'strides' in settings:
    yield 'strides', _plain(settings['strides']), layer.settings['strides']
    pads = _pads(layer, settings.get('padding'))
    if pads is not None:
      yield 'padding', pads, layer.settings['pads']


def _pads(layer, padding):
  """The pads of a convolution in Keras; None if they are not known."""
  if padding == 'valid':
    return None  # the images may be padded by a layer before it
  if padding != 'same':
    return None
  sizes = zip(layer.settings['window'], layer.settings['strides'], strict=True)
  return tuple(
    explicit_padding(layer.shape[axis], window, stride, 'SAME')
    for axis, (window, stride) in enumerate(sizes)
  )


def _plain(value):
  return tuple(value) if isinstance(value, list) else value


def notes(listed: list[Layer], layout: str, *, known: bool) -> list[str]:
  """Warnings about epsilons of batch normalisation that the file does not have.

  Args:
    listed: the layers of the network.
    layout: 'torch' | 'keras' | 'jaxdl'.
    known: whether the file has the settings of its layers.
  """
  usual = EPSILON.get(layout)
  if known or usual is None:
    return []
  other = {
    layer.settings['epsilon']: layer.name
    for layer in listed
    if layer.kind == 'batch_norm' and layer.settings['epsilon'] != usual
  }
  tool = {'torch': 'PyTorch', 'keras': 'Keras'}[layout]
  return [
    f'{name} has epsilon={epsilon:g}, as the config says, but the default of {tool} is {usual:g} '
    'and the file does not contain it: set epsilon to that of the network that was trained'
    for epsilon, name in other.items()
  ]
