"""A network whose parameters are the weights of a file."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxdl.exports import layers
from jaxdl.exports.layers import Layer
from jaxdl.exports.network import Network
from jaxdl.weights import matching, settings, table
from jaxdl.weights.source import Source


@dataclasses.dataclass(frozen=True, eq=False)
class Filled:
  """Variables of a network, read from the weights of a file.

  Attributes:
    layout: layout of the file, a key of `matching.LAYOUTS`.
    variables: 'params' and 'batch_stats'.
    rows: which weight became which parameter.
    warnings: settings that the file does not contain, or that apply only to training.
  """

  layout: str
  variables: dict[str, Any]
  rows: list[table.Row]
  warnings: list[str]


def fill(
  network: Network,
  source: Source,
  *,
  layout: str | None = None,
  order: Sequence[str] | None = None,
) -> Filled:
  """Fills the variables of a network with the weights of a file.

  Args:
    network: the network; of its variables, only the shapes are used.
    source: the file.
    layout: a key of `matching.LAYOUTS`; None to infer it from the file.
    order: names of the file's layers in the order of the network's; None for that of the file.

  Returns:
    Filled.

  Raises:
    ValueError: the weights do not fit the network, or a setting of the file differs from it; the
      message names the first difference.
  """
  if layout is None:
    layout = matching.layout_of(source, _layers(network, source.layout or 'jaxdl'))
  listed = _layers(network, layout)
  matched = matching.match(source, listed, layout, order)
  known = any(one.group.settings for one in matched)
  warnings = settings.notes(listed, layout, known=known)
  for one in matched:
    warnings += settings.check(one.layer, one.group.settings, source.file)
  values = {one.layer.name: one.weights for one in matched}
  _check_tied(network, values, source.file)

  def value(path, leaf):
    _, *layer, parameter = _names(path)
    return values['.'.join(layer)][parameter]

  variables = jax.tree_util.tree_map_with_path(value, network.variables)
  return Filled(layout, variables, table.rows(matched, layout), warnings)


def _check_tied(network, values, file):
  """Raises ValueError if the network shares a kernel of which the file has two versions."""
  if not getattr(network.model, 'tie', False) or 'kernel' not in values['logits']:
    return
  if not np.array_equal(values['logits']['kernel'].T, values['embedding']['kernel']):
    raise ValueError(
      f'{file}: the kernel of logits is not that of the embedding: set config.model.tie=False'
    )


def _layers(network, layout) -> list[Layer]:
  """The layers of a network; those of a model of one's own have the kind '' and their names."""

  def refuse(format, what, why):
    return ValueError(
      f'weights in the layout of {format} cannot be matched with {what}, {why}: save them with the '
      'names of jaxdl, and add --layout=jaxdl'
    )

  try:
    return layers.layers_of(network, layout, refuse)
  except ValueError:
    if layout != 'jaxdl':
      raise
  found: dict[str, Layer] = {}
  for path, leaf in jax.tree_util.tree_leaves_with_path(network.variables):
    _, *layer, parameter = _names(path)
    name = '.'.join(layer)
    found.setdefault(name, Layer(name, '', ())).weights[parameter] = np.zeros(leaf.shape)
  return list(found.values())


def _names(path):
  return [str(key.key) for key in path]
