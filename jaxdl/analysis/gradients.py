"""Maps of images that are one compiled program over a batch, and the gradient that most of them begin with."""

import dataclasses
import functools
import warnings

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.analysis import units
from jaxdl.analysis.units import Neuron


def check(model, variables, images, target):
  """The images as an array; ValueError where they or the target cannot be explained by a gradient.

  Args:
    model, variables: linen module and its variables.
    images: [B, …] floating, scaled as in training.
    target: [B] int or Neuron.

  Returns:
    [B, …] NumPy array.

  Raises:
    ValueError: images that are not floating or not finite, none of them, or of a shape that the model does not take; a
      target that there is not.
  """
  images = np.asarray(images)
  if not jnp.issubdtype(images.dtype, jnp.floating):
    raise ValueError(f'images of type {images.dtype} have no gradient: give floating numbers, scaled as in training')
  if not images.size:
    raise ValueError(f'images of shape {images.shape} hold nothing: give at least one')
  if not np.isfinite(images).all():
    raise ValueError(f'{(~np.isfinite(images)).sum()} numbers of the images are not finite: give finite ones')
  units.check_target(model, variables, images, target)
  return images


def batched(function, model, variables, images, target, *others, batch_size, **fixed):
  """Applies a pure function batch by batch; a second call with the same model compiles nothing anew.

  Args:
    function: module-level function (model, variables, images, target, *others, **fixed) → tree of arrays [b, …].
    model, variables: linen module and its variables.
    images: [B, …] as `check` returns them.
    target: [B] int or Neuron.
    others: arrays [B, …] that are cut into batches too.
    batch_size: int, images of one compiled call.
    fixed: hashable keywords.

  Returns:
    tree of NumPy arrays [B, …].
  """
  labels = np.zeros(len(images), np.int32) if isinstance(target, Neuron) else np.asarray(target)
  neuron = None
  if isinstance(target, Neuron):  # plain numbers, which can be compared with those of the last call
    place = target.position if target.position is None else tuple(map(int, target.position))
    neuron = Neuron(target.layer, int(target.channel), place)
  compiled = functools.partial(_compiled, function, _Fixed(model), neuron, tuple(sorted(fixed.items())), variables)
  parts = [part for _, part in units.in_batches(compiled, images, labels, *others, batch_size=batch_size)]
  return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


@dataclasses.dataclass(frozen=True)
class _Fixed:
  """A model as a constant of a compiled program: a list of layers can be compared, but has no hash."""

  model: nn.Module

  def __hash__(self):
    return hash(type(self.model))


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _compiled(function, fixed, neuron, keywords, variables, images, labels, *others):
  return function(fixed.model, variables, images, labels if neuron is None else neuron, *others, **dict(keywords))


def gradient(model, variables, images, target):
  """The gradient of each image's score: [B, …], of a ReLU network 0 where the score does not change; pure."""
  return jax.grad(lambda images: units.scores(model, variables, images, target).sum())(images)


def silent(maps):
  """Which maps are zero everywhere, as that of a dead unit: [B, …] → [B] bool."""
  return ~np.asarray(maps).reshape(len(maps), -1).any(1)


def say_silent(maps, target):
  """The maps, with a warning where some are zero everywhere: a dead unit, or one that the image does not move."""
  if count := silent(maps).sum():
    what = f'{target}' if isinstance(target, Neuron) else 'the logit of the label'
    warnings.warn(f'the maps of {count} of {len(maps)} images are zero everywhere: {what} is dead there', stacklevel=3)
  return maps
