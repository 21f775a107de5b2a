"""Models by name: linen modules that return logits and whose layers are reached by name."""

import flax.linen as nn

from jaxdl.config import binding, checks
from jaxdl.models import keys
from jaxdl.models.cnn import CNN
from jaxdl.models.language_model import LanguageModel
from jaxdl.models.recurrent import Recurrent

MODELS = {'cnn': CNN, 'recurrent': Recurrent, 'language_model': LanguageModel}
ACTIVATIONS = {
  'relu': nn.relu,
  'tanh': nn.tanh,
  'sigmoid': nn.sigmoid,
  'elu': nn.elu,
  'gelu': nn.gelu,
}


def build(section):
  """The linen module that a config's model section describes.

  Args:
    section: dict with 'name' and the model's own fields.

  Returns:
    nn.Module, called as `model.apply(variables, inputs)`.

  Raises:
    ValueError: an unknown name, key or activation, where the message lists the valid ones; or an
      impossible value.
  """
  checks.check_section(section, 'config.model')
  keys.check(section, 'config.model')
  arguments = dict(section)
  if 'activation' in arguments:
    name = arguments['activation']
    if name not in ACTIVATIONS:
      raise ValueError(
        f'config.model.activation={name!r} is unknown: use one of {", ".join(ACTIVATIONS)}'
      )
    arguments['activation'] = ACTIVATIONS[name]
  if isinstance(arguments.get('layers'), list):
    arguments['layers'] = tuple(arguments['layers'])
  return binding.bind(MODELS, arguments, 'config.model')()


def check_input(section, shape, task):
  """Refuses data or a task that a model is not for.

  Args:
    section: dict, a config's model section.
    shape: of an example of the data.
    task: str, the task's name.

  Raises:
    ValueError: images for a recurrent network, rows for a CNN, or the task of a language model for
      another one.
  """
  name, text = section.get('name'), section.get('name') == 'language_model'
  wanted = {'cnn': (3, 'image'), 'recurrent': (2, 'rows')}.get(name)
  if wanted is not None and len(shape) in (2, 3) and len(shape) != wanted[0]:
    raise ValueError(
      f'config.model.name={name!r} does not take examples of {" × ".join(map(str, shape))}: set '
      f'config.data.layout={wanted[1]!r}'
    )
  if name in ('cnn', 'recurrent', 'language_model') and text != (task == 'next_char'):
    use = (
      "'next_char'"
      if text
      else "'classify', 'classify_by_squared_error' or, for an autoencoder, 'reconstruct'"
    )
    raise ValueError(f'config.task={task!r} is none for the model {name!r}: use {use}')


def with_classes(section, classes):
  """A model section with a number in the place of 'classes', the size that a layer takes from the
  data.

  Args:
    section: dict, or a list of them.
    classes: int, classes of the data set or characters of the vocabulary.

  Returns:
    the same, 'features' and 'classes' as numbers.
  """
  if isinstance(section, (list, tuple)):
    return [with_classes(layer, classes) for layer in section]
  if not isinstance(section, dict):
    return section
  return {
    key: classes
    if key in ('features', 'classes') and value == 'classes'
    else with_classes(value, classes)
    for key, value in section.items()
  }
