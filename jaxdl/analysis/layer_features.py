"""The outputs of several layers for each example, flattened, from one pass over the examples."""

from collections.abc import Iterator, Sequence

import flax.linen as nn
import numpy as np
from jaxtyping import Float, Shaped

from jaxdl.analysis import units
from jaxdl.analysis.activations import activations
from jaxdl.analysis.units import AnyArray, Variables

INPUT = 'input'
BYTES = 1 << 30  # most bytes of the features of one pass


def layer_features(
  model: nn.Module,
  variables: Variables,
  inputs: Shaped[AnyArray, 'N ...'],
  layers: Sequence[str],
) -> Iterator[tuple[str, Float[np.ndarray, 'N D']]]:
  """Flattened inputs and outputs of layers, in as many passes as the memory needs.

  Args:
    model: linen module.
    variables: its variables.
    inputs: scaled as in training.
    layers: names, in the wanted order.

  Yields:
    ('input', inputs), then (layer, outputs after the activation).

  Raises:
    ValueError: an unknown layer (the message lists the names), or inputs of a wrong shape.
  """
  inputs = np.asarray(inputs)
  known = units.check_layers(model, variables, inputs, layers)
  yield INPUT, inputs.reshape(len(inputs), -1).astype(np.float32)
  together, size = [], 0
  for layer in layers:
    needed = 4 * len(inputs) * int(np.prod(known[layer]))
    if together and size + needed > BYTES:
      yield from _of_layers(model, variables, inputs, together)
      together, size = [], 0
    together.append(layer)
    size += needed
  if together:
    yield from _of_layers(model, variables, inputs, together)


def _of_layers(model, variables, inputs, layers):
  found = activations(model, variables, inputs, layers)
  for layer in layers:
    yield layer, found.pop(layer).reshape(len(inputs), -1)
