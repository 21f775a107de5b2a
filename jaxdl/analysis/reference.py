"""Forward pass in NumPy: an independent reference for the outputs of the compiled model."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jaxdl.analysis import reference_layers, reference_recurrence
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
  if section['name'] != 'language_model':
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
  if activation not in reference_layers.ACTIVATIONS:
    raise ValueError(
      f'config.model.activation={activation!r} is unknown: '
      f'use one of {", ".join(reference_layers.ACTIVATIONS)}'
    )
  outputs, counts, found = inputs, {}, {}
  for layer in section['layers']:
    kind = layer.get('kind')
    if kind not in KINDS:
      raise ValueError(
        f'the layer kind {kind!r} is not written in NumPy: those are {", ".join(KINDS)}'
      )
    counts[kind] = counts.get(kind, 0) + 1
    name = layer.get('name') or f'{kind}{counts[kind]}'
    settings = {key: value for key, value in layer.items() if key not in NO_SETTINGS}
    parameters = {
      **variables['params'].get(name, {}),
      **variables.get('batch_stats', {}).get(name, {}),
    }
    outputs = _apply(KINDS[kind], name, outputs, parameters, **settings)
    if kind in ACTIVATED and layer.get('activate', True):
      outputs = reference_layers.ACTIVATIONS[activation](outputs)
    found[name] = outputs
  return outputs, found


def _recurrent(section: Mapping[str, Any], variables: Variables, inputs: np.ndarray) -> Outputs:
  parameters, cell, real = variables['params'], section['cell'], None
  if section.get('masked'):
    inputs, real = inputs[..., :-1], inputs[..., -1] > 0

  def inside(rows):
    return reference_recurrence.steps(cell, parameters, rows, real)

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
    pooled = _mean_over(outputs, real)
  head = parameters.get('logits', {})
  found['logits'] = _apply(reference_layers.dense, 'logits', pooled, head)  # [B, K]
  return found['logits'], found


def _mean_over(values: np.ndarray, real: np.ndarray | None) -> np.ndarray:
  """The mean over the real steps [B, F]; 0 where there are none."""
  if real is None:
    return values.mean(1)
  return np.where(real[..., None], values, 0).sum(1) / np.maximum(real.sum(1), 1)[:, None]


def _language_model(
  section: Mapping[str, Any], variables: Variables, inputs: np.ndarray
) -> Outputs:
  parameters, cell, found = variables['params'], section['cell'], {}
  outputs = reference_recurrence.vectors(cell, parameters, inputs)  # [B, T, E]
  if 'embedding' in parameters:
    found |= {'embedding': outputs, 'dropout0': outputs}
  layers = reference_recurrence.steps(cell, parameters, outputs)
  for number, (name, inside) in enumerate(layers.items(), start=1):
    outputs = inside['hidden']  # [B, T, F]
    found |= {name: outputs, f'dropout{number}': outputs}
  head = parameters.get('logits', {})
  logits = _apply(reference_layers.dense, 'logits', outputs, head)  # [B, T, V]
  return logits, {**found, 'logits': logits}


def _apply(
  layer: Callable[..., np.ndarray],
  name: str,
  inputs: np.ndarray,
  *arguments: Any,
  **settings: Any,
) -> np.ndarray:
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


MODELS = {'cnn': _cnn, 'recurrent': _recurrent, 'language_model': _language_model}
KINDS = {
  'conv': reference_layers.conv,
  'conv_transpose': reference_layers.conv_transpose,
  'dense': reference_layers.dense,
  'max_pool': reference_layers.max_pool,
  'average_pool': reference_layers.average_pool,
  'batch_norm': reference_layers.batch_norm,
  'dropout': reference_layers.identity,
  'activation': reference_layers.identity,
  'flatten': reference_layers.flatten,
  'reshape': reference_layers.reshape,
}
ACTIVATED = ('conv', 'conv_transpose', 'dense', 'activation')
READ = ('kind', 'name', 'activate')  # by `_cnn`
IN_SHAPES = ('features', 'kernel')  # given by the shapes of the parameters
TRAINING = ('rate', 'momentum')  # without effect in evaluation
NO_SETTINGS = READ + IN_SHAPES + TRAINING
