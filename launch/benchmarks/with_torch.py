"""PyTorch's layers and a plain loop; with TORCH_COMPILE=1 `torch.compile` compiles the model."""

import math
import os
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from launch.benchmarks.contender import Contender, Task
from launch.benchmarks.torch_network import Recurrent, network

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'


def start(task: Task) -> Contender:
  """The Contender of a Task."""
  torch.backends.cuda.matmul.allow_tf32 = True  # as JAX multiplies on such a GPU
  parts, loads = network(task)
  model = nn.Sequential(*parts).to(DEVICE)
  called = torch.compile(model) if os.environ.get('TORCH_COMPILE') else model
  rule = {
    'adam': lambda: torch.optim.Adam(model.parameters(), lr=task.learning_rate, eps=1e-8),
    'nesterov': lambda: torch.optim.SGD(
      model.parameters(), lr=task.learning_rate, momentum=0.9, nesterov=True
    ),
  }[task.optimizer]()
  inputs, targets = _on_device(task)
  feed = _batches(task, inputs, targets)

  def train(steps):
    model.train()
    for _ in range(steps):
      given, wanted = next(feed)
      rule.zero_grad()
      with torch.autocast(DEVICE, torch.bfloat16, enabled=task.bfloat16):
        value = _mean_loss(task, called(given), wanted)
      value.backward()
      if task.clip_norm:
        nn.utils.clip_grad_norm_(model.parameters(), task.clip_norm)
      rule.step()
    if DEVICE == 'cuda':
      torch.cuda.synchronize()

  def restore():
    with torch.no_grad():
      for load in loads:
        load()
    _forget_states(parts)

  def loss():
    model.eval()
    _forget_states(parts)
    first = 0 if task.text else slice(task.batch)
    with torch.no_grad():
      return float(_mean_loss(task, model(inputs[first]), targets[first]))

  restore()
  return Contender(
    parameters=_parameters(model, parts), train=train, loss=loss, restore=restore, memory=_memory
  )


def _on_device(task):
  """(inputs, targets) as tensors, channels before places."""
  images = task.inputs.ndim == 4
  inputs = task.inputs.transpose(0, 3, 1, 2) if images else task.inputs
  inputs = torch.from_numpy(np.ascontiguousarray(inputs)).to(DEVICE)
  if task.text:
    inputs = inputs.long()
  if task.task == 'reconstruct':
    return inputs, inputs
  return inputs, torch.from_numpy(task.targets).long().to(DEVICE)


def _batches(task, inputs, targets) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
  """Batches without end: those of a text in order, others shuffled in each epoch."""
  while True:
    if task.text:
      yield from zip(inputs, targets, strict=True)
      continue
    order = torch.randperm(len(inputs), device=DEVICE)
    for first in range(0, len(order) - task.batch + 1, task.batch):
      chosen = order[first : first + task.batch]
      yield inputs[chosen], targets[chosen]


def _mean_loss(task, outputs, wanted):
  if task.task == 'reconstruct':
    return nn.functional.mse_loss(outputs, wanted)
  return nn.functional.cross_entropy(outputs.reshape(-1, outputs.shape[-1]), wanted.reshape(-1))


def _forget_states(parts):
  for part in parts:
    if isinstance(part, Recurrent):
      part.state = None


def _parameters(model, parts) -> int:
  """Trained parameters and running averages."""
  trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
  fixed = sum(
    2 * math.prod(part.running_mean.shape)
    for part in parts
    if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d))
  )
  return trained + fixed


def _memory() -> int:
  return torch.cuda.max_memory_allocated() if DEVICE == 'cuda' else 0
