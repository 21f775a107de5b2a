"""Guided back-propagation and the deconvnet: gradients with a modified backward pass of ReLUs."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Shaped

from jaxdl.analysis import units
from jaxdl.analysis.maps.gradients import batched, check, gradient, say_silent
from jaxdl.analysis.units import BATCH, AnyArray, Neuron, Target, Variables


@jax.custom_vjp
def guided_relu(inputs: Float[Array, '*shape']) -> Float[Array, '*shape']:
  """ReLU whose backward pass keeps only positive gradients, where the input was positive.

  Source: Springenberg et al. 2015, Striving for simplicity, section 3.4.
  """
  return nn.relu(inputs)


guided_relu.defvjp(
  lambda inputs: (nn.relu(inputs), inputs > 0),
  lambda positive, signal: (jnp.where(positive, nn.relu(signal), 0),),
)


@jax.custom_vjp
def deconvnet_relu(inputs: Float[Array, '*shape']) -> Float[Array, '*shape']:
  """ReLU whose backward pass keeps only positive gradients, whatever the input was.

  Source: Zeiler & Fergus 2014, Visualizing and understanding convolutional networks, section 2.1.
  """
  return nn.relu(inputs)


deconvnet_relu.defvjp(lambda inputs: (nn.relu(inputs), None), lambda _, signal: (nn.relu(signal),))


def guided_backprop(
  model: nn.Module,
  variables: Variables,
  images: Shaped[AnyArray, 'B *pixels'],
  target: Target,
  *,
  batch_size: int = BATCH,
) -> Float[np.ndarray, 'B *pixels']:
  """Gradient of which every ReLU passes only the positive part, where its input was positive.

  The maps show the image more than the network: `sanity.sanity` measures how much.

  Args:
    model: linen module whose field `activation` is the ReLU.
    variables: its variables.
    images: as in `attribution.saliency`.
    target: as in `attribution.saliency`.
    batch_size: images in one compiled call.

  Returns:
    maps.

  Raises:
    ValueError: as in `attribution.saliency`; a model with another activation, or with ReLUs that
      are not its field `activation`.

  Source: Springenberg et al. 2015, Striving for simplicity, section 3.4.
  """
  images = check(model, variables, images, target)
  model = with_rectifier(model, variables, images, guided_relu, 'guided_backprop')
  maps = batched(gradient, model, variables, images, target, batch_size=batch_size)
  return say_silent(maps, target)


def deconvnet(
  model: nn.Module,
  variables: Variables,
  images: Shaped[AnyArray, 'B *pixels'],
  target: Target,
  *,
  batch_size: int = BATCH,
) -> Float[np.ndarray, 'B *pixels']:
  """The target mapped back to pixels by transposed filters, max-pooling switches and ReLUs.

  The signal starts as 1. Where a Neuron's output is 0 there is nothing to map back, and the map is
  0. Max-pooling's switch is the first of equal values, also in windows that are all zero.

  Args:
    model: linen module whose field `activation` is the ReLU.
    variables: its variables.
    images: as in `attribution.saliency`.
    target: as in `attribution.saliency`.
    batch_size: images in one compiled call.

  Returns:
    maps.

  Raises:
    ValueError: as in `guided_backprop`.

  Source: Zeiler & Fergus 2014, Visualizing and understanding convolutional networks, section 2.1.
  """
  images = check(model, variables, images, target)
  model = with_rectifier(model, variables, images, deconvnet_relu, 'deconvnet')
  maps = batched(_mapped_back, model, variables, images, target, batch_size=batch_size)
  return say_silent(maps, target)


def _mapped_back(model, variables, images, target):
  values, pullback = jax.vjp(lambda images: units.scores(model, variables, images, target), images)
  signal = jnp.ones(values.shape, bool)  # [B]
  if isinstance(target, Neuron):
    signal = values != 0
  return pullback(signal.astype(values.dtype))[0]


def with_rectifier(
  model: nn.Module,
  variables: Variables,
  images: Shaped[AnyArray, 'B ...'],
  rectifier: Callable[[Array], Array],
  method: str,
) -> nn.Module:
  """The model with each of its ReLUs replaced.

  Args:
    model: linen module with a field `activation`.
    variables: its variables.
    images: only their shape and type are used.
    rectifier: function that replaces the ReLU.
    method: name of the attribution method, for messages.

  Returns:
    linen module.

  Raises:
    ValueError: the model has no field `activation`, another activation, or a ReLU that does not
      come from that field.
  """
  kind = type(model).__name__
  if not hasattr(model, 'activation'):
    raise ValueError(
      f'{method} needs ReLUs and {kind} has no field `activation`: '
      'use saliency, or a model with ReLUs'
    )
  if model.activation is not nn.relu:
    name = getattr(model.activation, '__name__', repr(model.activation))
    raise ValueError(
      f'{method} is defined for ReLUs and the activation of {kind} is {name!r}: use saliency, or a '
      "model with activation='relu'"
    )
  linear = model.clone(activation=lambda inputs: inputs)
  one = jax.ShapeDtypeStruct((1, *images.shape[1:]), images.dtype)
  left = thresholds(jax.make_jaxpr(linear.apply)(variables, one).jaxpr)
  if left:
    raise ValueError(
      f'{method} cannot reach {left} ReLUs of {kind}, which are not its field `activation`: call '
      '`self.activation` there'
    )
  return model.clone(activation=rectifier)


def thresholds(jaxpr: Any) -> int:
  """Counts the maxima of an array and one constant in a program: ReLUs, but not max-pooling.

  Args:
    jaxpr: the program, as jax.make_jaxpr returns it.

  Returns:
    their number, including those of inner programs.
  """
  constant, count = set(), 0  # ids of the variables that hold one constant
  for equation in jaxpr.eqns:
    scalars = [
      not getattr(operand.aval, 'shape', ()) or id(operand) in constant
      for operand in equation.invars
    ]
    if equation.primitive.name in ('broadcast_in_dim', 'convert_element_type') and all(scalars):
      constant.update(map(id, equation.outvars))
    elif equation.primitive.name in ('max', 'clamp') and any(scalars) and not all(scalars):
      count += 1
    count += sum(thresholds(inner) for inner in _inner_programs(equation))
  return count


def _inner_programs(equation: Any) -> list[Any]:
  """The programs among an equation's parameters, such as the body of a loop."""
  found = []
  for parameter in equation.params.values():
    candidates = parameter if isinstance(parameter, (tuple, list)) else [parameter]
    found += [getattr(inner, 'jaxpr', inner) for inner in candidates if hasattr(inner, 'eqns')]
  return found
