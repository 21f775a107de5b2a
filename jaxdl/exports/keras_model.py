"""Keras 3: a functional model in one `.keras` file for all backends."""

# The library is optional.
# pyright: reportMissingImports=false

import functools
import os
import pathlib
from typing import Any

import numpy as np

from jaxdl.exports import layers, layouts
from jaxdl.exports.format import Call, Format
from jaxdl.exports.network import Network
from jaxdl.ops import explicit_padding

FILE = 'model.keras'
LAST = {'data_format': 'channels_last'}


def _library() -> Any:
  """Imports Keras. Selects the backend JAX by default; importing TensorFlow takes seconds."""
  os.environ.setdefault('KERAS_BACKEND', 'jax')
  import keras  # pyright: ignore[reportMissingImports]

  return keras


def write(network: Network, folder: pathlib.Path) -> None:
  """Writes a functional model with a free batch axis, and a free time axis for texts.

  Args:
    network: the network.
    folder: folder of the file.

  Raises:
    ValueError: a layer is not part of jaxdl, or has no equivalent in Keras.
  """
  keras = _library()
  ports = network.inputs()
  inputs = [
    keras.Input(
      [None if isinstance(size, str) else size for size in port.shape[1:]],
      dtype=port.dtype,
      name=port.name,
    )
    for port in ports
  ]
  value, states, after = _prepared(keras, network, inputs[0]), iter(inputs[1:]), []
  for layer in layers.layers_of(network, 'keras'):
    if layer.kind in CELLS:
      given = [next(states) for _ in network.states.get(layer.name, ())]
      value, following = _recurrent(keras, layer, value, given)
      after += following
    else:
      value = WRITERS[layer.kind](keras, layer, value)
  given, found = (inputs, [value, *after]) if after else (inputs[0], value)
  keras.Model(given, found, name='network').save(folder / FILE)


def load(network: Network, folder: pathlib.Path) -> Call:
  """Loads the model with Keras. Returns a function from inputs to outputs."""
  keras = _library()
  model = keras.saving.load_model(folder / FILE)

  def call(arrays):
    given = list(arrays) if len(arrays) > 1 else arrays[0]
    outputs = model(given, training=False)
    found = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    return [np.asarray(keras.ops.convert_to_numpy(array)) for array in found]

  return call


def use(network: Network) -> str:
  """Returns instructions for using the file, in Markdown."""
  names = ', '.join(port.name for port in network.inputs())
  return f"""\
```python
import keras

model = keras.saving.load_model('{FILE}')
outputs = model({f'[{names}]' if network.is_text else names})
```

The layers have the same names as in jaxdl. Dropout is included, so the model can be trained
further."""


def _prepared(keras, network, value):
  """Applies the preprocessing if the network is raw."""
  if not network.raw:
    return value
  facts = network.preprocessing()
  mean, deviation = (np.asarray(facts[key], float) for key in ('subtract', 'then_divide_by'))
  value = keras.layers.Rescaling(
    scale=(1 / (facts['divide_by'] * deviation)).tolist(),
    offset=(-mean / deviation).tolist(),
    name='preprocessing',
  )(value)
  if facts['layout'] == 'rows':
    value = keras.layers.Reshape(network.input_shape, name='rows')(value)
  return value


def _applied(layer, made, *arguments, **keywords):
  """Applies a Keras layer and sets its weights. Returns the outputs."""
  outputs = made(*arguments, **keywords)
  if weights := layouts.to_keras(layer):
    made.set_weights(list(weights.values()))
  return outputs


def _activated(keras, layer, value):
  name = layer.settings.get('activation')
  if name is None:
    return value
  if name == 'gelu':
    return keras.ops.gelu(value, approximate=True)
  if name not in ('relu', 'tanh', 'sigmoid', 'elu'):
    raise layers.refusal('keras', f'the layer {layer.name}', f'whose activation is {name}')
  own = layer.name if layer.kind == 'activation' else f'{layer.name}_activation'
  return keras.layers.Activation(name, name=own)(value)


def _padding(layer):
  """Returns 'same' or 'valid' if equal to the padding of a layer, otherwise None."""
  pads = layer.settings['pads']
  if pads == ((0, 0), (0, 0)):
    return 'valid'
  same = tuple(
    explicit_padding(layer.shape[axis], window, stride, 'SAME')
    for axis, (window, stride) in enumerate(
      zip(layer.settings['window'], layer.settings['strides'], strict=True)
    )
  )
  return 'same' if pads == same else None


