"""Inputs of a trained network, defined by the config and facts that its run recorded."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Float32, UInt8

from jaxdl.data import DATA_SETS, images, preprocess
from jaxdl.data.dataset import Batch
from jaxdl.data.preprocess import Array


def setting(config: Mapping[str, Any], key: str) -> Any:
  """Returns the value of a key in a run's data section, or the default of its data set.

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


def preparation(config: Mapping[str, Any], *, distort: bool = False) -> Callable[..., Batch]:
  """Returns the function that prepares the batches of a run, as evaluation does.

  Args:
    config: the config of a run on images, including the facts about its data ('dataset').
    distort: whether to apply the config's distortion (`config.data.distort`) to the inputs. It
      depends on the index of each example.

  Returns:
    A pure function batch → batch that reads 'image' [B, H, W, C] uint8 and 'index' [B] and adds
    'inputs' and 'target', float32.
  """
  kept = config['dataset']
  return preprocess.inputs(
    mean=kept['mean'],
    deviation=kept['deviation'],
    layout=config['data'].get('layout', 'image'),
    distort=config['data'].get('distort', ()) if distort else (),
  )


def image_inputs(
  config: Mapping[str, Any],
) -> Callable[[UInt8[Array, 'B H W C']], Float32[Array, 'B ...']]:
  """Returns the function that converts images to inputs of a network, as evaluation does.

  The config's distortion (`config.data.distort`) is not applied.

  Args:
    config: the config of a run on images, including the facts about its data ('dataset').

  Returns:
    A pure function [B, H, W, C] uint8 → [B, …] float32, scaled and in the network's layout.
  """
  prepare = preparation(config)

  def inputs(images):
    return prepare({'image': images, 'index': jnp.zeros(images.shape[0], jnp.int32)})['inputs']

  return inputs
