"""Tests of embeddings: features, projections, neighbours and quality measures."""

import sys

import jax
import numpy as np
import pytest
from helpers import BN_CNN, RECURRENT

from jaxdl import models
from jaxdl.analysis import embeddings
from jaxdl.analysis.activations import activations


def build_network(section, shape, count=3):
  model, generator = models.build(section), np.random.default_rng(0)
  inputs = generator.random((count, *shape), np.float32)
  shapes = jax.eval_shape(model.init, jax.random.PRNGKey(0), inputs)
  return (
    model,
    jax.tree.map(lambda leaf: generator.random(leaf.shape, np.float32) - 0.3, shapes),
    inputs,
  )


def test_embedding_features_are_inputs_of_the_last_dense_layer():
  model, variables, images = build_network(BN_CNN, (12, 12, 1))
  variables['batch_stats'] = jax.tree.map(lambda leaf: np.abs(leaf) + 0.5, variables['batch_stats'])
  found = activations(model, variables, images, ['flatten1', 'conv1'])
  np.testing.assert_allclose(
    embeddings.features(model, variables, images, batch_size=2), found['flatten1'], atol=1e-6
  )
  np.testing.assert_allclose(
    embeddings.features(model, variables, images, 'conv1'), found['conv1'].reshape(3, -1), atol=1e-6
  )


def test_embedding_features_come_from_the_penultimate_dense_layer():
  layers = [
    dict(kind='flatten'),
    *(dict(kind='dense', features=size) for size in (6, 5, 4)),
    dict(kind='batch_norm'),
  ]
  model, variables, images = build_network(dict(name='cnn', layers=layers), (3, 3, 1), count=1)
  found = embeddings.features(model, variables, images)
  np.testing.assert_allclose(
    found, activations(model, variables, images, ['dense2'])['dense2'], atol=1e-6
  )


def test_embedding_features_of_recurrent_networks_are_the_last_state():
  model, variables, rows = build_network(RECURRENT, (6, 4), count=1)
  states = activations(model, variables, rows, ['lstm'])['lstm']
  np.testing.assert_allclose(embeddings.features(model, variables, rows), states[:, -1], atol=1e-6)


def test_embedding_features_of_an_autoencoder_are_the_codes():
  model, variables, images = build_network(
    dict(
      name='cnn',
      layers=[
        dict(kind='flatten'),
        dict(kind='dense', features=6, activate=False, name='code'),
        dict(kind='dense', features=16),
      ],
    ),
    (4, 4, 1),
  )
  codes = embeddings.features(model, variables, images)
  assert codes.shape == (3, 6)
  np.testing.assert_allclose(
    codes, activations(model, variables, images, ['code'])['code'], atol=1e-6
  )


def test_embedding_features_errors_name_the_fix():
  model, variables, images = build_network(
    dict(name='cnn', layers=[dict(kind='conv', features=2, kernel=3)]), (8, 8, 1)
  )
  with pytest.raises(ValueError, match='^the model has no dense layer: name one of conv1'):
    embeddings.features(model, variables, images)
  with pytest.raises(ValueError, match="^layer 'dense1' is unknown: use one of conv1"):
    embeddings.features(model, variables, images, 'dense1')


def test_embedding_pca_equals_hand_values():
  """Points on the line (3, −4) t have one component; its entry of largest magnitude is positive."""
  steps = np.array([-2.0, -1.0, 0.0, 3.0])
  found = embeddings.pca(steps[:, None] * [3, -4] + [10, 20], 2)
  np.testing.assert_allclose(found.axes[0], [-0.6, 0.8])
  np.testing.assert_allclose(found.points, np.stack([-5 * steps, 0 * steps], 1), atol=1e-12)
  np.testing.assert_allclose(found.mean, [10, 20])
  np.testing.assert_allclose(found.explained, [1, 0], atol=1e-12)


@pytest.mark.parametrize('shape', [(40, 6), (5, 9)])
def test_embedding_pca_equals_eigenvectors_of_the_covariance(shape):
  features = np.random.default_rng(0).normal(size=shape) * np.arange(1, shape[1] + 1)
  found = embeddings.pca(features, 3)
  values, vectors = np.linalg.eigh(np.cov(features.T))
  np.testing.assert_allclose(found.explained, values[:-4:-1] / values.sum())
  np.testing.assert_allclose(np.abs(found.axes @ vectors[:, :-4:-1]), np.eye(3), atol=1e-9)
  assert all(axis[np.abs(axis).argmax()] > 0 for axis in found.axes)
  np.testing.assert_allclose(found.points, (features - features.mean(0)) @ found.axes.T)
  np.testing.assert_array_equal(
    embeddings.pca(features[::-1].copy(), 3).points.round(9), found.points[::-1].round(9)
  )


