"""How the features that a channel responds to form during training."""

import os
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Integer

from jaxdl.analysis import neurons, units
from jaxdl.analysis.attribution import deconvnet
from jaxdl.analysis.units import Int
from jaxdl.runs import checkpoint


class Evolution(NamedTuple):
  """The strongest output of a channel among some images, at each kept checkpoint.

  Attributes:
    steps: training steps of the checkpoints.
    images: index of the image in which the channel is strongest.
    places: (row, column) of its unit; (0, 0) for a layer without spatial positions.
    values: output of the unit.
    maps: this output mapped back to pixels, not scaled; 0 where the channel is dead.
    dead: whether the strongest output is exactly 0: a rectified channel that no image activates.
  """

  steps: Integer[np.ndarray, 'S']
  images: Integer[np.ndarray, 'S']
  places: Integer[np.ndarray, 'S 2']
  values: Float[np.ndarray, 'S']
  maps: Float[np.ndarray, 'S H W C']
  dead: Bool[np.ndarray, 'S']


def features(
  workdir: str | os.PathLike[str],
  layer: str,
  channel: Int,
  images: Float[np.ndarray, 'N H W C'],
) -> Evolution:
  """Maps the strongest output of a channel back to pixels at each checkpoint that a run keeps.

  A sudden change of the map often means that another image has become the strongest.

  Args:
    workdir: folder of a run of a CNN with `config.keep_every`.
    layer: name.
    channel: index of the channel.
    images: scaled as in training.

  Returns:
    Evolution.

  Raises:
    ValueError: the run keeps fewer than two checkpoints, an unknown layer or channel, or images
      that the model does not accept; also as in `attribution.deconvnet`.

  Source: Zeiler & Fergus 2014, Visualizing and Understanding Convolutional Networks, section 4.1
    and figure 4.
  """
  steps = checkpoint.kept_steps(workdir)
  if len(steps) < 2:
    raise ValueError(
      f'{workdir} keeps {len(steps)} checkpoints and at least 2 are needed: '
      "train it again with --config.keep_every='1 epoch'"
    )
  found = [_strongest(workdir, step, layer, channel, images) for step in steps]
  return Evolution(np.array(steps), *(np.stack(part) for part in zip(*found, strict=True)))


def _strongest(workdir, step, layer, channel, images):
  """(image, place, value, map, dead) at one checkpoint."""
  model, variables, _ = checkpoint.load_model(workdir, step)
  top = neurons.top_patches(model, variables, images, layer, channel, k=1)
  strongest = images[top.images[0]][None]  # [1, H, W, C]
  if top.dead:
    blank = np.zeros_like(strongest[0])
    return top.images[0], top.places[0], top.values[0], blank, top.dead
  position = None
  if len(units.shapes(model, variables, strongest)[layer]) == 3:
    position = tuple(top.places[0].tolist())
  back = deconvnet(model, variables, strongest, units.Neuron(layer, channel, position))
  return top.images[0], top.places[0], top.values[0], back[0], top.dead
