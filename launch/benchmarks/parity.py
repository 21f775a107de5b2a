"""Compares attributions with Captum's and Zennit's, on networks with the same weights in PyTorch.

    pip install '.[parity]'
    python -m launch.benchmarks.parity [--networks=cnn_mnist,cnn_cifar10]
    python -m launch.benchmarks.parity --run=runs/cnn_mnist [--run=runs/cnn_cifar10]

The networks of the configs have random weights, biases and running averages of batch normalisation,
and the inputs are two random images (one of 512 × 512), sequences or texts. The network of a run
has its trained weights, and the inputs are its first test images.

Prints one JSON line for each method and network, with the largest difference as a share of the
largest value of the reference, and a table.
"""

import argparse
import functools
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
from jaxdl.views import subject
from launch.benchmarks import recurrent_parity, relevance_parity

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
GOALS = {  # largest difference as a share of the largest value
  'logits': 1e-9,
  'saliency': 1e-9,
  'guided_backprop': 1e-9,
  'deconvnet': 1e-9,
  'grad_cam': 1e-9,
  'grad_cam, no ReLU': 1e-9,
  'guided_backprop of a neuron': 1e-9,
  'occlusion': 1e-6,  # Captum's result is float32
  'integrated_gradients': 1e-7,  # Captum's weights of the steps are float32
  **relevance_parity.GOALS,
}
IN_FLOAT32 = "Captum's float32 against its float64, integrated_gradients"
FILL = 0.3
TEST_IMAGES = 16  # of a run


def trained_network(run, dtype=np.float32):
  """(linen module, variables, images, labels) of a run and its first test images."""
  found = subject.read(run, count=TEST_IMAGES)
  if found.kind != 'cnn':
    raise ValueError(f'{run} holds a model of kind {found.kind!r}: give a run of a cnn')

  def convert(leaf):
    return np.asarray(leaf, dtype)

  return found.model, jax.tree.map(convert, found.variables), convert(found.inputs), found.labels


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


def convolution(shape, layer):
  """PyTorch's layers for a convolution, with padding of their own where PyTorch has it.

  Zennit's rules for pixels would take the pixels of a separate padding layer for pixels of the
  image.
  """
  kernel, strides = layers.pair(layer.kernel), layers.pair(layer.strides)
  if strides == (1, 1) and layer.padding == 'SAME':
    return [nn.Conv2d(shape[-1], layer.features, kernel, padding='same')]
  pads = [
    ops.explicit_padding(shape[axis], kernel[axis], strides[axis], layer.padding) for axis in (0, 1)
  ]
  if all(before == after for before, after in pads):
    return [
      nn.Conv2d(shape[-1], layer.features, kernel, strides, tuple(before for before, _ in pads))
    ]
  return [
    *padded(shape, kernel, strides, layer.padding, 0.0),
    nn.Conv2d(shape[-1], layer.features, kernel, strides),
  ]


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
      parts += convolution(shape, layer)
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


def compare(network):
  """Yields (method, difference) of a network, in float64 and, where the name says so, in float32.

  In float32, rounding may decide which of two almost equal pixels is the maximum of a window, and
  so move a gradient. Such a difference has no goal.

  Args:
    network: function (type) → (linen module, variables, images, labels).
  """
  given = network(np.float32)
  torch_model, named = in_torch(*given[:3])
  for method, value in gradients(given, torch_model, named):
    yield f'{method}, float32', value
  in_float32 = captum_integrated(torch_model, *given[2:])
  with jax.enable_x64(True):
    given = network(np.float64)
    torch_model, named = in_torch(*given[:3])
    yield from gradients(given, torch_model, named)
    in_float64 = captum_integrated(torch_model, *given[2:])
    layer = last_convolution(given[0])
    for method, ours, theirs in relevance_parity.compare(given, torch_model, named, layer):
      yield method, float(np.abs(ours - theirs).max() / np.abs(theirs).max())
  yield IN_FLOAT32, difference(channels_last(in_float32), in_float64)


def last_convolution(model):
  """The name of the last convolution of a network."""
  return next(name for name, _ in reversed(model.named_layers()) if name.startswith('conv'))