def test_embedding_pca_of_constant_features_explains_no_variance():
  found = embeddings.pca(np.ones((3, 4)), 2)
  np.testing.assert_array_equal(found.points, np.zeros((3, 2)))
  np.testing.assert_array_equal(found.explained, [0, 0])
  assert embeddings.pca(np.ones((1, 4)), 1).points.shape == (1, 1)


def test_embedding_neighbours_equal_hand_values():
  """Points on a line at 0, 1, 1 and 5. Equal points have distance 0; a point is not its neighbour."""
  features = np.array([[0.0, 0], [1, 0], [1, 0], [5, 0]])
  index, distance = embeddings.neighbours(features, 2)
  assert index.tolist() == [[1, 2], [2, 0], [1, 0], [1, 2]]
  np.testing.assert_array_equal(distance, [[1, 1], [0, 1], [0, 1], [4, 4]])
  index, distance = embeddings.neighbours(
    np.array([[1.0, 0], [5, 5], [0, 2], [0, 0]]), 3, 'cosine', queries=[0]
  )
  assert index.tolist() == [[1, 2, 3]]
  np.testing.assert_allclose(distance, [[1 - np.sqrt(0.5), 1, 1]])


@pytest.mark.parametrize('metric', ['euclidean', 'cosine'])
def test_embedding_neighbours_equal_brute_force(metric, monkeypatch):
  monkeypatch.setattr('jaxdl.analysis.embedding_quality.ROWS', 16)
  features = np.random.default_rng(0).normal(size=(50, 5)) + 3
  index, distance = embeddings.neighbours(features, 7, metric)
  for row in range(50):
    if metric == 'euclidean':
      expected = np.linalg.norm(features - features[row], axis=1)
    else:
      expected = 1 - features @ features[row] / np.linalg.norm(features, axis=1) / np.linalg.norm(
        features[row]
      )
    expected[row] = np.inf
    np.testing.assert_array_equal(index[row], np.argsort(expected)[:7])
    np.testing.assert_allclose(distance[row], np.sort(expected)[:7], atol=1e-12)


def test_embedding_quality_equals_hand_values():
  """Five points on a line; the embedding swaps the ends.

  The nearest neighbours in the embedding are 3, 4, 1, 2, 1, with ranks 3, 4, 1, 1, 3 in the
  features.
  """
  features = np.array([[0.0], [1], [2.1], [3.3], [4.6]])
  points = np.array([[4.6], [1], [2.1], [3.3], [0]])
  found = embeddings.quality(features, points, np.array([0, 0, 0, 1, 1]), count=1)
  # 15 is the worst case: all neighbours have the last of four ranks.
  assert found.trustworthiness == pytest.approx(1 - (2 + 3 + 0 + 0 + 2) / 15)
  assert found.accuracy == pytest.approx(1 / 5)


def test_embedding_quality_equals_scikit_learn():
  manifold = pytest.importorskip('sklearn.manifold')
  generator = np.random.default_rng(0)
  features = generator.normal(size=(60, 8))
  for points in (features[:, :2], features[:, :1] * [1, 1e-3], generator.normal(size=(60, 2))):
    found = embeddings.quality(features, points, np.zeros(60, int), count=5)
    assert found.trustworthiness == pytest.approx(
      manifold.trustworthiness(features, points, n_neighbors=5), abs=1e-12
    )
  assert embeddings.quality(features, features, np.zeros(60, int)).trustworthiness == 1


def clusters(count=120, classes=4):
  generator = np.random.default_rng(0)
  labels = np.arange(count) % classes
  return generator.normal(size=(count, 10)) + 6 * np.eye(10)[labels], labels


def test_embedding_tsne_preserves_clusters_and_is_deterministic():
  pytest.importorskip('sklearn')
  features, labels = clusters()
  points = embeddings.tsne(features, perplexity=15)
  assert points.shape == (120, 2)
  found = embeddings.quality(features, points, labels)
  assert found.trustworthiness > 0.8
  assert found.accuracy > 0.95
  assert found.shuffled < 0.45  # four classes: chance is 0.25
  np.testing.assert_array_equal(embeddings.tsne(features, perplexity=15), points)


