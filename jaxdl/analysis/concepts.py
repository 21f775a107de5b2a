"""Concept vectors: whether a class depends on a concept that is given by example images (TCAV)."""

import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import Bool, Float, Float32, Float64

from jaxdl.analysis import batches, units
from jaxdl.analysis.embedding_quality import checked
from jaxdl.analysis.maps.gradients import score_from
from jaxdl.analysis.threads import one_thread
from jaxdl.analysis.units import AnyArray, ArrayLike, Fixed, Number, Variables

PART = 10  # images of each part of a concept, and of each random set
SETS = 20  # most parts of a concept, and number of random vectors
FEWEST = 3  # parts of a concept
LEVEL = 0.05  # significance level after the correction


class Concept(NamedTuple):
  """How the classes depend on a concept.

  Attributes:
    scores: TCAV score of each class: share of its images whose logit rises in the direction of the
      concept.
    accuracy: share of the images, of the concept and random ones, on the right side of the
      hyperplane of a vector that is fitted to other images. 0.5 is chance.
    p_values: of a two-sided Welch t-test of the sensitivities against those of random vectors,
      corrected for the number of tests (Holm).
    significant: whether the corrected p-value is below 0.05.
  """

  scores: Float64[np.ndarray, 'K']
  accuracy: float
  p_values: Float64[np.ndarray, 'K']
  significant: Bool[np.ndarray, 'K']


def concept_vector(
  concept: ArrayLike, others: ArrayLike, strength: Number = 1.0
) -> Float64[np.ndarray, 'D']:
  """Unit normal of the hyperplane that separates a concept from other examples.

  The vector points to the concept. The classifier is scikit-learn's logistic regression. It is
  fitted in the space that the examples span, which has the same solution as all D features.

  Args:
    concept: [N, D], features of the concept's images.
    others: [M, D], features of other images.
    strength: inverse weight of the squared norm of the coefficients, for features scaled so that
      their mean squared length is 1.

  Returns:
    The vector; 0 if all features are equal.

  Raises:
    ValueError: features of different lengths, or that are not finite matrices.
    ImportError: scikit-learn is missing.

  Source: Kim et al. 2018, Interpretability beyond feature attribution, section 3.2.
  """
  concept, others = checked(concept), checked(others)
  if concept.shape[1] != others.shape[1]:
    raise ValueError(
      f'features of {concept.shape[1]} and {others.shape[1]} numbers: give the output of one layer'
    )
  every = np.concatenate([concept, others])
  every = every - every.mean(0)
  length = np.sqrt(np.square(every).sum(1).mean())
  if not length > 0:
    return np.zeros(every.shape[1])
  values, vectors = np.linalg.eigh(every @ every.T)
  kept = values > 1e-10 * values[-1]
  scale = np.sqrt(values[kept])
  points, axes = vectors[:, kept] * scale, every.T @ vectors[:, kept] / scale  # [N, r], [D, r]
  try:
    from sklearn.linear_model import LogisticRegression
  except ImportError as error:
    raise ImportError(
      f'concept vectors need scikit-learn ({error}): pip install scikit-learn'
    ) from error
  is_concept = np.arange(len(every)) < len(concept)
  with one_thread():
    fitted = LogisticRegression(C=float(strength), max_iter=2000).fit(points / length, is_concept)
  vector = axes @ fitted.coef_[0]
  return vector / np.linalg.norm(vector)


def gradients_at(
  model: nn.Module,
  variables: Variables,
  inputs: Float[AnyArray, 'N ...'],
  layer: str,
  label: int,
) -> Float32[np.ndarray, 'N D']:
  """Gradient of the logit of a class with respect to the output of a layer, flattened.

  Args:
    model: classifier.
    variables: its variables.
    inputs: scaled as in training.
    layer: name.
    label: the class.

  Returns:
    gradients.
  """
  run = functools.partial(_gradients, Fixed(model), layer, variables)
  labels = np.full(len(inputs), label)
  parts = [part for _, part in batches.in_batches(run, np.asarray(inputs), labels)]
  return np.concatenate(parts)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _gradients(fixed, layer, variables, inputs, labels):
  model = fixed.model
  output = units.outputs(model, variables, inputs, [layer])[1][layer]
  found = jax.grad(lambda given: score_from(model, variables, inputs, labels, layer, given).sum())(
    output
  )
  return found.reshape(len(inputs), -1)


