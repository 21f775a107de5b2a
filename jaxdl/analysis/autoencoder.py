"""What an autoencoder makes of its inputs, and what lies between two codes."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.analysis import batches, units


class Reconstructions(NamedTuple):
  """Reconstructions, and what they must be better than to have learned anything.

  Attributes:
    images: [N, H, W, C], in the scale of the inputs.
    mse: [N], mean square over the pixels of image − target.
    of_inputs: [N], that of the inputs taken as they are.
    of_mean: [N], that of the mean of all targets, the best of all constant images.
  """

  images: np.ndarray
  mse: np.ndarray
  of_inputs: np.ndarray
  of_mean: np.ndarray


def reconstructions(model, variables, inputs, targets, batch_size=units.BATCH):
  """Reconstructs images and measures the error of each beside two that need no network.

  Args:
    model: linen module that gives images of the inputs' shape.
    variables: its variables.
    inputs: [N, H, W, C], such as turned digits, scaled as in training.
    targets: [N, H, W, C], what they should become, such as the upright ones.
    batch_size: int, images of one compiled call.

  Returns:
    Reconstructions.

  Raises:
    ValueError: no images, targets of another shape, or a model that gives something else than such
      images.
  """
  inputs, targets = np.asarray(inputs), np.asarray(targets)
  if inputs.shape != targets.shape or not len(inputs):
    raise ValueError(
      f'inputs of shape {inputs.shape} and targets of shape {targets.shape}: give a target each'
    )
  last, given = list(units.shapes(model, variables, inputs).items())[-1]
  if given != targets.shape[1:]:
    raise ValueError(
      f'the last layer {last!r} gives {given}, the targets are {targets.shape[1:]}: give an autoencoder'
    )
  compiled = functools.partial(jax.jit(model.apply), variables)
  images = np.concatenate(
    [part for _, part in batches.in_batches(compiled, inputs, batch_size=batch_size)]
  )
  mean = targets.mean(0, dtype=np.float64)  # [H, W, C]
  return Reconstructions(
    images=images,
    mse=_mse(images, targets),
    of_inputs=_mse(inputs, targets),
    of_mean=_mse(mean, targets),
  )


def _mse(images, targets):
  return np.square(targets.astype(np.float64) - images).mean(axis=(1, 2, 3))  # [N]


def by_class(mse, labels, classes):
  """The mean error of each class.

  Args:
    mse: [N], of each example.
    labels: [N] int.
    classes: K, or the K names.

  Returns:
    [K]; NaN for a class without an example.

  Raises:
    ValueError: not one label in 0 to K − 1 for each example.
  """
  size = classes if isinstance(classes, (int, np.integer)) else len(classes)
  mse, labels = np.asarray(mse), np.asarray(labels)
  if labels.shape != mse.shape or not np.issubdtype(labels.dtype, np.integer):
    raise ValueError(
      f'labels of shape {labels.shape} and type {labels.dtype} for errors of shape {mse.shape}: give '
      'one whole number each'
    )
  if len(labels) and not (labels.min() >= 0 and labels.max() < size):
    raise ValueError(f'labels from {labels.min()} to {labels.max()}: use 0 to {size - 1}')
  count = np.bincount(labels, minlength=size)
  return np.bincount(labels, mse, minlength=size) / np.where(count > 0, count, np.nan)  # [K]


def traverse(model, variables, first, second, steps=8, layer='code'):
  """Decodes the codes on the straight line between those of two images.

  Args:
    model: linen module with a layer of codes.
    variables: its variables.
    first, second: [B, H, W, C], where each walk begins and ends, scaled as in training.
    steps: int, images of a walk, both ends among them.
    layer: name of the layer of codes.

  Returns:
    [B, steps, …] images; the first and the last are the reconstructions of `first` and `second`.

  Raises:
    ValueError: an unknown layer (the message lists the names), unequal shapes, or fewer than two
      steps.
  """
  first, second = np.asarray(first), np.asarray(second)
  if steps < 2:
    raise ValueError(f'steps={steps} is too few for a walk: use at least 2, its ends')
  if first.shape != second.shape:
    raise ValueError(
      f'a walk from images of shape {first.shape} to {second.shape}: give as many of the same shape'
    )
  units.check_layers(model, variables, first, [layer])

  @jax.jit
  def decode(variables, first, second):
    begin, end = (
      units.outputs(model, variables, images, [layer])[1][layer] for images in (first, second)
    )  # [B, …]
    share = jnp.linspace(0, 1, steps, dtype=begin.dtype).reshape(
      -1, *(1,) * (begin.ndim - 1)
    )  # [S, 1, …]

    def walk(image, begin, end):
      codes = (1 - share) * begin + share * end  # [S, …]
      return units.outputs_with(
        model, variables, jnp.repeat(image[None], steps, 0), layer, lambda _: codes
      )  # [S, …]

    return jax.lax.map(lambda walked: walk(*walked), (first, begin, end))  # [B, S, …]

  return np.asarray(decode(variables, first, second))
