"""Groups of layers, chosen by patterns of their names, and frozen layers.

Patterns are as in a shell: 'conv*' matches every layer whose name starts with conv, and '*'
matches every layer.
"""

import contextlib
import dataclasses
import fnmatch
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax

from jaxdl.config import binding, checks

Setting = Any  # a value of a config, which the functions check


@dataclasses.dataclass(frozen=True)
class Group:
  """Layers with their own learning rate and weight decay.

  Attributes:
    patterns: patterns of the layers' names.
    rate: factor of the learning rate.
    weight_decay: weight decay; None for that of the optimizer.
  """

  patterns: tuple[str, ...]
  rate: float | int = 1.0
  weight_decay: float | int | None = None


def read(groups: Setting, where: str) -> tuple[Group, ...]:
  """Reads the groups of a config.

  Args:
    groups: list of sections with 'layers', one pattern or several, 'rate' and 'weight_decay'.
    where: the list's place in the config, for messages.

  Returns:
    The groups.

  Raises:
    ValueError: an unknown key, or a value out of its range.
  """
  if not isinstance(groups, (list, tuple)):
    raise ValueError(
      f"{where}={groups!r} is not a list of groups: write (dict(layers='conv*', rate=0.1),)"
    )
  found = []
  for number, group in enumerate(groups):
    place = f'{where}[{number}]'
    checks.check_section(group, place)
    found.append(binding.bind_one(_group, group, place, place=place)())
  return tuple(found)


def _group(place, *, layers, rate=1.0, weight_decay=None):
  checks.check_range(rate, f'{place}.rate', 0, above=True)
  if weight_decay is not None:
    checks.check_range(weight_decay, f'{place}.weight_decay', 0)
  return Group(read_patterns(layers, f'{place}.layers'), rate, weight_decay)


def read_patterns(patterns: Setting, where: str) -> tuple[str, ...]:
  """Reads one pattern or a list of patterns; ValueError if a value is neither."""
  listed = [patterns] if isinstance(patterns, str) else patterns
  if not isinstance(listed, (list, tuple)) or not all(isinstance(one, str) for one in listed):
    raise ValueError(
      f"{where}={patterns!r} is not a list of layer names: write ('conv1',) or ('conv*',)"
    )
  return tuple(listed)


def matches(name: str, patterns: Sequence[str]) -> bool:
  """Whether the name of a layer matches one of the patterns."""
  return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def check_layers(patterns: Sequence[str], where: str, layers: Sequence[str]) -> None:
  """Raises ValueError if a pattern matches no layer; the message lists the layers.

  Args:
    patterns: the patterns.
    where: their place in the config, for messages.
    layers: names of the layers that have parameters.
  """
  for pattern in patterns:
    if not any(matches(name, [pattern]) for name in layers):
      raise ValueError(
        f'{where}={pattern!r} matches no layer with parameters: they are {", ".join(layers)}'
      )


def labels(params: Any, label: Callable[[str, jax.Array], str]) -> Any:
  """The label of every parameter.

  Args:
    params: tree of parameters; its first keys are the names of the layers.
    label: function (name of the layer, values) → label.

  Returns:
    A tree like `params`.
  """

  def name(path):
    return str(getattr(path[0], 'key', '')) if path else ''

  return jax.tree_util.tree_map_with_path(lambda path, values: label(name(path), values), params)


def without_gradients(params: Mapping[str, Any], frozen: Sequence[str]) -> Any:
  """Returns the parameters, with a gradient of 0 for frozen layers.

  Args:
    params: layer name → its parameters.
    frozen: patterns of the names of frozen layers.
  """
  if not frozen:
    return params
  return {
    name: jax.lax.stop_gradient(values) if matches(name, frozen) else values
    for name, values in params.items()
  }


@contextlib.contextmanager
def in_evaluation_mode(frozen: Sequence[str]) -> Iterator[None]:
  """Context in which frozen layers compute as in evaluation, also during training.

  Batch normalisation then uses its running averages and does not change them, as in Keras, and
  dropout is off.

  Args:
    frozen: patterns of the names of frozen layers.
  """

  def call(function, args, kwargs, context):
    path = context.module.path
    if path and matches(path[0], frozen):
      args = [
        dataclasses.replace(value, train=False) if hasattr(value, 'train') else value
        for value in args
      ]
    return function(*args, **kwargs)

  with nn.intercept_methods(call) if frozen else contextlib.nullcontext():
    yield
