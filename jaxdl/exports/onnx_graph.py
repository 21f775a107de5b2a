"""ONNX: a graph of standard operators for ONNX Runtime and other runtimes.

The graph is written layer by layer. There are no layout conversions between layers, and each
recurrent layer is a single node. jax2onnx, which converts JAX programs, is not used: it exports
pooling as a six-dimensional operator that ONNX Runtime rejects, and requires a version of
orbax-checkpoint that jaxdl cannot use.
"""

# The library is optional.
# pyright: reportMissingImports=false

import functools
import pathlib
from typing import Any

import numpy as np

from jaxdl.exports import layers
from jaxdl.exports.format import Call, Format
from jaxdl.exports.network import Network

FILE = 'model.onnx'
OPSET, IR_VERSION = 20, 9  # ONNX 1.15 (2023), the first opset with Gelu
FIRST, LAST = (0, 3, 1, 2), (0, 2, 3, 1)  # NHWC → NCHW and back
ONNX_GATES = {'rnn': (0,), 'lstm': (0, 3, 1, 2), 'gru': (0, 1, 2)}  # i o f c; z r h


class _Graph:
  """A graph under construction. Methods return names of values.

  Names of internal values begin with '/', so they differ from the names of inputs and outputs.

  Attributes:
    channels_first: whether the current value has the channels as the first axis after the batch.
  """

  def __init__(self):
    self.nodes, self.initializers, self.channels_first = [], [], False

  def constant(self, name: str, array: Any) -> str:
    from onnx import numpy_helper  # pyright: ignore[reportMissingImports]

    self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), f'/{name}'))
    return f'/{name}'

  def add(self, name: str, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
    from onnx import helper  # pyright: ignore[reportMissingImports]

    names = [f'/{name}'] if outputs == 1 else [f'/{name}/{number}' for number in range(outputs)]
    self.nodes.append(helper.make_node(operator, list(inputs), names, name=name, **attributes))
    return names[0] if outputs == 1 else names

  def layout(self, name: str, value: str, *, channels_first: bool) -> str:
    """Moves the channels of a value first or last."""
    if self.channels_first == channels_first:
      return value
    self.channels_first = channels_first
    return self.add(
      f'{name}/layout', 'Transpose', value, perm=list(FIRST if channels_first else LAST)
    )

  def last(self, value: str, name: str) -> None:
    """Renames a value to the name of an output."""
    for node in self.nodes:
      for place, output in enumerate(node.output):
        if output == value:
          node.output[place] = name


def write(network: Network, folder: pathlib.Path) -> None:
  """Writes the graph with a free batch axis, and a free time axis for texts.

  Args:
    network: the network.
    folder: folder of the file.

  Raises:
    ValueError: a layer is not part of jaxdl, or has no equivalent in ONNX.
  """
  import onnx  # pyright: ignore[reportMissingImports]
  from onnx import TensorProto, helper  # pyright: ignore[reportMissingImports]

  types = {'float32': TensorProto.FLOAT, 'int32': TensorProto.INT32, 'uint8': TensorProto.UINT8}

  def information(port):
    return helper.make_tensor_value_info(port.name, types[port.dtype], port.shape)

  inputs, outputs = network.inputs(), network.outputs()
  graph = _Graph()
  value = _prepared(graph, network, inputs[0].name)
  if network.is_text:
    _text(graph, network, value)
  else:
    values = {'': (value, False)}  # layer → its output, and whether its channels are first
    for layer in layers.layers_of(network, 'onnx'):
      if len(layer.sources) > 1:
        value = _joined(graph, layer, [values[source] for source in layer.sources])
      else:
        value, graph.channels_first = values[layer.sources[0]] if layer.sources else (value, False)
        value = WRITERS[layer.kind](graph, layer, value)
      values[layer.name] = value, graph.channels_first
    value = graph.layout('outputs', value, channels_first=False)
    graph.last(value, outputs[0].name)
  model = helper.make_model(
    helper.make_graph(
      graph.nodes,
      network.name,
      [information(port) for port in inputs],
      [information(port) for port in outputs],
      graph.initializers,
    ),
    opset_imports=[helper.make_opsetid('', OPSET)],
    ir_version=IR_VERSION,
    producer_name='jaxdl',
  )
  helper.set_model_props(model, network.metadata())
  onnx.checker.check_model(model, full_check=True)
  onnx.save(model, str(folder / FILE))


def load(network: Network, folder: pathlib.Path) -> Call:
  """Loads the graph with ONNX Runtime. Returns a function from inputs to outputs."""
  import onnxruntime  # pyright: ignore[reportMissingImports]

  session = onnxruntime.InferenceSession(folder / FILE, providers=['CPUExecutionProvider'])
  names = [port.name for port in network.inputs()]

  def call(arrays):
    feed = {name: np.asarray(array) for name, array in zip(names, arrays, strict=True)}
    found = session.run([port.name for port in network.outputs()], feed)
    return [np.asarray(array) for array in found]

  return call


def use(network: Network) -> str:
  """Returns instructions for using the file, in Markdown."""
  feed = ', '.join(f"'{port.name}': {port.name}" for port in network.inputs())
  return f"""\
```python
import onnxruntime

session = onnxruntime.InferenceSession('{FILE}')
outputs = session.run(None, {{{feed}}})
```

`session.get_modelmeta().custom_metadata_map` has the class names and the preprocessing as JSON."""


def _prepared(graph, network, value):
  """Applies the preprocessing if the network is raw."""
  if not network.raw:
    return value
  facts = network.preprocessing()
  value = graph.add('pixels', 'Cast', value, to=1)  # float32
  for name, operator, key in (
    ('unit', 'Div', 'divide_by'),
    ('centred', 'Sub', 'subtract'),
    ('scaled', 'Div', 'then_divide_by'),
  ):
    constant = graph.constant(f'{name}/constant', np.asarray(facts[key], np.float32))
    value = graph.add(name, operator, value, constant)
  if facts['layout'] == 'rows':
    shape = graph.constant('rows/shape', np.array([0, *network.input_shape], np.int64))
    value = graph.add('rows', 'Reshape', value, shape)
  return value


def _text(graph, network, value):
  """Adds a language model, from characters and states to logits and states."""
  names = [port.name for port in network.outputs()]
  given = iter([port.name for port in network.inputs()[1:]])
  following = iter(names[1:])
  for layer in layers.layers_of(network, 'onnx'):
    if layer.kind == 'embedding':
      kernel = graph.constant(f'{layer.name}/kernel', layer.weights['kernel'])
      value = graph.add(f'{layer.name}/vectors', 'Gather', kernel, value)
      value = graph.add(layer.name, 'Transpose', value, perm=[1, 0, 2])  # [T, B, E]
    elif layer.kind in ONNX_GATES:
      states = [next(given) for _ in network.states[layer.name]]
      value, after = _recurrence(graph, layer, value, states)
      for state in after:
        graph.last(state, next(following))
    elif layer.kind == 'dense':
      value = _dense(graph, layer, value, rank=3)
      value = graph.add('batch_first', 'Transpose', value, perm=[1, 0, 2])
  graph.last(value, names[0])


def _recurrence(graph, layer, value, states):
  """Adds a recurrent layer.

  Args:
    graph: the graph.
    layer: the layer.
    value: name of its input [T, B, I].
    states: names of the initial states [B, H] in the order of jaxdl; () for zeros.

  Returns:
    (name of the hidden states [T, B, H], names of the final states [B, H] in the order of jaxdl).
  """
  name, first = layer.name, graph.constant(f'{layer.name}/axis', np.array([0], np.int64))
  weights = layers.gates(layer, ONNX_GATES[layer.kind])
  hidden = len(weights['recurrent_kernel'])
  arguments = [
    value,
    graph.constant(f'{name}/W', weights['input_kernel'].T[None]),
    graph.constant(f'{name}/R', weights['recurrent_kernel'].T[None]),
    graph.constant(f'{name}/B', np.concatenate([weights['bias'], weights['recurrent_bias']])[None]),
  ]
  if states:
    before = [graph.add(f'{state}/before', 'Unsqueeze', state, first) for state in states]
    arguments += ['', *before[::-1]]  # no sequence lengths; hidden state before cell state
  operator, settings = layer.kind.upper(), {}
  if layer.kind == 'gru':
    settings['linear_before_reset'] = 1
  parts = 2 if layer.kind == 'lstm' else 1
  every, *after = graph.add(
    f'{name}/cell', operator, *arguments, outputs=1 + parts, hidden_size=hidden, **settings
  )
  direction = graph.constant(f'{name}/direction', np.array([1], np.int64))
  every = graph.add(name, 'Squeeze', every, direction)
  last = [
    graph.add(f'{name}/after{number}', 'Squeeze', state, first)
    for number, state in enumerate(after)
  ]
  return every, last[::-1]


def _recurrent(graph, layer, value):
  value = graph.add(f'{layer.name}/time_first', 'Transpose', value, perm=[1, 0, 2])
  _, after = _recurrence(graph, layer, value, ())
  return after[-1]  # the hidden state after the last step


def _activated(graph, layer, value):
  name = f'{layer.name}/activation'
  match layer.settings.get('activation'):
    case None:
      return value
    case 'gelu':
      return graph.add(name, 'Gelu', value, approximate='tanh')
    case ('relu' | 'tanh' | 'sigmoid' | 'elu') as activation:
      return graph.add(name, activation.capitalize(), value)
    case activation:
      raise layers.refusal('onnx', f'the layer {layer.name}', f'whose activation is {activation}')


def _conv(graph, layer, value):
  value, pads = _padded(graph, layer, value)
  kernel = graph.constant(f'{layer.name}/kernel', layer.weights['kernel'].transpose(3, 2, 0, 1))
  bias = graph.constant(f'{layer.name}/bias', layer.weights['bias'])
  strides = list(layer.settings['strides'])
  groups = {'group': layer.settings['groups']} if layer.settings['groups'] > 1 else {}
  value = graph.add(layer.name, 'Conv', value, kernel, bias, strides=strides, pads=pads, **groups)
  return _activated(graph, layer, value)


def _padded(graph, layer, value):
  """Returns the value with channels first, cropped for negative padding, and other padding."""
  value = graph.layout(layer.name, value, channels_first=True)
  (top, bottom), (left, right) = layer.settings['pads']
  crops = [min(pad, 0) for pad in (top, left, bottom, right)]
  if any(crops):
    ends = [0, 0, *crops[:2], 0, 0, *crops[2:]]
    amounts = graph.constant(f'{layer.name}/crops', np.array(ends, np.int64))
    value = graph.add(f'{layer.name}/crop', 'Pad', value, amounts)
  return value, [max(pad, 0) for pad in (top, left, bottom, right)]


def _conv_transpose(graph, layer, value):
  """Adds a transposed convolution without padding, cropped or zero-padded, and the bias."""
  value = graph.layout(layer.name, value, channels_first=True)
  kernel = layer.weights['kernel'][::-1, ::-1].transpose(2, 3, 0, 1)  # [C, F, kh, kw]
  kernel = graph.constant(f'{layer.name}/kernel', kernel)
  strides = list(layer.settings['strides'])
  value = graph.add(f'{layer.name}/full', 'ConvTranspose', value, kernel, strides=strides)
  (top, bottom), (left, right) = layer.settings['pads']
  high, wide = (size - 1 for size in layer.settings['window'])
  ends = [0, 0, top - high, left - wide, 0, 0, bottom - high, right - wide]
  if any(ends):
    amounts = graph.constant(f'{layer.name}/ends', np.array(ends, np.int64))
    value = graph.add(f'{layer.name}/fit', 'Pad', value, amounts)
  bias = graph.constant(f'{layer.name}/bias', layer.weights['bias'][:, None, None])
  return _activated(graph, layer, graph.add(layer.name, 'Add', value, bias))


def _pool(graph, layer, value, *, operator, **settings):
  value, pads = _padded(graph, layer, value)
  window, strides = (list(layer.settings[key]) for key in ('window', 'strides'))
  if any(pad >= size for pad, size in zip(pads, [*window, *window], strict=True)):
    raise layers.refusal(
      'onnx', f'the layer {layer.name}', 'whose padding is as wide as its window'
    )
  return graph.add(
    layer.name, operator, value, kernel_shape=window, strides=strides, pads=pads, **settings
  )


def _dense(graph, layer, value, rank=None):
  value = graph.layout(layer.name, value, channels_first=False)
  kernel = graph.constant(f'{layer.name}/kernel', layer.weights['kernel'])
  bias = graph.constant(f'{layer.name}/bias', layer.weights['bias'])
  if (rank or len(layer.shape) + 1) == 2:
    value = graph.add(layer.name, 'Gemm', value, kernel, bias)
  else:
    value = graph.add(f'{layer.name}/product', 'MatMul', value, kernel)
    value = graph.add(layer.name, 'Add', value, bias)
  return _activated(graph, layer, value)


def _batch_norm(graph, layer, value):
  if len(layer.shape) not in (1, 3):
    raise layers.refusal(
      'onnx', f'the layer {layer.name}', 'which normalises vectors of a sequence'
    )
  if len(layer.shape) == 3:
    value = graph.layout(layer.name, value, channels_first=True)
  constants = [
    graph.constant(f'{layer.name}/{key}', layer.weights[key])
    for key in ('scale', 'bias', 'mean', 'var')
  ]
  epsilon = layer.settings['epsilon']
  return graph.add(layer.name, 'BatchNormalization', value, *constants, epsilon=epsilon)


def _layer_norm(graph, layer, value):
  value = graph.layout(layer.name, value, channels_first=False)
  constants = [
    graph.constant(f'{layer.name}/{key}', layer.weights[key]) for key in ('scale', 'bias')
  ]
  epsilon = layer.settings['epsilon']
  return graph.add(layer.name, 'LayerNormalization', value, *constants, axis=-1, epsilon=epsilon)


def _group_norm(graph, layer, value):
  """Instance normalisation of [B, groups, pixels · channels of a group], scale and bias."""
  name, groups = layer.name, layer.settings['groups']
  value = graph.layout(name, value, channels_first=True)
  rows, columns, channels = layer.shape
  shapes = {
    'grouped': np.array([0, groups, -1], np.int64),
    'ungrouped': np.array([0, channels, rows, columns], np.int64),
  }
  grouped, ungrouped = (
    graph.constant(f'{name}/{key}/shape', value) for key, value in shapes.items()
  )
  ones = graph.constant(f'{name}/ones', np.ones(groups, np.float32))
  zeros = graph.constant(f'{name}/zeros', np.zeros(groups, np.float32))
  value = graph.add(f'{name}/grouped', 'Reshape', value, grouped)
  epsilon = layer.settings['epsilon']
  value = graph.add(f'{name}/normed', 'InstanceNormalization', value, ones, zeros, epsilon=epsilon)
  value = graph.add(f'{name}/ungrouped', 'Reshape', value, ungrouped)
  for key, operator in (('scale', 'Mul'), ('bias', 'Add')):
    constant = graph.constant(f'{name}/{key}', layer.weights[key][:, None, None])
    value = graph.add(name if key == 'bias' else f'{name}/scaled', operator, value, constant)
  return value


def _global_pool(graph, layer, value, *, operator):
  value = graph.layout(layer.name, value, channels_first=False)
  axes = list(range(1, len(layer.shape)))
  constant = graph.constant(f'{layer.name}/axes', np.array(axes, np.int64))
  return graph.add(layer.name, operator, value, constant, keepdims=0)


def _joined(graph, layer, values):
  """A layer that reads several values, each of its own layout; its output has channels last."""
  last = []
  for number, (value, channels_first) in enumerate(values):
    graph.channels_first = channels_first
    last.append(graph.layout(f'{layer.name}/{number}', value, channels_first=False))
  if layer.kind == 'project':
    return _project(graph, layer, last[0])
  if layer.settings['join'] == 'concatenate':
    return graph.add(layer.name, 'Concat', *last, axis=-1)
  return graph.add(layer.name, 'Sum', *last)


def _project(graph, layer, value):
  strides = layer.settings['strides']
  if any(stride > 1 for stride in strides):
    axes = range(1, len(layer.shape))
    numbers = {
      'starts': [0] * len(axes),
      'ends': list(layer.shape[:-1]),
      'axes': list(axes),
      'steps': list(strides),
    }
    constants = [
      graph.constant(f'{layer.name}/{key}', np.array(value, np.int64))
      for key, value in numbers.items()
    ]
    value = graph.add(f'{layer.name}/strided', 'Slice', value, *constants)
  return _dense(graph, layer, value)


def _flatten(graph, layer, value):
  value = graph.layout(layer.name, value, channels_first=False)
  return graph.add(layer.name, 'Flatten', value)


def _reshape(graph, layer, value):
  value = graph.layout(layer.name, value, channels_first=False)
  shape = np.array([0, *layer.settings['shape']], np.int64)
  return graph.add(layer.name, 'Reshape', value, graph.constant(f'{layer.name}/shape', shape))


def _unchanged(graph, layer, value):
  return value


WRITERS = {
  'conv': _conv,
  'depthwise_conv': _conv,
  'conv_transpose': _conv_transpose,
  'dense': _dense,
  'max_pool': functools.partial(_pool, operator='MaxPool'),
  'average_pool': functools.partial(_pool, operator='AveragePool', count_include_pad=0),
  'global_max_pool': functools.partial(_global_pool, operator='ReduceMax'),
  'global_average_pool': functools.partial(_global_pool, operator='ReduceMean'),
  'batch_norm': _batch_norm,
  'layer_norm': _layer_norm,
  'group_norm': _group_norm,
  'dropout': _unchanged,
  'flatten': _flatten,
  'reshape': _reshape,
  'activation': _activated,
  'rnn': _recurrent,
  'lstm': _recurrent,
  'gru': _recurrent,
  'last': _unchanged,
}

FORMAT = Format('onnx', (FILE,), ('onnx', 'onnxruntime'), 'export', True, write, load, use)
