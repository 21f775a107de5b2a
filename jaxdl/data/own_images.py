"""Converts image files and arrays to the pixels that the network of a run takes."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float32, Shaped, UInt8

from jaxdl.config.arguments import about
from jaxdl.data import preprocess, recorded
from jaxdl.data.photographs import decode

Pixels = UInt8[np.ndarray, 'N H W C'] | Float32[np.ndarray, 'N H W C']


@dataclasses.dataclass(frozen=True)
class Preparation:
  """Converts images to the size and colours of a network, as for its evaluation.

  Attributes:
    shape: (height, width, channels) of the network's images.
    photographs: whether to decode and scale files with `decode.square`.
    fit: how images become square, as in the config's data section (`data.fits`).
    background: colour behind transparent pixels and of margins, as in `decode.square`.
    invert: whether to replace each pixel v by 255 − v.
    dtype: type of the network's images, uint8 or float32 in 0..1.
  """

  shape: tuple[int, int, int]
  photographs: bool
  fit: str
  background: Any
  invert: bool = False
  dtype: type = np.uint8

  def of_file(self, encoded: bytes) -> Pixels:
    """Decodes a file.

    Photographs are decoded by `decode.square`. Other images are turned upright and put on the
    background. Unless they have the network's size, they are scaled by `preprocess.fit`; an image
    that is too small to be cropped is enlarged.

    Args:
      encoded: content of an image file.

    Returns:
      [1, H, W, C] of the network's type.

    Raises:
      Exception: the bytes are not a valid image; Pillow raises exceptions of many types.
    """
    if self.photographs:
      color = 'gray' if self.shape[-1] == 1 else 'original'
      square = decode.square(encoded, self.shape[0], self.fit, self.background, color)[None]
      return 255 - square if self.invert else square
    pixels = decode.upright(encoded, self.background)[None]
    return self._fitted(np.asarray(preprocess.in_unit(pixels)) if self._has_floats else pixels)

  @property
  def _has_floats(self) -> bool:
    return self.dtype == np.float32

  def of_array(
    self, images: Shaped[np.ndarray, 'N ...'], name: str = 'the array'
  ) -> Shaped[np.ndarray, 'N H W C']:
    """Converts images of an array.

    Args:
      images: [N, H, W] or [N, H, W, C], uint8, or floating point from 0 to 1. Floating-point values
        are rounded to multiples of 1 / 255 if the network takes uint8 images. C must be the
        network's number of channels.
      name: name of the array, for messages.

    Returns:
      [N, H, W, C] of the network's type. Images of other sizes are cropped and scaled like files.

    Raises:
      ValueError: invalid type, shape, range or number of channels.
    """
    return self._fitted(self._of_type(self._with_channels(images, name), name))

  def _with_channels(self, images, name):
    """Adds a missing channel axis and checks the shape."""
    channels = self.shape[-1]
    if images.ndim == 3 and images.shape[-1] <= 4:
      raise ValueError(
        f'{name} has the shape {images.shape}: give [N, H, W, C], such as array[None] for one image'
      )
    if images.ndim == 3:
      images = images[..., None]
    if images.ndim != 4:
      raise ValueError(f'{name} has the shape {images.shape}: give [N, H, W] or [N, H, W, C]')
    if images.shape[-1] != channels:
      raise ValueError(
        f'{name} has images of {images.shape[-1]} channels, but the network takes {channels}: '
        f'give [N, H, W, {channels}]'
      )
    if 0 in images.shape:
      raise ValueError(f'{name} has the shape {images.shape}: give at least one image')
    return images

  def _of_type(self, images, name):
    """Converts images to the type of the network."""
    if images.dtype == np.uint8:
      return np.asarray(preprocess.in_unit(images) if self._has_floats else images)
    if images.dtype.kind != 'f':
      raise ValueError(
        f'{name} has the type {images.dtype}: give uint8 from 0 to 255, or floating point from 0 '
        'to 1'
      )
    low, high = float(images.min()), float(images.max())
    if not 0 <= low <= high <= 1:
      raise ValueError(
        f'{name} has values from {low:g} to {high:g}: give floating-point images from 0 to 1, or '
        'uint8 from 0 to 255'
      )
    if self._has_floats:
      return np.asarray(images, np.float32)
    return np.rint(np.asarray(images, np.float32) * 255).astype(np.uint8)

  def _fitted(self, images: Pixels) -> Shaped[np.ndarray, 'N h w c']:
    """Converts images to the size, channels and brightness of the network."""
    height, width, channels = self.shape
    found = images.shape[1:3]
    if found != (height, width) and height != width:
      raise ValueError(
        f'the image has {found[0]}×{found[1]} pixels, but the network takes {height}×{width}, '
        'which is not square: scale it to that size'
      )
    if images.shape[-1] != channels:
      images = preprocess.gray(images) if channels == 1 else np.repeat(images, channels, axis=-1)
    if found != (height, width):
      is_too_small = self.fit == 'crop' and min(found) < height
      fit = 'area' if is_too_small else self.fit
      images = preprocess.fit(images, height, fit, self.background)
    white = 1 if self._has_floats else 255
    return white - images if self.invert else images


@dataclasses.dataclass(frozen=True)
class VectorPreparation:
  """Preparation of vectors and sequences for a network.

  Attributes:
    shape: shape of one example; for sequences, with the channel that marks real steps.
    dtype: float32.
    takes: description of valid inputs, for messages.
  """

  shape: tuple[int, ...]
  dtype: type = np.float32
  takes: str = 'vectors or sequences: give an .npz or .npy file'

  def of_file(self, encoded: bytes) -> Float32[np.ndarray, '1 ...']:
    """Raises ValueError, because vectors and sequences are read from arrays."""
    raise ValueError(f'the run takes {self.takes}')

  def of_array(
    self, values: Float32[np.ndarray, 'N ...'], name: str = 'the array'
  ) -> Float32[np.ndarray, 'N ...']:
    """Checks the shape of vectors or sequences, as returned by `inputs.own`.

    Raises:
      ValueError: the shape is invalid.
    """
    if values.shape[1:] != self.shape:
      raise ValueError(
        f'{name} has examples of {list(values.shape[1:])}, but the network takes {list(self.shape)}'
      )
    return values


def preparation(
  config: Mapping[str, Any], *, invert: bool = False
) -> Preparation | VectorPreparation:
  """Returns the preparation of a run's images, vectors or sequences.

  Args:
    config: the config of a run, including the facts about its data ('dataset'); not a language
      model.
    invert: whether to invert images.

  Raises:
    ValueError: `invert` is given for vectors or sequences.
  """
  example = recorded.example(config)
  if example.column != 'image':
    if invert:
      takes = recorded.noun(config)
      raise about(ValueError(f'invert=True is for images, but the run takes {takes}'), 'invert')
    if config['data']['name'] == 'table':
      return VectorPreparation(example.shape, takes='tables: give a .csv or .parquet file')
    return VectorPreparation(example.shape)
  photographs = config['data']['name'] == 'image_folder'
  return Preparation(
    shape=recorded.image_shape(config),
    dtype=example.dtype,
    photographs=photographs,
    fit=recorded.setting(config, 'fit'),
    background=recorded.setting(config, 'background'),
    invert=invert,
  )
