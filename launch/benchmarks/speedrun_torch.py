"""The recipe of `speedrun_cifar10` in PyTorch: accuracy on the held-out images by seconds.

    python -m launch.benchmarks.speedrun_torch [--seed=0] [--epochs=12] [--bfloat16] [--compile]

Network, initial weights, batches, augmentation, optimizer, schedule and views are those of
`configs/speedrun_cifar10.py`; Muon and AdamW are PyTorch's own. The seconds are those of training
and of the tests, without the start.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import nn

from jaxdl.training import experiment
from launch.benchmarks import contender, random_examples, torch_network, workloads

NAME = 'speedrun_cifar10'
PIXELS = 2  # of a shift


class FlatConvolution(nn.Module):
  """A convolution that keeps its kernel as a matrix, because PyTorch's Muon takes only matrices."""

  def __init__(self, convolution: nn.Conv2d):
    super().__init__()
    self.shape, self.padding = convolution.weight.shape, convolution.padding
    self.matrix = nn.Parameter(convolution.weight.detach().flatten(1))
    self.bias = nn.Parameter(convolution.bias.detach())

  def forward(self, inputs):
    kernel = self.matrix.view(self.shape)
    return nn.functional.conv2d(inputs, kernel, self.bias, padding=self.padding)


def main(arguments: Sequence[str]) -> None:
  """Runs the command."""
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('--seed', type=int, default=0, help='of the order and the shifts')
  parser.add_argument('--epochs', type=int, help='those of the config by default')
  parser.add_argument('--bfloat16', action='store_true', help='train with autocast to bfloat16')
  parser.add_argument('--compile', action='store_true', help='use torch.compile')
  given = parser.parse_args(arguments)
  torch.manual_seed(given.seed)
  config = random_examples.read(NAME)
  epochs, interval = (int(config[key].partition(' ')[0]) for key in ('train_for', 'evaluate_every'))
  epochs = given.epochs or epochs
  smoothing = config['task']['label_smoothing']
  task, images, labels, test_images, test_labels = _data()
  network = _network(task).to(memory_format=torch.channels_last)
  called = torch.compile(network) if given.compile else network
  steps = epochs * (len(images) // task.batch)
  rules = _optimizers(network, config['optimizer'])
  schedules = [  # its defaults are those of jaxdl's one_cycle
    torch.optim.lr_scheduler.OneCycleLR(
      rule, rule.defaults['lr'], total_steps=steps, cycle_momentum=False
    )
    for rule in rules
  ]
  seconds, step = 0.0, 0
  for epoch in range(epochs):
    began = time.monotonic()
    network.train()
    for inputs, targets in _batches(images, labels, task.batch, epoch):
      with torch.autocast('cpu', torch.bfloat16, enabled=given.bfloat16):
        outputs = called(inputs)
      loss = nn.functional.cross_entropy(outputs.float(), targets, label_smoothing=smoothing)
      network.zero_grad()
      loss.backward()
      for rule, schedule in zip(rules, schedules, strict=True):
        rule.step()
        schedule.step()
      step += 1
    seconds += time.monotonic() - began
    if (epoch + 1) % interval == 0 or epoch + 1 == epochs:
      began = time.monotonic()
      one, six = _accuracies(network, test_images, test_labels)
      seconds += time.monotonic() - began
      print(
        f'epoch {epoch + 1}, step {step}, {seconds:.1f} s: {one:.2%}, six views {six:.2%}',
        flush=True,
      )


def _data():
  """(Task with the initial weights, training images, labels, test images, labels)."""
  with tempfile.TemporaryDirectory() as folder:
    workloads.write(NAME, folder)
    task = contender.read(folder)
  built = experiment.build(workloads.config(NAME), NAME)
  tensors = []
  for split in ('train', 'test'):
    images, labels = workloads.examples(built, split, most=1 << 30)
    tensors += [torch.from_numpy(images.transpose(0, 3, 1, 2).copy()), torch.from_numpy(labels)]
  images, labels, test_images, test_labels = tensors
  return task, images, labels.long(), test_images, test_labels.long()


def _network(task) -> nn.Sequential:
  parts, loads = torch_network.network(task)
  with torch.no_grad():
    for load in loads:
      load()
  parts = [FlatConvolution(part) if isinstance(part, nn.Conv2d) else part for part in parts]
  for parameter in parts[0].parameters():  # the whitening layer
    parameter.requires_grad = False
  return nn.Sequential(*parts)


def _optimizers(network, section) -> list[torch.optim.Optimizer]:
  """Muon for the kernels of convolutions, AdamW for the rest, without decay of biases."""
  rate, decay, adam_rate = (section[key] for key in ('learning_rate', 'weight_decay', 'adam_rate'))
  trained = {name: values for name, values in network.named_parameters() if values.requires_grad}
  kernels = [values for name, values in trained.items() if name.endswith('matrix')]
  dense = [
    values for name, values in trained.items() if values.ndim == 2 and not name.endswith('matrix')
  ]
  vectors = [values for values in trained.values() if values.ndim == 1]
  groups = [
    # AdamW multiplies the decay by its own rate
    {'params': dense, 'weight_decay': decay / adam_rate},
    {'params': vectors, 'weight_decay': 0.0},
  ]
  return [
    torch.optim.Muon(kernels, lr=rate, weight_decay=decay, momentum=section['momentum']),
    torch.optim.AdamW(groups, lr=rate * adam_rate),
  ]


def _batches(images, labels, batch, epoch) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
  """Shuffled batches of one epoch, mirrored in turn and shifted."""
  mirrored = torch.from_numpy(np.random.default_rng(0).random(len(images)) < 0.5) ^ (epoch % 2 == 1)
  order = torch.randperm(len(images))
  size = images.shape[-1]
  for first in range(0, len(order) - batch + 1, batch):
    chosen = order[first : first + batch]
    inputs = images[chosen]
    inputs = torch.where(mirrored[chosen][:, None, None, None], inputs.flip(-1), inputs)
    padded = nn.functional.pad(inputs, [PIXELS] * 4, mode='reflect')
    shifted = torch.empty_like(inputs, memory_format=torch.channels_last)
    places = torch.randint(0, (2 * PIXELS + 1) ** 2, (batch,))
    for place in range((2 * PIXELS + 1) ** 2):
      top, left = divmod(place, 2 * PIXELS + 1)
      here = places == place
      shifted[here] = padded[here, :, top : top + size, left : left + size]
    yield shifted, labels[chosen]


@torch.no_grad()
def _accuracies(network, images, labels) -> tuple[float, float]:
  """Accuracy of one view and of the mean probability of six."""
  network.eval()
  ones, sixes, size = [], [], images.shape[-1]
  for inputs, targets in zip(images.split(1000), labels.split(1000), strict=True):
    padded = nn.functional.pad(inputs, [1] * 4, mode='replicate')
    views = [inputs, *(padded[:, :, at : at + size, at : at + size] for at in (2, 0))]
    views += [view.flip(-1) for view in views]
    found = [
      network(view.contiguous(memory_format=torch.channels_last)).softmax(1) for view in views
    ]
    ones.append(found[0].argmax(1) == targets)
    sixes.append(sum(found[1:], start=found[0]).argmax(1) == targets)
  return float(torch.cat(ones).float().mean()), float(torch.cat(sixes).float().mean())


if __name__ == '__main__':
  main(sys.argv[1:])
