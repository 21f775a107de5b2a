"""The inputs of a trained network, as its run recorded them."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, Shaped

from jaxdl.data import DATA_SETS, images, preprocess, vectors
from jaxdl.data.dataset import Batch
from jaxdl.data.preprocess import Array


def setting(config: Mapping[str, Any], key: str) -> Any:
  """A key of a run's data section, or the default that its data set has for it.

  Args:
    config: the run's config.
    key: name of the key, such as 'evaluation_batch_size'.
  """
  section = config['data']
  if key in section:
    return section[key]
  load = DATA_SETS.get(section['name'], images.load)
  return inspect.signature(load).parameters[key].default


def image_shape(config: Mapping[str, Any]) -> tuple[int, int, int]:
  """(height, width, channels) of the images from which a network's inputs are made.

  Args:
    config: the config of a run on images, with its facts about the data ('dataset').
  """
  shape, channels = config['dataset']['input_shape'], len(config['dataset']['mean'])
  if config['data'].get('layout', 'image') == 'rows':  # [H, W * C]
    height, row = shape
    return height, row // channels, channels
  height, width, _ = shape
  return height, width, channels


class Example(NamedTuple):
  """The form in which a network's examples are stored.

  Attributes:
    column: 'image' for images, 'input' for vectors and sequences.
    shape: shape of one example.
    dtype: their type.
  """

  column: str
  shape: tuple[int, ...]
  dtype: type


def example(config: Mapping[str, Any]) -> Example:
  """The form of the examples from which a network's inputs are made.

  Args:
    config: the config of a run, with its facts about the data ('dataset'); not of a text.
  """
  kept = config['dataset']
  if kept.get('form'):
    return Example('input', tuple(kept['input_shape']), np.float32)
  return Example(
    'image', image_shape(config), np.float32 if kept.get('dtype') == 'float32' else np.uint8
  )


def preparation(config: Mapping[str, Any], *, distort: bool = False) -> Callable[..., Batch]:
  """The function that prepares the batches of a run, as evaluation does.

  Args:
    config: the config of a run, with its facts about the data ('dataset'); not of a text.
    distort: whether the config's distortion (`config.data.distort`) is applied to the inputs; it
      depends on the index of each example.

  Returns:
    A pure function batch → batch, which reads the column of `example` and 'index' [B] and adds
    'inputs', float32; of images also 'target'. In a regression it also reads 'value', if it is
    there, and adds 'target' and 'target_scale'.
  """
  kept = config['dataset']
  if kept.get('form'):
    prepare = vectors.inputs(
      mean=kept['mean'], deviation=kept['deviation'], masked=kept.get('masked', False)
    )
  else:
    prepare = preprocess.inputs(
      mean=kept['mean'],
      deviation=kept['deviation'],
      layout=config['data'].get('layout', 'image'),
      distort=config['data'].get('distort', ()) if distort else (),
    )
  return vectors.with_targets(prepare, kept.get('targets', {}))


def image_inputs(
  config: Mapping[str, Any],
) -> Callable[[Shaped[Array, 'B ...']], Float32[Array, 'B ...']]:
  """The function that turns examples into the inputs of a network, as evaluation does.

  The config's distortion (`config.data.distort`) is not applied.

  Args:
    config: the config of a run, with its facts about the data ('dataset'); not of a text.

  Returns:
    A pure function: images [B, H, W, C], or vectors or sequences [B, …] → [B, …] float32, scaled
    and in the network's layout.
  """
  prepare, column = preparation(config), example(config).column

  def inputs(examples):
    return prepare({column: examples, 'index': jnp.zeros(examples.shape[0], jnp.int32)})['inputs']

  return inputs
