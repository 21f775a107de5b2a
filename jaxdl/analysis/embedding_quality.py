"""Quality of an embedding: preserved neighbourhoods, and linear classification of features."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Integer, Shaped

from jaxdl.analysis.threads import one_thread
from jaxdl.analysis.units import ArrayLike, Number

WORK = 100_000_000  # examples × features × classes up to which a logistic regression is fitted
ROWS = 256  # examples whose distances to all others are in memory at once


class Quality(NamedTuple):
  """How far an embedding can be trusted.

  Attributes:
    trustworthiness: 0 to 1; 1 where all neighbours in the embedding are neighbours in the features.
    accuracy: fraction of examples whose nearest neighbour in the embedding has their class.
    shuffled: the same for shuffled labels, the level of chance.
  """

  trustworthiness: float
  accuracy: float
  shuffled: float


class LinearAccuracy(NamedTuple):
  """Accuracy of a linear classifier.

  Attributes:
    held_out: fraction of correct predictions on examples that it was not fitted to.
    train: fraction on the examples that it was fitted to.
    majority: fraction of the held-out examples in the most frequent class of the others, the
      accuracy without any features.
    method: how the classifier was fitted.
  """

  held_out: Number
  train: float
  majority: float
  method: str


def neighbours(
  features: ArrayLike,
  count: int = 5,
  metric: str = 'euclidean',
  queries: ArrayLike | None = None,
) -> tuple[Integer[np.ndarray, 'Q count'], Float64[np.ndarray, 'Q count']]:
  """Nearest other examples, the nearest first; ties are ordered by index.

  An example is never its own neighbour; another one with the same features is, at distance 0.

  Args:
    features: [N, D].
    count: number of neighbours of each example.
    metric: 'euclidean' | 'cosine' (1 − cosine of the angle; an example whose features are all 0
      has distance 1 to all others).
    queries: [Q] int, examples whose neighbours are wanted; None selects all.

  Returns:
    (indices, distances).

  Raises:
    ValueError: an unknown metric, a count out of range, or features that are not a finite matrix.
  """
  features = checked(features)
  if metric not in ('euclidean', 'cosine'):
    raise ValueError(f"metric={metric!r} is unknown: use 'euclidean' or 'cosine'")
  if not 1 <= count < len(features):
    raise ValueError(
      f'count={count} is out of range for {len(features)} examples: use 1 to {len(features) - 1}'
    )
  queries = np.arange(len(features)) if queries is None else np.asarray(queries)
  if metric == 'cosine':
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    features = features / np.where(lengths > 0, lengths, 1)
  found = [
    _nearest(features, queries[first : first + ROWS], count, metric)
    for first in range(0, len(queries), ROWS)
  ]
  index, distance = (np.concatenate(parts) for parts in zip(*found, strict=True))
  return index, distance


def _nearest(
  features: Float64[np.ndarray, 'N D'], queries: Integer[np.ndarray, 'R'], count: int, metric: str
) -> tuple[Integer[np.ndarray, 'R count'], Float64[np.ndarray, 'R count']]:
  if metric == 'cosine':
    distance = 1 - features[queries] @ features.T  # [R, N]
  else:
    distance = _squares(features, queries)
  distance[np.arange(len(queries)), queries] = np.inf
  index = np.sort(np.argsort(distance, axis=1, kind='stable')[:, :count], axis=1)  # [R, count]
  if metric == 'cosine':
    distance = np.maximum(np.take_along_axis(distance, index, axis=1), 0)
  else:  # recomputed for the few neighbours, since the products have lost digits
    distance = np.linalg.norm(features[index] - features[queries][:, None], axis=-1)
  order = np.argsort(distance, axis=1, kind='stable')
  return np.take_along_axis(index, order, axis=1), np.take_along_axis(distance, order, axis=1)


def quality(
  features: ArrayLike, embedding: ArrayLike, labels: ArrayLike, count: int = 5, seed: int = 0
) -> Quality:
  """Measures how far an embedding can be trusted: its neighbourhoods, and the classes in them.

  Args:
    features: [N, D].
    embedding: [N, P], the same examples in the embedding.
    labels: [N] int.
    count: neighbours that the trustworthiness considers, fewer than half of the examples.
    seed: seed of the shuffled labels.

  Returns:
    Quality.

  Raises:
    ValueError: arrays of unequal length, or a count out of range.

  Source: Venna & Kaski 2001, Neighborhood preservation in nonlinear projection methods.
  """
  features, embedding, labels = checked(features), checked(embedding), np.asarray(labels)
  number = len(features)
  if not len(embedding) == len(labels) == number:
    raise ValueError(
      f'{number} features, {len(embedding)} points and {len(labels)} labels: give as many of each'
    )
  if not 1 <= count < number / 2:
    raise ValueError(
      f'count={count} is out of range for {number} examples: use 1 to {(number - 1) // 2}'
    )
  near, _ = neighbours(embedding, count)  # [N, count]
  excess = 0
  for first in range(0, number, ROWS):
    rows = np.arange(first, min(first + ROWS, number))
    squares = _squares(features, rows)  # [R, N]
    squares[np.arange(len(rows)), rows] = np.inf
    excess += np.maximum(_ranks(squares, near[rows]) - count, 0).sum()
  shuffled = np.random.default_rng(seed).permutation(labels)
  worst = number * count * (2 * number - 3 * count - 1) / 2
  return Quality(
    trustworthiness=float(1 - excess / worst),
    accuracy=float(np.mean(labels[near[:, 0]] == labels)),
    shuffled=float(np.mean(shuffled[near[:, 0]] == shuffled)),
  )


def linear_accuracy(
  codes: ArrayLike, labels: ArrayLike, held_out: Number = 0.25, seed: int = 0
) -> LinearAccuracy:
  """Accuracy of a linear classifier of features, measured on held-out examples.

  The classifier is scikit-learn's logistic regression on features standardised by the mean and
  standard deviation of the training part. Where examples × features × classes exceed 100 million
  it is ridge regression onto the classes: its closed form takes seconds where the iterations of
  logistic regression take minutes.

  Args:
    codes: [N, D].
    labels: [N] int.
    held_out: fraction of the examples, drawn at random.
    seed: seed of the draw.

  Returns:
    LinearAccuracy.

  Raises:
    ValueError: unequal lengths, a part without examples, or fewer than two classes to fit.
    ImportError: scikit-learn is missing.
  """
  codes, labels = checked(codes), np.asarray(labels)
  train, test = divided(len(codes), labels, held_out, seed)
  return fit_linear(codes[train], labels[train], codes[test], labels[test])


def divided(
  count: int, labels: Shaped[np.ndarray, ' N'], held_out: Number = 0.25, seed: int = 0
) -> tuple[Integer[np.ndarray, ' F'], Integer[np.ndarray, ' H']]:
  """Divides examples at random into those to fit and those held out.

  Args:
    count: number of examples.
    labels: their labels.
    held_out: fraction that is held out.
    seed: seed of the draw.

  Returns:
    (indices to fit, indices held out).

  Raises:
    ValueError: unequal lengths, or a part without examples.
  """
  if count != len(labels):
    raise ValueError(f'{count} codes and {len(labels)} labels: give one of each an example')
  order = np.random.default_rng(seed).permutation(count)
  kept = round(count * (1 - held_out))
  if not 0 < kept < count:
    raise ValueError(
      f'held_out={held_out} of {count} examples leaves a part empty: use a fraction between 0 and 1'
    )
  return order[:kept], order[kept:]


def fit_linear(
  train: Float[np.ndarray, 'F D'],
  train_labels: Integer[np.ndarray, ' F'],
  test: Float[np.ndarray, 'H D'],
  test_labels: Integer[np.ndarray, ' H'],
  *,
  one_scale: bool = False,
  work: int = WORK,
) -> LinearAccuracy:
  """Fits a linear classifier and measures it, as described in `linear_accuracy`.

  Args:
    train: features of the examples to fit.
    train_labels: their classes.
    test: features of the held-out examples.
    test_labels: their classes.
    one_scale: whether all features are divided by one number, the root of their mean variance,
      instead of each by its deviation.
    work: examples × features × classes up to which a logistic regression is fitted; above, a
      ridge regression, which is much faster.

  Returns:
    LinearAccuracy.

  Raises:
    ValueError: the examples to fit are all of one class.
    ImportError: scikit-learn is missing.
  """
  classes, counts = np.unique(train_labels, return_counts=True)
  if len(classes) < 2:
    raise ValueError(
      f'the {len(train)} examples to fit are all of class {classes[0]}: give at least two classes'
    )
  try:
    from sklearn.linear_model import LogisticRegression, RidgeClassifier
  except ImportError as error:
    raise ImportError(
      f'a linear classifier needs scikit-learn ({error}): pip install scikit-learn'
    ) from error
  mean, deviation = train.mean(0), train.std(0)
  if one_scale:
    deviation = np.full_like(deviation, np.sqrt(np.square(deviation).mean()))
  deviation = np.where(deviation > 0, deviation, 1)  # the features of a dead unit stay 0
  train, test = (train - mean) / deviation, (test - mean) / deviation
  if train.size * len(classes) <= work:
    method, classifier = 'logistic regression', LogisticRegression(max_iter=2000)
  else:
    method, classifier = 'ridge regression', RidgeClassifier()
  with one_thread():
    fitted = classifier.fit(train, train_labels)
    held_out_accuracy = float(fitted.score(test, test_labels))
    train_accuracy = float(fitted.score(train, train_labels))
  return LinearAccuracy(
    held_out=held_out_accuracy,
    train=train_accuracy,
    majority=float(np.mean(test_labels == classes[counts.argmax()])),
    method=method,
  )


def checked(features: ArrayLike) -> Float64[np.ndarray, 'N D']:
  """Features as float64.

  Raises:
    ValueError: they are not a matrix [N, D], empty, or not all finite.
  """
  features = np.asarray(features, np.float64)
  if features.ndim != 2 or not features.size:
    raise ValueError(
      f'features of shape {features.shape}: give [N, D], at least one number of one example'
    )
  if not np.isfinite(features).all():
    raise ValueError(
      f'{(~np.isfinite(features)).any(1).sum()} of {len(features)} examples have features that are '
      'not finite: the training may have diverged'
    )
  return features


def _squares(
  features: Float[np.ndarray, 'N D'], rows: Integer[np.ndarray, 'R']
) -> Float[np.ndarray, 'R N']:
  """Squared distances of some examples to all others, computed by matrix products."""
  features = features - features.mean(0)  # the products lose less where lengths are small
  lengths = np.square(features).sum(1)
  return lengths[rows][:, None] + lengths - 2 * features[rows] @ features.T


def _ranks(
  squares: Float[np.ndarray, 'R N'], chosen: Integer[np.ndarray, 'R k']
) -> Integer[np.ndarray, 'R k']:
  """Ranks of the chosen examples by distance, 1 for the nearest; ties are ordered by index."""
  order = np.argsort(squares, axis=1, kind='stable')
  ranks = np.empty_like(order)
  np.put_along_axis(ranks, order, np.arange(1, squares.shape[1] + 1)[None], axis=1)
  return np.take_along_axis(ranks, chosen, axis=1)
