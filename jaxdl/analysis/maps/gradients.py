"""Attribution maps as compiled programs over batches, and the gradient that most of them use."""

import functools
import sys
import warnings
from collections.abc import Callable, Sized
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Integer, Shaped

from jaxdl.analysis import batches, units
from jaxdl.analysis.units import AnyArray, ArrayLike, Fixed, Neuron, Target, Variables


def check(
  model: nn.Module, variables: Variables, images: Shaped[AnyArray, '*shape'], target: Target
) -> Float[np.ndarray, '*shape']:
  """Checks that a gradient can explain images and a target.

  Args:
    model: linen module.
    variables: its variables.
    images: [B, …] floating point, scaled as in training.
    target: classes [B] int, or Neuron.

  Returns:
    the images as a NumPy array.

  Raises:
    ValueError: images that are not floating point, not finite, empty or of a shape that the model
      does not accept; a target that does not exist.
  """
  images = np.asarray(images)
  if not jnp.issubdtype(images.dtype, jnp.floating):
    raise ValueError(
      f'images of type {images.dtype} have no gradient: '
      'give floating numbers, scaled as in training'
    )
  if not images.size:
    raise ValueError(f'images of shape {images.shape} are empty: give at least one')
  if not np.isfinite(images).all():
    raise ValueError(
      f'{(~np.isfinite(images)).sum()} numbers of the images are not finite: give finite ones'
    )
  units.check_target(model, variables, images, target)
  return images


def baselines_of(
  baseline: ArrayLike, images: Float[np.ndarray, '*shape']
) -> Float[np.ndarray, '*shape']:
  """The baseline of each image.

  Args:
    baseline: number or array that broadcasts to the images, on their scale.
    images: [B, …].

  Returns:
    an array of the shape of the images.

  Raises:
    ValueError: a baseline of another shape.
  """
  try:
    return np.broadcast_to(np.asarray(baseline, images.dtype), images.shape)
  except ValueError:
    raise ValueError(
      f'baseline of shape {np.shape(baseline)} does not fit images of shape {images.shape}: give a '
      'number, one a channel, or an image'
    ) from None


def batched(
  function: Callable[..., Any],
  model: nn.Module,
  variables: Variables,
  images: Float[np.ndarray, 'B ...'],
  target: Target,
  *others: Shaped[np.ndarray, 'B ...'],
  batch_size: int,
  **fixed: Any,
) -> Any:
  """Applies a pure function batch by batch.

  Args:
    function: as in `program`.
    model: linen module.
    variables: its variables.
    images: images, as `check` returns them.
    target: as in `program`.
    others: arrays that are cut into batches too.
    batch_size: images in one compiled call.
    fixed: as in `program`.

  Returns:
    tree of NumPy arrays [B, …].
  """
  compiled = program(function, model, variables, target, **fixed)
  arrays = (images, labels_of(images, target), *others)
  parts = [part for _, part in batches.in_batches(compiled, *arrays, batch_size=batch_size)]
  return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def labels_of(images: Sized, target: Target) -> Integer[np.ndarray, 'B ...']:
  """The target as an array that a program takes.

  Args:
    images: B images.
    target: classes [B] int, or Neuron.

  Returns:
    [B], the classes; or for a Neuron [B, 3], its channel, row and column for each image.
  """
  if not isinstance(target, Neuron):
    return np.asarray(target)
  found = np.zeros((len(images), 3), np.int32)
  found[:, 0] = target.channel
  found[:, 1:] = 0 if target.position is None else target.position
  return found


def program(
  function: Callable[..., Any],
  model: nn.Module,
  variables: Variables,
  target: Target,
  **fixed: Any,
) -> Callable[..., Any]:
  """Compiles a pure function; equal models, targets and keywords share one compiled program.

  Args:
    function: module-level function (model, variables, images, target, *others, **fixed) → tree of
      arrays.
    model: linen module.
    variables: its variables.
    target: Neuron, or labels, whose values are not used here.
    fixed: hashable keywords.

  Returns:
    function (images, labels as from `labels_of`, *others) → tree of arrays.
  """
  neuron = (target.layer, target.position is not None) if isinstance(target, Neuron) else None
  keywords = tuple(sorted(fixed.items()))
  return functools.partial(_compiled, function, Fixed(model), neuron, keywords, variables)


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _compiled(function, fixed, neuron, keywords, variables, images, labels, *others):
  if neuron is not None:
    layer, placed = neuron
    labels = Neuron(layer, labels[:, 0], labels[:, 1:] if placed else None)
  return function(fixed.model, variables, images, labels, *others, **dict(keywords))


def gradient(
  model: nn.Module,
  variables: Variables,
  images: Float[AnyArray, 'B *pixels'],
  target: Target,
) -> Float[Array, 'B *pixels']:
  """Gradient of each image's score (a pure function).

  It is 0 where the score of a ReLU network is constant.
  """
  return jax.grad(lambda images: units.scores(model, variables, images, target).sum())(images)


def score_from(
  model: nn.Module,
  variables: Variables,
  images: Shaped[AnyArray, 'B ...'],
  target: Target,
  layer: str,
  given: Shaped[Array, 'B ...'],
) -> Float[Array, 'B']:
  """Score of each image from given outputs of a layer before the target (a pure function)."""

  def replace(following, arguments, keywords, context):
    is_layer = context.method_name == '__call__' and context.module.name == layer
    return given if is_layer else following(*arguments, **keywords)

  with nn.intercept_methods(replace):
    return units.scores(model, variables, images, target)


def silent(maps: Shaped[AnyArray, 'B ...']) -> Bool[np.ndarray, 'B']:
  """Which maps are zero everywhere, such as that of a dead unit."""
  return np.logical_not(np.asarray(maps).reshape(len(maps), -1).any(1))


def say_silent(maps: Shaped[np.ndarray, '*shape'], target: Target) -> Shaped[np.ndarray, '*shape']:
  """Warns where maps are zero everywhere: the unit is dead, or does not depend on the image.

  Args:
    maps: [B, …].
    target: as in `check`.

  Returns:
    the same maps.
  """
  count = silent(maps).sum()
  if count:
    what = f'{target}' if isinstance(target, Neuron) else 'the logit of the label'
    warnings.warn(
      f'{count} of {len(maps)} maps are zero everywhere: '
      f'{what} is dead, or does not depend on the image',
      stacklevel=_caller_level(),
    )
  return maps


def _caller_level() -> int:
  """Stack level, for a warning of the function that calls this, of the code outside the package."""
  level = 2
  while sys._getframe(level).f_globals.get('__name__', '').startswith('jaxdl.analysis'):
    level += 1
  return level
