"""PyTorch's layers and a plain loop; with TORCH_COMPILE=1 the model goes through `torch.compile`."""

import math
import os

import numpy as np
import torch
from torch import nn

from launch.benchmarks.contender import Contender
from launch.benchmarks.torch_network import Recurrent, network

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'


def start(task):
  """The Contender of a Task."""
  torch.backends.cuda.matmul.allow_tf32 = True  # as JAX multiplies on such a GPU
  parts, loads = network(task)
  model = nn.Sequential(*parts).to(DEVICE)
  called = torch.compile(model) if os.environ.get('TORCH_COMPILE') else model
  rule = torch.optim.Adam(model.parameters(), lr=task.learning_rate, eps=1e-8)
  images = task.inputs.ndim == 4
  inputs = torch.from_numpy(
    np.ascontiguousarray(task.inputs.transpose(0, 3, 1, 2)) if images else task.inputs
  ).to(DEVICE)
  inputs = inputs.long() if task.text else inputs
  targets = (
    inputs if task.task == 'reconstruct' else torch.from_numpy(task.targets).long().to(DEVICE)
  )

  def mean_loss(outputs, wanted):
    if task.task == 'reconstruct':
      return nn.functional.mse_loss(outputs, wanted)
    return nn.functional.cross_entropy(outputs.reshape(-1, outputs.shape[-1]), wanted.reshape(-1))

  def batches():
    while True:
      if task.text:
        yield from zip(inputs, targets, strict=True)
        continue
      order = torch.randperm(len(inputs), device=DEVICE)
      for first in range(0, len(order) - task.batch + 1, task.batch):
        chosen = order[first : first + task.batch]
        yield inputs[chosen], targets[chosen]

  feed = batches()

  def train(steps):
    model.train()
    for _ in range(steps):
      given, wanted = next(feed)
      rule.zero_grad()
      mean_loss(called(given), wanted).backward()
      if task.clip_norm:
        nn.utils.clip_grad_norm_(model.parameters(), task.clip_norm)
      rule.step()
    if DEVICE == 'cuda':
      torch.cuda.synchronize()

  def restore():
    with torch.no_grad():
      for load in loads:
        load()
    forget()

  def forget():
    for part in parts:
      if isinstance(part, Recurrent):
        part.state = None

  def loss():
    model.eval()
    forget()
    with torch.no_grad():
      checked = (
        (inputs[0], targets[0]) if task.text else (inputs[: task.batch], targets[: task.batch])
      )
      return float(mean_loss(model(checked[0]), checked[1]))

  def memory():
    return torch.cuda.max_memory_allocated() if DEVICE == 'cuda' else 0

  restore()
  trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
  fixed = sum(
    2 * math.prod(part.running_mean.shape)
    for part in parts
    if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d))
  )
  return Contender(
    parameters=trained + fixed, train=train, loss=loss, restore=restore, memory=memory
  )
