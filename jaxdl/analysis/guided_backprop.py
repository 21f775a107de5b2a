"""Guided back-propagation and the deconvnet: gradients whose ReLUs have another way back."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxdl.analysis import units
from jaxdl.analysis.gradients import batched, check, gradient, say_silent
from jaxdl.analysis.units import BATCH, Neuron


@jax.custom_vjp
def guided_relu(inputs):
  """ReLU through which only positive gradient goes back, and only where the input was positive.

  Source: Springenberg et al. 2015, Striving for simplicity, section 3.4.
  """
  return nn.relu(inputs)


guided_relu.defvjp(
  lambda inputs: (nn.relu(inputs), inputs > 0),
  lambda positive, signal: (jnp.where(positive, nn.relu(signal), 0),),
)


@jax.custom_vjp
def deconvnet_relu(inputs):
  """ReLU through which only positive signal goes back, whatever the input was.

  Source: Zeiler & Fergus 2014, Visualizing and understanding convolutional networks, section 2.1.
  """
  return nn.relu(inputs)


deconvnet_relu.defvjp(lambda inputs: (nn.relu(inputs), None), lambda _, signal: (nn.relu(signal),))


def guided_backprop(model, variables, images, target, *, batch_size=BATCH):
  """The gradient, of which every ReLU lets only the positive part through, and only where its input
  was positive.

  It says more about the image than about the network: `sanity.sanity` measures how much.

  Args:
    model: linen module whose field `activation` is the ReLU.
    variables, images, target, batch_size: as in `attribution.saliency`.

  Returns:
    [B, H, W, C].

  Raises:
    ValueError: as `attribution.saliency`; a model whose activation is another one, or that has
      ReLUs of its own.

  Source: Springenberg et al. 2015, Striving for simplicity, section 3.4.
  """
  images = check(model, variables, images, target)
  model = with_rectifier(model, variables, images, guided_relu, 'guided_backprop')
  return say_silent(
    batched(gradient, model, variables, images, target, batch_size=batch_size), target
  )


def deconvnet(model, variables, images, target, *, batch_size=BATCH):
  """The target mapped back to the pixels: transposed filters, the switches of max-pooling, a ReLU
  on the way back.

  The signal begins as 1. Where a Neuron's output is 0 there is nothing to map back and the map is
  0. Max-pooling's switch is the first of equal values, also in windows that are all zero.

  Args:
    model: linen module whose field `activation` is the ReLU.
    variables, images, target, batch_size: as in `attribution.saliency`.

  Returns:
    [B, H, W, C].

  Raises:
    ValueError: as `guided_backprop`.

  Source: Zeiler & Fergus 2014, Visualizing and understanding convolutional networks, section 2.1.
  """
  images = check(model, variables, images, target)
  model = with_rectifier(model, variables, images, deconvnet_relu, 'deconvnet')
  return say_silent(
    batched(_mapped_back, model, variables, images, target, batch_size=batch_size), target
  )


def _mapped_back(model, variables, images, target):
  values, pullback = jax.vjp(lambda images: units.scores(model, variables, images, target), images)
  begun = (values != 0) if isinstance(target, Neuron) else jnp.ones(values.shape, bool)  # [B]
  return pullback(begun.astype(values.dtype))[0]


def with_rectifier(model, variables, images, rectifier, method):
  """The model with another ReLU in the place of each of its own.

  Args:
    model, variables: linen module with a field `activation`, and its variables.
    images: [B, …]; only the shape and type count.
    rectifier: function in the place of the ReLU.
    method: str, for messages.

  Returns:
    linen module.

  Raises:
    ValueError: the model has no field `activation`, another activation, or a ReLU that does not
      come from that field.
  """
  kind = type(model).__name__
  if not hasattr(model, 'activation'):
    raise ValueError(
      f'{method} needs ReLUs and {kind} has no field `activation`: use saliency, or a model with ReLUs'
    )
  if model.activation is not nn.relu:
    name = getattr(model.activation, '__name__', repr(model.activation))
    raise ValueError(
      f'{method} is defined for ReLUs and the activation of {kind} is {name!r}: use saliency, or a '
      "model with activation='relu'"
    )
  linear = model.clone(activation=lambda inputs: inputs)
  forward = jax.make_jaxpr(linear.apply)(
    variables, jax.ShapeDtypeStruct((1, *images.shape[1:]), images.dtype)
  )
  if left := thresholds(forward.jaxpr):
    raise ValueError(
      f'{method} cannot reach {left} ReLUs of {kind}, which are not its field `activation`: call '
      '`self.activation` there'
    )
  return model.clone(activation=rectifier)


def thresholds(jaxpr):
  """How often a program takes the greater of an array and one constant, as a ReLU does and
  max-pooling does not.

  Args:
    jaxpr: the program, as jax.make_jaxpr gives it.

  Returns:
    int, those of inner programs included.
  """
  constant, count = set(), 0
  for equation in jaxpr.eqns:
    scalars = [
      not getattr(operand.aval, 'shape', ()) or id(operand) in constant
      for operand in equation.invars
    ]
    if equation.primitive.name in ('broadcast_in_dim', 'convert_element_type') and all(scalars):
      constant.update(map(id, equation.outvars))
    elif equation.primitive.name in ('max', 'clamp') and any(scalars) and not all(scalars):
      count += 1
    for parameter in equation.params.values():
      for inner in parameter if isinstance(parameter, (tuple, list)) else [parameter]:
        if hasattr(inner, 'eqns'):
          count += thresholds(getattr(inner, 'jaxpr', inner))
  return count
