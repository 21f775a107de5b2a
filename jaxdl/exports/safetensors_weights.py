"""safetensors: the weights by name, without the computation."""

# The library is optional.
# pyright: reportMissingImports=false

import pathlib

import jax
import numpy as np
from jaxtyping import Shaped

from jaxdl.exports.format import Call, Format
from jaxdl.exports.network import Network

FILE = 'model.safetensors'
LAYOUTS = """\
- Convolution: `kernel` [rows, columns, inputs, outputs] (HWIO), for images
  [batch, rows, columns, channels]. A transposed convolution has the same order, and its kernel is
  not flipped.
- Dense layer: `kernel` [inputs, outputs]; `flatten` is row-major over [rows, columns, channels].
- LSTM: the gates are concatenated on the last axis, in the order input, forget, candidate, output.
- GRU: the order is update, reset, candidate. The reset gate is applied after the product with
  `recurrent_kernel` and the addition of `recurrent_bias`.
- Batch normalisation: `scale`, `bias`, and the running `mean` and `var` (biased)."""


def tensors(network: Network) -> dict[str, Shaped[np.ndarray, '...']]:
  """Returns the weights by name, such as 'conv1.kernel'.

  Args:
    network: the network.

  Raises:
    ValueError: two weights have the same name.
  """
  found = {}
  for collection in ('params', 'batch_stats'):
    leaves = jax.tree_util.tree_leaves_with_path(network.variables.get(collection, {}))
    for path, leaf in leaves:
      name = '.'.join(str(key.key) for key in path)
      if name in found:
        raise ValueError(f'two weights have the name {name}: rename a layer')
      found[name] = np.ascontiguousarray(jax.device_get(leaf))
  return found


def write(network: Network, folder: pathlib.Path) -> None:
  """Writes the weights and the metadata of the network.

  Args:
    network: the network.
    folder: folder of the file.
  """
  from safetensors import numpy as library  # pyright: ignore[reportMissingImports]

  # `save_file` creates a file that other users cannot read.
  (folder / FILE).write_bytes(library.save(tensors(network), metadata=network.metadata()))


def load(network: Network, folder: pathlib.Path) -> Call:
  """Loads the weights into the network. Returns a function from inputs to outputs."""
  from safetensors import numpy as library  # pyright: ignore[reportMissingImports]

  found = library.load_file(folder / FILE)

  def value(path, leaf):
    return found['.'.join(str(key.key) for key in path[1:])].reshape(np.shape(leaf))

  variables = jax.tree_util.tree_map_with_path(value, network.variables)
  copy = Network(
    network.name, network.step, network.model, variables, network.config, raw=network.raw
  )
  compiled = jax.jit(copy.call)
  return lambda arrays: [np.asarray(array) for array in compiled(*arrays)]


def use(network: Network) -> str:
  """Returns the names, types and shapes of the weights, in Markdown."""
  rows = [
    f'| `{name}` | {array.dtype} | {" × ".join(map(str, array.shape))} |'
    for name, array in tensors(network).items()
  ]
  return '\n'.join(
    [
      '```python',
      'from safetensors.numpy import load_file',
      '',
      f"weights = load_file('{FILE}')",
      '```',
      '',
      LAYOUTS,
      '',
      '| name | type | shape |',
      '|---|---|---|',
      *rows,
    ]
  )


FORMAT = Format('safetensors', (FILE,), ('safetensors',), 'export', False, write, load, use)
