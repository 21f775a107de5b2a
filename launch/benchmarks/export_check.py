"""Exports every config of the package with random weights in every format, and compares.

    python -m launch.benchmarks.export_check [CONFIG …]

The networks are initialised as training does; batch statistics and biases are drawn at random, so
that an error in one of them shows. The inputs are 256 random images, or 2,048 random characters.
The table is that of docs/export.md. Nothing is trained, and no data set needs to be prepared.
"""

import importlib.util
import pathlib
import sys
import tempfile

import jax
import numpy as np

from jaxdl import exports
from jaxdl.config import library, reading
from jaxdl.data.tfds_arrays import downloads
from jaxdl.exports import examples
from jaxdl.training import experiment


def main() -> None:
  """Prints the table in Markdown: a row for each config, a column for each format."""
  formats = [
    name
    for name, one in exports.FORMATS.items()
    if all(map(importlib.util.find_spec, one.libraries))
  ]
  print(f'| config | {" | ".join(formats)} | {formats[0]}, raw |')
  print(f'|---|{"---:|" * (len(formats) + 1)}')
  for name in sys.argv[1:] or [name for name in library.names() if '/' not in name]:
    cells = [_cell(_network(name), one) for one in formats]
    network = _network(name, raw=True)
    cells.append('–' if network.is_text else _cell(network, formats[0]))
    print(f'| `{name}` | {" | ".join(cells)} |', flush=True)


def _network(name, raw=False):
  with downloads(False):  # stands in for data that are not prepared
    built = experiment.build(reading.read_config(name), name)
  inputs = np.zeros((1, *built.data.input_shape()), built.data.inputs.dtype)
  variables = built.recipe.model.init({'params': jax.random.key(0)}, inputs)
  draw = np.random.default_rng(0)

  def disturbed(path, leaf):
    place = path[-1].key
    if place in ('kernel', 'input_kernel', 'recurrent_kernel'):
      return np.asarray(leaf)
    low, high = (0.5, 2) if place in ('var', 'scale') else (-0.2, 0.2)
    return np.float32(draw.uniform(low, high, leaf.shape))

  variables = jax.tree_util.tree_map_with_path(disturbed, dict(variables))
  return exports.Network(name, 0, built.recipe.model, variables, built.config, raw=raw)


def _cell(network, format):
  with tempfile.TemporaryDirectory() as folder:
    found = exports.export(
      network, format, pathlib.Path(folder) / 'export', examples.random(network)
    )
  return f'{found.difference:.1e}'


if __name__ == '__main__':
  main()
