"""Tests of localisation and sparseness against numbers worked by hand."""

import itertools

import numpy as np
import pytest

from jaxdl.analysis.grading import localisation
from jaxdl.models import CNN

EVIDENCE = np.array([[[False, True, True]]])


def of(maps, metric, evidence=EVIDENCE):
  maps = np.array(maps, float).reshape(-1, 1, 3)
  return metric(maps, np.repeat(evidence, len(maps), axis=0)).tolist()


def test_pointing_game():
  maps = [[0, 1, 2], [3, 1, 2], [1, 1, 0], [1, 1, 1], [0, 0, 0], [-1, -2, -3]]
  expected = [1, 0, 0.5, 2 / 3, 0, 0]
  assert of(maps, localisation.pointing_game) == pytest.approx(expected)


def test_relevance_mass_counts_positive_numbers():
  maps = [[1, 2, 1], [-5, 2, 2], [1, -3, 0], [0, 0, 0]]
  assert of(maps, localisation.relevance_mass) == pytest.approx([0.75, 1, 0, 0])


def test_relevance_rank():
  maps = [[1, 2, 3], [3, 2, 1], [1, 1, 1], [2, 2, 3], [9, 0, 0]]
  # Two places of evidence. Equal numbers at the limit: the expected share of a random choice.
  expected = [1, 0.5, 2 / 3, 0.75, 0.5]
  assert of(maps, localisation.relevance_rank) == pytest.approx(expected)


def test_the_evidence_itself_is_the_enumerated_optimum():
  """Of all maps of zeros and ones, the evidence alone reaches 1 in all metrics."""
  maps = np.array(list(itertools.product((0.0, 1.0), repeat=3)))
  scores = np.array(
    [
      of(maps, metric)
      for metric in (
        localisation.pointing_game,
        localisation.relevance_mass,
        localisation.relevance_rank,
      )
    ]
  )
  (best,) = np.flatnonzero((scores == 1).all(0))
  assert maps[best].tolist() == EVIDENCE.ravel().tolist()


def test_gini():
  maps = np.array([[1, 1, 1], [0, 0, 1], [1, -2, 3], [0, 0, 0]], float)
  # By pairs: the mean absolute difference over twice the mean.
  expected = [0, 2 / 3, (1 + 2 + 1) * 2 / (2 * 9 * 2), np.nan]
  np.testing.assert_allclose(localisation.gini(maps), expected)


def test_wrong_evidence():
  maps = np.zeros((2, 1, 3))
  with pytest.raises(ValueError, match=r'evidence of shape \(2, 3, 1\) and type bool does not fit'):
    localisation.pointing_game(maps, np.ones((2, 3, 1), bool))
  with pytest.raises(ValueError, match='2 of 2 examples have no evidence'):
    localisation.pointing_game(maps, np.zeros((2, 1, 3), bool))


def test_follows_evidence_is_false_for_a_network_that_looks_elsewhere():
  """A network whose class is the brightest of the pixels 0 and 1; pixel 2 is not used."""
  model = CNN(layers=(dict(kind='flatten'), dict(kind='dense', features=2, activate=False)))
  kernel = np.array([[1, 0], [0, 1], [0, 0]], np.float32)
  variables = {'params': {'dense1': {'kernel': kernel, 'bias': np.zeros(2, np.float32)}}}
  inputs = np.array([[1, 0, 5], [0, 1, 3], [1, 0, 7], [0, 1, 2]], np.float32).reshape(4, 1, 3, 1)
  labels = np.array([0, 1, 0, 1])
  for pixels, expected in (([0, 1], [True] * 4), ([2], [False] * 4)):
    evidence = np.zeros((4, 1, 3), bool)
    evidence[..., pixels] = True
    found = localisation.follows_evidence(model, variables, inputs, labels, evidence)
    assert found.tolist() == expected
  evidence = np.eye(4, 3, dtype=bool)[:, None] | np.eye(1, 3, 2, dtype=bool)
  evidence[3] = [True, True, False]
  assert not len(localisation.follows_evidence(model, variables, inputs, labels, evidence))


def test_follows_evidence_takes_that_of_the_next_example_of_another_class():
  """The class is the brighter of two pixels, and the evidence is the first one.

  An image of class 0 whose second pixel is 0.5 follows a first pixel of 0.1, but not one of 0.9.
  """
  model = CNN(layers=(dict(kind='flatten'), dict(kind='dense', features=2, activate=False)))
  layer = {'kernel': np.eye(2, dtype=np.float32), 'bias': np.zeros(2, np.float32)}
  first, weak, strong = [1.0, 0.5], [0.9, 0.95], [0.1, 0.5]  # of the classes 0, 1 and 1
  evidence = np.broadcast_to([True, False], (3, 1, 2))
  for images, expected in (
    ([first, strong, weak], [True, True, True]),
    ([first, weak, strong], [False, True, True]),
  ):
    found = localisation.follows_evidence(
      model,
      {'params': {'dense1': layer}},
      np.array(images, np.float32).reshape(3, 1, 2, 1),
      np.array([0, 1, 1]),
      evidence,
    )
    assert found.tolist() == expected
