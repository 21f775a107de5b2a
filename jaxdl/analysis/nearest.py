"""The training examples that are nearest to other examples in the features of a network."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Integer

from jaxdl.analysis.embedding_quality import checked
from jaxdl.analysis.units import ArrayLike

ROWS = 256  # examples whose distances to all training examples are in memory at once


class Nearest(NamedTuple):
  """Nearest training examples, the nearest first; ties are ordered by index.

  Attributes:
    examples: index of the training example.
    similarity: cosine of the angle between the features; 0 where one of them is all 0.
  """

  examples: Integer[np.ndarray, 'Q k']
  similarity: Float64[np.ndarray, 'Q k']


def nearest(features: ArrayLike, queries: ArrayLike, count: int = 5) -> Nearest:
  """The training examples whose features have the smallest angle to those of each query.

  Args:
    features: [N, D], features of the training examples.
    queries: [Q, D], features of the other examples.
    count: k.

  Returns:
    Nearest.

  Raises:
    ValueError: a count out of range, features of different lengths, or that are not finite
      matrices.
  """
  features, queries = _unit(checked(features)), _unit(checked(queries))
  if features.shape[1] != queries.shape[1]:
    raise ValueError(
      f'features of {features.shape[1]} and queries of {queries.shape[1]} numbers: '
      'give the output of one layer'
    )
  if not 1 <= count <= len(features):
    raise ValueError(
      f'count={count} is out of range for {len(features)} training examples: '
      f'use 1 to {len(features)}'
    )
  index, similarity = [], []
  for first in range(0, len(queries), ROWS):
    cosine = np.clip(queries[first : first + ROWS] @ features.T, -1, 1)
    order = np.argsort(-cosine, axis=1, kind='stable')[:, :count]
    index.append(order)
    similarity.append(np.take_along_axis(cosine, order, axis=1))
  return Nearest(np.concatenate(index), np.concatenate(similarity))


def votes(labels: Integer[np.ndarray, ' N'], found: Nearest) -> Integer[np.ndarray, ' Q']:
  """The most frequent class of the nearest training examples; the smallest one of equal ones.

  Args:
    labels: classes of the training examples.
    found: their nearest ones for each query.
  """
  of_neighbours = labels[found.examples]
  counts = np.stack([(of_neighbours == label).sum(1) for label in range(labels.max() + 1)], axis=1)
  return counts.argmax(1)


def _unit(features):
  """Features of length 1; those that are all 0 stay 0."""
  lengths = np.linalg.norm(features, axis=1, keepdims=True)
  return features / np.where(lengths > 0, lengths, 1)
