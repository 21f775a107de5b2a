"""Models by name: linen modules that return logits, or an image.

Their layers have names, by which analyses refer to them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn

from jaxdl.config import binding, checks
from jaxdl.models import keys
from jaxdl.models.cnn import CNN
from jaxdl.models.language_model import LanguageModel
from jaxdl.models.recurrent import Recurrent

__all__ = [
  'ACTIVATIONS',
  'CNN',
  'MODELS',
  'LanguageModel',
  'Recurrent',
  'build',
  'check_input',
  'with_classes',
]

MODELS = {'cnn': CNN, 'recurrent': Recurrent, 'language_model': LanguageModel}
ACTIVATIONS = {
  'relu': nn.relu,
  'tanh': nn.tanh,
  'sigmoid': nn.sigmoid,
  'elu': nn.elu,
  'gelu': nn.gelu,
}

AXES = {'cnn': (1, 2, 3), 'recurrent': (2,)}  # of an example: a vector, a sequence, an image


def build(section: Mapping[str, Any]) -> nn.Module:
  """Builds the linen module that a config's model section describes.

  Args:
    section: dict with 'name' and the model's own fields.

  Returns:
    The module, called as `model.apply(variables, inputs)`.

  Raises:
    ValueError: a name, key or activation is unknown, in which case the message lists the valid
      ones; or a value is impossible.
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
  for key in ('layers', 'features'):
    if isinstance(arguments.get(key), list):
      arguments[key] = tuple(arguments[key])
  return binding.bind(MODELS, arguments, 'config.model')()


def check_input(section: Mapping[str, Any], shape: Sequence[int], task: str) -> None:
  """Checks that a model fits the data and the task.

  Args:
    section: a config's model section.
    shape: shape of one example of the data.
    task: name of the task.

  Raises:
    ValueError: the model does not take examples of this shape, or only one of model and task is for
      texts.
  """
  name = section.get('name')
  is_text_model = name == 'language_model'
  if name in AXES and task != 'next_char' and len(shape) not in AXES[name]:
    fix = "set config.data.layout='rows'" if len(shape) == 3 else "use config.model.name='cnn'"
    raise ValueError(
      f'config.model.name={name!r} does not take examples of {" × ".join(map(str, shape))}: {fix}'
    )
  if name in ('cnn', 'recurrent', 'language_model') and is_text_model != (task == 'next_char'):
    use = "'classify', 'classify_by_squared_error' or, for an autoencoder, 'reconstruct'"
    if is_text_model:
      use = "'next_char'"
    raise ValueError(f'config.task={task!r} is not a task of the model {name!r}: use {use}')


def with_classes(section: Any, classes: int) -> Any:
  """Replaces the word 'classes' in a model section by the number of classes of the data.

  Args:
    section: dict, or a list of dicts.
    classes: number of classes of the data set, or of characters in the vocabulary.

  Returns:
    The same section with numbers as the values of 'features' and 'classes'.
  """
  if isinstance(section, (list, tuple)):
    return [with_classes(layer, classes) for layer in section]
  if not isinstance(section, dict):
    return section
  replaced = {}
  for key, value in section.items():
    if key in ('features', 'classes') and value == 'classes':
      replaced[key] = classes
    else:
      replaced[key] = with_classes(value, classes)
  return replaced


def with_mask(section: Any) -> Any:
  """Adds `masked=True` to a model section, for sequences whose last channel marks real steps.

  Args:
    section: a config's model section; the number of classes is a number.

  Returns:
    The section with the key.

  Raises:
    ValueError: the model has no such field, or as in `build`.
  """
  if hasattr(build(section), 'masked'):
    return {**section, 'masked': True}
  raise ValueError(
    f'config.model.name={section["name"]!r} does not take sequences of different lengths: use '
    "'recurrent', or give the class of your model a field masked: bool = False"
  )
