"""Example inputs for comparing an exported network with jaxdl."""

import math

import numpy as np
from jaxtyping import Int32, Integer, Shaped, UInt8

from jaxdl.data import preprocess, recorded, vectors
from jaxdl.exports.network import Network

COUNT, BYTES = 256, 128 << 20  # maximum number of images, and of their bytes as float32
TEXTS, LENGTH = 16, 128  # number of texts, and of characters per text


def count(network: Network) -> int:
  """Returns the number of images or characters to compare. It is smaller for large images."""
  if network.is_text:
    return TEXTS * LENGTH
  return max(1, min(COUNT, BYTES // (4 * math.prod(network.input_shape))))


def random(network: Network) -> Shaped[np.ndarray, 'B ...']:
  """Returns random images, vectors, sequences or characters.

  Args:
    network: the network.

  Returns:
    Arrays for the first of `network.inputs()`: `count` images with uniform pixels, or `count`
    normally distributed vectors or sequences; or [TEXTS, LENGTH] characters.
  """
  draw = np.random.default_rng(0)
  if network.is_text:
    return draw.integers(0, len(network.classes), (TEXTS, LENGTH), np.int32)
  column, shape, _ = recorded.example(network.config)
  shape = (count(network), *shape)
  if column == 'image':
    return of_images(network, draw.integers(0, 256, shape, np.uint8))
  if network.config['dataset'].get('masked'):
    values = draw.standard_normal((*shape[:-1], shape[-1] - 1), np.float32)
    return vectors.with_mask(values, draw.integers(1, shape[1] + 1, shape[0]))
  return draw.standard_normal(shape, np.float32)


def of_images(
  network: Network, images: UInt8[np.ndarray, 'B H W C']
) -> Shaped[np.ndarray, 'B ...']:
  """Converts images [B, H, W, C] uint8 to the first of `network.inputs()`."""
  if recorded.example(network.config).dtype == np.float32:
    images = np.asarray(preprocess.in_unit(images))
  if network.raw:
    return images
  return np.asarray(recorded.image_inputs(network.config)(images))


def of_text(characters: Integer[np.ndarray, '...']) -> Int32[np.ndarray, 'B T']:
  """Splits characters [N] or [1, N] into at most TEXTS texts of equal length."""
  flat = characters.reshape(-1)
  texts = max(1, min(TEXTS, len(flat) // 2))
  return flat[: len(flat) // texts * texts].reshape(texts, -1).astype(np.int32)
