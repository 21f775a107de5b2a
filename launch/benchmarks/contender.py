"""A workload in files, and what the module of each framework returns.

No framework is imported here.
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Iterator

import numpy as np


@dataclasses.dataclass(frozen=True)
class Task:
  """What `workloads.write` left in a folder.

  Attributes:
    name: of the config.
    task: 'classify' | 'next_char' | 'reconstruct'.
    batch: examples in a batch.
    optimizer: 'adam' | 'nesterov', with a momentum of 0.9.
    learning_rate, clip_norm: of the optimizer; 0 for no clipping.
    layers: one dict a layer.
    bfloat16: whether the factors of products are rounded to bfloat16 in training.
    weights: 'layer/parameter' → array.
    inputs, targets: [N, …], or [steps, B, T] of a text.
  """

  name: str
  task: str
  batch: int
  optimizer: str
  learning_rate: float
  clip_norm: float
  layers: list[dict]
  bfloat16: bool
  weights: dict[str, np.ndarray]
  inputs: np.ndarray
  targets: np.ndarray

  @property
  def text(self) -> bool:
    """Whether batches follow each other, so that recurrent states are carried over."""
    return self.task == 'next_char'

  @property
  def checked(self) -> tuple[np.ndarray, np.ndarray]:
    """The batch whose loss all contenders must agree on: (inputs, targets)."""
    first = 0 if self.text else slice(self.batch)
    return self.inputs[first], self.targets[first]

  def of_layer(self, name: str) -> dict[str, np.ndarray]:
    """parameter → array of a layer."""
    return {
      key.partition('/')[2]: value
      for key, value in self.weights.items()
      if key.partition('/')[0] == name
    }

  def batches(self, generator: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields (inputs, targets) without end: a text in order, others shuffled in each epoch."""
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
    parameters: number of parameters.
    train: function (steps), which returns when the steps are done.
    loss: function () → loss of the checked batch with the current parameters, in evaluation.
    restore: function () that restores the initial weights.
    memory: function () → peak bytes of the accelerator's memory, 0 on a CPU.
  """

  parameters: int
  train: Callable[[int], None]
  loss: Callable[[], float]
  restore: Callable[[], None]
  memory: Callable[[], int] = lambda: 0


def read(folder: str | pathlib.Path) -> Task:
  """The Task of a folder."""
  folder = pathlib.Path(folder)
  with np.load(folder / 'weights.npz') as stored:
    weights = dict(stored)
  arrays = {name: np.load(folder / f'{name}.npy') for name in ('inputs', 'targets')}
  return Task(
    **json.loads((folder / 'task.json').read_text(encoding='utf-8')), weights=weights, **arrays
  )
