"""Maps of images that are one compiled program over a batch, and the gradient that most of them
begin with.
"""

import functools
import sys
import warnings

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.analysis import batches, units
from jaxdl.analysis.units import Fixed, Neuron


def check(model, variables, images, target):
  """The images as an array; ValueError where they or the target cannot be explained by a gradient.

  Args:
    model, variables: linen module and its variables.
    images: [B, …] floating, scaled as in training.
    target: [B] int or Neuron.

  Returns:
    [B, …] NumPy array.

  Raises:
    ValueError: images that are not floating or not finite, none of them, or of a shape that the
      model does not take; a target that there is not.
  """
  images = np.asarray(images)
  if not jnp.issubdtype(images.dtype, jnp.floating):
    raise ValueError(
      f'images of type {images.dtype} have no gradient: give floating numbers, scaled as in training'
    )
  if not images.size:
    raise ValueError(f'images of shape {images.shape} hold nothing: give at least one')
  if not np.isfinite(images).all():
    raise ValueError(
      f'{(~np.isfinite(images)).sum()} numbers of the images are not finite: give finite ones'
    )
  units.check_target(model, variables, images, target)
  return images


def batched(function, model, variables, images, target, *others, batch_size, **fixed):
  """Applies a pure function batch by batch.

  Args:
    function, model, variables, target, fixed: as in `program`.
    images: [B, …] as `check` returns them.
    others: arrays [B, …] that are cut into batches too.
    batch_size: int, images of one compiled call.

  Returns:
    tree of NumPy arrays [B, …].
  """
  compiled, labels = program(function, model, variables, target, **fixed), labels_of(images, target)
  parts = [
    part for _, part in batches.in_batches(compiled, images, labels, *others, batch_size=batch_size)
  ]
  return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def labels_of(images, target):
  """The target as an array of the program: [B] int, or of a Neuron [B, 3], channel, row and column
  of each image.
  """
  if not isinstance(target, Neuron):
    return np.asarray(target)
  found = np.zeros((len(images), 3), np.int32)
  found[:, 0] = target.channel
  found[:, 1:] = 0 if target.position is None else target.position
  return found


def program(function, model, variables, target, **fixed):
  """A pure function compiled; that of an equal model, target and keywords is not compiled anew.

  Args:
    function: of a module, (model, variables, images, target, *others, **fixed) → tree of arrays.
    model, variables: linen module and its variables.
    target: Neuron or labels, whose numbers do not matter here.
    fixed: hashable keywords.

  Returns:
    function (images, labels as `labels_of`, *others) → tree of arrays.
  """
  neuron = (target.layer, target.position is not None) if isinstance(target, Neuron) else None
  return functools.partial(
    _compiled, function, Fixed(model), neuron, tuple(sorted(fixed.items())), variables
  )


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _compiled(function, fixed, neuron, keywords, variables, images, labels, *others):
  if neuron is not None:
    layer, placed = neuron
    labels = Neuron(layer, labels[:, 0], labels[:, 1:] if placed else None)
  return function(fixed.model, variables, images, labels, *others, **dict(keywords))


def gradient(model, variables, images, target):
  """The gradient of each image's score: [B, …], of a ReLU network 0 where the score does not
  change; pure.
  """
  return jax.grad(lambda images: units.scores(model, variables, images, target).sum())(images)


def score_from(model, variables, images, target, layer, given):
  """The score of each image where the outputs of a layer before the target are given: [B]; pure."""

  def replace(following, arguments, keywords, context):
    is_layer = context.method_name == '__call__' and context.module.name == layer
    return given if is_layer else following(*arguments, **keywords)

  with nn.intercept_methods(replace):
    return units.scores(model, variables, images, target)


def silent(maps):
  """Which maps are zero everywhere, as that of a dead unit: [B, …] → [B] bool."""
  return ~np.asarray(maps).reshape(len(maps), -1).any(1)


def say_silent(maps, target):
  """The maps, with a warning where some are zero everywhere: a dead unit, or one that the image
  does not move.
  """
  if count := silent(maps).sum():
    what, level = f'{target}' if isinstance(target, Neuron) else 'the logit of the label', 1
    while sys._getframe(level).f_globals.get('__name__', '').startswith('jaxdl.analysis'):
      level += 1  # the line that asked for the maps is the one to name
    warnings.warn(
      f'{count} of {len(maps)} maps are zero everywhere: {what} is dead, or nothing of them moves it',
      stacklevel=level + 1,
    )
  return maps
