"""How much of the features a picture of them keeps, and what a linear classifier finds in them."""

from typing import NamedTuple

import numpy as np

WORK = 100_000_000  # examples × features × classes up to which a logistic regression is fitted
ROWS = 256  # examples whose distances to all others are in memory at once


class Quality(NamedTuple):
  """What to say beside a picture.

  Attributes:
    trustworthiness: 0..1, 1 where every neighbour in the picture is one of the features'.
    accuracy: share of examples whose nearest in the picture has their class.
    shuffled: the same for shuffled labels: what chance gives.
  """

  trustworthiness: float
  accuracy: float
  shuffled: float


class LinearAccuracy(NamedTuple):
  """What a linear classifier gets right.

  Attributes:
    held_out: share of the examples that it has not seen.
    train: share of those it was fitted to.
    majority: share of the held-out examples in the most frequent class of the others: what no
      features give.
    method: str, how the classifier was fitted.
  """

  held_out: float
  train: float
  majority: float
  method: str


def neighbours(features, count=5, metric='euclidean', queries=None):
  """The nearest other examples, the nearest first; of equally near ones the first.

  An example is never its own neighbour; another one with the same features is, at distance 0.

  Args:
    features: [N, D].
    count: int, neighbours of each.
    metric: 'euclidean' | 'cosine' (1 − cosine of the angle; an example whose features are all 0 is
      at 1 from all).
    queries: [Q] int, examples whose neighbours are sought; None for all.

  Returns:
    (index [Q, count] int, distance [Q, count]).

  Raises:
    ValueError: an unknown metric, a count out of range, or features that are no finite matrix.
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


def _nearest(features, queries, count, metric):
  distance = (
    1 - features[queries] @ features.T if metric == 'cosine' else _squares(features, queries)
  )  # [R, N]
  distance[np.arange(len(queries)), queries] = np.inf
  index = np.sort(np.argsort(distance, axis=1, kind='stable')[:, :count], axis=1)  # [R, count]
  if metric == 'cosine':
    distance = np.maximum(np.take_along_axis(distance, index, axis=1), 0)
  else:  # of the few chosen without the digits that the products have lost
    distance = np.linalg.norm(features[index] - features[queries][:, None], axis=-1)
  order = np.argsort(distance, axis=1, kind='stable')
  return np.take_along_axis(index, order, axis=1), np.take_along_axis(distance, order, axis=1)


def quality(features, embedding, labels, count=5, seed=0):
  """How far a picture can be believed: its neighbourhoods, and the classes in them beside those of
  shuffled labels.

  Args:
    features: [N, D].
    embedding: [N, P], the same examples in the picture.
    labels: [N] int.
    count: int, neighbours that the trustworthiness looks at, fewer than half of the examples.
    seed: int, of the shuffling.

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


def linear_accuracy(codes, labels, held_out=0.25, seed=0):
  """Accuracy of a linear classifier on features, measured on examples that it has not seen.

  The classifier is scikit-learn's logistic regression on features of mean 0 and deviation 1 in the
  training part. Where examples × features × classes exceed 100 million it is ridge regression onto
  the classes: its closed form takes seconds where the iterations of the other take minutes.

  Args:
    codes: [N, D].
    labels: [N] int.
    held_out: share of the examples, drawn at random.
    seed: int, of the drawing.

  Returns:
    LinearAccuracy.

  Raises:
    ValueError: unequal lengths, a part without examples, or fewer than two classes to tell apart.
    OSError: scikit-learn is missing.
  """
  codes, labels = checked(codes), np.asarray(labels)
  if len(codes) != len(labels):
    raise ValueError(f'{len(codes)} codes and {len(labels)} labels: give one of each an example')
  order, kept = (
    np.random.default_rng(seed).permutation(len(codes)),
    round(len(codes) * (1 - held_out)),
  )
  if not 0 < kept < len(codes):
    raise ValueError(
      f'held_out={held_out} of {len(codes)} examples leaves a part empty: use a share between 0 and 1'
    )
  train, test = order[:kept], order[kept:]
  classes, counts = np.unique(labels[train], return_counts=True)
  if len(classes) < 2:
    raise ValueError(
      f'the {kept} examples to fit are all of class {classes[0]}: give at least two classes'
    )
  try:
    from sklearn.linear_model import LogisticRegression, RidgeClassifier
  except ImportError as error:
    raise ImportError(
      f'a linear classifier needs scikit-learn ({error}): pip install scikit-learn'
    ) from error
  deviation = codes[train].std(0)
  codes = (codes - codes[train].mean(0)) / np.where(
    deviation > 0, deviation, 1
  )  # a dead unit stays 0
  if kept * codes.shape[1] * len(classes) <= WORK:
    method, classifier = 'logistic regression', LogisticRegression(max_iter=2000)
  else:
    method, classifier = 'ridge regression', RidgeClassifier()
  fitted = classifier.fit(codes[train], labels[train])
  return LinearAccuracy(
    held_out=float(fitted.score(codes[test], labels[test])),
    train=float(fitted.score(codes[train], labels[train])),
    majority=float(np.mean(labels[test] == classes[counts.argmax()])),
    method=method,
  )


def checked(features):
  """Features in float64; ValueError where they are no matrix [N, D] or not all finite."""
  features = np.asarray(features, np.float64)
  if features.ndim != 2 or not features.size:
    raise ValueError(
      f'features of shape {features.shape}: give [N, D], at least one number of one example'
    )
  if not np.isfinite(features).all():
    raise ValueError(
      f'{(~np.isfinite(features)).any(1).sum()} of {len(features)} examples have features that are not '
      'finite: the training may have diverged'
    )
  return features


def _squares(features, rows):
  """Squared distances of some examples to all, by products: [R, N]."""
  features = features - features.mean(0)  # the products lose less where lengths are small
  lengths = np.square(features).sum(1)
  return lengths[rows][:, None] + lengths - 2 * features[rows] @ features.T


def _ranks(squares, chosen):
  """How near the chosen ones are, 1 for the nearest, equally near ones in their order: [R, N], [R,
  k] → [R, k].
  """
  order = np.argsort(squares, axis=1, kind='stable')
  ranks = np.empty_like(order)
  np.put_along_axis(ranks, order, np.arange(1, squares.shape[1] + 1)[None], axis=1)
  return np.take_along_axis(ranks, chosen, axis=1)
