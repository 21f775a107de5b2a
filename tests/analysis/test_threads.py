"""Tests of the context with one thread."""

import numpy as np
import pytest
import threadpoolctl

from jaxdl.analysis import embeddings
from jaxdl.analysis.threads import one_thread


def numbers():
  """The numbers of threads of the libraries that NumPy, SciPy and scikit-learn use."""
  return [found['num_threads'] for found in threadpoolctl.threadpool_info()]


def test_one_thread_holds_inside_only():
  before = numbers()
  with one_thread():
    assert set(numbers()) == {1}
  assert numbers() == before


def test_classifiers_are_fitted_with_one_thread(monkeypatch):
  linear_model = pytest.importorskip('sklearn.linear_model')
  found, fit = [], linear_model.LogisticRegression.fit

  def watched(self, *args):
    found.extend(numbers())
    return fit(self, *args)

  monkeypatch.setattr(linear_model.LogisticRegression, 'fit', watched)
  random = np.random.default_rng(0)
  embeddings.linear_accuracy(random.normal(size=(40, 3)), np.arange(40) % 2)
  assert set(found) == {1}
