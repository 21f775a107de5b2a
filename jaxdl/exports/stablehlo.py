"""StableHLO: a JAX program with the weights, for JAX and other XLA runtimes."""

import pathlib

import jax
import numpy as np
from jax import export

from jaxdl import ops
from jaxdl.exports.format import Call, Format
from jaxdl.exports.network import Network

FILE = 'model.stablehlo'
PLATFORMS = ('cpu', 'cuda', 'tpu')


def write(network: Network, folder: pathlib.Path) -> None:
  """Writes the program for CPUs, NVIDIA GPUs and TPUs.

  Args:
    network: the network.
    folder: folder of the file.

  Raises:
    ValueError: the network cannot be traced with a variable batch size, which may happen with
      custom models and layers.
  """
  scope = export.SymbolicScope()

  def symbolic(port):
    axes = ','.join(map(str, port.shape))
    return jax.ShapeDtypeStruct(export.symbolic_shape(axes, scope=scope), port.dtype)

  def traced(*arrays):
    return network.call(*arrays)

  arguments = [symbolic(port) for port in network.inputs()]
  try:
    with ops.stock_lowering():
      found = export.export(jax.jit(traced), platforms=PLATFORMS)(*arguments)
  except Exception as error:  # JAX raises many types of errors about symbolic shapes
    reason = str(error).strip().partition('\n')[0]
    raise ValueError(
      f'the network cannot be traced with a variable batch size ({reason}): make the shapes in its '
      'layers independent of the batch size'
    ) from error
  (folder / FILE).write_bytes(found.serialize())


def load(network: Network, folder: pathlib.Path) -> Call:
  """Loads the program. Returns a function from inputs to outputs."""
  program = export.deserialize(bytearray((folder / FILE).read_bytes()))

  def call(arrays):
    return [np.asarray(array) for array in program.call(*arrays)]

  return call


def use(network: Network) -> str:
  """Returns instructions for using the file, in Markdown."""
  names = ', '.join(port.name for port in network.inputs())
  return f"""\
```python
import jax

program = jax.export.deserialize(bytearray(open('{FILE}', 'rb').read()))
outputs = program.call({names})
```

The program runs on {', '.join(PLATFORMS)}. `program.mlir_module()` returns its text. It was
written by JAX {jax.__version__} and is readable by later versions for at least six months."""


FORMAT = Format('stablehlo', (FILE,), (), '', True, write, load, use)
