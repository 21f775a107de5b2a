"""Autoencoders: reconstruction errors and interpolation between two codes."""

import functools
from collections.abc import Sized
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float64, Shaped

from jaxdl.analysis import batches, units
from jaxdl.analysis.units import ArrayLike, Int, Variables


class Reconstructions(NamedTuple):
  """Reconstructions, and the errors of two baselines that need no network.

  Attributes:
    images: reconstructions, in the scale of the inputs.
    mse: mean squared error over the pixels of each image.
    of_inputs: mean squared error of the unchanged inputs.
    of_mean: mean squared error of the mean of all targets, the best constant image.
  """

  images: Float[np.ndarray, 'N H W C']
  mse: Float64[np.ndarray, 'N']
  of_inputs: Float64[np.ndarray, 'N']
  of_mean: Float64[np.ndarray, 'N']


def reconstructions(
  model: nn.Module,
  variables: Variables,
  inputs: ArrayLike,
  targets: ArrayLike,
  batch_size: int = units.BATCH,
) -> Reconstructions:
  """Reconstructs images and measures the error of each next to two baselines.

  Args:
    model: linen module whose output has the shape of the inputs.
    variables: its variables.
    inputs: [N, H, W, C], such as rotated digits, scaled as in training.
    targets: [N, H, W, C], the expected outputs, such as the upright digits.
    batch_size: images in one compiled call.

  Returns:
    Reconstructions.

  Raises:
    ValueError: no images, targets of another shape, or a model whose output has another shape.
  """
  inputs, targets = np.asarray(inputs), np.asarray(targets)
  if inputs.shape != targets.shape or not len(inputs):
    raise ValueError(
      f'inputs of shape {inputs.shape} and targets of shape {targets.shape}: give a target each'
    )
  last, given = list(units.shapes(model, variables, inputs).items())[-1]
  if given != targets.shape[1:]:
    raise ValueError(
      f'the last layer {last!r} gives {given}, the targets are {targets.shape[1:]}: '
      'give an autoencoder'
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


def _mse(
  images: Shaped[np.ndarray, '*N H W C'], targets: Shaped[np.ndarray, 'M H W C']
) -> Float64[np.ndarray, 'M']:
  return np.square(targets.astype(np.float64) - images).mean(axis=(1, 2, 3))


def by_class(mse: ArrayLike, labels: ArrayLike, classes: Int | Sized) -> Float64[np.ndarray, 'K']:
  """Mean error of each class.

  Args:
    mse: [N], error of each example.
    labels: [N] int.
    classes: K, or the K names.

  Returns:
    mean errors; NaN for a class without an example.

  Raises:
    ValueError: the labels are not one integer in 0 to K − 1 for each example.
  """
  size = classes if isinstance(classes, (int, np.integer)) else len(classes)
  mse, labels = np.asarray(mse), np.asarray(labels)
  if labels.shape != mse.shape or not np.issubdtype(labels.dtype, np.integer):
    raise ValueError(
      f'labels of shape {labels.shape} and type {labels.dtype} for errors of shape {mse.shape}: '
      'give one integer each'
    )
  if len(labels) and not (labels.min() >= 0 and labels.max() < size):
    raise ValueError(f'labels from {labels.min()} to {labels.max()}: use 0 to {size - 1}')
  count = np.bincount(labels, minlength=size)
  return np.bincount(labels, mse, minlength=size) / np.where(count > 0, count, np.nan)


def traverse(
  model: nn.Module,
  variables: Variables,
  first: ArrayLike,
  second: ArrayLike,
  steps: int = 8,
  layer: str = 'code',
) -> Float[np.ndarray, 'B steps ...']:
  """Decodes codes interpolated linearly between those of two images.

  Args:
    model: linen module with a layer of codes.
    variables: its variables.
    first: [B, H, W, C], start of each interpolation, scaled as in training.
    second: [B, H, W, C], end of each interpolation.
    steps: images of an interpolation, including both ends.
    layer: name of the layer of codes.

  Returns:
    images; the first and the last are the reconstructions of `first` and `second`.

  Raises:
    ValueError: an unknown layer (the message lists the names), unequal shapes, or fewer than two
      steps.
  """
  first, second = np.asarray(first), np.asarray(second)
  if steps < 2:
    raise ValueError(f'steps={steps} is too few for an interpolation: use at least 2, its ends')
  if first.shape != second.shape:
    raise ValueError(
      f'first has shape {first.shape} and second has shape {second.shape}: give equal shapes'
    )
  units.check_layers(model, variables, first, [layer])

  @jax.jit
  def decode(variables, first, second):
    begin = units.outputs(model, variables, first, [layer])[1][layer]  # [B, …]
    end = units.outputs(model, variables, second, [layer])[1][layer]
    share = jnp.linspace(0, 1, steps, dtype=begin.dtype)
    share = share.reshape(-1, *(1,) * (begin.ndim - 1))  # [S, 1, …]

    def walk(image, begin, end):
      codes = (1 - share) * begin + share * end  # [S, …]
      copies = jnp.repeat(image[None], steps, 0)
      return units.outputs_with(model, variables, copies, layer, lambda _: codes)  # [S, …]

    return jax.lax.map(lambda walked: walk(*walked), (first, begin, end))  # [B, S, …]

  return np.asarray(decode(variables, first, second))
