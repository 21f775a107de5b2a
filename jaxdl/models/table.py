"""The layer table: what a network consists of, layer by layer."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp


def layers(model, input_shape, input_dtype=jnp.float32):
  """Describes every named layer without computing anything.

  Args:
    model: linen module.
    input_shape: shape of one example, without the batch axis.
    input_dtype: its type.

  Returns:
    list of dicts: 'name', 'type', 'input' and 'output' shape of one example (lists of int),
    'parameters' and 'trainable' (numbers of scalars).

  Raises:
    ValueError: a network that cannot be.
  """
  found = []

  def note(call, args, kwargs, context):
    module = context.module
    if context.method_name != '__call__' or len(module.path) != 1:
      return call(*args, **kwargs)
    name, shape = module.path[0], list(args[0].shape[1:])
    try:
      outputs = call(*args, **kwargs)
    except ValueError as error:
      images = (
        f' of images of {_shape(input_shape[:2])} (config.data.size)'
        if len(input_shape) == 3
        else ''
      )
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
  except Exception as error:  # flax and jax have their own for names taken twice, shapes below 0, …
    if isinstance(error, ValueError) and '\n' not in str(error):
      raise
    reason = ' '.join(
      str(error).strip().split('\n')[: 1 + str(error).strip().partition('\n')[0].endswith(':')]
    )
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


def totals(rows):
  """{'parameters', 'trainable'} over all layers."""
  return {key: sum(row[key] for row in rows) for key in ('parameters', 'trainable')}


def text(rows):
  """The table as aligned plain text, with the totals below."""
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
