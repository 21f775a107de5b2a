"""Exports every config, with random weights, to every format and compares the outputs.

    python -m launch.benchmarks.export_check [CONFIG …]

The networks are initialised as in training. Batch statistics and biases are random, so errors in
them are detected. The inputs are 256 random images (fewer if they are large) or 2,048 random
characters. The output is the table in docs/export.md. Nothing is trained, and no data are needed.
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
  """Prints a Markdown table with a row for each config and a column for each format."""
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
  with downloads(False):  # uses a placeholder if the data are not prepared
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
