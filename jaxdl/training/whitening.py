"""Kernels that whiten the patches of the training images (`initializer='whitening'`).

The outputs of such a convolution are uncorrelated and have variance 1, so that the layers behind it
learn faster (LeCun et al. 1998, 'Efficient BackProp'; Coates & Ng 2012).
"""

import math
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import Float32, Float64

from jaxdl.data.dataset import Data
from jaxdl.models import cnn, layers
from jaxdl.training.starting import Path

IMAGES = 2_000  # the first ones of the training split
CHUNK = 100  # images whose patches are in memory
SMALLEST = 1e-4  # share of the largest variance that is added to every variance


def layers_of(model: nn.Module, data: Data) -> dict[str, dict[str, Any]]:
  """Name → arguments of the layers of a network with `initializer='whitening'`.

  Args:
    model: the network.
    data: its data; no example is read.

  Raises:
    ValueError: a layer with this initializer does not read images in memory, has more than
      2 · h · w · C features, or a window larger than the images.
  """
  found = {}
  for node in model.nodes() if isinstance(model, cnn.CNN) else ():
    arguments = getattr(node.build, 'keywords', {})
    if arguments.get('kernel_init') is not layers.whitened:
      continue
    where = f"{node.where}.initializer='whitening'"
    shape = data.input_shape()
    if node.sources != (cnn.INPUTS,) or len(shape) != 3:
      raise ValueError(f'{where} is for a first layer that reads images: leave it out')
    if 'image' not in data.splits['train'].arrays:
      raise ValueError(f'{where} needs the training images in memory: leave it out')
    window, features = layers.pair(arguments['kernel']), arguments['features']
    if any(size > side for size, side in zip(window, shape, strict=False)):
      raise ValueError(f'{where} has a window larger than the images: use a smaller kernel')
    most = 2 * math.prod(window) * shape[-1]
    if features > most:
      raise ValueError(
        f'{where} gives at most {most} features, two for each number of a patch, and the layer has '
        f'{features}: use {most} or fewer'
      )
    found[node.name] = arguments
  return found


def kernels(model: nn.Module, data: Data) -> dict[Path, Float32[np.ndarray, '...']]:
  """Path of a parameter → kernel [h, w, C, F], for the layers of `layers_of`.

  Args:
    model: the network.
    data: its data; the first 2,000 training images are read, without augmentation.

  Returns:
    {('params', layer, 'kernel'): kernel}; {} if no layer has this initializer.
  """
  return {
    ('params', name, 'kernel'): kernel(
      _images(data), layers.pair(arguments['kernel']), arguments['features']
    )
    for name, arguments in layers_of(model, data).items()
  }


def kernel(
  images: Float32[np.ndarray, 'N H W C'], window: Sequence[int], features: int
) -> Float32[np.ndarray, 'h w C F']:
  """The directions of the largest variance of patches, each divided by its standard deviation.

  Feature 2k is the k-th eigenvector of the covariance of the patches, and feature 2k + 1 is its
  negative. To each variance, 10⁻⁴ of the largest one is added.

  Args:
    images: inputs of the network.
    window: rows h and columns w of a patch.
    features: number F of features, at most 2 · h · w · C.

  Raises:
    ValueError: all patches are the same.
  """
  size = math.prod(window) * images.shape[-1]
  count, total, products = 0, np.zeros(size), np.zeros((size, size))
  for first in range(0, len(images), CHUNK):
    part = images[first : first + CHUNK].astype(np.float64)
    patches = _patches(part, window)
    count += len(patches)
    total += patches.sum(0)
    products += patches.T @ patches
  mean = total / count
  variances, vectors = np.linalg.eigh(products / count - np.outer(mean, mean))  # ascending
  variances, vectors = variances[::-1], vectors[:, ::-1]
  if variances[0] <= 0:
    raise ValueError(
      "initializer='whitening' divides by 0: every patch of the training images is the same"
    )
  # eigh does not define the sign: the first entry of at least half the largest size is positive
  sizes = np.abs(vectors)
  first = (sizes >= sizes.max(0) / 2).argmax(0)
  vectors = vectors * np.sign(vectors[first, np.arange(size)])
  scaled = vectors / np.sqrt(np.maximum(variances, 0) + SMALLEST * variances[0])
  both = np.stack([scaled, -scaled], axis=-1).reshape(size, 2 * size)
  return both[:, :features].reshape(*window, -1, features).astype(np.float32)


def _patches(
  images: Float64[np.ndarray, 'N H W C'], window: Sequence[int]
) -> Float64[np.ndarray, 'P size']:
  """Every patch of every image, in the order (row, column, channel)."""
  views = np.lib.stride_tricks.sliding_window_view(images, tuple(window), axis=(1, 2))
  return np.moveaxis(views, 3, -1).reshape(-1, math.prod(window) * images.shape[-1])


def _images(data: Data) -> Any:
  """The first training images as inputs of the network."""
  arrays = data.splits['train'].arrays
  batch = {name: values[:IMAGES] for name, values in arrays.items()}
  batch['index'] = np.arange(len(batch['image']), dtype=np.int32)
  return np.asarray(jax.jit(lambda batch: data.prepare(batch)['inputs'])(batch))
