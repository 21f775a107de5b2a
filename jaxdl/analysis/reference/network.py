"""Forward pass in NumPy: an independent reference for the outputs of the compiled model."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxdl.analysis.reference import operations, recurrence, transformer
from jaxdl.analysis.units import ArrayLike, Variables

Outputs = tuple[np.ndarray, dict[str, np.ndarray]]  # (logits, layer name → output)


def forward(config: Mapping[str, Any], variables: Variables, inputs: ArrayLike) -> Outputs:
  """Computes a network in evaluation mode: running averages, no dropout, initial states of zero.

  Args:
    config: a run's config; its section 'model' is read.
    variables: tree of arrays, 'params' and 'batch_stats'; all float32 or all float64, which is also
      the type of the computation.
    inputs: [B, …], scaled as in training; characters as positions in the vocabulary, [B, T] int.

  Returns:
    (logits, layer name → output after its activation [B, …], in the order of the layers).

  Raises:
    ValueError: an unknown model, kind of layer, activation or cell; variables of another network or
      type; inputs that do not fit.
  """
  section, tree = config['model'], arrays(variables)
  if section['name'] not in MODELS:
    raise ValueError(
      f'config.model.name={section["name"]!r} is unknown: use one of {", ".join(MODELS)}'
    )
  if 'params' not in tree:
    raise ValueError(f"variables have no 'params': they have {', '.join(tree)}")
  dtype, inputs = _dtype(tree), np.asarray(inputs)
  if section['name'] not in ('language_model', 'transformer'):
    inputs = inputs.astype(dtype)
  return MODELS[section['name']](section, tree, inputs)


def arrays(tree: Any) -> Any:
  """A tree of arrays of any library as dicts of NumPy arrays."""
  if isinstance(tree, Mapping):
    return {name: arrays(below) for name, below in tree.items()}
  return np.asarray(tree)


def _leaves(tree: Any) -> list[np.ndarray]:
  if isinstance(tree, dict):
    return [leaf for below in tree.values() for leaf in _leaves(below)]
  return [tree]


def _dtype(tree: Any) -> str:
  dtypes = {leaf.dtype.name for leaf in _leaves(tree)}
  if dtypes not in ({'float32'}, {'float64'}):
    raise ValueError(
      f'variables of type {", ".join(sorted(dtypes)) or "none"}: '
      'give all as float32 or all as float64'
    )
  return dtypes.pop()


def _cnn(section: Mapping[str, Any], variables: Variables, inputs: np.ndarray) -> Outputs:
  activation = section.get('activation', 'relu')
  if activation not in operations.ACTIVATIONS:
    raise ValueError(
      f'config.model.activation={activation!r} is unknown: '
      f'use one of {", ".join(operations.ACTIVATIONS)}'
    )
  real = None
  if section.get('masked'):
    inputs, real = inputs[..., :-1], inputs[..., -1] > 0
  found: dict[str, np.ndarray] = {}
  outputs, _ = _layers(section['layers'], '', inputs, real, (activation, variables, found))
  return outputs, found


def _layers(
  section: Sequence[Mapping[str, Any]],
  prefix: str,
  outputs: np.ndarray,
  real: np.ndarray | None,
  network: tuple[str, Variables, dict[str, np.ndarray]],
) -> tuple[np.ndarray, np.ndarray | None]:
  """A list of layers one after another; adds their outputs to those of the network.

  Args:
    section: the list.
    prefix: of the names of the layers.
    outputs: inputs of the first layer.
    real: real steps of sequences of different lengths; None if all are real.
    network: (activation, variables, layer name → output).

  Returns:
    (outputs of the last layer, their real steps).
  """
  counts = {}
  for layer in section:
    kind = layer.get('kind')
    if kind not in KINDS and kind not in BRANCHES:
      raise ValueError(
        f'the layer kind {kind!r} is not written in NumPy: those are '
        f'{", ".join([*KINDS, *BRANCHES])}'
      )
    counts[kind] = counts.get(kind, 0) + 1
    name = layer.get('name') or f'{prefix}{kind}{counts[kind]}'
    compute = BRANCHES.get(kind, _layer)
    outputs, real = compute(layer, name, outputs, real, network)
    network[2][name] = outputs
  return outputs, real


def _layer(layer, name, inputs, real, network):
  activation, variables, _ = network
  settings = {key: value for key, value in layer.items() if key not in NO_SETTINGS}
  kind, is_sequence = layer['kind'], inputs.ndim == 3 and real is not None
  if is_sequence and kind in WITH_LENGTHS:
    settings['real'] = real
  outputs = _apply(KINDS[kind], name, inputs, _parameters(variables, name), **settings)
  if kind in ACTIVATED and layer.get('activate', True):
    outputs = operations.ACTIVATIONS[activation](outputs)
  if real is None or not is_sequence or outputs.ndim != 3:
    return outputs, None
  if kind in MOVING:
    padding = layer.get('padding', 'SAME' if kind.endswith('conv') else 'VALID')
    window = layer.get('kernel', layer.get('window', 2))
    strides = layer.get('strides') or (1 if kind.endswith('conv') else window)
    width, stride = (size if isinstance(size, int) else size[0] for size in (window, strides))
    real = operations.real_after(real, outputs.shape[1], width, stride, padding)
  return outputs, real


def _residual(layer, name, inputs, real, network):
  outputs, after = _layers(layer['layers'], f'{name}_', inputs, real, network)
  shortcut = inputs
  if layer.get('project'):
    parameters = _parameters(network[1], f'{name}_project')
    shortcut = _apply(
      operations.project,
      f'{name}_project',
      inputs,
      parameters,
      positions=outputs.shape[1:-1],
    )
    network[2][f'{name}_project'] = shortcut
  return outputs + shortcut, after


def _parallel(layer, name, inputs, real, network):
  branches = [
    _layers(branch, f'{name}_{number}_', inputs, real, network)
    for number, branch in enumerate(layer['branches'], start=1)
  ]
  outputs, after = [outputs for outputs, _ in branches], branches[0][1]
  if layer.get('join', 'concatenate') == 'add':
    return sum(outputs), after
  return np.concatenate(outputs, axis=-1), after


def _parameters(variables: Variables, name: str) -> dict[str, np.ndarray]:
  return {
    **variables['params'].get(name, {}),
    **variables.get('batch_stats', {}).get(name, {}),
  }


def _recurrent(section: Mapping[str, Any], variables: Variables, inputs: np.ndarray) -> Outputs:
  parameters, cell, real = variables['params'], section['cell'], None
  if section.get('masked'):
    inputs, real = inputs[..., :-1], inputs[..., -1] > 0

  def inside(rows):
    return recurrence.steps(cell, parameters, rows, real)

  layers = _apply(inside, cell, inputs)
  names, directions = list(layers), 2 if section.get('bidirectional') else 1
  found, outputs, states = {}, inputs, []
  for place in range(0, len(names), directions):
    if place:
      found[f'dropout{place // directions}'] = outputs
    of_layer = {name: layers[name]['hidden'] for name in names[place : place + directions]}
    found |= of_layer
    states = list(of_layer.values())
    outputs = np.concatenate(states, axis=-1)  # [B, T, F]
  if section.get('pool', 'last') == 'last':  # a layer that reads backward ends at the first step
    pooled = np.concatenate([states[0][:, -1], *[one[:, 0] for one in states[1:]]], axis=-1)
  else:
    pooled = operations.global_average_pool(outputs, {}, real=real)
  head = parameters.get('logits', {})
  found['logits'] = _apply(operations.dense, 'logits', pooled, head)  # [B, K]
  return found['logits'], found


def _language_model(
  section: Mapping[str, Any], variables: Variables, inputs: np.ndarray
) -> Outputs:
  parameters, cell, found = variables['params'], section['cell'], {}
  outputs = recurrence.vectors(cell, parameters, inputs)  # [B, T, E]
  if 'embedding' in parameters:
    found |= {'embedding': outputs, 'dropout0': outputs}
  layers = recurrence.steps(cell, parameters, outputs)
  for number, (name, inside) in enumerate(layers.items(), start=1):
    outputs = inside['hidden']  # [B, T, F]
    found |= {name: outputs, f'dropout{number}': outputs}
  head = parameters.get('logits', {})
  if section.get('tie') and 'embedding' in parameters:
    head = {**head, 'kernel': parameters['embedding']['kernel'].T}
  logits = _apply(operations.dense, 'logits', outputs, head)  # [B, T, V]
  return logits, {**found, 'logits': logits}


def _transformer(section: Mapping[str, Any], variables: Variables, inputs: np.ndarray) -> Outputs:
  def forward(characters):
    return transformer.forward(section, variables['params'], characters)

  return _apply(forward, 'embedding', inputs)


def _apply(
  layer: Callable[..., Any],
  name: str,
  inputs: np.ndarray,
  *arguments: Any,
  **settings: Any,
) -> Any:
  """Applies a layer; raises ValueError that names it where variables or inputs do not fit."""
  try:
    return layer(inputs, *arguments, **settings)
  except KeyError as error:
    raise ValueError(
      f'layer {name!r} has no variable {error}: give the variables of this network'
    ) from error
  except (IndexError, TypeError, ValueError) as error:
    reason = str(error).strip().partition('\n')[0]
    raise ValueError(
      f'layer {name!r} does not take inputs of shape {inputs.shape}: {reason}'
    ) from error


MODELS = {
  'cnn': _cnn,
  'recurrent': _recurrent,
  'language_model': _language_model,
  'transformer': _transformer,
}
KINDS = {
  'conv': operations.conv,
  'depthwise_conv': operations.depthwise_conv,
  'conv_transpose': operations.conv_transpose,
  'dense': operations.dense,
  'max_pool': operations.max_pool,
  'average_pool': operations.average_pool,
  'global_max_pool': operations.global_max_pool,
  'global_average_pool': operations.global_average_pool,
  'batch_norm': operations.batch_norm,
  'layer_norm': operations.layer_norm,
  'group_norm': operations.group_norm,
  'dropout': operations.identity,
  'activation': operations.identity,
  'flatten': operations.flatten,
  'reshape': operations.reshape,
}
BRANCHES = {'residual': _residual, 'parallel': _parallel}
ACTIVATED = ('conv', 'depthwise_conv', 'conv_transpose', 'dense', 'activation')
MOVING = ('conv', 'depthwise_conv', 'max_pool', 'average_pool')
WITH_LENGTHS = (*MOVING, 'global_max_pool', 'global_average_pool', 'group_norm', 'flatten')
READ = ('kind', 'name', 'activate', 'initializer')  # by `_layer`, or before the first step
IN_SHAPES = ('features', 'kernel')  # given by the shapes of the parameters
TRAINING = ('rate', 'momentum')  # without effect in evaluation
NO_SETTINGS = READ + IN_SHAPES + TRAINING
