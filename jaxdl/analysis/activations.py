"""What the layers of a network put out."""

import functools

import jax
import numpy as np

from jaxdl.analysis import units


def activations(model, variables, images, layers=None, batch_size=units.BATCH):
  """Outputs of named layers after their activation, in evaluation mode, computed in batches.

  Args:
    model: linen module.
    variables: its variables.
    images: [N, …] inputs, scaled as in training.
    layers: names; None for every layer.
    batch_size: int, images of one compiled call.

  Returns:
    layer name → [N, …] NumPy array, in the order of the layers.

  Raises:
    ValueError: an unknown layer (the message lists the names), or images of a shape that the model does not take.
  """
  known = units.check_layers(model, variables, images, layers or ())
  wanted = [name for name in known if layers is None or name in layers]
  found = {name: np.empty((len(images), *known[name]), np.float32) for name in wanted}
  compiled = jax.jit(lambda variables, images: units.outputs(model, variables, images, wanted)[1])
  for where, part in units.in_batches(functools.partial(compiled, variables), images, batch_size=batch_size):
    for name in wanted:
      found[name][where] = part[name]
  return found
