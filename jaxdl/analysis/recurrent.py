"""Recurrent networks step by step: when they know, where their states go, which gates are
saturated.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.analysis import batches, reference_recurrence, units
from jaxdl.analysis.activations import activations
from jaxdl.analysis.characters import (
  characters,
  ranking,
  recurrent_layer,
  recurrent_layers,
  signals,
)
from jaxdl.analysis.embeddings import pca
from jaxdl.analysis.reference import arrays
from jaxdl.models.recurrent import Recurrent

__all__ = ['by_step', 'characters', 'gates', 'ranking', 'recurrent_layers', 'signals', 'states']

LOW, HIGH = 0.1, 0.9  # a gate below or above is saturated (Karpathy et al. 2015, section 4.2)


class ByStep(NamedTuple):
  """What a classifier would say if the sequence ended there.

  Attributes:
    accuracy: [T], after each step.
    loss: [T] nats, the mean.
  """

  accuracy: np.ndarray
  loss: np.ndarray


class Paths(NamedTuple):
  """Hidden states in their principal components, those of all examples and steps together.

  Attributes:
    points: [N, T, P]; every path begins at the state of zeros, which is `start`, before the first
      of them.
    start: [P].
    explained: [P], share of the variance.
  """

  points: np.ndarray
  start: np.ndarray
  explained: np.ndarray


class Saturation(NamedTuple):
  """How often a gate is shut or open.

  Attributes:
    low: [F], share of examples and steps at which the unit's gate is below 0.1.
    high: [F], above 0.9.
  """

  low: np.ndarray
  high: np.ndarray


def by_step(model, variables, inputs, labels, batch_size=units.BATCH):
  """Accuracy after each step: the dense layer reads every state instead of the last one alone.

  Args:
    model: Recurrent.
    variables: its variables.
    inputs: [N, T, I], scaled as in training.
    labels: [N] int.
    batch_size: int, examples of one compiled call.

  Returns:
    ByStep; its last entries are the accuracy and the loss of the classifier.

  Raises:
    ValueError: another model, labels that do not fit, or inputs of a shape that the model does not
      take.
  """
  if not isinstance(model, Recurrent):
    raise ValueError(
      f'by_step takes a model {Recurrent.__name__}, which reads row by row, not {type(model).__name__}'
    )
  labels = np.asarray(labels)
  units.check_target(model, variables, inputs, labels)

  @jax.jit
  def compiled(variables, inputs, labels):
    _, found = units.outputs(model, variables, inputs, [model.cell])
    dense = variables['params']['logits']
    logits = found[model.cell] @ dense['kernel'] + dense['bias']  # [B, T, K]
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


def states(model, variables, inputs, layer=None, components=2):
  """The paths of the hidden states, in the principal components of all of them.

  Args:
    model: Recurrent or LanguageModel.
    variables: its variables.
    inputs: [N, T, I], or [N, T] int characters.
    layer: name of a recurrent layer; None for the last.
    components: P.

  Returns:
    Paths.

  Raises:
    ValueError: another model, an unknown layer, or more components than there can be.
  """
  layer = recurrent_layer(model, layer)
  hidden = activations(model, variables, inputs, [layer])[layer]  # [N, T, F]
  found = pca(hidden.reshape(-1, hidden.shape[-1]), components)
  return Paths(
    points=found.points.reshape(*hidden.shape[:2], components),
    start=-found.mean @ found.axes.T,
    explained=found.explained,
  )


def gates(model, variables, inputs, layer=None, batch_size=units.BATCH):
  """How often each unit's gates are saturated, below 0.1 or above 0.9.

  A forget or update gate that is mostly above keeps its memory; one that is mostly below follows
  the inputs alone.

  Args:
    model: Recurrent or LanguageModel, of LSTM or GRU.
    variables: its variables.
    inputs: [N, T, I], or [N, T] int characters.
    layer: name of a recurrent layer; None for the last.
    batch_size: int, examples whose gates are in memory at once.

  Returns:
    gate ('input', 'forget', 'output' of an LSTM; 'update', 'reset' of a GRU) → Saturation.

  Raises:
    ValueError: another model, a cell without gates, an unknown layer, or no inputs.

  Source: Karpathy, Johnson & Fei-Fei 2015, Visualizing and understanding recurrent networks,
    section 4.2.
  """
  layer, inputs = recurrent_layer(model, layer), np.asarray(inputs)
  names = reference_recurrence.GATES[model.cell]
  if not names:
    raise ValueError(f'a layer of cell {model.cell!r} has no gates: use lstm or gru')
  units.shapes(model, variables, inputs)
  if not inputs[:, :1].size:
    raise ValueError(f'inputs of shape {inputs.shape} have no step: give at least one')
  parameters, low, high = arrays(variables['params']), 0, 0
  for first in range(0, len(inputs), batch_size):
    inside = reference_recurrence.inside(
      model.cell, parameters, inputs[first : first + batch_size]
    )[layer]
    values = np.stack([inside[name] for name in names])  # [G, B, T, F]
    low, high = low + (values < LOW).sum((1, 2)), high + (values > HIGH).sum((1, 2))
  count = inputs.shape[0] * inputs.shape[1]
  return {
    name: Saturation(low=low[gate] / count, high=high[gate] / count)
    for gate, name in enumerate(names)
  }
