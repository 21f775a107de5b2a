"""Matches the weights of a file with the layers of a network."""

import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

import numpy as np
from jaxtyping import Shaped

from jaxdl.exports import layouts
from jaxdl.exports.layers import Layer
from jaxdl.weights import source as sources
from jaxdl.weights.source import Group, Source

Weights = dict[str, Shaped[np.ndarray, '...']]


def _own(layer, order=layouts.UNCHANGED):
  return dict(layer.weights)


def _as_given(layer, given, order=layouts.UNCHANGED):
  return given


class Layout(NamedTuple):
  """Layout of the weights of a layer in a tool.

  Attributes:
    write: function (Layer, Order) → its weights by the tool's names.
    read: function (Layer, such weights, Order) → its weights by jaxdl's names.
  """

  write: Callable[..., Weights]
  read: Callable[..., Weights]


LAYOUTS = {
  'torch': Layout(layouts.to_torch, layouts.from_torch),
  'keras': Layout(layouts.to_keras, layouts.from_keras),
  'jaxdl': Layout(_own, _as_given),
}
CHARACTERISTIC = {  # names of weights that only one tool has
  'torch': {'weight', 'running_mean', 'weight_ih_l0', 'weight_hh_l0'},
  'keras': {'gamma', 'beta', 'moving_mean', 'moving_variance', 'embeddings'},
  'jaxdl': {'scale', 'mean', 'var', 'input_kernel', 'recurrent_bias'},
}
DEFAULTS = {  # kind → the tool's names that may be missing: the layer has no such term
  **dict.fromkeys(layouts.PRODUCTS, {'bias'}),
  **dict.fromkeys(layouts.CELLS, {'bias', 'recurrent_bias', 'bias_ih_l0', 'bias_hh_l0'}),
  'batch_norm': {'weight', 'bias', 'gamma', 'beta', 'scale'},
}


@dataclasses.dataclass(frozen=True, eq=False)
class Matched:
  """A layer and its weights from a file.

  Attributes:
    layer: the layer.
    group: the weights in the file.
    weights: name in jaxdl → array; zeros, or ones for a scale, where the file has none.
    given: the tool's name of a weight → the name in the file.
    order: the order of the flat vectors around the layer in the file.
  """

  layer: Layer
  group: Group
  weights: Weights
  given: dict[str, str]
  order: layouts.Order


def layout_of(source: Source, listed: Sequence[Layer]) -> str:
  """Infers the layout of a file from its kind or from the names of its weights.

  Args:
    source: the file.
    listed: the layers of the network.

  Returns:
    A key of LAYOUTS.

  Raises:
    ValueError: the layout cannot be inferred.
  """
  if source.layout is not None:
    return source.layout
  names = {name for group in source.groups for name in group.arrays}
  for layout, some in CHARACTERISTIC.items():
    if names & some:
      return layout
  if 'recurrent_kernel' in names:
    return 'keras'
  differing = {'conv_transpose', 'embedding', *layouts.CELLS}
  if names <= {'kernel', 'bias'} and not differing & {layer.kind for layer in listed}:
    return 'jaxdl'  # Keras's is the same
  raise ValueError(
    f'{source.file}: the layout cannot be inferred from the names of the weights: add '
    '--layout=torch, --layout=keras or --layout=jaxdl'
  )


def match(
  source: Source, listed: Sequence[Layer], layout: str, order: Sequence[str] | None = None
) -> list[Matched]:
  """Finds the weights of every layer, by name if all names are equal, else by order and shape.

  Args:
    source: the file.
    listed: the layers of the network, in order.
    layout: a key of LAYOUTS.
    order: names of the file's layers in the order of the network's; None for that of the file.

  Returns:
    A Matched for each layer with weights.

  Raises:
    ValueError: a layer of either side has no counterpart, or several that only differ in name; the
      message names the first one.
  """
  orders = layouts.flat_orders(listed) if layout == 'torch' else {}
  layers = [layer for layer in listed if layer.weights]
  rest = _groups(source, layers, layout, orders, order)
  named = _by_name(rest, layers) if order is None and not source.flat else {}
  found = []
  for layer in layers:
    around = orders.get(layer.name, layouts.UNCHANGED)
    expected = LAYOUTS[layout].write(layer, around)
    candidates = [named[layer.name]] if layer.name in named else rest
    fitting = [group for group in candidates if _given(group, layer, expected) is not None]
    if not layer.trained:
      fitting = [group for group in fitting[:1] if _is_identity(group)]
      if not fitting:
        continue
    if not fitting:
      _refuse(source, layer, expected, candidates)
    if not source.ordered and order is None:
      _check_order(source, layer, fitting)
    group = fitting[0]
    rest.remove(group)
    found.append(_matched(layer, group, expected, layout, around))
  if rest:
    raise ValueError(
      f'{source.file} does not fit the config, which has no layer for {rest[0].text}: add it to '
      'the config'
    )
  return found


def _groups(source, layers, layout, orders, order):
  """The groups in the order in which they are matched."""
  if source.flat:
    return _split(source, layers, layout, orders)
  if order is None:
    return list(source.groups)
  named = {group.name: group for group in source.groups}
  if sorted(order) != sorted(named):
    other = min(set(order) ^ set(named), default=order[0])
    raise ValueError(
      f'--order={",".join(order)} names other layers than {source.file} ({other}): give all of '
      f'{", ".join(named)}'
    )
  return [named[name] for name in order]


