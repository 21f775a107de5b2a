"""Description of the layers of a network for the report page, in which it runs.

In contrast to `layers`, each layer has its sources, and recurrent networks of several layers or
both directions and transformers are included.
"""

from jaxdl.exports import layers
from jaxdl.exports.layers import Layer, weights_of
from jaxdl.exports.network import Network
from jaxdl.models.language_model import LanguageModel
from jaxdl.models.recurrent import Recurrent
from jaxdl.models.transformer import Transformer


def layers_of(network: Network) -> list[Layer]:
  """Returns the layers of a network in order, with sources and output shapes.

  Besides the kinds of `layers.Layer` there are 'global_average_pool' of a sequence, 'tied_dense'
  (a dense layer whose kernel is that of the embedding), 'positions' and 'attention'. Recurrent
  layers have the setting 'reverse', 'last' has 'steps' (of each source −1 for the last step or 0
  for the first one), an embedding without a kernel has 'classes' and gives one-hot vectors, and
  attention has 'heads', 'context' and 'rotary'. Shapes in a language model are those of one
  character.

  Args:
    network: the network.

  Raises:
    ValueError: the model or a layer is not part of jaxdl, or it reads sequences of different
      lengths. The message is the reason, such as 'the layer own1 is a Gate, which is not …'.
  """
  model = network.model
  if type(model) is Recurrent:
    return _of_recurrent(network, model)
  if type(model) is LanguageModel:
    return _of_language_model(network, model)
  if type(model) is Transformer:
    return _of_transformer(network, model)
  return layers.layers_of(network, 'page', _refusal)


def _refusal(format, what, why):
  del format
  does = why.removeprefix('which ')
  return ValueError(f'{what} is {why}' if does == why else f'{what} {does}')


def _of_recurrent(network, model):
  if model.masked:
    raise _refusal('page', 'the model', 'which reads sequences of different lengths')
  steps, width = network.input_shape
  found, source, ends = [], '', ()
  for number, (name, units) in enumerate(model.named_widths()):
    if number:
      shape = (steps, width)
      found.append(Layer(f'dropout{number}', 'dropout', shape, {}, {}, (source,), shape))
      source = f'dropout{number}'
    ends = tuple(f'{name}{direction}' for direction in model.directions())
    for end in ends:
      settings = {'reverse': end.endswith('_backward')}
      weights = weights_of(network, end)
      shapes = (steps, width), (steps, units)
      found.append(Layer(end, model.cell, shapes[0], settings, weights, (source,), shapes[1]))
    source, width = ends[0], units * len(ends)
    if len(ends) > 1:
      settings = {'join': 'concatenate'}
      found.append(Layer(name, 'parallel', (steps, units), settings, {}, ends, (steps, width)))
      source = name
  found.append(_pooled(model, (steps, width), source, ends))
  weights, classes = weights_of(network, 'logits'), (model.classes,)
  found.append(
    Layer('logits', 'dense', (width,), {'activation': None}, weights, (model.pool,), classes)
  )
  return found


def _pooled(model, shape, source, ends):
  """The layer 'last' or 'mean' before the dense layer."""
  outputs = shape[1:]
  if model.pool == 'mean':
    return Layer('mean', 'global_average_pool', shape, {}, {}, (source,), outputs)
  settings = {'steps': [0 if end.endswith('_backward') else -1 for end in ends]}
  return Layer('last', 'last', shape, settings, {}, ends, outputs)


class _Chain:
  """A list of layers of which each reads the one before it, unless it names its sources."""

  def __init__(self, network: Network, width: int):
    self.network, self.width, self.found = network, width, []

  def add(self, name, kind, settings=None, *, width=None, sources=(), weights=None):
    """Adds a layer with outputs [width], by default of as many numbers as its inputs."""
    sources = sources or (self.found[-1].name if self.found else '',)
    outputs = self.width if width is None else width
    weights = weights_of(self.network, name) if weights is None else weights
    self.found.append(
      Layer(name, kind, (self.width,), settings or {}, weights, tuple(sources), (outputs,))
    )
    self.width = outputs
    return name


def _of_language_model(network, model):
  chain = _Chain(network, 1)
  if model.embedding:
    chain.add('embedding', 'embedding', width=model.embedding)
    chain.add('dropout0', 'dropout')
  else:
    chain.add('one_hot', 'embedding', {'classes': model.classes}, width=model.classes)
  for number in range(1, model.layers + 1):
    chain.add(f'{model.cell}{number}', model.cell, {'reverse': False}, width=model.features)
    chain.add(f'dropout{number}', 'dropout')
  _add_logits(chain, model)
  return chain.found


def _of_transformer(network, model):
  chain = _Chain(network, 1)
  chain.add('embedding', 'embedding', width=model.features)
  if model.positions == 'learned':
    chain.add('positions', 'positions')
  source = chain.add('dropout0', 'dropout')
  for number in range(1, len(model.block_names()) + 1):
    source = _add_block(chain, model, number, source)
  chain.add('norm', 'layer_norm', {'epsilon': 1e-5})
  _add_logits(chain, model)
  return chain.found


def _add_logits(chain, model):
  if not model.tie:
    chain.add('logits', 'dense', {'activation': None}, width=model.classes)
    return
  weights = weights_of(chain.network, 'logits') | chain.found[0].weights  # the same arrays
  chain.add('logits', 'tied_dense', width=model.classes, weights=weights)


def _add_block(chain, model, number, source):
  attention, mlp = f'attention{number}', f'mlp{number}'
  settings = {
    'heads': model.heads,
    'context': model.context,
    'rotary': model.positions == 'rotary',
  }
  chain.add(f'{attention}_norm', 'layer_norm', {'epsilon': 1e-5})
  chain.add(attention, 'attention', settings)
  dropped = chain.add(f'{attention}_dropout', 'dropout')
  join = {'join': 'add'}
  source = chain.add(f'{attention}_sum', 'residual', join, sources=(dropped, source))
  chain.add(f'{mlp}_norm', 'layer_norm', {'epsilon': 1e-5})
  chain.add(f'{mlp}_hidden', 'dense', {'activation': 'gelu'}, width=4 * model.features)
  chain.add(mlp, 'dense', {'activation': None}, width=model.features)
  dropped = chain.add(f'{mlp}_dropout', 'dropout')
  return chain.add(f'block{number}', 'residual', join, sources=(dropped, source))
