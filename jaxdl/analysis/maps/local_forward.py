"""Forward pass of a convolutional network on images in which a box has changed.

Only the outputs that the box reaches are recomputed.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Shaped

from jaxdl import ops
from jaxdl.analysis.units import AnyArray, Neuron, Target, Variables
from jaxdl.models import CNN, layers

POINTWISE = (layers.BatchNorm, layers.LayerNorm, layers.Dropout, layers.Activation)

Start = Sequence[Any]  # (row, column) of a patch, numbers or traced arrays
# Maps (map before, map after, patch, start) of a step to (patch, start) after it.
LocalStep = Callable[[Any, Any, Any, Start], tuple[Any, Start]]


def chain(
  model: nn.Module, variables: Variables, images: Shaped[AnyArray, 'B H W C'], target: Target
) -> tuple[str | None, list[tuple[AnyArray, AnyArray, LocalStep]]]:
  """The first layers of a network, in which a box of pixels changes only a box (a pure function).

  Args:
    model: linen module; only a CNN has such layers.
    variables: its variables.
    images: images before a change.
    target: labels, or Neuron, whose own layer is left out.

  Returns:
    (name of the last such layer, None where there is none; list of steps: map before [B, …], map
    after, function of (before, after, patch, start) → (patch, start) after).
  """
  last, steps = None, []
  before: Any = images
  if not isinstance(model, CNN):
    return last, steps
  for name, build, *_ in model.stem():
    own = {kind: parts[name] for kind, parts in variables.items() if name in parts}
    change = _changes(build(), own)
    if not change or (isinstance(target, Neuron) and target.layer == name):
      break
    for operation, part in change:
      after = operation(before)
      steps.append((before, after, part))
      before = after
    last = name
  return last, steps


def follow(
  steps: list[tuple[AnyArray, AnyArray, LocalStep]],
  patch: Shaped[Array, 'B h w C'],
  start: Start,
) -> Shaped[Array, 'B ...']:
  """Maps [B, H, W, C] of the last step for images with a changed patch.

  Args:
    steps: as from `chain`.
    patch: new pixels.
    start: (row, column) of the patch in the images.

  Returns:
    maps.
  """
  for before, after, part in steps:
    patch, start = part(before, after, patch, start)
  return jax.lax.dynamic_update_slice(steps[-1][1], patch, (0, *start, 0))


def _changes(layer, variables):
  """A layer as steps (function of the map, LocalStep); none where a box does not stay a box."""
  if isinstance(layer, POINTWISE):
    return [_pointwise(lambda inputs: layer.apply(variables, inputs, layers.Context()))]
  if type(layer) is layers.Conv and layer.groups == 1:
    return _changes_of_conv(layer, variables['params'])
  if isinstance(layer, layers.MaxPool):
    window, strides = layers.pair(layer.window), layers.pair(layer.strides or layer.window)
    operation = functools.partial(ops.max_pool, window=window, strides=strides)
    return [_padded(operation, _greatest, layer.padding, window, strides)]
  return []


def _changes_of_conv(layer, parameters):
  kernel, strides = parameters['kernel'], layers.pair(layer.strides)
  operation = functools.partial(ops.conv, kernel=kernel, strides=strides)

  def biased(inputs):
    outputs = inputs + parameters['bias']
    return layer.activation(outputs) if layer.activation else outputs

  filtered = _padded(operation, _filtered, layer.padding, layers.pair(layer.kernel), strides)
  return [filtered, _pointwise(biased)]


def _pointwise(function):
  return function, lambda before, after, patch, start: (function(patch), start)


def _padded(operation, local, padding, window, strides):
  """A convolution or pooling as a step; `local` computes the outputs that see the patch."""

  def part(before, after, patch, start):
    pads = [
      ops.explicit_padding(
        before.shape[1 + axis],
        window[axis],
        strides[axis],
        padding if isinstance(padding, str) else padding[axis],
      )
      for axis in (0, 1)
    ]
    # Outputs first, first + 1, … see the patch; at an edge as many existing outputs are taken.
    first = [
      -(-(start[axis] + pads[axis][0] - window[axis] + 1) // strides[axis]) for axis in (0, 1)
    ]
    count = [
      min((patch.shape[1 + axis] + window[axis] - 2) // strides[axis] + 1, after.shape[1 + axis])
      for axis in (0, 1)
    ]
    begin = [jnp.clip(first[axis], 0, after.shape[1 + axis] - count[axis]) for axis in (0, 1)]
    return local(operation, before, after, patch, start, window, strides, pads, begin, count), begin

  return functools.partial(operation, padding=padding), part


def _greatest(operation, before, after, patch, start, window, strides, pads, begin, count):
  """Outputs of max-pooling that see the patch, computed from all pixels that they see."""
  _, changed = _seen(before, patch, start, window, strides, pads, begin, count, -math.inf)
  return operation(changed, padding='VALID')


def _filtered(operation, before, after, patch, start, window, strides, pads, begin, count):
  """Outputs of a convolution that see the patch: the old ones plus the filtered change.

  Where nothing has changed the outputs keep their bits. The change is spread over the outputs
  (a transposed convolution) or gathered by them (a convolution), whichever is less work.
  """
  old = jax.lax.dynamic_slice(after, (0, *begin, 0), (len(after), *count, after.shape[-1]))
  if (
    strides == (1, 1)
    and math.prod(patch.shape[1:3]) * after.shape[-1] < math.prod(count) * before.shape[-1]
  ):
    change = patch - jax.lax.dynamic_slice(before, (0, *start, 0), patch.shape)
    # [B, h + kh − 1, w + kw − 1, F]
    spread = ops.conv_transpose(change, operation.keywords['kernel'], padding='VALID')
    room = [
      [max(0, count[axis] - patch.shape[1 + axis] - pad) for pad in reversed(pads[axis])]
      for axis in (0, 1)
    ]
    corner = [
      room[axis][0] + begin[axis] - (start[axis] + pads[axis][0] - window[axis] + 1)
      for axis in (0, 1)
    ]
    padded = jnp.pad(spread, ((0, 0), *room, (0, 0)))
    return old + jax.lax.dynamic_slice(padded, (0, *corner, 0), old.shape)
  seen, changed = _seen(before, patch, start, window, strides, pads, begin, count, 0)
  return old + operation(changed - seen, padding='VALID')


def _seen(before, patch, start, window, strides, pads, begin, count, fill):
  """What outputs begin … begin + count see of the padded map, without and with the patch."""
  size = [(count[axis] - 1) * strides[axis] + window[axis] for axis in (0, 1)]
  # A patch may reach into rows and columns at an edge or between windows that no output sees.
  unseen = [
    max(
      (before.shape[1 + axis] + sum(pads[axis]) - window[axis]) % strides[axis],
      strides[axis] - window[axis],
      0,
    )
    for axis in (0, 1)
  ]
  ends = [(pads[axis][0] + unseen[axis], pads[axis][1] + unseen[axis]) for axis in (0, 1)]
  padded = jnp.pad(before, ((0, 0), *ends, (0, 0)), constant_values=fill)
  corner = [begin[axis] * strides[axis] for axis in (0, 1)]
  wide = [size[axis] + 2 * unseen[axis] for axis in (0, 1)]
  seen = jax.lax.dynamic_slice(padded, (0, *corner, 0), (len(before), *wide, before.shape[-1]))
  place = [start[axis] + ends[axis][0] - corner[axis] for axis in (0, 1)]
  changed = jax.lax.dynamic_update_slice(seen, patch, (0, *place, 0))
  return [
    part[:, unseen[0] : unseen[0] + size[0], unseen[1] : unseen[1] + size[1]]
    for part in (seen, changed)
  ]
