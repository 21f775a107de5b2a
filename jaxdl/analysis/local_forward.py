"""What a convolutional network makes of images in which a box has changed: only what it reaches is
computed anew.
"""

import functools
import math

import jax
import jax.numpy as jnp

from jaxdl import ops
from jaxdl.analysis.units import Neuron
from jaxdl.models import CNN, layers

POINTWISE = (layers.BatchNorm, layers.Dropout, layers.Activation)


def chain(model, variables, images, target):
  """The first layers of a network, as long as a box of pixels changes a box of their outputs; pure.

  Args:
    model, variables: linen module and its variables; only a CNN has such layers.
    images: [B, H, W, C].
    target: labels, or Neuron, whose own layer is left out.

  Returns:
    (name of the last such layer, None where there is none; list of (map before [B, …], map after,
    function of (before, after, patch, start) → (patch, start) after)).
  """
  last, steps, before = None, [], images
  for name, build in model.named_layers() if isinstance(model, CNN) else []:
    change = _changes(
      build(), {kind: parts[name] for kind, parts in variables.items() if name in parts}
    )
    if not change or (isinstance(target, Neuron) and target.layer == name):
      break
    for whole, part in change:
      after = whole(before)
      steps.append((before, after, part))
      before = after
    last = name
  return last, steps


def follow(steps, patch, start):
  """The maps [B, H, W, C] of the last step where the patch [B, h, w, C] stands at (row, column) of
  the images.
  """
  for before, after, part in steps:
    patch, start = part(before, after, patch, start)
  return jax.lax.dynamic_update_slice(steps[-1][1], patch, (0, *start, 0))


def _changes(layer, variables):
  """A layer as steps, (function of the map, function of what changes in it); none where a box does
  not stay one.
  """
  if isinstance(layer, POINTWISE):
    return [_pointwise(lambda inputs: layer.apply(variables, inputs, layers.Context()))]
  if type(layer) is layers.Conv:
    given = variables['params']
    whole = functools.partial(ops.conv, kernel=given['kernel'], strides=layers.pair(layer.strides))
    bias = _pointwise(
      lambda inputs: (layer.activation or (lambda outputs: outputs))(inputs + given['bias'])
    )
    return [
      _padded(
        whole, _filtered, layer.padding, layers.pair(layer.kernel), layers.pair(layer.strides)
      ),
      bias,
    ]
  if isinstance(layer, layers.MaxPool):
    window, strides = layers.pair(layer.window), layers.pair(layer.strides or layer.window)
    whole = functools.partial(ops.max_pool, window=window, strides=strides)
    return [_padded(whole, _greatest, layer.padding, window, strides)]
  return []


def _pointwise(function):
  return function, lambda before, after, patch, start: (function(patch), start)


def _padded(whole, local, padding, window, strides):
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
    # Outputs first, first + 1, … see the patch; at an edge the same number of them that exist is
    # taken.
    first = [
      -(-(start[axis] + pads[axis][0] - window[axis] + 1) // strides[axis]) for axis in (0, 1)
    ]
    count = [
      min((patch.shape[1 + axis] + window[axis] - 2) // strides[axis] + 1, after.shape[1 + axis])
      for axis in (0, 1)
    ]
    begin = [jnp.clip(first[axis], 0, after.shape[1 + axis] - count[axis]) for axis in (0, 1)]
    return local(whole, before, after, patch, start, window, strides, pads, begin, count), begin

  return functools.partial(whole, padding=padding), part


def _greatest(whole, before, after, patch, start, window, strides, pads, begin, count):
  """The outputs of max-pooling that see the patch, from all that they see."""
  _, changed = _seen(before, patch, start, window, strides, pads, begin, count, -math.inf)
  return whole(changed, padding='VALID')


def _filtered(whole, before, after, patch, start, window, strides, pads, begin, count):
  """The outputs of a convolution that see the patch: it is linear, so that the change of the patch
  alone is filtered.

  Where nothing has changed they are what they were to the bit. The change is spread over the
  outputs, or gathered by them, whichever is less work.
  """
  old = jax.lax.dynamic_slice(after, (0, *begin, 0), (len(after), *count, after.shape[-1]))
  if (
    strides == (1, 1)
    and math.prod(patch.shape[1:3]) * after.shape[-1] < math.prod(count) * before.shape[-1]
  ):
    change = patch - jax.lax.dynamic_slice(before, (0, *start, 0), patch.shape)
    spread = ops.conv_transpose(
      change, whole.keywords['kernel'], padding='VALID'
    )  # [B, h + kh − 1, w + kw − 1, F]
    room = [
      [max(0, count[axis] - patch.shape[1 + axis] - pad) for pad in reversed(pads[axis])]
      for axis in (0, 1)
    ]
    corner = [
      room[axis][0] + begin[axis] - (start[axis] + pads[axis][0] - window[axis] + 1)
      for axis in (0, 1)
    ]
    return old + jax.lax.dynamic_slice(
      jnp.pad(spread, ((0, 0), *room, (0, 0))), (0, *corner, 0), old.shape
    )
  seen, changed = _seen(before, patch, start, window, strides, pads, begin, count, 0)
  return old + whole(changed - seen, padding='VALID')


def _seen(before, patch, start, window, strides, pads, begin, count, fill):
  """What outputs begin … begin + count see of the padded map, before the patch is put into it and
  after.
  """
  size = [(count[axis] - 1) * strides[axis] + window[axis] for axis in (0, 1)]
  # Rows and columns at an edge or between windows that no output sees, but that a patch may reach
  # into.
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
  changed = jax.lax.dynamic_update_slice(
    seen, patch, (0, *(start[axis] + ends[axis][0] - corner[axis] for axis in (0, 1)), 0)
  )
  return [
    part[:, unseen[0] : unseen[0] + size[0], unseen[1] : unseen[1] + size[1]]
    for part in (seen, changed)
  ]
