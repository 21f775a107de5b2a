"""Brightness and contrast of images, for detecting inputs unlike the training images."""

from typing import Any

import numpy as np
from jaxtyping import Float64, Shaped

MOST = 2000  # maximum number of images per statistic


def of_images(images: Shaped[np.ndarray, 'N H W C']) -> Float64[np.ndarray, 'N 2']:
  """Computes the brightness and contrast of each image, in 0..1.

  Args:
    images: the images, uint8, or float32 in 0..1.

  Returns:
    Mean and standard deviation over the pixels and channels of each image, [N, 2].
  """
  flat = images.reshape(len(images), -1)
  white = 255 if images.dtype == np.uint8 else 1
  means = flat.mean(1, dtype=np.float64)
  squares = np.einsum('np,np->n', flat, flat, dtype=np.float64) / flat.shape[1]
  deviations = np.sqrt(np.maximum(squares - np.square(means), 0))
  return np.stack([means, deviations], axis=1) / white


def of_split(images: Shaped[np.ndarray, 'N H W C']) -> dict[str, list[float]]:
  """Computes statistics of a split from at most MOST evenly spaced images.

  Args:
    images: images of the split, at least one.

  Returns:
    'brightness' and 'contrast' → [mean, standard deviation] over the images, in 0..1; plain JSON
    data.
  """
  some = images[np.unique(np.linspace(0, len(images) - 1, MOST).astype(int))]
  found = of_images(some)
  return {
    name: [float(found[:, column].mean()), float(found[:, column].std())]
    for column, name in enumerate(('brightness', 'contrast'))
  }


def distance(
  mean: Float64[np.ndarray, '2'], recorded: dict[str, list[float]]
) -> Float64[np.ndarray, '2']:
  """Computes the distance of the average brightness and contrast of images from a split.

  Args:
    mean: average of the rows of `of_images`.
    recorded: statistics of the split, as returned by `of_split`.

  Returns:
    Signed distances, in standard deviations of the images of the split.
  """
  middle, deviation = np.array([recorded['brightness'], recorded['contrast']]).T
  return (mean - middle) / np.maximum(deviation, 1 / 255)


def is_recorded(found: Any) -> bool:
  """Returns whether a value of a config has the form of a result of `of_split`."""
  return isinstance(found, dict) and all(
    isinstance(found.get(name), list)
    and len(found[name]) == 2
    and all(isinstance(value, (int, float)) for value in found[name])
    for name in ('brightness', 'contrast')
  )
