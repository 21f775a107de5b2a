"""The exported network: a pure function with named inputs and outputs."""

import dataclasses
import functools
import json
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Shaped

from jaxdl.data import recorded
from jaxdl.ops.types import AnyArray

BATCH, TIME = 'batch', 'time'  # names of the variable axes
PARTS = {  # number of arrays in the state of a recurrent or attention layer → their names
  1: ('hidden',),
  2: ('cell', 'hidden'),
  3: ('keys', 'values', 'count'),
}


class Port(NamedTuple):
  """An input or an output of an exported network.

  Attributes:
    name: the name.
    dtype: 'float32' | 'int32' | 'uint8'.
    shape: sizes of the axes; 'batch' and 'time' are variable.
  """

  name: str
  dtype: str
  shape: tuple[int | str, ...]

  def text(self, *, channels_first: bool = False) -> str:
    """Formats the port for a README: 'inputs: float32 [batch, 28, 28, 1]'.

    Args:
      channels_first: whether to show images as [batch, channels, rows, columns].
    """
    shape = self.shape
    if channels_first and len(shape) == 4:
      shape = (shape[0], shape[3], *shape[1:3])
    return f'{self.name}: {self.dtype} [{", ".join(map(str, shape))}]'


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
  """A network with the facts that its users need.

  A language model has the states of its recurrent layers as additional inputs and outputs, so it
  can be run step by step. The initial states of a text are zeros.

  Attributes:
    name: name of the run.
    step: step of the checkpoint.
    model: the linen module.
    variables: 'params' and 'batch_stats'.
    config: the run's config, including the facts about its data ('dataset').
    raw: whether the network takes uint8 images and includes the preprocessing.
  """

  name: str
  step: int
  model: nn.Module
  variables: dict[str, Any]
  config: dict[str, Any]
  raw: bool = False

  @property
  def is_text(self) -> bool:
    """Whether the network reads characters."""
    return self.config['task']['name'] == 'next_char'

  @property
  def classes(self) -> list[str]:
    """Class names in the order of the outputs, or the vocabulary of a language model."""
    return list(self.config['dataset']['classes'])

  @property
  def input_shape(self) -> tuple[int, ...]:
    """Shape of one preprocessed example."""
    return tuple(self.config['dataset']['input_shape'])

  @functools.cached_property
  def states(self) -> dict[str, list[jax.ShapeDtypeStruct]]:
    """Layer → shapes and types of its state for one text; {} unless a language model."""
    if not self.is_text:
      return {}

    def after(tokens):
      reset = jnp.ones(1, bool)
      return self.model.apply(self.variables, tokens, mutable=['carry'], reset=reset)[1]

    carry = jax.eval_shape(after, jax.ShapeDtypeStruct((1, 1), jnp.int32)).get('carry', {})
    names = sorted(carry, key=lambda name: (len(name), name))  # lstm2 before lstm10
    return {
      name: [
        jax.ShapeDtypeStruct(part.shape[1:], part.dtype) for part in jax.tree.leaves(carry[name])
      ]
      for name in names
    }

  def inputs(self) -> list[Port]:
    """Returns the inputs, in the order of the arguments of `call`."""
    if self.is_text:
      return [Port('characters', 'int32', (BATCH, TIME)), *self._state_ports()]
    if self.raw:
      return [Port('images', 'uint8', (BATCH, *recorded.image_shape(self.config)))]
    return [Port('inputs', 'float32', (BATCH, *self.input_shape))]

  def outputs(self) -> list[Port]:
    """Returns the outputs, in the order of the results of `call`."""
    if self.is_text:
      logits = Port('logits', 'float32', (BATCH, TIME, len(self.classes)))
      return [logits, *[port._replace(name=f'{port.name}_next') for port in self._state_ports()]]
    if self.config['task']['name'] == 'reconstruct':
      return [Port('reconstruction', 'float32', (BATCH, *self.input_shape))]
    if self.config['task']['name'] == 'regress':
      return [Port('standardised', 'float32', (BATCH, len(self._targets()['names'])))]
    return [Port('logits', 'float32', (BATCH, len(self.classes)))]

  def _targets(self):
    """Names, means and deviations of the targets of a regression; {} for other networks."""
    return self.config['dataset'].get('targets', {})

  def _state_ports(self):
    ports = []
    for layer, states in self.states.items():
      parts = PARTS.get(len(states), tuple(f'state{number}' for number in range(len(states))))
      if layer == 'positions':  # of a transformer
        parts = ('count',)
      for part, state in zip(parts, states, strict=True):
        ports.append(Port(f'{layer}_{part}', state.dtype.name, (BATCH, *state.shape)))
    return ports

  def call(self, *arrays: Shaped[AnyArray, 'B ...']) -> tuple[Shaped[Array, 'B ...'], ...]:
    """Computes the outputs in evaluation mode. This is a pure function.

    Args:
      *arrays: arrays for `inputs`.

    Returns:
      Arrays for `outputs`.
    """
    first, *states = arrays
    if not self.is_text:
      inputs = recorded.image_inputs(self.config)(first) if self.raw else first
      return (self.model.apply(self.variables, inputs),)  # pyright: ignore[reportReturnType]
    carry, left = {}, iter(states)
    for layer, parts in self.states.items():
      carry[layer] = {'state': tuple(jnp.asarray(next(left)) for _ in parts)}
    logits, updated = self.model.apply(
      {**self.variables, 'carry': carry},
      first,
      mutable=['carry'],
      reset=jnp.zeros(first.shape[0], bool),
    )
    after = [part for layer in self.states for part in jax.tree.leaves(updated['carry'][layer])]
    return (logits, *after)

  def empty_states(self, batch: int) -> list[Shaped[np.ndarray, 'B ...']]:
    """Returns the initial states of `batch` texts."""
    return [np.zeros((batch, *port.shape[1:]), port.dtype) for port in self._state_ports()]

  def preprocessing(self) -> dict[str, Any]:
    """Returns a description of the preprocessing, as plain JSON data."""
    data, kept = self.config['data'], self.config['dataset']
    if self.is_text:
      return {'inputs': 'positions of the characters in classes'}
    if kept.get('form'):
      return {
        'inputs': kept['form'],
        'subtract': list(kept['mean']),
        'then_divide_by': list(kept['deviation']),
        'last_channel_marks_real_steps': kept.get('masked', False),
        'in_the_graph': False,
      }
    height, width, channels = recorded.image_shape(self.config)
    fit = recorded.setting(self.config, 'fit') if recorded.setting(self.config, 'size') else None
    return {
      'image': [height, width, channels],
      'color': 'gray' if channels == 1 else 'RGB',
      'fit': fit,
      **({'background': recorded.setting(self.config, 'background')} if fit == 'pad' else {}),
      'divide_by': 1 if kept.get('dtype') == 'float32' else 255,
      'subtract': list(kept['mean']),
      'then_divide_by': list(kept['deviation']),
      'layout': data.get('layout', 'image'),
      'in_the_graph': self.raw,
    }

  def metadata(self) -> dict[str, str]:
    """Returns the metadata for the files. The values are strings, some of them JSON."""
    return {
      'name': self.name,
      'step': str(self.step),
      'task': self.config['task']['name'],
      'inputs': json.dumps([port._asdict() for port in self.inputs()]),
      'outputs': json.dumps([port._asdict() for port in self.outputs()]),
      'preprocessing': json.dumps(self.preprocessing()),
      'classes': json.dumps(self.classes),
      **({'targets': json.dumps(self._targets())} if self._targets() else {}),
    }