def _padded(keras, layer, value):
  """Pads images explicitly. Negative padding crops."""
  pads = layer.settings['pads']
  crops, zeros = (
    tuple(tuple(max(sign * pad, 0) for pad in axis) for axis in pads) for sign in (-1, 1)
  )
  if any(map(any, crops)):
    value = keras.layers.Cropping2D(crops, name=f'{layer.name}_crop', **LAST)(value)
  if any(map(any, zeros)):
    value = keras.layers.ZeroPadding2D(zeros, name=f'{layer.name}_pad', **LAST)(value)
  return value


def _conv(keras, layer, value):
  padding = _padding(layer)
  if padding is None:
    value = _padded(keras, layer, value)
  made = keras.layers.Conv2D(
    len(layer.weights['bias']),
    layer.settings['window'],
    strides=layer.settings['strides'],
    padding=padding or 'valid',
    name=layer.name,
    **LAST,
  )
  return _activated(keras, layer, _applied(layer, made, value))


def _conv_transpose(keras, layer, value):
  """A transposed convolution without padding, cropped to the output size of jaxdl."""
  window, strides = layer.settings['window'], layer.settings['strides']
  made = keras.layers.Conv2DTranspose(
    len(layer.weights['bias']), window, strides=strides, padding='valid', name=layer.name, **LAST
  )
  value = _applied(layer, made, value)
  crops = tuple(
    (size - 1 - before, max(size, stride) - 1 - after)
    for size, stride, (before, after) in zip(window, strides, layer.settings['pads'], strict=True)
  )
  if min(map(min, crops)) < 0:
    raise layers.refusal('keras', f'the layer {layer.name}', 'whose padding exceeds its window')
  if any(map(any, crops)):
    value = keras.layers.Cropping2D(crops, name=f'{layer.name}_crop', **LAST)(value)
  return _activated(keras, layer, value)


def _pool(keras, layer, value, *, kind):
  padding = _padding(layer)
  if padding is None and kind == 'AveragePooling2D':
    raise layers.refusal('keras', f'the layer {layer.name}', "whose padding is not 'SAME'")
  if padding is None:
    pads = ((0, 0), *layer.settings['pads'], (0, 0))
    value = keras.ops.pad(value, pads, constant_values=-np.inf)
  made = getattr(keras.layers, kind)(
    layer.settings['window'],
    strides=layer.settings['strides'],
    padding=padding or 'valid',
    name=layer.name,
    **LAST,
  )
  return made(value)


def _dense(keras, layer, value):
  made = keras.layers.Dense(len(layer.weights['bias']), name=layer.name)
  return _activated(keras, layer, _applied(layer, made, value))


def _batch_norm(keras, layer, value):
  settings = {key: layer.settings[key] for key in ('momentum', 'epsilon')}
  return _applied(layer, keras.layers.BatchNormalization(**settings, name=layer.name), value)


def _dropout(keras, layer, value):
  return keras.layers.Dropout(layer.settings['rate'], name=layer.name)(value)


def _flatten(keras, layer, value):
  return keras.layers.Flatten(name=layer.name, **LAST)(value)


def _reshape(keras, layer, value):
  return keras.layers.Reshape(layer.settings['shape'], name=layer.name)(value)


def _embedding(keras, layer, value):
  made = keras.layers.Embedding(
    *layer.weights['kernel'].shape, trainable=layer.trained, name=layer.name
  )
  return _applied(layer, made, value)


CELLS = {'rnn': 'SimpleRNN', 'lstm': 'LSTM', 'gru': 'GRU'}


def _recurrent(keras, layer, value, states):
  """Adds a recurrent layer.

  Args:
    keras: the library.
    layer: the layer.
    value: its input.
    states: initial states in the order of jaxdl; [] for zeros, to return only the last output.

  Returns:
    (outputs, final states in the order of jaxdl). The final states are [] without `states`.
  """
  settings = {'reset_after': True} if layer.kind == 'gru' else {}
  made = getattr(keras.layers, CELLS[layer.kind])(
    len(layer.weights['recurrent_kernel']),
    return_sequences=bool(states),
    return_state=bool(states),
    name=layer.name,
    **settings,
  )
  given = {'initial_state': states[::-1]} if states else {}  # Keras expects the hidden state first
  outputs = _applied(layer, made, value, **given)
  if not states:
    return outputs, []
  every, *after = outputs
  return every, after[::-1]


def _unchanged(keras, layer, value):
  return value


WRITERS = {
  'conv': _conv,
  'conv_transpose': _conv_transpose,
  'dense': _dense,
  'max_pool': functools.partial(_pool, kind='MaxPooling2D'),
  'average_pool': functools.partial(_pool, kind='AveragePooling2D'),
  'batch_norm': _batch_norm,
  'dropout': _dropout,
  'flatten': _flatten,
  'reshape': _reshape,
  'activation': _activated,
  'embedding': _embedding,
  'last': _unchanged,
}

FORMAT = Format('keras', (FILE,), ('keras',), 'keras', True, write, load, use)
