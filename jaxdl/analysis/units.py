"""Units of a network: outputs of named layers, and the scalar that an analysis explains."""

import dataclasses
import functools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import errors
from jax import Array
from jaxtyping import Float, Integer, Shaped

BATCH = 256  # default number of examples in one compiled call

Int = int | np.integer
Number = int | float | np.number
AnyArray = Array | np.ndarray
ArrayLike = AnyArray | Sequence[Any] | Number  # what np.asarray takes
Shape = tuple[int, ...]
Variables = Mapping[str, Any]  # as linen's init returns them: 'params', 'batch_stats' …


class Neuron(NamedTuple):
  """A unit of a named layer, taken after the layer's activation.

  Attributes:
    layer: name of the layer.
    channel: index along the last axis of the layer's output, or one for each image.
    position: (row, column) of a unit of a convolutional layer, or one for each image. None selects
      the position of each image where the channel is strongest; it is also the value for layers
      without spatial positions.
  """

  layer: str
  channel: Int | Integer[AnyArray, 'B']
  position: tuple[Int, Int] | Integer[AnyArray, 'B 2'] | None = None


# What is explained: a unit, or the class of each example ([B] int), whose logit is explained.
Target = Neuron | ArrayLike


@dataclasses.dataclass(frozen=True)
class Fixed:
  """Makes a model a static argument of `jax.jit`: a model with a list of layers has no hash."""

  model: nn.Module

  def __hash__(self) -> int:
    return hash(type(self.model))


def shapes(
  model: nn.Module, variables: Variables, inputs: Shaped[AnyArray, 'B ...']
) -> dict[str, Shape]:
  """Output shapes of all layers, without the batch axis, in the order of the calls.

  Args:
    model: linen module.
    variables: its variables.
    inputs: only their shape and type are used.

  Returns:
    layer name → shape.

  Raises:
    ValueError: the model does not accept inputs of this shape.
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


@functools.lru_cache(64)  # every attribution map asks for the shapes
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


def check_layers(
  model: nn.Module,
  variables: Variables,
  inputs: Shaped[AnyArray, 'B ...'],
  layers: Iterable[str],
) -> dict[str, Shape]:
  """The result of `shapes`; raises ValueError with the known names for an unknown layer."""
  known = shapes(model, variables, inputs)
  for layer in layers:
    if layer not in known:
      raise ValueError(f'layer {layer!r} is unknown: use one of {", ".join(known)}')
  return known


def outputs(
  model: nn.Module,
  variables: Variables,
  inputs: Shaped[AnyArray, 'B ...'],
  layers: Collection[str],
) -> tuple[Float[Array, 'B ...'], dict[str, Shaped[Array, 'B ...']]]:
  """Outputs of the model and of named layers in evaluation mode (a pure function).

  Args:
    model: linen module.
    variables: its variables.
    inputs: scaled as in training.
    layers: names, which `check_layers` accepts.

  Returns:
    (logits, layer name → output after its activation).
  """
  found = {}

  def note(following, arguments, keywords, context):
    result = following(*arguments, **keywords)
    if context.method_name == '__call__' and context.module.name in layers:
      found[context.module.name] = result
    return result

  with nn.intercept_methods(note):
    logits = model.apply(variables, inputs)
  return cast(Array, logits), found


def outputs_with(
  model: nn.Module,
  variables: Variables,
  inputs: Shaped[AnyArray, 'B ...'],
  layer: str,
  change: Callable[[Array], Array],
) -> Float[Array, 'B ...']:
  """Output of the model with the output of one layer replaced (a pure function).

  Args:
    model: linen module.
    variables: its variables.
    inputs: scaled as in training.
    layer: name.
    change: maps the layer's output [B, …] to another array of the same shape.

  Returns:
    logits.
  """

  def replace(following, arguments, keywords, context):
    result = following(*arguments, **keywords)
    if context.method_name == '__call__' and context.module.name == layer:
      return change(result)
    return result

  with nn.intercept_methods(replace):
    return cast(Array, model.apply(variables, inputs))


def check_target(
  model: nn.Module, variables: Variables, inputs: Shaped[AnyArray, 'B ...'], target: Target
) -> None:
  """Raises ValueError for a target that the model does not have.

  Labels, channels and positions must be in range, and a layer must be known.
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
      f'target of shape {labels.shape} and type {labels.dtype} for {len(inputs)} inputs: '
      'give one integer label each, or a Neuron'
    )
  if len(labels) and not (labels.min() >= 0 and labels.max() < classes):
    raise ValueError(
      f'target has labels from {labels.min()} to {labels.max()}: use 0 to {classes - 1}'
    )


