"""Inputs of a trained network, defined by the config and facts that its run recorded."""

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
  """Returns the value of a key in a run's data section, or the default of its data set.

  A data set without this key, such as one of own code, has the default of `images.load`.

  Args:
    config: the run's config.
    key: name of the key, such as 'evaluation_batch_size'.
  """
  section = config['data']
  if key in section:
    return section[key]
  for load in (DATA_SETS.get(section['name'], images.load), images.load):
    parameters = inspect.signature(load).parameters
    if key in parameters:
      return parameters[key].default
  raise KeyError(key)


def image_shape(config: Mapping[str, Any]) -> tuple[int, int, int]:
  """Returns (height, width, channels) of the images that are converted to inputs.

  Args:
    config: the config of a run on images, including the facts about its data ('dataset').
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
    config: the config of a run, including the facts about its data ('dataset'); not a language
      model.
  """
  kept = config['dataset']
  if kept.get('form'):
    return Example('input', tuple(kept['input_shape']), np.float32)
  return Example(
    'image', image_shape(config), np.float32 if kept.get('dtype') == 'float32' else np.uint8
  )


def noun(config: Mapping[str, Any], count: int = 2) -> str:
  """The word for a number of examples of a run: 'image', 'row', 'vector', 'sequence', or a plural.

  Args:
    config: the config of a run, including the facts about its data ('dataset'); not a language
      model.
    count: number of examples.
  """
  form = config['dataset'].get('form', 'images').removesuffix('s')
  one = 'row' if config['data']['name'] == 'table' else form
  return one if count == 1 else f'{one}s'


def preparation(config: Mapping[str, Any], *, distort: bool = False) -> Callable[..., Batch]:
  """Returns the function that prepares the batches of a run, as evaluation does.

  Args:
    config: the config of a run, including the facts about its data ('dataset'); not a language
      model.
    distort: whether to apply the config's distortion (`config.data.distort`) to the inputs. It
      depends on the index of each example.

  Returns:
    A pure function batch → batch that reads the column of `example` and 'index' [B] and adds
    'inputs', float32; for images, also 'target'. For a regression, it also reads 'value' if
    present, and adds 'target' and 'target_scale'.
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
  """Returns the function that converts examples to inputs of a network, as evaluation does.

  The config's distortion (`config.data.distort`) is not applied.

  Args:
    config: the config of a run, including the facts about its data ('dataset'); not a language
      model.

  Returns:
    A pure function: images [B, H, W, C], or vectors or sequences [B, …] → [B, …] float32, scaled
    and in the network's layout.
  """
  prepare, column = preparation(config), example(config).column

  def inputs(examples):
    return prepare({column: examples, 'index': jnp.zeros(examples.shape[0], jnp.int32)})['inputs']

  return inputs
