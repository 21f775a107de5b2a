"""Tests of linear probes: against scikit-learn itself, and of the reduction to components."""

import jax
import numpy as np
import pytest
from helpers import BN_CNN
from sklearn.linear_model import LogisticRegression

from jaxdl import models
from jaxdl.analysis import layer_features, probes
from jaxdl.analysis.embedding_quality import divided, linear_accuracy


def examples(count=120, size=6):
  random = np.random.default_rng(0)
  labels = random.integers(0, 3, count)
  return random.normal(size=(count, size)) + 1.5 * np.eye(size)[labels], labels


def test_probe_of_the_input_equals_a_logistic_regression_on_pixels():
  pixels, labels = examples()
  found = probes.probe(pixels, labels)
  train, test = divided(120, labels)
  assert len(test) == 30
  assert not set(train) & set(test)
  mean, deviation = pixels[train].mean(0), pixels[train].std(0)
  scaled = (pixels - mean) / deviation
  expected = LogisticRegression(max_iter=2000).fit(scaled[train], labels[train])
  assert found.accuracy.held_out == expected.score(scaled[test], labels[test])
  assert found.accuracy.train == expected.score(scaled[train], labels[train])
  assert found.accuracy == linear_accuracy(pixels, labels)
  assert found[1:] == (6, 0, 1.0)


def test_probe_reduces_wide_features_to_components_of_the_fit():
  pixels, labels = examples()
  wide = pixels @ np.linalg.qr(np.random.default_rng(1).normal(size=(400, 6)))[0].T
  found = probes.probe(wide, labels, components=6)
  assert found.components == 6
  assert found.explained == pytest.approx(1)
  assert found.accuracy.held_out > 0.6
  assert probes.probe(wide, labels, components=1).explained < 0.6
  noise = np.random.default_rng(2).normal(size=(120, 400))
  assert probes.probe(noise, labels, components=20).accuracy.held_out < 0.6


def test_components_equal_those_of_a_singular_value_decomposition():
  random = np.random.default_rng(0)
  train, test = random.normal(size=(9, 20)), random.normal(size=(4, 20))
  first, second, explained = probes.reduced(train, test, 3)
  left, values, axes = np.linalg.svd(train - train.mean(0), full_matrices=False)
  np.testing.assert_allclose(np.abs(first), np.abs(left * values)[:, :3], atol=1e-10)
  np.testing.assert_allclose(
    np.abs(second), np.abs((test - train.mean(0)) @ axes.T)[:, :3], atol=1e-10
  )
  assert explained == pytest.approx((values[:3] ** 2).sum() / (values**2).sum())


def test_components_of_equal_examples_are_zero_and_explain_everything():
  first, second, explained = probes.reduced(np.full((4, 3), 7.0), np.full((2, 3), 7.0), 2)
  assert first.shape == (4, 2)
  np.testing.assert_array_equal(first, 0)
  np.testing.assert_array_equal(second, 0)
  assert explained == 1


def test_probe_errors_name_the_fix():
  pixels, labels = examples()
  with pytest.raises(ValueError, match='^components=0 is too few: use at least 1'):
    probes.probe(pixels, labels, components=0)
  with pytest.raises(ValueError, match='^120 codes and 60 labels'):
    probes.probe(pixels, labels[::2])
  with pytest.raises(ValueError, match='are all of class 1: give at least two classes'):
    probes.probe(pixels, np.ones(120, int))


def test_layer_features_are_the_same_in_several_passes(monkeypatch):
  model = models.build(BN_CNN)
  images = np.random.default_rng(0).random((5, 12, 12, 1), np.float32)
  variables = model.init(jax.random.PRNGKey(0), images)
  names = ['conv1', 'max_pool1', 'dense1']
  found = dict(layer_features.layer_features(model, variables, images, names))
  assert list(found) == ['input', *names]
  np.testing.assert_array_equal(found['input'], images.reshape(5, -1))
  assert found['conv1'].shape[0] == 5
  monkeypatch.setattr(layer_features, 'BYTES', 1)
  again = dict(layer_features.layer_features(model, variables, images, names))
  for name in found:
    np.testing.assert_allclose(again[name], found[name], atol=1e-6)
  with pytest.raises(ValueError, match="layer 'conv9' is unknown: use one of conv1"):
    list(layer_features.layer_features(model, variables, images, ['conv9']))


@pytest.mark.parametrize(
  ('classes', 'method'),
  [(10, 'logistic regression'), (40, 'logistic regression'), (1000, 'ridge regression')],
)
def test_probe_of_many_classes_takes_the_faster_method(classes, method):
  """A logistic regression of 1,000 classes takes minutes, and every layer has a probe."""
  labels = np.arange(1000) % classes
  centres = np.random.default_rng(0).normal(size=(classes, 128))
  found = probes.probe(centres[labels], labels, held_out=0.25)
  assert found.accuracy.method == method