def tcav(
  concepts: Mapping[str, Float[np.ndarray, '_ D']],
  random: Float[np.ndarray, 'M D'],
  gradients: Sequence[Float[np.ndarray, '_ D']],
) -> dict[str, Concept]:
  """TCAV scores of concepts, with their significance.

  The images of a concept are cut into parts of ten, each of which is separated from ten random
  images. The sensitivity of a class to such a vector is the mean cosine of the angle between the
  vector and the gradients of the class. A t-test compares the sensitivities with those of 20 random
  vectors, which separate ten random images from ten others. No image is in two parts or sets.

  This departs from the source, which separates all images of the concept from each of several
  random sets and compares the TCAV scores. Its scores are not independent, because they share the
  images of the concept, and those of random vectors are near 0 or 1: random images would be found
  significant.

  Args:
    concepts: name → features of its images, at least 30.
    random: features of random images; 600, or fewer for fewer random vectors.
    gradients: for each class, gradients of its logit for its images, as from `gradients_at`.

  Returns:
    name → Concept.

  Raises:
    ValueError: fewer than 30 images of a concept or 90 random images, or arrays as in
      `concept_vector`.
    ImportError: scikit-learn is missing.

  Source: Kim et al. 2018, sections 3.3 to 3.5; the correction is Holm's (1979).
  """
  sets = min(SETS, len(random) // (3 * PART))
  if sets < FEWEST:
    raise ValueError(
      f'{len(random)} random images are too few for a t-test: use at least {3 * FEWEST * PART}'
    )
  for name, features in concepts.items():
    if len(features) < FEWEST * PART:
      raise ValueError(
        f'the concept {name} has {len(features)} images: use at least {FEWEST * PART}'
      )
  first, second, opponents = np.split(random[: 3 * sets * PART], 3)
  compared = _sensitivities(first, second, sets, gradients)  # [K, R]
  found = {}
  for name, features in concepts.items():
    parts = min(sets, len(features) // PART)
    tested = _sensitivities(features, opponents, parts, gradients)  # [K, parts]
    found[name] = [welch(*pair) for pair in zip(tested, compared, strict=True)]
  corrected = holm(np.array(list(found.values())))
  return {
    name: Concept(
      _scores(concept_vector(features, opponents[: len(features)]), gradients),
      _held_out(features, opponents[: len(features)]),
      p_values,
      p_values < LEVEL,
    )
    for (name, features), p_values in zip(concepts.items(), corrected, strict=True)
  }


def _sensitivities(features, others, parts, gradients):
  """Sensitivity of each class to the vector of each part, [K, parts]."""
  pairs = zip(*(_cut(each, parts) for each in (features, others)), strict=True)
  directions = np.stack([concept_vector(*pair) for pair in pairs], -1)
  return np.stack([(_unit(each) @ directions).mean(0) for each in gradients])


def _cut(features, parts):
  """Parts of ten images each."""
  return np.split(features[: parts * PART], parts)


def _unit(gradients):
  lengths = np.linalg.norm(gradients, axis=1, keepdims=True)
  return gradients / np.where(lengths > 0, lengths, 1)


def _scores(vector, gradients):
  """Share of the images of each class whose logit rises along a vector, [K]."""
  return np.array([(each @ vector > 0).mean() for each in gradients])


def _held_out(concept, others):
  """Accuracy on the second half of both kinds of a vector that is fitted to the first half."""
  halves = [np.split(np.asarray(each, np.float64), [len(each) // 2]) for each in (concept, others)]
  (first, first_held), (second, second_held) = halves
  if not len(first) or not len(second):
    return 0.5
  vector = concept_vector(first, second)
  middle = (first.mean(0) + second.mean(0)) @ vector / 2
  return float(
    ((first_held @ vector > middle).mean() + (second_held @ vector <= middle).mean()) / 2
  )


def welch(first: ArrayLike, second: ArrayLike) -> float:
  """Two-sided p-value of Welch's t-test for equal means.

  Args:
    first: [N], numbers of a group, two or more.
    second: [M], numbers of the other group.

  Returns:
    p-value; 1 if both groups are one and the same number, 0 if they are two different numbers.
  """
  first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
  errors = np.array([each.var(ddof=1) / len(each) for each in (first, second)])
  difference = first.mean() - second.mean()
  if not errors.sum() > 0:
    return 1.0 if difference == 0 else 0.0
  squared = difference**2 / errors.sum()
  freedom = errors.sum() ** 2 / (errors**2 / np.array([len(first) - 1, len(second) - 1])).sum()
  return float(jax.scipy.special.betainc(freedom / 2, 0.5, freedom / (freedom + squared)))


def holm(p_values: ArrayLike) -> Float64[np.ndarray, '*tests']:
  """Holm's correction of the p-values of several tests.

  Args:
    p_values: of each test.

  Returns:
    corrected p-values, at most 1; those below α are significant, with a probability of at most α
    that any of them is wrong.
  """
  values = np.asarray(p_values, np.float64)
  flat = values.ravel()
  order = np.argsort(flat, kind='stable')
  factors = len(flat) - np.arange(len(flat))
  raised = np.minimum(np.maximum.accumulate(flat[order] * factors), 1)
  corrected = np.empty_like(flat)
  corrected[order] = raised
  return corrected.reshape(values.shape)
