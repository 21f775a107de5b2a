"""Speed of the configs' convolutions in each lowering, interleaved, medians.

    python -m launch.benchmarks.convolution [--rounds=5] [--only=cnn_cifar10,…]

Forward and both gradients run as in training: in a loop, on two CPU devices with half of the batch
each. First layers are left out: they are always products over patches. PyTorch is left out where
it is not installed. Prints a table of milliseconds.
"""

import argparse
import functools
import importlib.util
import math
import pathlib
import statistics
import time
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl import models, ops
from jaxdl.config import reading
from jaxdl.models import layers, table
from jaxdl.ops import convolution, direct_convolution, wide_patches, winograd

ROOT = pathlib.Path(__file__).parents[2]
IMAGES = {
  'cnn_cifar10': (32, 32, 3),
  'deep_cnn_cifar10': (32, 32, 3),
  'lenet5_gray_cifar10': (28, 28, 1),
  'bn_cnn_gray_cifar10': (28, 28, 1),
  'cnn_fashion_mnist': (28, 28, 1),
  'cnn_food11': (512, 512, 3),
}
LOWERINGS = {
  'patches': wide_patches.by_wide_patches,
  'patches, bfloat16': lambda inputs, kernel, strides, pads: wide_patches.by_wide_patches(
    inputs, kernel, strides, pads, True
  ),
  "XLA's": lambda inputs, kernel, strides, pads: direct_convolution.direct(
    inputs, kernel, strides, pads, True
  ),
  'Winograd': lambda inputs, kernel, strides, pads: winograd.winograd(inputs, kernel, pads),
}
LOOP = 2  # convolutions in one call
Pads = tuple[tuple[int, int], ...]


def convolutions(name: str) -> Iterator[tuple[str, np.ndarray, np.ndarray, Pads]]:
  """Yields (layer, inputs [B, H, W, C], kernel [kh, kw, C, F], pads) of a config's convolutions
  after the first.
  """
  section = reading.read_file(ROOT / f'configs/{name}.py').to_dict()
  model = models.build(models.with_classes(section['model'], 11))
  built, generator = dict(model.named_layers()), np.random.default_rng(0)
  rows = [row for row in table.layers(model, IMAGES[name]) if row['type'] == 'Conv']
  for row in rows[1:]:
    layer, (*image, channels) = built[row['name']](), row['input']
    window = layers.pair(layer.kernel)
    pads = tuple(
      ops.explicit_padding(image[axis], window[axis], 1, layer.padding) for axis in (0, 1)
    )
    draw = functools.partial(generator.standard_normal, dtype=np.float32)
    yield (
      row['name'],
      draw((section['data']['batch_size'], *image, channels)),
      draw((*window, channels, layer.features)),
      pads,
    )


def in_jax(function: Callable, inputs: np.ndarray, kernel: np.ndarray, pads: Pads) -> Callable:
  """A function without arguments that convolves LOOP times and waits for the result."""

  def run(inputs, kernel, cotangent):
    def one(_, carried):
      outputs, pullback = jax.vjp(
        lambda x, k: function(x, k, (1, 1), pads), inputs + carried, kernel
      )
      return 1e-20 * sum(array.reshape(-1)[0] for array in (outputs, *pullback(cotangent)))

    return jax.lax.fori_loop(0, LOOP, one, jnp.zeros(()))

  halves = inputs.reshape(2, -1, *inputs.shape[1:])
  shape = jax.eval_shape(lambda x, k: function(x, k, (1, 1), pads), halves[0], kernel)
  mapped = jax.pmap(run, in_axes=(0, None, 0))
  return functools.partial(
    lambda *arguments: jax.block_until_ready(mapped(*arguments)),
    jnp.asarray(halves),
    jnp.asarray(kernel),
    jnp.ones((2, *shape.shape)),
  )


def in_torch(inputs: np.ndarray, kernel: np.ndarray, pads: Pads) -> Callable:
  """The same in PyTorch, on padded images."""
  import torch

  images = np.pad(inputs, ((0, 0), *pads, (0, 0))).transpose(0, 3, 1, 2)
  images, kernel = (
    torch.from_numpy(np.ascontiguousarray(array)).requires_grad_()
    for array in (images, kernel.transpose(3, 2, 0, 1))
  )

  def run():
    for _ in range(LOOP):
      outputs = torch.nn.functional.conv2d(images, kernel)
      outputs.backward(torch.ones_like(outputs))

  return run


def main() -> None:
  """Runs the command."""
  jax.config.update('jax_num_cpu_devices', 2)
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--rounds', type=int, default=5)
  parser.add_argument('--only', default=','.join(IMAGES))
  options = parser.parse_args()
  names = [*LOWERINGS, *(['PyTorch'] if importlib.util.find_spec('torch') else [])]
  print(f'| convolution | GFLOP | {" | ".join(names)} | training uses |')
  print(f'|---|{"---:|" * (len(names) + 1)}---|')
  for name in options.only.split(','):
    for layer, inputs, kernel, pads in convolutions(name):
      contenders = {
        kind: in_jax(function, inputs, kernel, pads) for kind, function in LOWERINGS.items()
      }
      if 'PyTorch' in names:
        contenders['PyTorch'] = in_torch(inputs, kernel, pads)
      found = {kind: [] for kind in contenders}
      for turn in range(options.rounds + 1):
        for kind, run in contenders.items():
          began = time.perf_counter()
          run()
          if turn:  # the first turn compiles
            found[kind].append((time.perf_counter() - began) * 1e3 / LOOP)
      outputs = jax.eval_shape(
        lambda x, k, pads=pads: convolution.stock(x, k, (1, 1), pads), inputs, kernel
      ).shape
      work = 6 * math.prod(outputs) * kernel.size / kernel.shape[-1] / 1e9
      taken = "XLA's" if direct_convolution.is_fast(inputs, kernel) else 'patches'
      if winograd.pays(inputs, kernel, (1, 1), pads):
        taken = 'Winograd'
      cells = ' | '.join(f'{statistics.median(times):,.0f}' for times in found.values())
      rows, columns, channels, features = kernel.shape
      batch, height, width, _ = inputs.shape
      sizes = f'{rows}×{columns}, {channels}→{features}, {batch} × {height}×{width}'
      print(f'| `{name}` {layer}: {sizes} | {work:.1f} | {cells} | {taken} |', flush=True)


if __name__ == '__main__':
  main()
