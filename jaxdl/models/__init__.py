"""Models by name: linen modules that return logits and whose layers are reached by name."""

import flax.linen as nn

from jaxdl import config
from jaxdl.models.cnn import CNN
from jaxdl.models.language_model import LanguageModel
from jaxdl.models.recurrent import Recurrent

MODELS = {'cnn': CNN, 'recurrent': Recurrent, 'language_model': LanguageModel}
ACTIVATIONS = {'relu': nn.relu, 'tanh': nn.tanh, 'sigmoid': nn.sigmoid, 'elu': nn.elu, 'gelu': nn.gelu}


def build(section):
  """The linen module that a config's model section describes.

  Args:
    section: dict with 'name' and the model's own fields.

  Returns:
    nn.Module, called as `model.apply(variables, inputs)`.

  Raises:
    ValueError: an unknown name, key or activation; the message lists the valid ones.
  """
  arguments = dict(section)
  if 'activation' in arguments:
    name = arguments['activation']
    if name not in ACTIVATIONS:
      raise ValueError(f'config.model.activation={name!r} is unknown: use one of {", ".join(ACTIVATIONS)}')
    arguments['activation'] = ACTIVATIONS[name]
  if isinstance(arguments.get('layers'), list):
    arguments['layers'] = tuple(arguments['layers'])
  return config.bind(MODELS, arguments, 'config.model')()
