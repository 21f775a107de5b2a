"""The network of a run as JSON data, from which the report page computes it.

Weights are stored as float32 or with 16 bits in small networks and with 8 bits in large ones. The
effect on the probabilities is measured.
"""

import base64
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int8, Int16, Shaped

from jaxdl.config import binding, memory
from jaxdl.data import recorded
from jaxdl.exports import examples, page_layers
from jaxdl.exports.network import Network
from jaxdl.runs import format
from jaxdl.runs.record import Run

MOST = 15_000_000  # characters of the weights, of a page of 16 MB
MOST_FLOAT32 = 1_000_000  # the same, of a page of 5 MB
LARGE = 1_000_000  # parameters; larger networks have 8 bits for a weight
TOLERANCE = 1e-3  # of the probabilities, for 16 bits
COUNT = 256  # most examples on which the difference is measured
CHARACTERS = 4096


def of_run(record: Run, *, exact: bool = False) -> dict[str, Any]:
  """The network of the best checkpoint of a run, for the page.

  Args:
    record: Run.
    exact: whether to describe only a network whose weights are not rounded, so that nothing is
      compiled.

  Returns:
    {'network': as `description`}, or {'reason': a sentence} if it cannot run in the page.
  """
  try:
    found = _network(record)
    return {'network': description(found, None if exact else _examples(record, found))}
  except (ValueError, OSError) as error:
    return {'reason': f'The network does not run in this page: {error}.'}


def _network(record):
  if missing := format.unrecorded(record.config):
    raise ValueError(f'the run is of an older version, which did not record {missing}')
  return Network(
    name=record.name,
    step=record.summary.get('step', record.step),
    model=record.model,
    variables=record.variables,
    config=record.config,
  )


def _examples(record, network):
  """The run's examples as inputs of the network; random ones if it has none."""
  file = record.folder / 'examples.npz'
  if not file.is_file():
    return examples.random(network)
  kept = memory.load_arrays(file)
  if network.is_text:
    return examples.of_text(kept['character'][:CHARACTERS])
  if 'image' in kept:
    return np.asarray(recorded.image_inputs(network.config)(kept['image'][:COUNT]))
  return kept['inputs'][:COUNT]


def description(network: Network, inputs: Shaped[np.ndarray, 'B ...'] | None) -> dict[str, Any]:
  """Describes a network for the page.

  Args:
    network: the network.
    inputs: examples, on which the effect of the precision is measured; None to allow only float32.

  Returns:
    JSON data: 'task', 'classes', 'model', 'targets' of a regression, 'input', 'layers', 'precision'
    ('float32', 'int16' or 'int8'), 'difference' (the greatest one of a probability, or of a value
    or pixel, from float32; None for float32) and 'weights', base64 of one little-endian buffer.

  Raises:
    ValueError: the network cannot run in the page; the message is the reason.
  """
  layers = page_layers.layers_of(network)
  precision, difference = _precision(network, layers, inputs)
  buffer, described = _Buffer(), []
  places = {}  # id of an array → its place: an array that two layers have is stored once
  for layer in layers:
    weights = {}
    for name, array in layer.weights.items():
      if id(array) not in places:
        places[id(array)] = buffer.add(array, precision)
      weights[name] = places[id(array)]
    described.append(
      {
        'name': layer.name,
        'kind': layer.kind,
        'shape': layer.shape,
        'output_shape': layer.output_shape,
        'settings': layer.settings,
        'sources': layer.sources,
        'weights': weights,
      }
    )
  return {
    'task': dict(binding.as_section(network.config['task'])),
    'classes': network.classes,
    'model': network.config['model']['name'],
    'targets': network.config['dataset'].get('targets') or None,
    'input': _input(network),
    'layers': described,
    'precision': precision,
    'difference': difference,
    'weights': base64.b64encode(buffer.content).decode(),
  }


def _input(network):
  """How the page makes the inputs from stored examples."""
  if network.is_text:
    return {'kind': 'text', 'shape': [], 'mean': [], 'deviation': [], 'divide_by': 1}
  kept, data = network.config['dataset'], network.config['data']
  column, shape, dtype = recorded.example(network.config)
  kind = {'vectors': 'vector', 'sequences': 'sequence'}.get(kept.get('form'), 'image')
  if column == 'image' and data.get('layout', 'image') == 'rows':
    kind = 'rows'
  return {
    'kind': kind,
    'shape': list(shape),
    'mean': list(kept['mean']),
    'deviation': list(kept['deviation']),
    'divide_by': 255 if dtype == np.uint8 else 1,
    'distort': data.get('distort') or None,
  }


