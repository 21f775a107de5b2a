"""Recurrent networks step by step: accuracy, paths of the states, saturation of the gates."""

import functools
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64, Shaped

from jaxdl.analysis import batches, units
from jaxdl.analysis.activations import activations
from jaxdl.analysis.characters import (
  attention,
  characters,
  ranking,
  recurrent_layer,
  recurrent_layers,
  signals,
  text_layers,
)
from jaxdl.analysis.embeddings import pca
from jaxdl.analysis.reference import arrays, recurrence
from jaxdl.analysis.units import AnyArray, ArrayLike, Variables
from jaxdl.models.recurrent import Recurrent

__all__ = [
  'attention',
  'by_step',
  'characters',
  'gates',
  'ranking',
  'recurrent_layers',
  'signals',
  'states',
  'text_layers',
]

LOW, HIGH = 0.1, 0.9  # a gate below or above is saturated (Karpathy et al. 2015, section 4.2)


class ByStep(NamedTuple):
  """Results of a classifier if the sequence ended at each step.

  Attributes:
    accuracy: accuracy after each step.
    loss: mean cross-entropy after each step, nats.
  """

  accuracy: Float64[np.ndarray, 'T']
  loss: Float64[np.ndarray, 'T']


class Paths(NamedTuple):
  """Hidden states in the principal components of all examples and steps.

  Attributes:
    points: states after each step.
    start: the initial state of zeros, at which every path starts.
    explained: fraction of the variance of each component.
  """

  points: Float64[np.ndarray, 'N T P']
  start: Float64[np.ndarray, 'P']
  explained: Float64[np.ndarray, 'P']


class Saturation(NamedTuple):
  """How often a gate is closed or open.

  Attributes:
    low: fraction of examples and steps at which each unit's gate is below 0.1.
    high: fraction above 0.9.
  """

  low: Float64[np.ndarray, 'F']
  high: Float64[np.ndarray, 'F']


def by_step(
  model: nn.Module,
  variables: Variables,
  inputs: Shaped[AnyArray, 'N T ...'],
  labels: ArrayLike,
  batch_size: int = units.BATCH,
) -> ByStep:
  """Accuracy after each step: the dense layer reads every state instead of only the last one.

  With pool='mean', it reads the mean of the states up to each step. A sequence that has ended keeps
  its last prediction.

  Args:
    model: Recurrent that reads in one direction.
    variables: its variables.
    inputs: [N, T, I], scaled as in training.
    labels: [N] int.
    batch_size: examples in one compiled call.

  Returns:
    ByStep; its last entries are the accuracy and the loss of the classifier.

  Raises:
    ValueError: another model, labels that do not fit, or inputs of a shape that the model does not
      accept.
  """
  if not isinstance(model, Recurrent):
    raise ValueError(
      f'by_step takes a model {Recurrent.__name__}, which reads row by row, '
      f'not {type(model).__name__}'
    )
  if model.bidirectional:
    raise ValueError(
      'by_step takes a model that reads in one direction, because a layer that reads backward '
      'starts at the last step: set config.model.bidirectional=False'
    )
  labels = np.asarray(labels)
  units.check_target(model, variables, inputs, labels)

  @jax.jit
  def compiled(variables, inputs, labels):
    layer = model.layer_names()[-1]
    hidden = units.outputs(model, variables, inputs, [layer])[1][layer]  # [B, T, F]
    if model.pool == 'mean':
      hidden = _running_mean(hidden, _real_steps(model, inputs))
    dense = variables['params']['logits']
    logits = hidden @ dense['kernel'] + dense['bias']  # [B, T, K]
    of_label = jnp.take_along_axis(logits, labels[:, None, None], axis=-1)[..., 0]  # [B, T]
    return logits.argmax(-1) == labels[:, None], jax.nn.logsumexp(logits, axis=-1) - of_label

  if not len(labels):
    raise ValueError('by_step of no examples: give at least one')
  steps = np.shape(inputs)[1]
  right, loss = np.zeros(steps, np.int64), np.zeros(steps)
  function = functools.partial(compiled, variables)
  for _, (part, losses) in batches.in_batches(
    function, np.asarray(inputs), labels, batch_size=batch_size
  ):
    right += part.sum(0)
    loss += losses.sum(0, dtype=np.float64)
  return ByStep(accuracy=right / len(labels), loss=loss / len(labels))


