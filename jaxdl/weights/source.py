"""The weights of a file, grouped by layer."""

import dataclasses
import pathlib
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import Shaped

Named = Iterable[tuple[str, Shaped[np.ndarray, '...']]]
IGNORED = ('num_batches_tracked', 'seed_generator_state')  # no weights of a layer
WRAPPERS = ('module.', '_orig_mod.', 'params/', 'params.', 'batch_stats/', 'batch_stats.')
OF_STACK = re.compile(r'((?:weight|bias)_(?:ih|hh|hr)_l)(\d+)(_reverse)?')


@dataclasses.dataclass(frozen=True, eq=False)
class Group:
  """The weights of one layer in a file.

  Attributes:
    name: name of the layer in the file.
    arrays: name of a weight within the layer → array; '0', '1', … if the weights have no names.
    names: name of a weight within the layer → its full name in the file.
    settings: config of the layer, of a file of Keras that has it; otherwise {}.
  """

  name: str
  arrays: dict[str, Shaped[np.ndarray, '...']]
  names: dict[str, str]
  settings: dict[str, Any] = dataclasses.field(default_factory=dict)

  @property
  def is_numbered(self) -> bool:
    """Whether the weights have numbers instead of names."""
    return all(name.isdecimal() for name in self.arrays)

  @property
  def text(self) -> str:
    """The group for a message, such as 'fc1: weight [10, 400], bias [10]'."""
    return f'{self.name}: {shapes(self.arrays)}'


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
  """What was read from a file.

  Attributes:
    file: the file.
    groups: the layers with weights.
    layout: 'torch' | 'keras'; None if the kind of file does not tell it.
    ordered: whether the groups have the order in which the network was built.
    flat: whether the file is a list of arrays without names; each group then has one of them.
  """

  file: pathlib.Path
  groups: list[Group]
  layout: str | None = None
  ordered: bool = True
  flat: bool = False


def shapes(arrays: dict[str, Shaped[np.ndarray, '...']]) -> str:
  """Names and shapes for a message, such as 'weight [10, 400], bias [10]'."""
  return ', '.join(f'{name} {list(array.shape)}' for name, array in arrays.items()) or 'no weights'


def grouped(named: Named) -> list[Group]:
  """Groups weights by the part of their names before the last separator, '.' or '/'.

  The layers of a stack of PyTorch, such as `lstm.weight_ih_l1`, are groups of their own.

  Args:
    named: (name, array) in order.
  """
  groups: dict[str, Group] = {}
  for full, array in named:
    name = full.removesuffix(':0')
    for wrapper in WRAPPERS:
      name = name.removeprefix(wrapper)
    layer, separator, weight = re.fullmatch(r'(?:(.*)([./]))?([^./]*)', name, re.DOTALL).groups()  # pyright: ignore[reportOptionalMemberAccess]
    layer = layer or ''
    if weight in IGNORED:
      continue
    if found := OF_STACK.fullmatch(weight):
      stem, number, reverse = found.groups(default='')
      weight = f'{stem}0'
      layer += f'{separator or ""}l{number}{reverse}' if (int(number) or reverse) else ''
    group = groups.setdefault(layer, Group(layer or weight, {}, {}))
    group.arrays[weight], group.names[weight] = array, full
  return list(groups.values())


def natural(name: str) -> list[tuple[int, int | str]]:
  """A key that sorts 'conv2' before 'conv10'."""
  return [
    (0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r'(\d+)', name) if part
  ]


def stem(name: str) -> str:
  """A name without its numbers: layers of one stem are ordered by their numbers."""
  return re.sub(r'[_.]?\d+', '', name)
