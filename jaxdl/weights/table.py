"""The table of an import: which weight of the file became which parameter, and how."""

from collections.abc import Sequence
from typing import TypedDict

from jaxdl.exports import layouts
from jaxdl.weights.matching import Matched

TORCH_NAMES = {
  'input_kernel': ('weight_ih_l0',),
  'recurrent_kernel': ('weight_hh_l0',),
  'bias': ('bias', 'bias_ih_l0', 'bias_hh_l0'),
  'recurrent_bias': ('bias_hh_l0',),
  'kernel': ('weight',),
  'scale': ('weight',),
  'mean': ('running_mean',),
  'var': ('running_var',),
}
TORCH_KERNELS = {
  'conv': 'OIHW to HWIO',
  'conv_transpose': 'IOHW to HWIO, turned by 180°',
  'dense': 'transposed',
  'embedding': '',
}


class Row(TypedDict):
  """A row of the table.

  Attributes:
    file: names in the file; [] for a parameter that it does not have.
    file_shape: shape of the first one; None without names.
    layer, parameter: the parameter in jaxdl.
    shape: its shape.
    done: what was done; '' for a copy.
  """

  file: list[str]
  file_shape: list[int] | None
  layer: str
  parameter: str
  shape: list[int]
  done: str


def rows(matched: Sequence[Matched], layout: str) -> list[Row]:
  """The rows of the table, in the order of the layers.

  Args:
    matched: the layers and their weights.
    layout: layout of the file, a key of `matching.LAYOUTS`.
  """
  found: list[Row] = []
  for one in matched:
    for parameter in sorted(one.weights, key=lambda name: 'kernel' not in name):
      array = one.weights[parameter]
      theirs = [name for name in _theirs(one, parameter, layout) if name in one.given]
      first = next(iter(theirs), None)
      found.append(
        {
          'file': [one.given[name] for name in theirs],
          'file_shape': None if first is None else list(_array(one, first).shape),
          'layer': one.layer.name,
          'parameter': parameter,
          'shape': list(array.shape),
          'done': _done(one, parameter, layout, len(theirs)),
        }
      )
  return found


def text(found: Sequence[Row]) -> str:
  """The table as text, with aligned columns."""
  lines = [('in the file', 'shape', 'layer', 'parameter', 'shape', '')]
  lines += [
    (
      ' + '.join(row['file']) or '-',
      _shape(row['file_shape']) if row['file_shape'] is not None else '',
      row['layer'],
      row['parameter'],
      _shape(row['shape']),
      row['done'],
    )
    for row in found
  ]
  widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
  return '\n'.join(
    '  '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
    for line in lines
  )


def _shape(sizes):
  return ' × '.join(map(str, sizes))


def _theirs(one, parameter, layout):
  """The tool's names of the weights from which a parameter is computed."""
  kind = one.layer.kind
  if layout == 'torch':
    names = TORCH_NAMES[parameter]
    return names[:2] if kind == 'gru' else names
  if layout == 'keras':
    if parameter == 'recurrent_bias':
      return ('bias',)
    return [theirs for theirs, ours in layouts.KERAS[kind].items() if ours == parameter]
  return [parameter]


def _array(one, name):
  places = {full: within for within, full in one.group.names.items()}
  return one.group.arrays[places[one.given[name]]]


def _done(one, parameter, layout, count):
  """What was done with a weight."""
  if not count:
    return f'{"ones" if parameter == "scale" else "zeros"}: the file has none'
  if not one.layer.trained:
    return 'the one-hot vectors, not a parameter'
  if layout == 'torch':
    return _of_torch(one, parameter, count)
  if layout == 'keras' and one.layer.kind == 'gru' and 'bias' in parameter:
    return f'{"second" if parameter == "recurrent_bias" else "first"} row'
  if layout == 'keras' and one.layer.kind == 'conv_transpose' and parameter == 'kernel':
    return 'HWOI to HWIO, turned by 180°'
  return ''


def _of_torch(one, parameter, count):
  kind, done = one.layer.kind, []
  if kind in layouts.CELLS:
    done += ['transposed'] if 'kernel' in parameter else []
    done += ['two biases added'] if count == 2 else []
    done += ['gates r z n to z r n'] if kind == 'gru' else []
  elif parameter == 'kernel':
    done += [TORCH_KERNELS[kind]]
  moved = {
    'kernel': any(positions is not None for positions in one.order),
    'bias': one.order.outputs is not None,
  }.get(parameter, one.order.inputs is not None)
  done += ['C·H·W to H·W·C'] if moved else []
  return ', '.join(part for part in done if part)
