"""The layer table: names, types, shapes and parameters of the layers of a network."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike


def layers(
  model: nn.Module, input_shape: Sequence[int], input_dtype: DTypeLike = jnp.float32
) -> list[dict[str, Any]]:
  """Describes every named layer, without computing the network.

  Args:
    model: the network.
    input_shape: shape of one example, without the batch axis.
    input_dtype: type of the examples.

  Returns:
    One dict for each layer: 'name', 'type', 'input' and 'output' shape of one example (lists of
    int), 'parameters' and 'trainable' (numbers of scalars).

  Raises:
    ValueError: the network cannot be built.
  """
  found = []

  def note(call, args, kwargs, context):
    module = context.module
    if context.method_name != '__call__' or len(module.path) != 1:
      return call(*args, **kwargs)
    first = args[0][0] if isinstance(args[0], tuple) else args[0]  # of several branches
    name, shape = module.path[0], list(first.shape[1:])
    try:
      outputs = call(*args, **kwargs)
    except ValueError as error:
      images = ''
      if len(input_shape) == 3:
        images = f' of images of {_shape(input_shape[:2])} (config.data.size)'
      raise ValueError(f'layer {name}, which gets {_shape(shape)}{images}: {error}') from error
    found.append(
      dict(name=name, type=type(module).__name__, input=shape, output=list(outputs.shape[1:]))
    )
    return outputs

  def initial(inputs):
    with nn.intercept_methods(note):
      return model.init({'params': jax.random.PRNGKey(0)}, inputs)

  try:
    variables = jax.eval_shape(initial, jax.ShapeDtypeStruct((1, *input_shape), input_dtype))
  except Exception as error:  # flax's and JAX's errors of equal names, negative sizes, …
    if isinstance(error, ValueError) and '\n' not in str(error):
      raise
    lines = str(error).strip().split('\n')
    reason = ' '.join(lines[:2]) if lines[0].endswith(':') else lines[0]
    raise ValueError(
      f'config.model cannot be built ({type(error).__name__}: {reason}): change its layers'
    ) from error
  for layer in found:
    trainable = _size(variables.get('params', {}).get(layer['name'], {}))
    fixed = _size(variables.get('batch_stats', {}).get(layer['name'], {}))
    layer.update(parameters=trainable + fixed, trainable=trainable)
  return found


def _size(tree):
  return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def totals(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
  """The sums of 'parameters' and 'trainable' over all layers.

  Args:
    rows: the layer table.
  """
  return {key: sum(row[key] for row in rows) for key in ('parameters', 'trainable')}


def text(rows: Sequence[Mapping[str, Any]]) -> str:
  """The layer table as aligned plain text, with the totals below.

  Args:
    rows: the layer table.
  """
  head = ('layer', 'type', 'input', 'output', 'parameters')
  body = [
    (
      row['name'],
      row['type'],
      _shape(row['input']),
      _shape(row['output']),
      f'{row["parameters"]:,}',
    )
    for row in rows
  ]
  widths = [max(len(line[column]) for line in (head, *body)) for column in range(5)]
  lines = [
    '  '.join(
      cell.rjust(width) if column == 4 else cell.ljust(width)
      for column, (cell, width) in enumerate(zip(line, widths, strict=True))
    )
    for line in (head, *body)
  ]
  rule = '-' * len(lines[0])
  sums = totals(rows)
  fixed = sums['parameters'] - sums['trainable']
  total = f'{sums["parameters"]:,} parameters: {sums["trainable"]:,} trainable, {fixed:,} not'
  return '\n'.join([lines[0], rule, *lines[1:], rule, total])


def _shape(shape):
  return ' × '.join(str(size) for size in shape)
