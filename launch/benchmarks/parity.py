"""Attributions against Captum's, on the configs' convolutional networks with the same random
weights in PyTorch.

    pip install '.[parity]'
    python -m launch.benchmarks.parity [--networks=cnn_mnist,cnn_cifar10]

Weights, biases and the running averages of batch normalisation are random, the images too: two, of
512 × 512 one. Prints one JSON line a method and network, with the greatest difference as a share of
the greatest value, and a table.
"""

import argparse
import json
import pathlib
import sys

import captum.attr
import jax
import numpy as np
import torch
from torch import nn

from jaxdl import models, ops
from jaxdl.analysis import attribution, units
from jaxdl.config import reading
from jaxdl.models import layers

ROOT = pathlib.Path(__file__).parents[2]
NETWORKS = {  # config → images [B, H, W, C]
  'cnn_cifar10': (2, 32, 32, 3),
  'deep_cnn_cifar10': (2, 32, 32, 3),
  'lenet5_gray_cifar10': (2, 28, 28, 1),
  'bn_cnn_gray_cifar10': (2, 28, 28, 1),
  'cnn_fashion_mnist': (2, 28, 28, 1),
  'wide_cnn_fashion_mnist': (2, 28, 28, 1),
  'cnn_mnist': (2, 28, 28, 1),
  'cnn_food11': (1, 512, 512, 3),
}
GOALS = {  # greatest difference as a share of the greatest value
  'logits': 1e-5,
  'saliency': 1e-5,
  'guided_backprop': 1e-5,
  'deconvnet': 1e-5,
  'grad_cam': 1e-5,
  'grad_cam, no ReLU': 1e-5,
  'guided_backprop of a neuron': 1e-5,
  'occlusion': 1e-4,
  'integrated_gradients': 5e-4,
  'integrated_gradients, float64': 1e-7,
}
FILL = 0.3


class Channels(nn.Module):
  """[B, C, H, W] → [B, H, W, C], the order in which jaxdl flattens."""

  def forward(self, inputs):
    return inputs.permute(0, 2, 3, 1)


def random_network(name, dtype=np.float32):
  """(linen module, variables, images, labels) of a config; the same for every type."""
  shape = NETWORKS[name]
  section = reading.read_file(ROOT / f'configs/{name}.py').to_dict()['model']
  model = models.build(models.with_classes(section, 11))
  generator = np.random.default_rng(0)
  images = generator.random(shape).astype(dtype)
  variables = jax.eval_shape(
    model.init, jax.random.PRNGKey(0), jax.ShapeDtypeStruct(shape, np.float32)
  )

  def draw(path, leaf):
    kind = path[-1].key
    if kind == 'kernel':  # He et al. 2015, so that signals neither vanish nor explode
      return (generator.normal(size=leaf.shape) * np.sqrt(2 / np.prod(leaf.shape[:-1]))).astype(
        dtype
      )
    around = {'scale': 0.5, 'var': 0.5}.get(kind, -0.1)
    return (around + generator.random(leaf.shape) * (1 if around > 0 else 0.2)).astype(dtype)

  labels = generator.integers(0, 10, shape[0])
  return model, jax.tree_util.tree_map_with_path(draw, variables), images, labels


def padded(inputs_shape, window, strides, padding, fill):
  """PyTorch's layer for 'SAME', which may pad one pixel more at the end; none for 'VALID'."""
  rows, columns = (
    ops.explicit_padding(inputs_shape[axis], window[axis], strides[axis], padding)
    for axis in (0, 1)
  )
  return [nn.ConstantPad2d((*columns, *rows), fill)] if any((*rows, *columns)) else []


def in_torch(model, variables, images):
  """The same network in PyTorch with a module for every ReLU, and the module that puts out what
  each layer does.
  """
  params, running, shape = variables['params'], variables.get('batch_stats', {}), images.shape[1:]
  shapes, parts, named = units.shapes(model, variables, images), [], {}
  tensor = lambda array: nn.Parameter(torch.from_numpy(np.ascontiguousarray(array)))  # noqa: E731
  for name, build in model.named_layers():
    layer, given = build(), params.get(name)
    if isinstance(layer, layers.Conv):
      parts += padded(
        shape, layers.pair(layer.kernel), layers.pair(layer.strides), layer.padding, 0.0
      )
      parts.append(
        nn.Conv2d(shape[-1], layer.features, layers.pair(layer.kernel), layers.pair(layer.strides))
      )
      parts[-1].weight, parts[-1].bias = (
        tensor(given['kernel'].transpose(3, 2, 0, 1)),
        tensor(given['bias']),
      )
    elif isinstance(layer, layers.Dense):
      parts.append(nn.Linear(shape[-1], layer.features))
      parts[-1].weight, parts[-1].bias = tensor(given['kernel'].T), tensor(given['bias'])
    elif isinstance(layer, layers.MaxPool):
      strides = layers.pair(layer.strides or layer.window)
      parts += padded(shape, layers.pair(layer.window), strides, layer.padding, -torch.inf)
      parts.append(nn.MaxPool2d(layers.pair(layer.window), strides))
    elif isinstance(layer, layers.BatchNorm):
      parts.append(
        (nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d)(shape[-1], eps=layer.epsilon)
      )
      parts[-1].weight, parts[-1].bias = tensor(given['scale']), tensor(given['bias'])
      parts[-1].running_mean, parts[-1].running_var = (
        tensor(running[name][kind]).data for kind in ('mean', 'var')
      )
    elif isinstance(layer, layers.Flatten):
      parts += [Channels(), nn.Flatten()]
    if getattr(layer, 'activation', None):
      parts.append(nn.ReLU())
    shape = shapes[name]
    if parts:
      named[name] = parts[-1]
  return nn.Sequential(*parts).eval(), named


