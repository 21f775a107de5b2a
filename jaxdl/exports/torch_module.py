"""PyTorch: the source code of a module and its `state_dict`.

Images have the channels first, as usual in PyTorch. The module has one attribute per layer, with
the same name as in jaxdl.
"""

# The library is optional.
# pyright: reportMissingImports=false

import importlib.util
import keyword
import pathlib
import re
from typing import Any

import numpy as np

from jaxdl.exports import layers, layouts
from jaxdl.exports.format import Call, Format
from jaxdl.exports.network import Network

SOURCE, WEIGHTS = 'model.py', 'model.pt'
CELLS = {'rnn': 'RNN', 'lstm': 'LSTM', 'gru': 'GRU'}
ACTIVATIONS = {
  'relu': 'functional.relu(x)',
  'tanh': 'torch.tanh(x)',
  'sigmoid': 'torch.sigmoid(x)',
  'elu': 'functional.elu(x)',
  'gelu': "functional.gelu(x, approximate='tanh')",
}
AVERAGE = '''

def average_pool(x, window, strides, pads):
  """Returns the mean of each window over the pixels inside the image."""
  inside = functional.pad(torch.ones_like(x[:1, :1]), pads)
  sums = functional.avg_pool2d(functional.pad(x, pads), window, strides, divisor_override=1)
  return sums / functional.avg_pool2d(inside, window, strides, divisor_override=1)
'''
TEMPLATE = '''\
"""{name}, a network trained with jaxdl (step {step:,}).

    network = load('{weights}')
    outputs = network({given})

{about}
"""

import torch
from torch import nn
from torch.nn import functional

CLASSES = {classes}
{prepare}{helpers}

class Network(nn.Module):
  def __init__(self):
    super().__init__()
{init}

{forward}


def load(file='{weights}'):
  """Returns the network with its weights, in evaluation mode."""
  network = Network()
  network.load_state_dict(torch.load(file, map_location='cpu', weights_only=True))
  return network.eval()
'''
PREPARE = '''\
MEAN = {mean}
DEVIATION = {deviation}


def prepare(images):
  """Converts images [batch, channels, rows, columns] from 0 to 255 to inputs of the network."""
  mean, deviation = (
    torch.tensor(values, device=images.device)[:, None, None] for values in (MEAN, DEVIATION)
  )
  x = (images.float() / 255 - mean) / deviation
  return {layout}
'''


class _Module:
  """A module under construction.

  Attributes:
    orders: layer name → Order, from `layouts.flat_orders`.
    init: lines of __init__.
    forward: lines of forward.
    weights: the state_dict.
    channels_first: whether the current value has the channels as the first axis after the batch.
    helpers: source code of functions that the module calls.
    names: names of the attributes.
  """

  def __init__(self, orders: dict[str, layouts.Order]):
    self.orders = orders
    self.init, self.forward, self.weights = [], [], {}
    self.channels_first, self.helpers, self.names = True, '', set()

  def layer(self, layer: layers.Layer, source: str) -> str:
    """Adds a layer with its weights. Returns 'self.<attribute>'."""
    name = self._attribute(layer.name)
    self.init.append(f'self.{name} = {source}')
    weights = layouts.to_torch(layer, self.order(layer))
    if layer.kind == 'batch_norm':
      weights['num_batches_tracked'] = np.asarray(0)
    self.weights |= {f'{name}.{key}': array for key, array in weights.items()}
    return f'self.{name}'

  def order(self, layer: layers.Layer) -> layouts.Order:
    """Returns the order of the flat vectors before and after a layer."""
    return self.orders.get(layer.name, layouts.UNCHANGED)

  def line(self, expression: str) -> None:
    self.forward.append(f'x = {expression}')

  def layout(self, *, channels_first: bool) -> None:
    if self.channels_first != channels_first:
      self.channels_first = channels_first
      self.line(f'x.permute({"0, 3, 1, 2" if channels_first else "0, 2, 3, 1"})')

  def _attribute(self, name):
    """Returns a new, valid attribute name for an nn.Module."""
    from torch import nn  # pyright: ignore[reportMissingImports]

    name = re.sub(r'\W', '_', name)
    if not name.isidentifier() or keyword.iskeyword(name) or hasattr(nn.Module(), name):
      name = f'layer_{name}'
    while name in self.names:
      name += '_'
    self.names.add(name)
    return name


def write(network: Network, folder: pathlib.Path) -> None:
  """Writes the source code of the module and its state_dict.

  Args:
    network: the network.
    folder: folder of the files.

  Raises:
    ValueError: a layer is not part of jaxdl, or has no equivalent in PyTorch.
  """
  import torch  # pyright: ignore[reportMissingImports]

  listed = layers.layers_of(network, 'torch')
  module = _Module(layouts.flat_orders(listed))
  module.channels_first = len(network.input_shape) == 3
  if network.raw:
    module.line('prepare(x)')
  for layer in listed:
    if layer.kind in CELLS:
      _recurrent(module, layer, network)
    else:
      WRITERS[layer.kind](module, layer)
  if len(network.outputs()[0].shape) == 4:
    module.layout(channels_first=True)
  (folder / SOURCE).write_text(_source(network, module), encoding='utf-8')
  weights = {
    key: torch.from_numpy(np.array(array, order='C')) for key, array in module.weights.items()
  }
  torch.save(weights, folder / WEIGHTS)


