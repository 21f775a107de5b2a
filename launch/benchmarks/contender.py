"""A workload as it stands in files, and what every framework's module gives back; no framework is
imported here.
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable

import numpy as np


@dataclasses.dataclass(frozen=True)
class Task:
  """What `workloads.write` left in a folder.

  Attributes:
    name: of the config.
    task: 'classify' | 'next_char' | 'reconstruct'.
    batch: examples in a batch.
    learning_rate, clip_norm: of Adam; 0 for no clipping.
    layers: one dict a layer.
    weights: 'layer/parameter' → array.
    inputs, targets: [N, …], or [steps, B, T] of a text.
  """

  name: str
  task: str
  batch: int
  learning_rate: float
  clip_norm: float
  layers: list
  weights: dict
  inputs: np.ndarray
  targets: np.ndarray

  @property
  def text(self):
    """Whether batches follow each other and a recurrent layer's state goes on from one to the next."""
    return self.task == 'next_char'

  @property
  def checked(self):
    """The batch whose loss all contenders must agree on: (inputs, targets)."""
    return (
      (self.inputs[0], self.targets[0])
      if self.text
      else (self.inputs[: self.batch], self.targets[: self.batch])
    )

  def of_layer(self, name):
    """parameter → array of a layer."""
    return {
      key.partition('/')[2]: value
      for key, value in self.weights.items()
      if key.partition('/')[0] == name
    }

  def batches(self, generator):
    """Yields (inputs, targets) without end: a text in its order, else shuffled anew in each epoch."""
    while True:
      if self.text:
        yield from zip(self.inputs, self.targets, strict=True)
        continue
      order = generator.permutation(len(self.inputs))
      for first in range(0, len(order) - self.batch + 1, self.batch):
        chosen = order[first : first + self.batch]
        yield self.inputs[chosen], self.targets[chosen]


@dataclasses.dataclass(frozen=True)
class Contender:
  """A workload in a framework.

  Attributes:
    parameters: int, of those that are trained.
    train: function (steps), which returns when they are done.
    loss: function () → float, of the checked batch with the parameters as they are, in evaluation.
    restore: function (), which puts the weights of the beginning back.
    memory: function () → bytes of the accelerator's memory at most, 0 on a CPU.
  """

  parameters: int
  train: Callable
  loss: Callable
  restore: Callable
  memory: Callable = lambda: 0


def read(folder):
  """The Task of a folder."""
  folder = pathlib.Path(folder)
  with np.load(folder / 'weights.npz') as stored:
    weights = dict(stored)
  arrays = {name: np.load(folder / f'{name}.npy') for name in ('inputs', 'targets')}
  return Task(**json.loads((folder / 'task.json').read_text()), weights=weights, **arrays)