def _real_steps(model, inputs):
  """The marks of the real steps [N, T] bool; None if all are real."""
  return inputs[..., -1] > 0 if getattr(model, 'masked', False) else None


def _running_mean(hidden, real):
  """The mean of the states up to each step [B, T, F]; padded steps are left out."""
  weight = jnp.ones(hidden.shape[:2]) if real is None else real.astype(hidden.dtype)
  count = jnp.maximum(jnp.cumsum(weight, axis=1), 1)
  return jnp.cumsum(hidden * weight[..., None], axis=1) / count[..., None]


def states(
  model: nn.Module,
  variables: Variables,
  inputs: Shaped[AnyArray, 'N T ...'],
  layer: str | None = None,
  components: int = 2,
) -> Paths:
  """Paths of the hidden states in their principal components.

  Args:
    model: Recurrent or LanguageModel.
    variables: its variables.
    inputs: [N, T, I], or [N, T] int characters.
    layer: name of a recurrent layer; None selects the last.
    components: P.

  Returns:
    Paths.

  Raises:
    ValueError: another model, an unknown layer, or more components than exist.
  """
  layer = recurrent_layer(model, layer)
  hidden = activations(model, variables, inputs, [layer])[layer]  # [N, T, F]
  found = pca(hidden.reshape(-1, hidden.shape[-1]), components)
  return Paths(
    points=found.points.reshape(*hidden.shape[:2], components),
    start=-found.mean @ found.axes.T,
    explained=found.explained,
  )


def gates(
  model: nn.Module,
  variables: Variables,
  inputs: Shaped[AnyArray, 'N T ...'],
  layer: str | None = None,
  batch_size: int = units.BATCH,
) -> dict[str, Saturation]:
  """How often each unit's gates are saturated, below 0.1 or above 0.9.

  A forget or update gate that is mostly above 0.9 keeps its memory; one that is mostly below 0.1
  follows only the inputs.

  Args:
    model: Recurrent or LanguageModel, of LSTM or GRU.
    variables: its variables.
    inputs: [N, T, I], or [N, T] int characters.
    layer: name of a recurrent layer; None selects the last.
    batch_size: examples whose gates are in memory at once.

  Returns:
    gate ('input', 'forget', 'output' of an LSTM; 'update', 'reset' of a GRU) → Saturation.

  Raises:
    ValueError: another model, a cell without gates, an unknown layer, or no inputs.

  Source: Karpathy, Johnson & Fei-Fei 2015, Visualizing and understanding recurrent networks,
    section 4.2.
  """
  layer, inputs = recurrent_layer(model, layer), np.asarray(inputs)
  names = recurrence.GATES[model.cell]
  if not names:
    raise ValueError(f'a layer of cell {model.cell!r} has no gates: use lstm or gru')
  units.shapes(model, variables, inputs)
  if not inputs[:, :1].size:
    raise ValueError(f'inputs of shape {inputs.shape} have no step: give at least one')
  parameters = arrays(variables['params'])
  low: dict[str, Any] = dict.fromkeys(names, 0)
  high, count = dict(low), 0
  for first in range(0, len(inputs), batch_size):
    batch = inputs[first : first + batch_size]
    real = _real_steps(model, batch)
    rows = batch if real is None else batch[..., :-1]
    counted = np.ones(batch.shape[:2], bool) if real is None else real
    count += int(counted.sum())
    inside = recurrence.inside(model.cell, parameters, rows, real)[layer]
    for name in names:
      values = inside[name][counted]  # [real steps, F]
      low[name] = low[name] + (values < LOW).sum(0)
      high[name] = high[name] + (values > HIGH).sum(0)
  return {name: Saturation(low=low[name] / count, high=high[name] / count) for name in names}
