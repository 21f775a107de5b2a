"""Ablation: what changes when channels of a layer are fixed, and how many can be removed."""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Bool, Float, Integer, Shaped

from jaxdl.analysis import batches, units
from jaxdl.analysis.units import AnyArray, Variables

TO = ('zero', 'mean')  # values to which a channel is fixed
NUMBERS = 1 << 24  # most numbers of the layer's outputs under all interventions of a compiled call
SHARES = tuple(tenths / 10 for tenths in range(11))  # shares of the channels that are removed


class Outcomes(NamedTuple):
  """The predictions of M interventions.

  Attributes:
    losses: cross-entropy of each example, in nats.
    predicted: predicted class.
  """

  losses: Float[np.ndarray, 'M N']
  predicted: Integer[np.ndarray, 'M N']


class Means(NamedTuple):
  """Means of each channel over the examples and all positions.

  Attributes:
    value: mean output.
    magnitude: mean absolute output.
  """

  value: Float[np.ndarray, ' C']
  magnitude: Float[np.ndarray, ' C']


class Effects(NamedTuple):
  """What changes when each channel of a layer is ablated.

  Attributes:
    losses: cross-entropy of each example with the channel ablated, minus that of the intact
      network, in nats.
    loss: mean of `losses` over the examples; positive where the network needs the channel.
    accuracy: change of the accuracy of each class, as a share; NaN for a class without examples.
    intact_loss: mean cross-entropy of the intact network.
    intact_accuracy: accuracy of the intact network in each class.
    fill: value to which each channel is fixed.
  """

  losses: Float[np.ndarray, 'C N']
  loss: Float[np.ndarray, ' C']
  accuracy: Float[np.ndarray, 'C K']
  intact_loss: float
  intact_accuracy: Float[np.ndarray, ' K']
  fill: Float[np.ndarray, ' C']


def effects(
  model: nn.Module,
  variables: Variables,
  inputs: Shaped[np.ndarray, 'N ...'],
  labels: Integer[np.ndarray, ' N'],
  layer: str,
  *,
  to: str = 'zero',
  batch_size: int = units.BATCH,
) -> Effects:
  """Ablates each channel of a layer, one at a time, in all examples and at all positions.

  A hidden unit of a recurrent layer is fixed at all steps, for the layer itself and for the
  following ones. Ablation to the mean keeps what the following layers expect on average, such as
  the running averages of batch normalisation; ablation to zero removes the channel.

  Args:
    model: classifier.
    variables: its variables.
    inputs: scaled as in training.
    labels: class of each example.
    layer: name; its output after its activation is changed.
    to: 'zero' | 'mean' (over the examples and positions).
    batch_size: examples in one compiled call.

  Returns:
    Effects.

  Raises:
    ValueError: an unknown layer or value of `to`, no examples, or labels that the model does not
      have.

  Source: Morcos et al. 2018, On the importance of single directions for generalization.
  """
  if to not in TO:
    raise ValueError(f'to={to!r} is unknown: use {" or ".join(TO)}')
  count = units.check_layers(model, variables, inputs, [layer])[layer][-1]
  fill = np.zeros(count, np.float32)
  if to == 'mean':
    fill = means(model, variables, inputs, layer, batch_size=batch_size).value
  keep = np.concatenate([np.ones((1, count), bool), ~np.eye(count, dtype=bool)])  # intact first
  found = interventions(model, variables, inputs, labels, layer, keep, fill, batch_size=batch_size)
  losses = found.losses[1:] - found.losses[:1]
  classes = list(units.shapes(model, variables, inputs).values())[-1][-1]
  right = found.predicted == labels
  accuracy = np.stack(
    [
      right[:, labels == label].mean(1) if (labels == label).any() else np.full(count + 1, np.nan)
      for label in range(classes)
    ],
    axis=1,
  )
  return Effects(
    losses,
    losses.mean(1, dtype=np.float64),
    accuracy[1:] - accuracy[:1],
    float(found.losses[0].mean(dtype=np.float64)),
    accuracy[0],
    fill,
  )