def _precision(network, layers, inputs):
  """(precision, difference): the most exact type that the size of the page allows."""
  arrays = {id(array): array for layer in layers for array in layer.weights.values()}
  parameters = sum(array.size for array in arrays.values())
  if _characters(4 * parameters) <= MOST_FLOAT32:
    return 'float32', None
  if inputs is None:
    raise ValueError(
      f'its {parameters:,} parameters must be rounded for the page, which is done at the end of '
      'the training'
    )
  if parameters < LARGE:
    difference = _difference(network, 'int16', inputs)
    return ('int16', difference) if difference <= TOLERANCE else ('float32', None)
  if _characters(parameters) > MOST:
    raise ValueError(
      f'its {parameters:,} parameters would make the page larger than 16 MB, with 8 bits each'
    )
  return 'int8', _difference(network, 'int8', inputs)


def _characters(size):
  """The length in base64 of a number of bytes."""
  return 4 * math.ceil(size / 3)


def _difference(network, precision, inputs):
  """The greatest difference of a probability from that of the network in float32."""
  rounded = {
    **network.variables,
    'params': jax.tree.map(
      lambda array: _rounded(np.asarray(array), precision), network.variables['params']
    ),
  }
  probabilities = jax.jit(_probabilities(network))
  ours, theirs = (probabilities(variables, inputs) for variables in (network.variables, rounded))
  return float(np.abs(np.asarray(ours) - np.asarray(theirs)).max())


def _probabilities(network: Network) -> Callable[..., Float[Array, 'B ...']]:
  """The function (variables, inputs) → what the page shows of the logits."""
  task, kept = network.config['task'], network.config['dataset']
  name = binding.as_section(task)['name']

  def compute(variables, inputs):
    logits = jnp.asarray(network.model.apply(variables, inputs))
    if name == 'multi_label':
      return jax.nn.sigmoid(logits)
    if name == 'regress':
      return logits * jnp.asarray(kept['targets']['deviation'])
    if name == 'reconstruct':
      return logits * jnp.asarray(kept['deviation'])
    return jax.nn.softmax(logits)

  return compute


def _rounded(array: np.ndarray, precision: str) -> np.ndarray:
  """The numbers of an array as the page has them."""
  if array.ndim < 2:
    return array
  values, scale = quantised(array, precision)
  return values * scale


def quantised(
  array: Float[np.ndarray, '... F'], precision: str
) -> tuple[Int8[np.ndarray, '... F'] | Int16[np.ndarray, '... F'], Float[np.ndarray, ' F']]:
  """Rounds the weights of each output channel to integers.

  Args:
    array: weights; the last axis is that of the output channels.
    precision: 'int8', for −127 to 127, or 'int16', for −32767 to 32767.

  Returns:
    (integers, factor of each channel); their product is the rounded array.
  """
  most = np.iinfo(precision).max
  greatest = np.abs(array).reshape(-1, array.shape[-1]).max(0)
  scale = np.where(greatest > 0, greatest / most, 1).astype(np.float32)
  return np.rint(array / scale).astype(precision), scale


class _Buffer:
  """Bytes of arrays one after another, each at a multiple of 4 bytes."""

  def __init__(self):
    self.content = bytearray()

  def add(self, array: np.ndarray, precision: str) -> dict[str, Any]:
    """Adds an array; returns its place. Vectors, such as biases, are always float32."""
    if array.ndim < 2:
      precision = 'float32'
    place = {'shape': array.shape, 'type': precision}
    if precision != 'float32':
      array, scale = quantised(array, precision)
      place['scale'] = self._append(scale, '<f4')
    types = {'float32': '<f4', 'int16': '<i2', 'int8': 'i1'}
    return {**place, 'offset': self._append(array, types[precision])}

  def _append(self, array, dtype):
    offset = len(self.content)
    self.content += np.ascontiguousarray(array, dtype).tobytes()
    self.content += bytes(-len(self.content) % 4)
    return offset
