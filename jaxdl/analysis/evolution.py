"""How what a channel responds to forms while a run trains."""

from typing import NamedTuple

import numpy as np

from jaxdl.analysis import neurons, units
from jaxdl.analysis.attribution import deconvnet
from jaxdl.runs import checkpoint


class Evolution(NamedTuple):
  """A channel's strongest output among some images, at each kept checkpoint.

  Attributes:
    steps: [S] int, of the checkpoints.
    images: [S] int, the image in which the channel is strongest.
    places: [S, 2] int, (row, column) of its unit; (0, 0) where the layer has no places.
    values: [S], the unit's output.
    maps: [S, H, W, C], that output mapped back to pixels, not scaled; 0 where the channel is dead.
    dead: [S] bool, the strongest output is exactly 0: a rectified channel that none of the images
      excites.
  """

  steps: np.ndarray
  images: np.ndarray
  places: np.ndarray
  values: np.ndarray
  maps: np.ndarray
  dead: np.ndarray


def features(workdir, layer, channel, images):
  """Maps the strongest output of a channel back to pixels at each checkpoint that a run keeps.

  A sudden change of the map often is another image taking the lead.

  Args:
    workdir: folder of a run of a CNN with `config.keep_every`.
    layer: name.
    channel: int.
    images: [N, H, W, C] array, scaled as in training.

  Returns:
    Evolution.

  Raises:
    ValueError: the run keeps fewer than two checkpoints, an unknown layer or channel, or images
      that the model does not take; also as `attribution.deconvnet`.

  Source: Zeiler & Fergus 2014, Visualizing and Understanding Convolutional Networks, section 4.1
    and figure 4.
  """
  steps = checkpoint.kept_steps(workdir)
  if len(steps) < 2:
    raise ValueError(
      f'{workdir} keeps {len(steps)} checkpoints and at least 2 are needed: '
      "train it anew with --config.keep_every='1 epoch'"
    )
  found = [_strongest(workdir, step, layer, channel, images) for step in steps]
  return Evolution(np.array(steps), *(np.stack(part) for part in zip(*found, strict=True)))


def _strongest(workdir, step, layer, channel, images):
  """(image, place, value, map, dead) at one checkpoint."""
  model, variables, _ = checkpoint.load_model(workdir, step)
  top = neurons.top_patches(model, variables, images, layer, channel, k=1)
  image, place = images[top.images[0]][None], tuple(top.places[0].tolist())  # [1, H, W, C]
  if top.dead:
    return top.images[0], top.places[0], top.values[0], np.zeros_like(image[0]), top.dead
  has_places = len(units.shapes(model, variables, image)[layer]) == 3
  back = deconvnet(
    model, variables, image, units.Neuron(layer, channel, place if has_places else None)
  )
  return top.images[0], top.places[0], top.values[0], back[0], top.dead