def means(
  model: nn.Module,
  variables: Variables,
  inputs: Shaped[np.ndarray, 'N ...'],
  layer: str,
  *,
  batch_size: int = units.BATCH,
) -> Means:
  """Means of the channels of a layer over the examples and all positions.

  Args:
    model, variables, inputs, layer, batch_size: as in `effects`.

  Returns:
    Means, summed in double precision.

  Raises:
    ValueError: an unknown layer or no examples.
  """
  _check(model, variables, inputs, layer)
  run = functools.partial(_means, units.Fixed(model), layer, variables)
  parts = [part for _, part in batches.in_batches(run, inputs, batch_size=batch_size)]
  value, magnitude = (np.concatenate(part) for part in zip(*parts, strict=True))
  return Means(*(part.mean(0, dtype=np.float64).astype(np.float32) for part in (value, magnitude)))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _means(fixed, layer, variables, inputs):
  """Mean and mean absolute output of each channel of each example [B, C]."""
  outputs = units.outputs(fixed.model, variables, inputs, [layer])[1][layer]
  flat = outputs.reshape(len(inputs), -1, outputs.shape[-1])
  return flat.mean(1), jnp.abs(flat).mean(1)


def interventions(
  model: nn.Module,
  variables: Variables,
  inputs: Shaped[np.ndarray, 'N ...'],
  labels: Integer[np.ndarray, ' N'],
  layer: str,
  keep: Bool[np.ndarray, 'M C'],
  fill: Float[np.ndarray, ' C'],
  *,
  batch_size: int = units.BATCH,
) -> Outcomes:
  """Predicts with some channels of a layer fixed, once for each intervention.

  The layer is computed once for each example, and the following layers once for each intervention;
  a recurrent layer, whose states depend on the fixed units, is computed for each intervention.

  Args:
    model, variables, inputs, labels, layer, batch_size: as in `effects`.
    keep: which channels each intervention keeps; the others are fixed.
    fill: value of each channel where it is fixed.

  Returns:
    Outcomes.

  Raises:
    ValueError: as `effects`; or `keep` has another number of channels.
  """
  shape = _check(model, variables, inputs, layer)
  units.check_target(model, variables, inputs, labels)
  if keep.shape[-1] != shape[-1] or len(keep) == 0:
    raise ValueError(
      f'keep of shape {keep.shape} for the {shape[-1]} channels of {layer}: give at least one '
      f'intervention, [M, {shape[-1]}]'
    )
  fixed = units.Fixed(model)
  numbers = math.prod(shape) * min(batch_size, len(inputs))  # outputs of the layer in a batch
  size = min(max(1, NUMBERS // numbers), len(keep))  # interventions in one call
  padding = np.repeat(keep[:1], -len(keep) % size, axis=0)
  parts = np.concatenate([keep, padding]).reshape(-1, size, shape[-1])

  def run(inputs, labels):
    output = units.compiled_outputs(fixed, (layer,), variables, inputs)[layer]
    given = (fixed, layer, variables, inputs, output, labels)
    found = jax.device_get([_intervened(*given, part, fill) for part in parts])
    losses, predicted = (np.concatenate(part) for part in zip(*found, strict=True))
    return losses.T, predicted.T  # [B, M], with the padding

  found = [part for _, part in batches.in_batches(run, inputs, labels, batch_size=batch_size)]
  losses, predicted = (np.concatenate(part).T[: len(keep)] for part in zip(*found, strict=True))
  return Outcomes(losses, predicted)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _intervened(fixed, layer, variables, inputs, output, labels, keep, fill):
  """Losses and predicted classes [G, B] of G interventions."""
  recurrent = 'recurrent_kernel' in parameters_of(variables, layer)

  def one(keep):
    changed = _clamped(variables, layer, keep, fill) if recurrent else variables

    def change(own):  # XLA removes the layers before, unless a later layer reads them too
      return jnp.where(keep, own if recurrent else output, fill.astype(output.dtype))

    logits = units.outputs_with(fixed.model, changed, inputs, layer, change)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return losses, logits.argmax(-1)

  return jax.vmap(one)(keep)


def parameters_of(variables: Variables, layer: str) -> Mapping[str, Any]:
  """The parameters of a named layer, which may be inside other layers; {} if it has none.

  Args:
    variables: variables of a model.
    layer: name.
  """
  waiting = [variables.get('params', {})]
  while waiting:
    tree = waiting.pop()
    inner = {name: part for name, part in tree.items() if isinstance(part, Mapping)}
    if layer in inner:
      return inner[layer]
    waiting += inner.values()
  return {}


def _clamped(variables, layer, keep, fill):
  """The variables of a network whose recurrent layer reads fixed values of some of its own units.

  Reading a fixed value is the same as a weight of 0 and a bias of weight · value.
  """
  own = parameters_of(variables, layer)
  bias = 'recurrent_bias' if 'recurrent_bias' in own else 'bias'
  kernel = own['recurrent_kernel']  # [F, gates · F]
  changed = {
    **own,
    'recurrent_kernel': jnp.where(keep[:, None], kernel, 0),
    bias: own[bias] + jnp.where(keep, 0, fill) @ kernel,
  }

  def replaced(tree):
    return {
      name: changed if part is own else replaced(part) if isinstance(part, Mapping) else part
      for name, part in tree.items()
    }

  return {**variables, 'params': replaced(variables['params'])}


def weight_norms(variables: Variables, layer: str) -> Float[np.ndarray, ' C']:
  """Euclidean norm of the weights that compute each channel of a layer.

  Args:
    variables: variables of a model.
    layer: name of a convolution, a dense or a recurrent layer.

  Raises:
    ValueError: the layer has no kernel.
  """
  own = parameters_of(variables, layer)
  kernels = [np.asarray(leaf, np.float64) for name, leaf in own.items() if name.endswith('kernel')]
  if not kernels:
    raise ValueError(
      f'layer {layer!r} has no weights: use a convolution, a dense or a recurrent layer'
    )
  count = len(own['recurrent_kernel']) if 'recurrent_kernel' in own else kernels[0].shape[-1]
  # the gates of a recurrent layer are side by side: [I, gates · F] → [I · gates, F]
  return np.sqrt(sum(np.square(kernel.reshape(-1, count)).sum(0) for kernel in kernels))


def pruning(
  model: nn.Module,
  variables: Variables,
  inputs: Shaped[np.ndarray, 'N ...'],
  labels: Integer[np.ndarray, ' N'],
  layer: str,
  importance: Mapping[str, Float[np.ndarray, ' C']],
  *,
  shares: Sequence[float] = SHARES,
  fill: Float[np.ndarray, ' C'] | None = None,
  batch_size: int = units.BATCH,
) -> dict[str, Float[np.ndarray, ' S']]:
  """Accuracy when the least important channels of a layer are removed, for several rankings.

  Nothing is trained after the removal.

  Args:
    model, variables, inputs, labels, layer, batch_size: as in `effects`.
    importance: name of a ranking → importance of each channel; of equal ones, the channel with the
      lower number is removed first.
    shares: shares of the channels to remove, from 0 to 1.
    fill: value of a removed channel; None for 0.

  Returns:
    Name of a ranking → accuracy at each share.

  Raises:
    ValueError: as `interventions`.

  Source: Li et al. 2017, Pruning filters for efficient ConvNets (by weight norm).
  """
  keep = {name: _kept(values, shares) for name, values in importance.items()}
  count = len(next(iter(importance.values())))
  found = interventions(
    model,
    variables,
    inputs,
    labels,
    layer,
    np.concatenate(list(keep.values())),
    np.zeros(count, np.float32) if fill is None else fill,
    batch_size=batch_size,
  )
  accuracies = (found.predicted == labels).mean(1)
  return dict(zip(keep, np.split(accuracies, len(keep)), strict=True))


def _kept(importance, shares):
  """Which channels are kept [S, C] when each share of them is removed."""
  order = np.argsort(importance, kind='stable')
  place = np.empty(len(order), int)
  place[order] = np.arange(len(order))
  removed = [round(share * len(order)) for share in shares]
  return np.stack([place >= number for number in removed])


def _check(model: nn.Module, variables: Variables, inputs: AnyArray, layer: str) -> units.Shape:
  """The shape of the layer's output; raises ValueError for an unknown layer or no examples."""
  if len(inputs) == 0:
    raise ValueError('there are no examples: give at least one')
  return units.check_layers(model, variables, inputs, [layer])[layer]
