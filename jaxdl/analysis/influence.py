"""Influence of training examples on predictions, and how well it predicts retraining."""

import functools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Bool, Float, Integer, Num, Shaped

from jaxdl.analysis import batches, units
from jaxdl.analysis.grading.sanity import spearman
from jaxdl.analysis.units import Number, Variables

PARAMETERS = 100_000  # most parameters of a network of which all gradients are used
NUMBERS = 1 << 25  # most numbers of the gradients of a compiled call


class Influence(NamedTuple):
  """Influence of N training examples.

  Attributes:
    scores: influence on the loss of M test examples: positive where a step on the training example
      lowers it (helpful), negative where it raises it (harmful). In nats.
    own: self-influence, the influence of each training example on its own loss.
    correct: whether each training example was classified correctly at each of S checkpoints.
  """

  scores: Float[np.ndarray, 'M N']
  own: Float[np.ndarray, ' N']
  correct: Bool[np.ndarray, 'S N']


class Forgetting(NamedTuple):
  """Forgetting events of N training examples.

  Attributes:
    events: how often an example was correct at a checkpoint and wrong at the next one.
    learned: whether it was correct at any checkpoint.
  """

  events: Integer[np.ndarray, ' N']
  learned: Bool[np.ndarray, ' N']


def layers_used(variables: Variables, last: str) -> tuple[str, ...]:
  """The layers whose gradients are used: () for all, or the last one of a large network.

  All gradients of an example are as many numbers as the network has parameters. The gradient of a
  dense layer is the outer product of its inputs and the errors at its outputs, so that of the last
  layer still compares the features and the errors of two examples, and no earlier layer.

  Args:
    variables: variables of a model.
    last: name of its last layer with parameters.

  Returns:
    Names for `tracin`.
  """
  size = sum(leaf.size for leaf in jax.tree.leaves(variables['params']))
  return () if size <= PARAMETERS else (last,)


def tracin(
  model: nn.Module,
  checkpoints: Iterable[tuple[Variables, Number]],
  tests: tuple[Shaped[np.ndarray, 'M ...'], Integer[np.ndarray, ' M']],
  training: tuple[Shaped[np.ndarray, 'N ...'], Integer[np.ndarray, ' N']],
  *,
  layers: Sequence[str] = (),
  batch_size: int = units.BATCH,
) -> Influence:
  """Estimates how much training on each example lowered the loss of each test example.

  The score is Σ η ∇loss(training example) · ∇loss(test example) over the checkpoints, where η is
  the learning rate: to first order, the decrease of the test loss by one step of SGD on the
  training example at each checkpoint. Networks are in evaluation mode, without dropout,
  augmentation and batch statistics. The steps of other optimizers, such as Adam, are not
  proportional to the gradient; the score then ignores their scaling.

  Args:
    model: classifier.
    checkpoints: (variables, learning rate) of each checkpoint.
    tests: (inputs, labels) of the test examples; their gradients, M numbers for each parameter, are
      in memory at once.
    training: (inputs, labels) of the training examples.
    layers: names of top-level layers whose gradients are used; () for all.
    batch_size: most examples in one compiled call.

  Returns:
    Influence; sums over checkpoints are in double precision.

  Raises:
    ValueError: there is no checkpoint, a layer has no parameters, there are no examples, or labels
      that the model does not have.

  Source: Pruthi et al. 2020, Estimating training data influence by tracing gradient descent
    (TracInCP).
  """
  scores, own, correct = 0.0, 0.0, []
  for variables, rate in checkpoints:
    if not correct:
      _check(model, variables, tests, training, layers)
    here, itself, right = _at(model, variables, tests, training, tuple(layers), batch_size)
    scores = scores + float(rate) * here
    own = own + float(rate) * itself
    correct.append(right)
  if not correct:
    raise ValueError('there is no checkpoint: give at least one')
  return Influence(np.asarray(scores), np.asarray(own), np.stack(correct))


def _check(model, variables, tests, training, layers):
  for inputs, labels in (tests, training):
    if len(inputs) == 0:
      raise ValueError('there are no examples: give at least one')
    units.check_target(model, variables, inputs, labels)
  for layer in layers:
    if layer not in variables['params']:
      raise ValueError(
        f'layer {layer!r} has no parameters: use some of {", ".join(variables["params"])}'
      )