def _split(source, layers, layout, orders):
  """Divides a list of arrays among the layers, up to the first one that they do not fit."""
  arrays = [group for group in source.groups if group.arrays['0'].ndim]  # no counters
  wanted = []
  for layer in layers:
    around = orders.get(layer.name, layouts.UNCHANGED)
    expected = LAYOUTS[layout].write(layer, around)
    optional = set() if layer.kind == 'batch_norm' else DEFAULTS.get(layer.kind, set())
    least = [name for name in expected if name not in optional]
    choices = [list(expected), *([least] if len(least) < len(expected) else [])]
    if not layer.trained:
      choices.append([])
    wanted.append([{name: expected[name].shape for name in names} for names in choices])
  found = []
  for names in _division(wanted, arrays, 0):
    taken = dict(zip(names, arrays, strict=False))
    arrays = arrays[len(taken) :]
    if taken:
      found.append(_joined(taken))
  return [*found, *arrays]


def _division(wanted, arrays, place):
  """For each layer, the names of the arrays from a place on; of the most layers if not of all."""
  if not wanted:
    return []
  best = []
  for choice in wanted[0]:
    shapes = [group.arrays['0'].shape for group in arrays[place : place + len(choice)]]
    if shapes == list(choice.values()):
      found = [list(choice), *_division(wanted[1:], arrays, place + len(choice))]
      if len(found) == len(wanted):
        return found
      best = max(best, found, key=len)
  return best


def _joined(taken):
  """One group from arrays without names."""
  return Group(
    ', '.join(group.name for group in taken.values()),
    {name: group.arrays['0'] for name, group in taken.items()},
    {name: group.name for name, group in taken.items()},
  )


def _by_name(groups, layers):
  """Layer → the group of its name, if all layers have one; otherwise {}."""
  names = [re.split(r'[./]', group.name)[-1] for group in groups]
  if len(set(names)) < len(names):
    return {}
  named = dict(zip(names, groups, strict=True))
  needed = {layer.name for layer in layers if layer.trained}
  return {name: named[name] for name in needed} if needed <= named.keys() else {}


def _given(group, layer, expected):
  """The tool's name → name within the group, if a group fits a layer; otherwise None."""
  optional = DEFAULTS.get(layer.kind, set())
  if group.is_numbered:
    least = len(expected) - (layer.kind != 'batch_norm' and list(expected)[-1] in optional)
    if not least <= len(group.arrays) <= len(expected):
      return None
    pairs = dict(zip(expected, group.arrays, strict=False))
  else:
    pairs = {name: name for name in expected if name in group.arrays}
    if len(pairs) < len(group.arrays):
      return None
  if not expected.keys() - optional <= pairs.keys():
    return None
  fits = all(group.arrays[one].shape == expected[name].shape for name, one in pairs.items())
  return pairs if fits else None


def _is_identity(group):
  """Whether a group is the fixed one-hot vectors of a language model."""
  (array,) = group.arrays.values()
  return np.array_equal(array, np.eye(len(array)))


def _check_order(source, layer, fitting):
  """Raises ValueError if only the names of several groups could tell which one is a layer's."""
  stems = {sources.stem(group.name): group.name for group in fitting}
  if len(stems) > 1:
    raise ValueError(
      f'{source.file} does not record the order of its layers, and {" and ".join(stems.values())} '
      f'both fit {layer.name}: add --order= with the names of all its layers, '
      f'{",".join(group.name for group in source.groups)}, in the order of the network'
    )


def _refuse(source, layer, expected, groups) -> NoReturn:
  """Raises the ValueError for a layer without weights in the file."""
  ranks = sorted(array.ndim for array in expected.values())
  similar = [
    group for group in groups if sorted(array.ndim for array in group.arrays.values()) == ranks
  ]
  found = [*similar, *groups][0].text if groups else 'no further weights'
  hint = ''
  if layer.kind == 'gru' and ranks == [2, 2, 2] and groups and _is_of_reset_before(groups[0]):
    hint = ' (a GRU with reset_after=False resets before the product, which jaxdl does not)'
  raise ValueError(
    f'{source.file} does not fit the config: the layer {layer.name} needs '
    f'{sources.shapes(expected)}, but the file has {found}{hint}'
  )


def _is_of_reset_before(group):
  return sorted(array.ndim for array in group.arrays.values()) == [1, 2, 2]


def _matched(layer, group, expected, layout, around):
  pairs = _given(group, layer, expected) or {}
  given = {name: group.arrays[one] for name, one in pairs.items()}
  weights = LAYOUTS[layout].read(layer, given, around)
  for name, array in layer.weights.items():
    if name not in weights:
      weights[name] = np.ones_like(array) if name == 'scale' else np.zeros_like(array)
  weights = {name: np.ascontiguousarray(weights[name], np.float32) for name in layer.weights}
  names = {name: group.names[one] for name, one in pairs.items()}
  return Matched(layer, group, weights, names, around)
