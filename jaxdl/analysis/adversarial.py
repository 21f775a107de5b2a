"""Adversarial examples: inputs that are changed a little so that the network is wrong."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Bool, Float, Float32, Integer

from jaxdl.analysis import batches, units
from jaxdl.analysis.units import AnyArray, ArrayLike, Fixed, Number, Variables

OVERSHOOT = 2.5  # sum of the steps of PGD, in units of ε
BLOCK = 32  # inputs that PGD attacks in one call, of those that are still right


class Range(NamedTuple):
  """The inputs that an attack may use.

  Attributes:
    low: lower bound of the inputs; a number, or an array that broadcasts to one input.
    high: upper bound of the inputs.
    unit: change of the input for a change of the pixel by 1; 1 / deviation of the scaling.
  """

  low: ArrayLike
  high: ArrayLike
  unit: ArrayLike


def fgsm(
  model: nn.Module,
  variables: Variables,
  inputs: Float[AnyArray, 'N ...'],
  labels: Integer[AnyArray, 'N'],
  epsilon: Number,
  bounds: Range,
) -> Float32[np.ndarray, 'N ...']:
  """Moves every pixel by ε in the direction that increases the loss (fast gradient sign method).

  Args:
    model: classifier.
    variables: its variables.
    inputs: scaled as in training.
    labels: true classes.
    epsilon: change of a pixel, in the unit in which pixels are from 0 to 1.
    bounds: range of the inputs, to which they are clipped.

  Returns:
    changed inputs.

  Raises:
    ValueError: ε is negative, or there are no inputs or not one label each.

  Source: Goodfellow et al. 2015, Explaining and harnessing adversarial examples.
  """
  return _attacked(model, variables, inputs, labels, epsilon, bounds, steps=1, seed=None)


def pgd(
  model: nn.Module,
  variables: Variables,
  inputs: Float[AnyArray, 'N ...'],
  labels: Integer[AnyArray, 'N'],
  epsilon: Number,
  bounds: Range,
  *,
  steps: int = 20,
  seed: int = 0,
) -> Float32[np.ndarray, 'N ...']:
  """Projected gradient descent: many small steps within ε, from a random start.

  Each step moves every pixel by 2.5 ε / steps and then back to within ε of the input. The result is
  the step of the greatest loss; the input itself if no step increases its loss.

  Args:
    model, variables, inputs, labels, epsilon, bounds: as in `fgsm`.
    steps: number of steps.
    seed: seed of the start, which depends on the place of the input among the others.

  Returns:
    changed inputs.

  Raises:
    ValueError: as `fgsm`; fewer than one step.

  Source: Madry et al. 2018, Towards deep learning models resistant to adversarial attacks.
  """
  if steps < 1:
    raise ValueError(f'steps={steps} is too few: use at least 1')
  return _attacked(model, variables, inputs, labels, epsilon, bounds, steps=steps, seed=seed)


def _attacked(model, variables, inputs, labels, epsilon, bounds, *, steps, seed):
  inputs, labels = np.asarray(inputs, np.float32), np.asarray(labels)
  if not len(inputs) or labels.shape != (len(inputs),):
    raise ValueError(
      f'{len(inputs)} inputs and labels of shape {labels.shape}: give one label each'
    )
  if not epsilon >= 0:
    raise ValueError(f'epsilon={epsilon} is negative: use 0 or more')
  low, high, unit = (
    np.broadcast_to(np.asarray(part, np.float32), inputs.shape[1:]) for part in bounds
  )
  run = functools.partial(
    _steps, Fixed(model), steps, seed is not None, variables, np.stack([low, high, unit]), epsilon
  )
  keys = np.zeros((len(inputs), 2), np.uint32)
  if seed is not None:
    keys = units.keys_of(jax.random.PRNGKey(seed), len(inputs))
  parts = [part for _, part in batches.in_batches(run, inputs, labels, np.asarray(keys))]
  return np.concatenate(parts)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _steps(fixed, steps, from_noise, variables, bounds, epsilon, inputs, labels, keys):
  low, high, unit = bounds
  radius = epsilon * unit
  least, greatest = jnp.maximum(inputs - radius, low), jnp.minimum(inputs + radius, high)

  def losses(images):
    logits = fixed.model.apply(variables, images)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)

  step = radius * (OVERSHOOT / steps if from_noise else 1.0)
  gradient = jax.grad(lambda images: losses(images).sum())
  images = inputs
  if from_noise:
    noise = jax.vmap(lambda key, one: jax.random.uniform(key, one.shape, minval=-1, maxval=1))(
      keys, inputs
    )
    images = jnp.clip(inputs + radius * noise, least, greatest)
  if steps == 1 and not from_noise:
    return jnp.clip(inputs + step * jnp.sign(gradient(inputs)), least, greatest)

  def ascend(state, _):
    images, best, most = state
    images = jnp.clip(images + step * jnp.sign(gradient(images)), least, greatest)
    found = losses(images)
    better = (found > most).reshape(-1, *(1,) * (images.ndim - 1))
    return (images, jnp.where(better, images, best), jnp.maximum(found, most)), None

  start = (images, inputs, losses(inputs))
  return jax.lax.scan(ascend, start, length=steps)[0][1]


class Robustness(NamedTuple):
  """Accuracy by ε.

  Attributes:
    epsilons: change of a pixel, in the unit in which pixels are from 0 to 1.
    fgsm: share of the inputs that stay right after FGSM.
    pgd: share that stay right after PGD with this or a smaller ε, and after FGSM.
    distance: smallest ε at which an input becomes wrong; 0 if it is wrong, infinite if it stays
      right.
    examples: for each input, its changed version at its distance, or the input itself.
  """

  epsilons: Float[np.ndarray, 'E']
  fgsm: Float[np.ndarray, 'E']
  pgd: Float[np.ndarray, 'E']
  distance: Float[np.ndarray, 'N']
  examples: Float32[np.ndarray, 'N ...']


def robustness(
  model: nn.Module,
  variables: Variables,
  inputs: Float[AnyArray, 'N ...'],
  labels: Integer[AnyArray, 'N'],
  epsilons: Sequence[float],
  bounds: Range,
  *,
  steps: int = 20,
  seed: int = 0,
) -> Robustness:
  """Accuracy under attacks of several strengths.

  An input that a smaller change has made wrong is also wrong within a larger ε, so that it is not
  attacked again. The accuracy under PGD is an upper bound: a stronger attack may find more.

  Args:
    model, variables, inputs, labels, bounds: as in `fgsm`.
    epsilons: strengths, above 0 and ascending; the accuracy at 0 is added.
    steps: as in `pgd`.
    seed: as in `pgd`.

  Returns:
    Robustness.

  Raises:
    ValueError: as `pgd`; strengths that are not ascending.
  """
  if not len(epsilons) or np.any(np.diff([0, *epsilons]) <= 0):
    raise ValueError(f'epsilons={list(epsilons)} are not above 0 and ascending: sort them')
  inputs, labels = np.asarray(inputs, np.float32), np.asarray(labels)
  right = _right(model, variables, inputs, labels)
  distance, examples = np.where(right, np.inf, 0.0), inputs.copy()
  shares = {'fgsm': [right.mean()], 'pgd': [right.mean()]}
  for epsilon in epsilons:
    moved = fgsm(model, variables, inputs, labels, epsilon, bounds)
    stays = right & _right(model, variables, moved, labels)
    shares['fgsm'].append(stays.mean())
    _note(distance, examples, moved, right & ~stays, epsilon)
    moved = np.array(inputs)
    for some in _blocks(np.flatnonzero(np.isinf(distance))):
      given = inputs[some], labels[some], epsilon, bounds
      moved[some] = pgd(model, variables, *given, steps=steps, seed=seed)
    wrong = ~_right(model, variables, moved, labels)
    _note(distance, examples, moved, wrong, epsilon)
    shares['pgd'].append(np.isinf(distance).mean())
  return Robustness(
    np.array([0, *epsilons]), np.array(shares['fgsm']), np.array(shares['pgd']), distance, examples
  )


def _blocks(left):
  """Cuts indices into blocks of one size, so that one program attacks all; some are repeated."""
  padded = np.concatenate([left, np.repeat(left[:1], -len(left) % BLOCK)])
  return padded.reshape(-1, BLOCK)


def _note(distance, examples, moved, wrong, epsilon):
  """Records the changed inputs that a strength has made wrong for the first time."""
  first = wrong & np.isinf(distance)
  distance[first], examples[first] = epsilon, moved[first]


def _right(
  model: nn.Module,
  variables: Variables,
  inputs: Float[np.ndarray, 'N ...'],
  labels: Integer[np.ndarray, 'N'],
) -> Bool[np.ndarray, 'N']:
  run = functools.partial(_predicted, Fixed(model), variables)
  return np.concatenate([part for _, part in batches.in_batches(run, inputs)]) == labels


@functools.partial(jax.jit, static_argnums=0)
def _predicted(fixed, variables, inputs):
  return fixed.model.apply(variables, inputs).argmax(-1)