def test_embedding_tsne_of_many_features_depends_on_the_seed():
  """From 500 features on, t-SNE is initialised with approximate components that use the seed."""
  pytest.importorskip('sklearn')
  features = np.random.default_rng(0).normal(size=(30, 600))
  points = embeddings.tsne(features, perplexity=5, seed=1)
  np.testing.assert_array_equal(embeddings.tsne(features, perplexity=5, seed=1), points)
  assert np.abs(embeddings.tsne(features, perplexity=5, seed=2) - points).max() > 1e-3


def test_embedding_linear_accuracy_of_clusters_and_noise():
  pytest.importorskip('sklearn')
  features, labels = clusters(200)
  # A large scale and a constant feature.
  features = np.concatenate([features * 1e4, np.ones((200, 1))], 1)
  found = embeddings.linear_accuracy(features, labels)
  assert found.held_out > 0.95
  assert embeddings.linear_accuracy(features, labels) == found
  noise = embeddings.linear_accuracy(np.random.default_rng(1).normal(size=(200, 30)), labels)
  assert noise.held_out < 0.5 < noise.train  # noise can be memorised, without generalisation
  assert noise.majority == pytest.approx(0.25, abs=0.1)


def test_embedding_linear_accuracy_normalises_by_training_data_only():
  pytest.importorskip('sklearn')
  codes, labels = np.random.default_rng(1).normal(size=(200, 30)), np.arange(200) % 4
  train = embeddings.linear_accuracy(codes, labels).train
  codes[np.random.default_rng(0).permutation(200)[150:]] *= 1e6  # the held-out examples
  assert embeddings.linear_accuracy(codes, labels).train == train


@pytest.mark.parametrize(
  ('call', 'message'),
  [
    (
      lambda: embeddings.pca(np.ones((3, 4)), 4),
      r'components=4 is out of range for features of shape \(3, 4\): use 1 to 3',
    ),
    (lambda: embeddings.pca(np.ones((3, 4, 2))), r'features of shape \(3, 4, 2\): give \[N, D\]'),
    (
      lambda: embeddings.pca(np.array([[1.0, np.nan], [0, 1]])),
      '1 of 2 examples have features that are not finite',
    ),
    (
      lambda: embeddings.tsne(np.eye(50)),
      'perplexity=30 is out of range for 50 examples: use 1 to 16',
    ),
    (
      lambda: embeddings.tsne(np.eye(3)),
      'perplexity=30 is out of range for 3 examples: give at least 4',
    ),
    (lambda: embeddings.tsne(np.ones((100, 2))), r'features of shape \(100, 2\) do not differ'),
    (
      lambda: embeddings.tsne(np.arange(100.0)[:, None]),
      r'features of shape \(100, 1\) do not differ, or have one dimension',
    ),
    (
      lambda: embeddings.neighbours(np.eye(3), 3),
      'count=3 is out of range for 3 examples: use 1 to 2',
    ),
    (
      lambda: embeddings.neighbours(np.eye(3), 1, 'manhattan'),
      "metric='manhattan' is unknown: use 'euclidean' or 'cosine'",
    ),
    (
      lambda: embeddings.quality(np.eye(4), np.eye(4), np.zeros(4, int), 2),
      'count=2 is out of range for 4 examples: use 1 to 1',
    ),
    (
      lambda: embeddings.quality(np.eye(4), np.eye(3), np.zeros(4, int), 1),
      '4 features, 3 points and 4 labels: give as many',
    ),
    (
      lambda: embeddings.linear_accuracy(np.eye(4), np.zeros(4, int)),
      'the 3 examples to fit are all of class 0: give at least',
    ),
    (
      lambda: embeddings.linear_accuracy(np.eye(4), np.zeros(4, int), held_out=0),
      'held_out=0 of 4 examples leaves a part empty',
    ),
    (
      lambda: embeddings.linear_accuracy(np.eye(4), np.zeros(3, int)),
      '4 codes and 3 labels: give one of each an example',
    ),
  ],
)
def test_embeddings_errors_name_the_fix(call, message):
  with pytest.raises(ValueError, match=f'^{message}'):
    call()


def test_embeddings_import_errors_name_the_package(monkeypatch):
  for module in ('sklearn.manifold', 'sklearn.linear_model'):
    monkeypatch.setitem(sys.modules, module, None)
  with pytest.raises(
    ImportError, match=r'^t-SNE needs scikit-learn \(.*\): pip install scikit-learn'
  ):
    embeddings.tsne(np.eye(10), perplexity=3)
  with pytest.raises(
    ImportError, match=r'^a linear classifier needs scikit-learn \(.*\): pip install scikit-learn'
  ):
    embeddings.linear_accuracy(np.eye(10), np.arange(10) % 2)
