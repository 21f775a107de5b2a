"""Tests of the distributions of weights: histograms, quantiles and comparisons of runs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import BN_CNN

from jaxdl import models
from jaxdl.analysis import weights


def test_weights_histograms_count_every_weight_once():
  shapes = jax.eval_shape(
    models.build(BN_CNN).init, jax.random.PRNGKey(0), jnp.zeros((1, 12, 12, 1))
  )
  generator = np.random.default_rng(0)
  variables = jax.tree.map(
    lambda leaf: generator.normal(size=leaf.shape).astype(np.float32), shapes
  )
  found = weights.histograms(variables)
  sizes = {name: int(found[name].counts.sum()) for name in found}
  assert sizes == {
    'conv1/kernel': 100,
    'conv1/bias': 4,
    'batch_norm1/scale': 4,
    'batch_norm1/bias': 4,
    'dense1/kernel': 360,
    'dense1/bias': 10,
    'logits/scale': 10,
    'logits/bias': 10,
  }
  kernel = variables['params']['conv1']['kernel']
  counts, edges = found['conv1/kernel']
  assert len(counts) == 30
  assert (edges[0], edges[-1]) == (kernel.min(), kernel.max())
  for number, count in enumerate(counts):
    last = number == 29
    inside = (kernel >= edges[number]) & (
      (kernel <= edges[number + 1]) if last else (kernel < edges[number + 1])
    )
    assert inside.sum() == count


def test_weights_quantiles_equal_hand_values():
  """The quantile q of the numbers 0 to 10,000 is 10,000 q, in any order."""
  values = np.random.default_rng(0).permutation(10_001).astype(np.float32).reshape(73, 137)
  found = weights.quantiles({'params': {'dense1': {'kernel': values, 'bias': np.float32([3])}}})
  np.testing.assert_allclose(
    found['dense1/kernel'], [0, 668, 1587, 3085, 5000, 6915, 8413, 9332, 10_000], rtol=1e-12
  )
  assert found['dense1/bias'].tolist() == [3] * 9


def test_weights_quantiles_of_a_large_tensor_are_representative():
  """The means of even and odd columns differ; sampling with an even step would miss one kind."""
  kernel = (
    np.random.default_rng(0).normal(size=(4000, 64)).astype(np.float32)
    + np.arange(64, dtype=np.float32) % 2 * 10
  )
  kernel[0, 1], kernel[17, 5] = -50, 70
  found = weights.quantiles({'params': {'dense1': {'kernel': kernel}}})['dense1/kernel']
  assert kernel.size > 2 * weights.SAMPLE
  assert (found[0], found[-1]) == (-50, 70)
  for probability, value in zip(weights.QUANTILES[1:-1], found[1:-1], strict=True):
    assert (kernel <= value).mean() == pytest.approx(probability, abs=0.01)


def test_weights_quantiles_of_a_sample_by_hand(monkeypatch):
  """Eight entries for a sample of four: every second one, made odd, so that of 2, 4 and 6. The
  share q of these is 2 + 4 q; the extremes are those of all entries.
  """
  monkeypatch.setattr(weights, 'SAMPLE', 4)
  values = np.float32([2, 50, -60, 4, 50, -50, 6, 70])
  found = weights.quantiles({'params': {'dense1': {'bias': values}}})['dense1/bias']
  between = [2.2672, 2.6348, 3.234, 4, 4.766, 5.3652, 5.7328]
  np.testing.assert_allclose(found, [-60, *between, 70], rtol=1e-12)


@pytest.mark.parametrize('value', [0.0, -3.5, 1e30])
def test_weights_that_are_constant_fill_one_bin(value):
  counts, edges = weights.histograms(
    {'params': {'dense1': {'bias': np.full(7, value, np.float32)}}}, bins=5
  )['dense1/bias']
  assert sorted(counts) == [0, 0, 0, 0, 7]
  assert (np.diff(edges) > 0).all()


def test_weights_of_several_runs_share_bin_edges():
  runs = {
    'none': {
      'params': {'conv1': {'kernel': np.array([-4.0, 0, 3])}, 'conv2': {'bias': np.array([1.0])}}
    },
    'L2': {'params': {'conv1': {'kernel': np.array([-1.0, 0.5, 1, 4])}}},
    'L1': {'params': {'conv1': {'kernel': np.array([-6.0, 2])}}},
  }
  found = weights.compare(runs, bins=4)
  assert list(found) == ['conv1/kernel', 'conv2/bias']
  assert found['conv1/kernel'].edges.tolist() == [-6, -3.5, -1, 1.5, 4]
  assert {label: counts.tolist() for label, counts in found['conv1/kernel'].counts.items()} == {
    'none': [1, 0, 1, 1],
    'L2': [0, 0, 3, 1],
    'L1': [1, 0, 0, 1],
  }
  assert list(found['conv2/bias'].counts) == ['none']


@pytest.mark.parametrize(
  ('runs', 'bins', 'message'),
  [
    ({}, 30, '0 runs and 30 bins: give at least one of each'),
    ({'a': {'params': {}}}, 0, '1 runs and 0 bins'),
    (
      {'a': {'params': {'conv1': {'bias': np.array([0, np.nan])}}}},
      30,
      'conv1/bias of a has numbers that are not finite',
    ),
  ],
)
def test_weights_errors_name_the_fix(runs, bins, message):
  with pytest.raises(ValueError, match=f'^{message}'):
    weights.compare(runs, bins)