def gradients(given, torch_model, named):
  """Yields (method, difference) of the logits, the maps of gradients and occlusion.

  Args:
    given: (linen module, variables, images, labels).
    torch_model: the same network in PyTorch.
    named: layer → its module in PyTorch.
  """
  model, variables, images, labels = given
  inputs, target = (
    torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).requires_grad_(),
    torch.from_numpy(np.asarray(labels, np.int64)),
  )
  layer, found = last_convolution(model), captum.attr
  logits, outputs = units.outputs(model, variables, images, [layer])
  yield 'logits', difference(np.asarray(logits), torch_model(inputs))
  theirs = found.Saliency(torch_model).attribute(inputs, target, abs=False)
  yield 'saliency', difference(attribution.saliency(*given), theirs)
  theirs = found.GuidedBackprop(torch_model).attribute(inputs, target)
  yield 'guided_backprop', difference(attribution.guided_backprop(*given), theirs)
  theirs = found.Deconvolution(torch_model).attribute(inputs, target)
  yield 'deconvnet', difference(attribution.deconvnet(*given), theirs)
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
  ours = attribution.guided_backprop(model, variables, images, neuron)
  yield 'guided_backprop of a neuron', difference(ours, theirs)
  window, stride = (128, 96) if is_large(images) else (5, 3)
  channels = images.shape[-1]
  theirs = found.Occlusion(torch_model).attribute(
    inputs, (channels, window, window), (channels, stride, stride), baselines=FILL, target=target
  )[:, :1]  # the same in every channel
  ours = attribution.occlusion(
    *given, window=window, stride=stride, fill=FILL, batch_size=4 if is_large(images) else 64
  )
  yield 'occlusion', difference(ours, theirs)
  ours = attribution.integrated_gradients(*given, steps=path_steps(images)).maps
  theirs = captum_integrated(torch_model, images, labels)
  yield 'integrated_gradients', difference(ours, theirs)


def is_large(images):
  """Whether the images are photographs, which get fewer windows and steps."""
  return images.shape[1] > 100


def path_steps(images):
  """The steps of integrated gradients."""
  return 8 if is_large(images) else 32


def captum_integrated(torch_model, images, labels):
  """Captum's integrated gradients, [B, C, H, W]."""
  return captum.attr.IntegratedGradients(torch_model).attribute(
    torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))),
    target=torch.from_numpy(np.asarray(labels, np.int64)),
    n_steps=path_steps(images),
    method='gausslegendre',
    internal_batch_size=4,
  )


def channels_last(tensor):
  """[B, C, H, W] → [B, H, W, C], as a NumPy array."""
  return tensor.detach().numpy().transpose(0, 2, 3, 1)


def main() -> int:
  """Runs the command; returns the exit code, 1 if a difference is above its goal."""
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('--networks', help='configs, separated by commas (default: all)')
  parser.add_argument('--run', action='append', default=[], help='folder of a trained run')
  chosen = parser.parse_args()
  known = [*NETWORKS, *recurrent_parity.NETWORKS]
  names = known
  if chosen.networks is not None:
    names = chosen.networks.split(',')
  elif chosen.run:
    names = []
  unknown = [name for name in names if name not in known]
  if unknown:
    parser.error(f'network {unknown[0]!r} is unknown: use {", ".join(known)}')
  tables = [
    (
      {
        name: functools.partial(compare, functools.partial(random_network, name))
        for name in names
        if name in NETWORKS
      },
      GOALS,
    ),
    (
      {
        run: functools.partial(compare, functools.partial(trained_network, run))
        for run in chosen.run
      },
      GOALS,
    ),
    (
      {
        name: functools.partial(recurrent_parity.compare, name)
        for name in names
        if name in recurrent_parity.NETWORKS
      },
      recurrent_parity.GOALS,
    ),
  ]
  within = [_compared(networks, goals) for networks, goals in tables if networks]
  return 0 if all(within) else 1


def _compared(networks, goals) -> bool:
  """Prints the differences of each network, and a table; whether all are within their goals.

  Args:
    networks: name → function that yields (method, difference).
    goals: method → largest difference.
  """
  table, within = {method: {} for method in goals}, True
  for name, differences in networks.items():
    for method, value in differences():
      table.setdefault(method, {})[name] = value
      goal = goals.get(method)
      within = within and (goal is None or value <= goal)
      print(json.dumps(_line(name, method, value, goal)), flush=True)
  print(f'\n| largest relative difference | goal | {" | ".join(networks)} |')
  print(f'|---|---:|{"---:|" * len(networks)}')
  for method, values in table.items():
    goal = f'{goals[method]:.0e}' if method in goals else ''
    print(f'| {method} | {goal} | {" | ".join(_cell(values.get(name)) for name in networks)} |')
  return within


def _cell(value):
  """A difference in the table; nothing for a method that was not compared."""
  return '' if value is None else f'{value:.1e}'


def _line(name, method, value, goal):
  """The result of one method on one network as plain JSON data."""
  line = {'network': name, 'method': method, 'difference': float(f'{value:.2g}')}
  if goal is not None:
    line |= {'goal': goal, 'within': value <= goal}
  return line


if __name__ == '__main__':
  sys.exit(main())
