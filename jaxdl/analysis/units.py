"""The units of a network: the outputs of its named layers, and the number that an analysis
explains.
"""

import dataclasses
import functools
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import errors

BATCH = 256  # examples of one compiled call, where a function does not say otherwise


class Neuron(NamedTuple):
  """A unit of a named layer, taken after the layer's activation.

  Attributes:
    layer: str.
    channel: int, the last axis of the layer's output; or [B] int, another unit for each image.
    position: (row, column) of a convolutional layer's unit, or [B, 2]; None for the place where the
      channel is strongest in each image, and for layers without places.
  """

  layer: str
  channel: int | np.ndarray
  position: tuple[int, int] | np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Fixed:
  """A model as a constant of a compiled program: a list of layers can be compared, but has no hash."""

  model: nn.Module

  def __hash__(self):
    return hash(type(self.model))


def shapes(model, variables, inputs):
  """The shape of every layer's output, without the batch axis, in the order in which they are
  called.

  Args:
    model: linen module.
    variables: its variables.
    inputs: [B, …]; only the shape and type count.

  Returns:
    layer name → tuple.

  Raises:
    ValueError: the model does not take inputs of this shape.
  """
  leaves, structure = jax.tree.flatten(
    jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), variables)
  )
  one = jax.ShapeDtypeStruct((1, *jnp.shape(inputs)[1:]), jnp.result_type(inputs))
  try:
    return dict(_shapes(Fixed(model), structure, tuple(leaves), one))
  except (TypeError, ValueError, errors.FlaxError) as error:
    reason = str(error).strip().partition('\n')[0]
    raise ValueError(
      f'inputs of shape {jnp.shape(inputs)} do not fit the model: {reason}'
    ) from error


@functools.lru_cache(64)  # they are asked for before every map
def _shapes(fixed, structure, leaves, inputs):
  found = {}

  def note(following, arguments, keywords, context):
    outputs = following(*arguments, **keywords)
    if context.method_name == '__call__' and context.module.name:
      found[context.module.name] = outputs.shape[1:]
    return outputs

  def forward(variables, inputs):
    with nn.intercept_methods(note):
      return fixed.model.apply(variables, inputs)

  jax.eval_shape(forward, structure.unflatten(leaves), inputs)
  return found


def check_layers(model, variables, inputs, layers):
  """The shapes of `shapes`; ValueError where a layer is unknown, with the names there are."""
  known = shapes(model, variables, inputs)
  for layer in layers:
    if layer not in known:
      raise ValueError(f'layer {layer!r} is unknown: use one of {", ".join(known)}')
  return known


def outputs(model, variables, inputs, layers):
  """The model's output and those of named layers, in evaluation mode; pure, to be compiled by the
  caller.

  Args:
    model: linen module.
    variables: its variables.
    inputs: [B, …], scaled as in training.
    layers: names, as `check_layers` takes them.

  Returns:
    (logits, {layer: [B, …] after its activation}).
  """
  found = {}

  def note(following, arguments, keywords, context):
    result = following(*arguments, **keywords)
    if context.method_name == '__call__' and context.module.name in layers:
      found[context.module.name] = result
    return result

  with nn.intercept_methods(note):
    logits = model.apply(variables, inputs)
  return logits, found


def outputs_with(model, variables, inputs, layer, change):
  """The model's output where a layer's output is replaced; pure.

  Args:
    model, variables, inputs: as in `outputs`.
    layer: name.
    change: function of the layer's output [B, …] → another of the same shape.

  Returns:
    logits.
  """

  def replace(following, arguments, keywords, context):
    result = following(*arguments, **keywords)
    return (
      change(result)
      if context.method_name == '__call__' and context.module.name == layer
      else result
    )

  with nn.intercept_methods(replace):
    return model.apply(variables, inputs)


def check_target(model, variables, inputs, target):
  """Raises ValueError where a target is none: a label or channel out of range, an unknown layer or
  place.
  """
  known = shapes(model, variables, inputs)
  if isinstance(target, Neuron):
    shape = check_layers(model, variables, inputs, [target.layer])[target.layer]
    _check_neuron(target, shape, len(inputs))
    return
  classes = list(known.values())[-1][-1]
  labels = np.asarray(target)
  if labels.shape != jnp.shape(inputs)[:1] or not np.issubdtype(labels.dtype, np.integer):
    raise ValueError(
      f'target of shape {labels.shape} and type {labels.dtype} for {len(inputs)} inputs: give one integer '
      'label each, or a Neuron'
    )
  if len(labels) and not (labels.min() >= 0 and labels.max() < classes):
    raise ValueError(
      f'target has labels from {labels.min()} to {labels.max()}: use 0 to {classes - 1}'
    )


def _check_neuron(target, shape, count):
  channel, place = (
    np.asarray(target.channel),
    None if target.position is None else np.asarray(target.position),
  )
  if channel.shape not in ((), (count,)) or not np.issubdtype(channel.dtype, np.integer):
    raise ValueError(
      f'channel of shape {channel.shape} and type {channel.dtype} for {count} inputs: give one integer, or '
      'one each'
    )
  if not ((channel >= 0) & (channel < shape[-1])).all():
    raise ValueError(
      f'channel {target.channel} of layer {target.layer!r} is out of range: use 0 to {shape[-1] - 1}'
    )
  if place is not None and (
    len(shape) != 3
    or place.shape not in ((2,), (count, 2))
    or not ((place >= 0) & (place < shape[:2])).all()
  ):
    raise ValueError(
      f'position {target.position} of layer {target.layer!r} is out of range: its output is {shape}'
    )


def tiled(target, count):
  """The targets of `count` copies of a batch, one copy after another; pure."""
  if not isinstance(target, Neuron):
    return jnp.tile(target, count)
  return Neuron(
    target.layer,
    jnp.tile(target.channel, count),
    None if target.position is None else jnp.tile(target.position, (count, 1)),
  )


def scores(model, variables, inputs, target):
  """The number of each example that an analysis explains: a logit, never a probability, or a unit;
  pure.

  Args:
    model, variables, inputs: as in `outputs`.
    target: [B] int, the class of each example, or Neuron.

  Returns:
    [B].
  """
  if not isinstance(target, Neuron):
    return jnp.take_along_axis(
      model.apply(variables, inputs), jnp.asarray(target)[:, None], axis=-1
    )[:, 0]
  _, found = outputs(model, variables, inputs, [target.layer])
  output = found[target.layer]  # [B, …, C]
  channels = jnp.broadcast_to(jnp.asarray(target.channel), len(output))
  channel = jnp.take_along_axis(output, channels.reshape(-1, *(1,) * (output.ndim - 1)), axis=-1)[
    ..., 0
  ]  # [B, …]
  if target.position is not None:
    row, column = jnp.broadcast_to(jnp.asarray(target.position), (len(output), 2)).T
    return channel[jnp.arange(len(output)), row, column]
  return channel.reshape(len(channel), -1).max(-1)