def difference(ours, theirs):
  """The greatest difference as a share of the greatest value; theirs may have channels before
  places.
  """
  theirs = theirs.detach().numpy()
  theirs = theirs.transpose(0, 2, 3, 1) if theirs.ndim == 4 else theirs
  return float(np.abs(ours - theirs.reshape(ours.shape)).max() / np.abs(theirs).max())


def compare(name):
  """Yields (method, difference) of a network."""
  model, variables, images, labels = random_network(name)
  torch_model, named = in_torch(model, variables, images)
  inputs, target = (
    torch.from_numpy(images.transpose(0, 3, 1, 2)).requires_grad_(),
    torch.from_numpy(labels),
  )
  large = images.shape[1] > 100
  window, stride, steps = (128, 96, 8) if large else (5, 3, 32)
  layer = next(key for key, _ in reversed(model.named_layers()) if key.startswith('conv'))
  given, found = (model, variables, images, labels), captum.attr
  logits, outputs = units.outputs(model, variables, images, [layer])
  yield 'logits', difference(np.asarray(logits), torch_model(inputs))
  yield (
    'saliency',
    difference(
      attribution.saliency(*given), found.Saliency(torch_model).attribute(inputs, target, abs=False)
    ),
  )
  yield (
    'guided_backprop',
    difference(
      attribution.guided_backprop(*given),
      found.GuidedBackprop(torch_model).attribute(inputs, target),
    ),
  )
  yield (
    'deconvnet',
    difference(
      attribution.deconvnet(*given), found.Deconvolution(torch_model).attribute(inputs, target)
    ),
  )
  for relu in (True, False):
    theirs = found.LayerGradCam(torch_model, named[layer]).attribute(
      inputs, target, relu_attributions=relu
    )
    ours = attribution.grad_cam(*given, layer, relu=relu).maps
    yield 'grad_cam' if relu else 'grad_cam, no ReLU', difference(ours, theirs)
  row, column, channel = np.unravel_index(
    np.asarray(outputs[layer]).min(0).argmax(), outputs[layer].shape[1:]
  )
  neuron = attribution.Neuron(layer, int(channel), (int(row), int(column)))
  theirs = found.NeuronGuidedBackprop(torch_model, named[layer]).attribute(
    inputs, (channel, row, column)
  )
  yield (
    'guided_backprop of a neuron',
    difference(attribution.guided_backprop(model, variables, images, neuron), theirs),
  )
  channels = images.shape[-1]
  theirs = found.Occlusion(torch_model).attribute(
    inputs, (channels, window, window), (channels, stride, stride), baselines=FILL, target=target
  )[:, :1]  # the same in every channel
  ours = attribution.occlusion(
    *given, window=window, stride=stride, fill=FILL, batch_size=64 if not large else 4
  )
  yield 'occlusion', difference(ours, theirs)
  yield 'integrated_gradients', integrated(given, torch_model, steps)
  with jax.enable_x64(True):
    given = random_network(name, np.float64)
    yield 'integrated_gradients, float64', integrated(given, in_torch(*given[:3])[0], steps)


def integrated(given, torch_model, steps):
  """The difference of integrated gradients at equal steps."""
  images, labels = given[2:]
  inputs = torch.from_numpy(images.transpose(0, 3, 1, 2))
  theirs = captum.attr.IntegratedGradients(torch_model).attribute(
    inputs,
    target=torch.from_numpy(labels),
    n_steps=steps,
    method='gausslegendre',
    internal_batch_size=4,
  )
  return difference(attribution.integrated_gradients(*given, steps=steps).maps, theirs)


def main() -> int:
  """Runs the command; returns the exit code, 1 if a difference is above its goal."""
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument(
    '--networks', default=','.join(NETWORKS), help='configs, with commas between them'
  )
  chosen = parser.parse_args().networks.split(',')
  unknown = [name for name in chosen if name not in NETWORKS]
  if unknown:
    parser.error(f'network {unknown[0]!r} is unknown: use {", ".join(NETWORKS)}')
  table = {method: {} for method in GOALS}
  for name in chosen:
    for method, value in compare(name):
      table[method][name] = value
      print(
        json.dumps(
          {
            'network': name,
            'method': method,
            'difference': float(f'{value:.2g}'),
            'goal': GOALS[method],
            'within': value <= GOALS[method],
          }
        ),
        flush=True,
      )
  print(f'\n| greatest relative difference | goal | {" | ".join(chosen)} |')
  print(f'|---|---:|{"---:|" * len(chosen)}')
  for method, values in table.items():
    print(
      f'| {method} | {GOALS[method]:.0e} | {" | ".join(f"{values[name]:.1e}" for name in chosen)} |'
    )
  within = [value <= GOALS[method] for method, values in table.items() for value in values.values()]
  return 0 if all(within) else 1


if __name__ == '__main__':
  sys.exit(main())