def load(network: Network, folder: pathlib.Path) -> Call:
  """Imports the module and loads its weights. Returns a function from inputs to outputs.

  The function takes and returns images with the channels last.
  """
  import torch  # pyright: ignore[reportMissingImports]

  specification = importlib.util.spec_from_file_location('exported_model', folder / SOURCE)
  assert specification is not None
  assert specification.loader is not None
  module = importlib.util.module_from_spec(specification)
  specification.loader.exec_module(module)
  model = module.load(folder / WEIGHTS)

  def call(arrays):
    first, *states = (torch.from_numpy(np.array(array)) for array in arrays)
    with torch.no_grad():
      if network.is_text:
        logits, after = model(first, states)
        return [tensor.numpy() for tensor in (logits, *after)]
      if first.ndim == 4:
        first = first.permute(0, 3, 1, 2)
      found = model(first)
      return [(found.permute(0, 2, 3, 1) if found.ndim == 4 else found).numpy()]

  return call


def use(network: Network) -> str:
  """Returns instructions for using the files, in Markdown."""
  given = 'characters, states' if network.is_text else network.inputs()[0].name
  result = 'logits, states' if network.is_text else 'outputs'
  return f"""\
```python
import model

network = model.load('{WEIGHTS}')
{result} = network({given})
```

{_about(network)} `{WEIGHTS}` is a `state_dict`, read with `weights_only=True`."""


def _about(network):
  """Returns a sentence about the inputs, which differ from those of other formats."""
  if network.is_text:
    return 'The states are a list in the order above. By default, they are zeros.'
  if network.raw or len(network.input_shape) == 3:
    return 'Images are [batch, channels, rows, columns], as usual in PyTorch.'
  return 'Inputs are [batch, steps, features].'


def _source(network, module):
  facts, prepare = network.preprocessing(), ''
  if not network.is_text:
    prepare = PREPARE.format(
      mean=facts['subtract'],
      deviation=facts['then_divide_by'],
      layout='x.permute(0, 2, 3, 1).flatten(2)' if facts['layout'] == 'rows' else 'x',
    )
  forward = ['def forward(self, x):', *[f'  {line}' for line in module.forward], '  return x']
  if network.is_text:
    sizes = [port.shape[1] for port in network.inputs()[1:]]
    forward = [
      'def forward(self, x, states=None):',
      '  """Returns (logits, states after the characters)."""',
      '  if states is None:',
      f'    states = [torch.zeros(len(x), size, device=x.device) for size in {sizes}]',
      '  after = []',
      *[f'  {line}' for line in module.forward],
      '  return x, after',
    ]
  return TEMPLATE.format(
    name=re.sub(r'["\\]', '_', network.name),
    step=network.step,
    weights=WEIGHTS,
    given='characters, states' if network.is_text else network.inputs()[0].name,
    about=_about(network),
    classes=network.classes,
    prepare=prepare,
    helpers=module.helpers,
    init='\n'.join(f'    {line}' for line in module.init),
    forward='\n'.join(f'  {line}' for line in forward),
  )


def _activated(module, layer):
  name = layer.settings.get('activation')
  if name is None:
    return
  if name not in ACTIVATIONS:
    raise layers.refusal('torch', f'the layer {layer.name}', f'whose activation is {name}')
  module.line(ACTIVATIONS[name])


def _sides(pads):
  """Returns (left, right, top, bottom), the order of functional.pad."""
  (top, bottom), (left, right) = pads
  return left, right, top, bottom


def _padded(module, layer, value=0.0) -> tuple[int, int]:
  """Pads images explicitly, unless the layer can. Returns the padding for the layer."""
  module.layout(channels_first=True)
  rows, columns = layer.settings['pads']
  if value == 0 and rows[0] == rows[1] >= 0 and columns[0] == columns[1] >= 0:
    return rows[0], columns[0]
  if any(_sides(layer.settings['pads'])):
    fill = f", value=float('{value}')" if value else ''
    module.line(f'functional.pad(x, {_sides(layer.settings["pads"])}{fill})')
  return 0, 0


def _conv(module, layer):
  padding = _padded(module, layer)
  rows, columns, channels, features = layer.weights['kernel'].shape
  source = (
    f'nn.Conv2d({channels}, {features}, {(rows, columns)}, stride={layer.settings["strides"]}'
    f'{f", padding={padding}" if any(padding) else ""})'
  )
  module.line(f'{module.layer(layer, source)}(x)')
  _activated(module, layer)