def _at(model, variables, tests, training, layers, batch_size):
  """Dot products [M, N], squared lengths [N] and correctness [N] at one checkpoint."""
  chosen = _chosen(variables, layers)
  size = sum(leaf.size for leaf in jax.tree.leaves(chosen))
  batch_size = int(np.clip(NUMBERS // size, 1, batch_size))
  fixed = units.Fixed(model)
  run = functools.partial(_gradients, fixed, layers, variables)
  test = np.concatenate(
    [part for _, (part, _) in batches.in_batches(run, *tests, batch_size=batch_size)]
  )
  compare = functools.partial(_dots, fixed, layers, variables, jnp.asarray(test))
  found = [part for _, part in batches.in_batches(compare, *training, batch_size=batch_size)]
  dots, squares, right = (np.concatenate(part) for part in zip(*found, strict=True))
  return dots.T.astype(np.float64), squares.astype(np.float64), right


def _chosen(variables, layers):
  params = variables['params']
  return {name: params[name] for name in layers or params}


@functools.partial(jax.jit, static_argnums=(0, 1))
def _dots(fixed, layers, variables, test, inputs, labels):
  """Dot products [B, M] with the tests' gradients, squared lengths [B] and correctness [B]."""
  gradients, right = _gradients(fixed, layers, variables, inputs, labels)
  dots = jnp.matmul(gradients, test.T, precision=jax.lax.Precision.HIGHEST)
  return dots, jnp.square(gradients).sum(1), right


@functools.partial(jax.jit, static_argnums=(0, 1))
def _gradients(fixed, layers, variables, inputs, labels):
  """The gradient of the loss of each example [B, P], and whether it is classified correctly."""

  def loss(chosen, example, label):
    changed = {**variables, 'params': {**variables['params'], **chosen}}
    logits = fixed.model.apply(changed, example[None])[0]
    found = optax.softmax_cross_entropy_with_integer_labels(logits, label)
    return found, logits.argmax() == label

  def of_example(example, label):
    gradients, right = jax.grad(loss, has_aux=True)(_chosen(variables, layers), example, label)
    return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(gradients)]), right

  return jax.vmap(of_example)(inputs, labels)


def forgetting(correct: Bool[np.ndarray, 'S N']) -> Forgetting:
  """Counts how often examples were forgotten between consecutive checkpoints.

  Events between two checkpoints are not seen, so the counts are lower bounds.

  Args:
    correct: whether each example was classified correctly at each checkpoint, in order.

  Returns:
    Forgetting.

  Raises:
    ValueError: fewer than two checkpoints.

  Source: Toneva et al. 2019, An empirical study of example forgetting during deep neural network
    learning.
  """
  if len(correct) < 2:
    raise ValueError(
      f'{len(correct)} checkpoints and at least 2 are needed: train with '
      "--config.keep_every='1 epoch'"
    )
  return Forgetting((correct[:-1] & ~correct[1:]).sum(0), np.asarray(correct.any(0)))


def precision_at(suspicion: Num[np.ndarray, ' N'], wanted: Bool[np.ndarray, ' N'], k: int) -> float:
  """The share of wanted examples among the k most suspicious ones; ties in the order of examples.

  Args:
    suspicion: how suspicious each example is, such as its self-influence.
    wanted: the examples to be found, such as those with wrong labels.
    k: 1 to N.

  Raises:
    ValueError: k is out of range.
  """
  if not 1 <= k <= len(suspicion):
    raise ValueError(f'k={k} is out of range: use 1 to {len(suspicion)}')
  return float(wanted[np.argsort(-suspicion, kind='stable')[:k]].mean())


def datamodelling_score(
  scores: Float[np.ndarray, 'M N'],
  kept: Bool[np.ndarray, 'S N'],
  losses: Float[np.ndarray, 'S M'],
) -> Float[np.ndarray, ' M']:
  """Linear datamodelling score: how well influences predict training on subsets.

  The prediction for a subset is minus the sum of the influences of its examples. The score of a
  test example is the rank correlation, over the subsets, of the predictions and the actual losses.

  Args:
    scores: influence of each training example on the loss of each test example, positive if it is
      helpful.
    kept: the examples of each of S subsets.
    losses: loss of each test example after training on each subset.

  Returns:
    The rank correlation of each test example, from -1 to 1; NaN where one side is constant.

  Raises:
    ValueError: fewer than three subsets.

  Source: Park et al. 2023, TRAK: attributing model behavior at scale, section 2.
  """
  if len(kept) < 3:
    raise ValueError(f'{len(kept)} subsets are too few for a rank correlation: use at least 3')
  predicted = -(kept.astype(np.float64) @ scores.T.astype(np.float64))  # [S, M]
  return np.array([spearman(*pair) for pair in zip(predicted.T, losses.T, strict=True)])


def most(scores: Num[np.ndarray, ' N'], count: int) -> Integer[np.ndarray, ' n']:
  """The places of the highest scores, the highest first; ties in the order of examples.

  Args:
    scores: one number for each example.
    count: how many; fewer are returned if there are fewer examples.
  """
  return np.argsort(-scores, kind='stable')[:count]