def _check_neuron(target: Neuron, shape: Shape, count: int) -> None:
  channel = np.asarray(target.channel)
  if channel.shape not in ((), (count,)) or not np.issubdtype(channel.dtype, np.integer):
    raise ValueError(
      f'channel of shape {channel.shape} and type {channel.dtype} for {count} inputs: '
      'give one integer, or one each'
    )
  if not ((channel >= 0) & (channel < shape[-1])).all():
    raise ValueError(
      f'channel {target.channel} of layer {target.layer!r} is out of range: '
      f'use 0 to {shape[-1] - 1}'
    )
  if target.position is not None and not _is_position(np.asarray(target.position), shape, count):
    raise ValueError(
      f'position {target.position} of layer {target.layer!r} is out of range: its output is {shape}'
    )


def _is_position(position: np.ndarray, shape: Shape, count: int) -> bool:
  """Whether this is a (row, column), or one for each of `count` images, of an output's shape."""
  if len(shape) != 3 or position.shape not in ((2,), (count, 2)):
    return False
  return bool(((position >= 0) & (position < shape[:2])).all())


def keys_of(key: Shaped[AnyArray, '2'], count: int) -> Shaped[Array, 'N 2']:
  """A key for each example, which depends on its index and not on the batches.

  Args:
    key: key of all examples, such as `jax.random.PRNGKey(seed)`.
    count: number N of examples.
  """
  return jax.vmap(jax.random.fold_in, (None, 0))(key, np.arange(count))


@functools.partial(jax.jit, static_argnums=(0, 1))
def compiled_outputs(
  fixed: Fixed, layers: tuple[str, ...], variables: Variables, inputs: Shaped[AnyArray, 'B ...']
) -> dict[str, Shaped[Array, 'B ...']]:
  """Outputs of layers, layer → output; calls with equal models and layers share one program.

  Args:
    fixed: the model.
    layers: names.
    variables: its variables.
    inputs: scaled as in training.
  """
  return outputs(fixed.model, variables, inputs, layers)[1]


def tiled(target: Target, count: int) -> Target:
  """Targets of `count` copies of a batch, one copy after another (a pure function)."""
  if not isinstance(target, Neuron):
    return jnp.tile(jnp.asarray(target), count)
  position = target.position
  if position is not None:
    position = jnp.tile(jnp.asarray(position), (count, 1))
  return Neuron(target.layer, jnp.tile(jnp.asarray(target.channel), count), position)


def scores(
  model: nn.Module, variables: Variables, inputs: Shaped[AnyArray, 'B ...'], target: Target
) -> Float[Array, 'B']:
  """The scalar of each example that an analysis explains (a pure function).

  It is a logit, never a probability, or the output of a unit.

  Args:
    model: linen module.
    variables: its variables.
    inputs: scaled as in training.
    target: the class of each example ([B] int), or Neuron.

  Returns:
    one score for each example.
  """
  if not isinstance(target, Neuron):
    return selected(cast(Array, model.apply(variables, inputs)), target)
  _, found = outputs(model, variables, inputs, [target.layer])
  return selected(found[target.layer], target)


def selected(output: Shaped[Array, 'B ...'], target: Target) -> Float[Array, 'B']:
  """The score of each example in the logits, or in the output of a Neuron's layer.

  A pure function.

  Args:
    output: logits [B, K], or the output of the layer of the target [B, …, C].
    target: the class of each example ([B] int), or Neuron.

  Returns:
    one score for each example.
  """
  if not isinstance(target, Neuron):
    return jnp.take_along_axis(output, jnp.asarray(target)[:, None], axis=-1)[:, 0]
  channels = jnp.broadcast_to(jnp.asarray(target.channel), len(output))
  channels = channels.reshape(-1, *(1,) * (output.ndim - 1))
  channel = jnp.take_along_axis(output, channels, axis=-1)[..., 0]  # [B, …]
  if target.position is not None:
    row, column = jnp.broadcast_to(jnp.asarray(target.position), (len(output), 2)).T
    return channel[jnp.arange(len(output)), row, column]
  return channel.reshape(len(channel), -1).max(-1)
