"""The rules of layer-wise relevance propagation (LRP) for linear layers."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

STABILISER = 1e-6
Limit = float | tuple[float, ...]  # one number, or one for each channel


@dataclasses.dataclass(frozen=True)
class Epsilon:
  """ε rule: relevance in proportion to the contributions x·w; ε and the bias take their share.

  Attributes:
    epsilon: added to the magnitude of each output.
    deviation: added too, as a share of the root mean square of the outputs of the layer in each
      image. More relevance is absorbed, and maps are less noisy.

  Source: Bach et al. 2015, On pixel-wise explanations, equation 58; Montavon et al. 2019,
  Layer-wise relevance propagation: an overview, section 10.2.1.
  """

  epsilon: float = STABILISER
  deviation: float = 0.0


@dataclasses.dataclass(frozen=True)
class Gamma:
  """γ rule: contributions of the sign of the output count 1 + γ times.

  Negative inputs and outputs are treated as in the generalised rule. For positive ones it is the
  rule of Montavon et al. 2019, section 10.2.1.

  Source: Andéol et al. 2021, Learning domain invariant representations by joint Wasserstein
  distance minimization, appendix.
  """

  gamma: float = 0.25


@dataclasses.dataclass(frozen=True)
class ZPlus:
  """z⁺ rule: only positive contributions count, including products of two negative numbers.

  Source: Montavon et al. 2017, Explaining nonlinear classification decisions with deep Taylor
  decomposition, section 4.1; with negative inputs it is the α1β0 rule of Bach et al. 2015.
  """


@dataclasses.dataclass(frozen=True)
class Box:
  """z^B rule for pixels: contributions from the lowest and highest possible pixel to this one.

  Attributes:
    low: lowest number of a pixel, or of each channel.
    high: highest number.

  Source: Montavon et al. 2017, section 4.2.
  """

  low: Limit
  high: Limit


@dataclasses.dataclass(frozen=True)
class Flat:
  """Flat rule: each input that an output reads gets the same share.

  Source: Lapuschkin et al. 2019, Unmasking Clever Hans predictors, supplementary note 4.
  """


NO_EPSILON = Epsilon()  # only avoids a division by 0
Rule = Epsilon | Gamma | ZPlus | Box | Flat
Linear = Callable[[Mapping[str, Any], Array], Array]  # (kernel and bias, inputs) → outputs
Term = tuple[Float[Array, 'B ...'], Mapping[str, Any]]  # (inputs, kernel and bias)


class Rules(NamedTuple):
  """A composite: a rule for each kind of layer.

  Attributes:
    first: for layers that read the inputs of the network.
    convolution: for other convolutions, and projections of a shortcut.
    dense: for other dense layers.
  """

  first: Rule
  convolution: Rule
  dense: Rule


def back(
  rule: Rule,
  linear: Linear,
  parameters: Mapping[str, Any],
  inputs: Float[Array, 'B ...'],
  relevance: Float[Array, 'B ...'],
  limits: tuple[Array, Array] | None = None,
) -> Float[Array, 'B ...']:
  """Relevance of the inputs of a linear layer, from that of its outputs (a pure function).

  Args:
    rule: the rule.
    linear: function (parameters, inputs) → outputs.
    parameters: 'kernel' and 'bias'.
    inputs: inputs of the layer.
    relevance: relevance of its outputs.
    limits: lowest and highest inputs [1, …]; only for `Box`.

  Returns:
    relevance of the inputs.
  """
  positive, negative = _part_of(parameters, 1), _part_of(parameters, -1)
  above, below = jnp.maximum(inputs, 0), jnp.minimum(inputs, 0)
  if isinstance(rule, Epsilon):
    return share(linear, [(inputs, parameters)], relevance, rule)
  if isinstance(rule, ZPlus):
    return share(linear, [(above, positive), (below, _unbiased(negative))], relevance)
  if isinstance(rule, Flat):
    ones = {'kernel': jnp.ones_like(parameters['kernel']), 'bias': 0 * parameters['bias']}
    return share(linear, [(jnp.ones_like(inputs), ones)], relevance)
  if isinstance(rule, Box):
    assert limits is not None
    low, high = (jnp.broadcast_to(limit, inputs.shape) for limit in limits)
    terms = [(inputs, parameters), (-low, positive), (-high, negative)]
    return share(linear, [(values, _unbiased(given)) for values, given in terms], relevance)
  more, less = _sum(parameters, positive, rule.gamma), _sum(parameters, negative, rule.gamma)
  outputs = linear(parameters, inputs)
  of_positive = [(above, more), (below, _unbiased(less))]
  of_negative = [(above, less), (below, _unbiased(more))]
  return share(linear, of_positive, jnp.where(outputs > 0, relevance, 0)) + share(
    linear, of_negative, jnp.where(outputs < 0, relevance, 0)
  )


def share(
  linear: Linear,
  terms: Sequence[Term],
  relevance: Float[Array, 'B ...'],
  rule: Epsilon = NO_EPSILON,
) -> Float[Array, 'B ...']:
  """Divides relevance among inputs in proportion to the sum of what they contribute.

  Args:
    linear: function (parameters, inputs) → outputs.
    terms: (inputs, parameters) of each term of the outputs; all inputs have the same shape.
    relevance: relevance of the outputs.
    rule: how the outputs are stabilised.

  Returns:
    relevance of the inputs.
  """
  pairs = [jax.vjp(lambda x, given=given: linear(given, x), inputs) for inputs, given in terms]
  outputs = sum(outputs for outputs, _ in pairs)
  ratio = relevance / stabilised(outputs, rule)
  found = [
    inputs * pullback(ratio)[0] for (inputs, _), (_, pullback) in zip(terms, pairs, strict=True)
  ]
  return sum(found[1:], found[0])


def stabilised(outputs: Float[Any, 'B ...'], rule: Epsilon) -> Float[Any, 'B ...']:
  """Outputs moved away from 0, by the ε of a rule; 0 counts as positive."""
  epsilon = jnp.asarray(rule.epsilon, outputs.dtype)
  if rule.deviation:
    axes = tuple(range(1, outputs.ndim))
    square = jnp.square(outputs).mean(axes, keepdims=True)
    epsilon = epsilon + rule.deviation * jnp.sqrt(square)
  return outputs + jnp.where(outputs < 0, -epsilon, epsilon)


def _part_of(parameters, sign):
  """The positive or negative part of a kernel and a bias."""
  clip = jnp.maximum if sign > 0 else jnp.minimum
  return {name: clip(value, 0) for name, value in parameters.items()}


def _unbiased(parameters):
  return {**parameters, 'bias': jnp.zeros_like(parameters['bias'])}


def _sum(parameters, others, factor):
  return {name: value + factor * others[name] for name, value in parameters.items()}
