"""Dynamic evaluation: a language model that keeps learning from the text that it has just read."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, Integer

from jaxdl.analysis import units
from jaxdl.analysis.units import AnyArray, ArrayLike, Number, Variables
from jaxdl.models.language_model import LanguageModel
from jaxdl.models.transformer import Transformer

SEGMENT = 20  # characters that are predicted between two updates
EPSILON = 1e-8  # added to the root mean square of a gradient, against a division by 0


def gradient_sizes(
  model: nn.Module,
  variables: Variables,
  text: Integer[AnyArray, ' T'],
  *,
  segment: int = SEGMENT,
) -> Any:
  """Measures the gradients of a training text, for `dynamic_bits`.

  Args:
    model: LanguageModel or Transformer.
    variables: its variables.
    text: [T] int, positions in the vocabulary; a part of the training text, such as 20,000
      characters.
    segment: characters of a segment, as in `dynamic_bits`.

  Returns:
    the root of the mean squared gradient of each parameter, over the segments: a tree like
    variables['params'].

  Raises:
    ValueError: as `dynamic_bits`.
  """
  blocks = _segments(model, text, segment)
  return _roots(units.Fixed(model), variables, _carry(model, variables, segment), *blocks)


def dynamic_bits(
  model: nn.Module,
  variables: Variables,
  text: Integer[AnyArray, ' T'],
  sizes: Any,
  *,
  rate: Number,
  decay: Number,
  segment: int = SEGMENT,
) -> Float[np.ndarray, ' T']:
  """Bits of each character of a text, whose segments change the parameters after they were read.

  A segment is predicted with the parameters that the earlier segments left; then they take a step
  of gradient descent on its loss, divided by the size of the training gradients, and a step back
  towards the trained parameters, which is larger where the training gradients are large. No
  character is predicted by parameters that have seen it.

  Args:
    model: LanguageModel or Transformer.
    variables: its variables.
    text: [T] int, positions in the vocabulary, from a state of zeros.
    sizes: as returned by `gradient_sizes`.
    rate: learning rate; 0 leaves the parameters as they are (static evaluation).
    decay: rate of the step back, from 0 to 1.
    segment: characters of a segment.

  Returns:
    −log2 of the probability of each character; NaN for the first, which is not predicted.

  Raises:
    ValueError: another model, a text of fewer than two characters, a segment of less than one
      character, a negative rate, or a decay outside of 0..1.

  Source: Krause et al. 2018, Dynamic evaluation of neural sequence models, section 4, equation 7.
  """
  if rate < 0 or not 0 <= decay <= 1:
    raise ValueError(f'rate={rate} and decay={decay}: use a rate of 0 or more and a decay in 0..1')
  blocks = _segments(model, text, segment)
  carry = _carry(model, variables, segment)
  found = _bits(units.Fixed(model), variables, carry, sizes, rate, decay, *blocks)
  return np.concatenate([[np.nan], np.asarray(found).reshape(-1)[: len(text) - 1]])


def _segments(model, text: ArrayLike, segment: int):
  """(inputs, labels, mask) of the segments of a text, each [S, 1, segment]."""
  if not isinstance(model, (LanguageModel, Transformer)):
    raise ValueError(
      f'dynamic evaluation takes a model {LanguageModel.__name__} or {Transformer.__name__}, not '
      f'{type(model).__name__}'
    )
  text = np.asarray(text)
  longest = model.context if isinstance(model, Transformer) else len(text)
  if text.ndim != 1 or len(text) < 2 or not 1 <= segment <= longest:
    raise ValueError(
      f'text of shape {text.shape} in segments of {segment}: give [T] positions in the vocabulary, '
      f'at least two, and segments of 1 to {longest} characters'
    )
  text = text.astype(np.int32)
  pairs = text[:-1], text[1:], np.ones(len(text) - 1, np.float32)
  missing = -(len(text) - 1) % segment
  return tuple(np.pad(one, (0, missing)).reshape(-1, 1, segment) for one in pairs)


def _carry(model, variables, segment):
  """The state of zeros before the first character."""
  block = np.zeros((1, segment), np.int32)
  shapes = jax.eval_shape(
    lambda: model.apply(
      {'params': variables['params']}, block, reset=np.ones(1, bool), mutable=['carry']
    )
  )
  return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes[1]['carry'])


def _loss(params, model, carry, block, label, mask):
  """Mean loss of a segment, with (the losses of its characters [segment], the state after it)."""
  logits, updated = model.apply(
    {'params': params, 'carry': carry}, block, reset=jnp.zeros(1, bool), mutable=['carry']
  )
  losses = optax.softmax_cross_entropy_with_integer_labels(logits[0], label[0]) * mask[0]
  return losses.sum() / mask.sum(), (losses, updated['carry'])


@functools.partial(jax.jit, static_argnums=0)
def _roots(fixed, variables, carry, blocks, labels, masks):
  params = variables['params']

  def add(state, segment):
    carry, sums = state
    gradient, (_, after) = jax.grad(_loss, has_aux=True)(params, fixed.model, carry, *segment)
    return (after, jax.tree.map(lambda total, one: total + one**2, sums, gradient)), None

  start = carry, jax.tree.map(jnp.zeros_like, params)
  (_, sums), _ = jax.lax.scan(add, start, (blocks, labels, masks))
  return jax.tree.map(lambda total: jnp.sqrt(total / len(blocks)), sums)


@functools.partial(jax.jit, static_argnums=0)
def _bits(fixed, variables, carry, roots, rate, decay, blocks, labels, masks):
  trained = variables['params']
  leaves = jax.tree.leaves(roots)
  mean = sum(leaf.sum() for leaf in leaves) / sum(leaf.size for leaf in leaves)

  def updated(param, start, root, gradient):
    back = jnp.minimum(decay * root / mean, 1)
    return param - rate * gradient / (root + EPSILON) + back * (start - param)

  def read(state, segment):
    params, carry = state
    gradient, (losses, after) = jax.grad(_loss, has_aux=True)(params, fixed.model, carry, *segment)
    return (jax.tree.map(updated, params, trained, roots, gradient), after), losses

  _, losses = jax.lax.scan(read, (trained, carry), (blocks, labels, masks))
  return losses / jnp.log(2)