def _conv_transpose(module, layer):
  module.layout(channels_first=True)
  rows, columns, channels, features = layer.weights['kernel'].shape
  strides, window = layer.settings['strides'], layer.settings['window']
  ends = [
    (before - (size - 1), after - (size - 1))
    for size, (before, after) in zip(window, layer.settings['pads'], strict=True)
  ]
  beyond = tuple(max(after, 0) for _, after in ends)
  if any(before > 0 for before, _ in ends) or any(
    extra >= stride for extra, stride in zip(beyond, strides, strict=True)
  ):
    raise layers.refusal('torch', f'the layer {layer.name}', 'whose padding exceeds its window')
  source = (
    f'nn.ConvTranspose2d({channels}, {features}, {(rows, columns)}, stride={strides}'
    f'{f", output_padding={beyond}" if any(beyond) else ""})'
  )
  module.line(f'{module.layer(layer, source)}(x)')
  crops = _sides([(before, min(after, 0)) for before, after in ends])
  if any(crops):
    module.line(f'functional.pad(x, {crops})')
  _activated(module, layer)


def _max_pool(module, layer):
  _padded(module, layer, -np.inf)
  window, strides = (layer.settings[key] for key in ('window', 'strides'))
  module.line(f'functional.max_pool2d(x, {window}, {strides})')


def _average_pool(module, layer):
  module.layout(channels_first=True)
  window, strides = (layer.settings[key] for key in ('window', 'strides'))
  pads = _sides(layer.settings['pads'])
  if any(pads):
    module.helpers = AVERAGE
    module.line(f'average_pool(x, {window}, {strides}, {pads})')
  else:
    module.line(f'functional.avg_pool2d(x, {window}, {strides})')


def _dense(module, layer):
  module.layout(channels_first=False)
  inputs, features = layer.weights['kernel'].shape
  module.line(f'{module.layer(layer, f"nn.Linear({inputs}, {features})")}(x)')
  _activated(module, layer)


def _batch_norm(module, layer):
  dimensions = {1: 1, 3: 2}.get(len(layer.shape))
  if dimensions is None:
    raise layers.refusal(
      'torch', f'the layer {layer.name}', 'which normalises vectors of a sequence'
    )
  if dimensions == 2:
    module.layout(channels_first=True)
  settings = f'eps={layer.settings["epsilon"]!r}, momentum={1 - layer.settings["momentum"]:.6g}'
  source = f'nn.BatchNorm{dimensions}d({layer.shape[-1]}, {settings})'
  module.line(f'{module.layer(layer, source)}(x)')


def _dropout(module, layer):
  source = f'nn.Dropout({layer.settings["rate"]})'
  module.line(f'{module.layer(layer, source)}(x)')


def _flatten(module, layer):
  if module.order(layer).outputs is None:
    module.layout(channels_first=False)
  module.channels_first = False
  module.line('x.flatten(1)')


def _reshape(module, layer):
  module.layout(channels_first=False)
  shape = layer.settings['shape']
  if module.order(layer).inputs is not None:
    shape = (shape[-1], *shape[:-1])
    module.channels_first = True
  module.line(f'x.reshape(len(x), {", ".join(map(str, shape))})')


def _embedding(module, layer):
  source = f'nn.Embedding{layer.weights["kernel"].shape}'
  name = module.layer(layer, source)
  if not layer.trained:
    module.init.append(f'{name}.weight.requires_grad_(False)')
  module.line(f'{name}(x)')


def _recurrent(module, layer, network):
  inputs, hidden = len(layer.weights['input_kernel']), len(layer.weights['recurrent_kernel'])
  source = f'nn.{CELLS[layer.kind]}({inputs}, {hidden}, batch_first=True)'
  name = module.layer(layer, source)
  if not network.is_text:
    module.forward.append(f'x, _ = {name}(x)')
    return
  place = sum(len(network.states[before]) for before in _before(network.states, layer.name))
  if layer.kind == 'lstm':
    given = f'(states[{place + 1}][None], states[{place}][None])'
    module.forward += [f'x, (hidden, cell) = {name}(x, {given})', 'after += [cell[0], hidden[0]]']
  else:
    module.forward += [f'x, hidden = {name}(x, states[{place}][None])', 'after += [hidden[0]]']


def _before(states: dict[str, Any], name: str) -> list[str]:
  names = list(states)
  return names[: names.index(name)]


def _last(module, layer):
  module.line('x[:, -1]')


WRITERS = {
  'conv': _conv,
  'conv_transpose': _conv_transpose,
  'dense': _dense,
  'max_pool': _max_pool,
  'average_pool': _average_pool,
  'batch_norm': _batch_norm,
  'dropout': _dropout,
  'flatten': _flatten,
  'reshape': _reshape,
  'activation': _activated,
  'embedding': _embedding,
  'last': _last,
}

FORMAT = Format(
  'torch', (WEIGHTS, SOURCE), ('torch',), 'torch', True, write, load, use, channels_first=True
)
