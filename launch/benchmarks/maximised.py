"""Share of the channels of every convolution whose made images exceed all test images.

    python -m launch.benchmarks.maximised runs/cnn_cifar10

One line for each convolution: living channels, those whose strongest image exceeds the best test
patch strictly, those of which a smooth variant does, the ratios of the outputs, and the time.
"""

import sys
import time
from collections.abc import Sequence

import numpy as np

from jaxdl.analysis import neurons, visualization
from jaxdl.views import subject
from jaxdl.views.view import layers_of

TOGETHER = 32  # channels in one compiled call


def of_layer(seen: subject.Subject, layer: str) -> dict[str, np.ndarray]:
  """Outputs of the living channels of a layer.

  Args:
    seen: the network and the test images.
    layer: name of a convolution.

  Returns:
    'real' [n], 'strongest' [n] and 'smooth' [n, S].
  """
  low, high = seen.inputs.min((0, 1, 2)), seen.inputs.max((0, 1, 2))
  top = neurons.top_patches(seen.model, seen.variables, seen.inputs, layer, k=1)
  living = np.flatnonzero(top.values[:, 0] > 0)
  found = {}
  for first in range(0, len(living), TOGETHER):
    # The last call has as many channels as the others, so that it needs no other program.
    channels = living[first : first + TOGETHER]
    if first:
      channels = living[-TOGETHER:] if len(channels) < TOGETHER else channels
    made = visualization.visualize(
      seen.model,
      seen.variables,
      layer,
      channels,
      top.places[channels, 0],
      seen.inputs[top.images[channels, 0]],
      low=low,
      high=high,
    )
    rows = zip(channels, made.real, made.strongest_value, made.smooth_values, strict=True)
    found |= {int(channel): values for channel, *values in rows}
  columns = zip(*found.values(), strict=True)
  names = ('real', 'strongest', 'smooth')
  return {name: np.array(column) for name, column in zip(names, columns, strict=True)}


def main(arguments: Sequence[str]) -> None:
  """Prints the shares of a run's convolutions."""
  seen = subject.read(arguments[1])
  for layer in layers_of(seen, 'Conv'):
    began = time.monotonic()
    found = of_layer(seen, layer)
    real, strongest, smooth = found['real'], found['strongest'], found['smooth']
    exceeded, smoothly = strongest > real, smooth.max(1) > real
    print(
      f'{layer}: {len(real)} living channels, strongest image above all '
      f'{len(seen.inputs):,} {seen.split} images in {exceeded.sum()} '
      f'({100 * exceeded.mean():.1f} %), median ratio {np.median(strongest / real):.2f}, least '
      f'{(strongest / real).min():.4f}; a smooth variant in {smoothly.sum()}, median ratio '
      f'{np.median(smooth.max(1) / real):.2f}; {time.monotonic() - began:.0f} s',
      flush=True,
    )


if __name__ == '__main__':
  main(sys.argv)
