"""Tests of the loss along lines and on planes: exact ends, hand values and filter norms."""

import numpy as np
import pytest

from jaxdl.analysis import loss_landscape


def quadratic(variables):
  """Loss |w|² + b, and an accuracy."""
  kernel, bias = variables['params']['kernel'], variables['params']['bias']
  return float(np.square(np.float64(kernel)).sum() + np.float64(bias).sum()), 0.25


def network(kernel, bias=(0, 0)):
  return {'params': {'kernel': np.float32(kernel), 'bias': np.float32(bias)}}


def test_line_ends_at_the_runs_and_is_straight_between():
  first, second = network([[0.1, 0.7], [0.3, 0]]), network([[2, 0], [0, 0]], (1, 0))
  found = loss_landscape.along_line(quadratic, first, second, [0, 0.5, 1, 2])
  assert found[0, 0] == quadratic(first)[0]
  assert found[2, 0] == quadratic(second)[0]
  middle = 1.05**2 + 0.35**2 + 0.15**2 + 0.5
  np.testing.assert_allclose(found[1], [middle, 0.25], rtol=1e-6)
  np.testing.assert_allclose(found[3, 0], 3.9**2 + 0.7**2 + 0.3**2 + 2, rtol=1e-6)


def test_directions_have_the_norm_of_every_filter():
  kernel = np.random.default_rng(0).normal(size=(3, 3, 2, 4)).astype(np.float32)
  kernel[..., 2] = 0
  parameters = {'conv': {'kernel': kernel, 'bias': np.ones(4, np.float32)}}
  found = loss_landscape.direction(parameters, 0)
  np.testing.assert_allclose(
    np.square(found['conv']['kernel']).sum((0, 1, 2)), np.square(kernel).sum((0, 1, 2)), rtol=1e-5
  )
  assert not found['conv']['bias'].any(), 'biases are not changed'
  again, other = (loss_landscape.direction(parameters, seed) for seed in (0, 1))
  np.testing.assert_array_equal(again['conv']['kernel'], found['conv']['kernel'])
  assert not np.array_equal(other['conv']['kernel'], found['conv']['kernel'])


def test_plane_by_hand():
  """Along two orthogonal directions of length 1, |w|² is 4 + a² + b² + 4 a."""
  variables = {**network([[2, 0], [0, 0]]), 'batch_stats': 'kept'}
  first, second = (network(kernel)['params'] for kernel in ([[1, 0], [0, 0]], [[0, 0], [1, 0]]))
  found = loss_landscape.on_plane(quadratic, variables, first, second, [-1, 0, 1])
  steps = np.array([-1, 0, 1])
  np.testing.assert_allclose(found[..., 0], (2 + steps[:, None]) ** 2 + steps**2, rtol=1e-6)
  assert found[1, 1, 0] == quadratic(variables)[0]


def test_line_between_different_networks_is_an_error():
  with pytest.raises(ValueError, match=r"\['kernel'\] is \(2, 2\) and \(2, 3\): compare runs of"):
    loss_landscape.along_line(quadratic, network([[1, 1]] * 2), network([[1] * 3] * 2), [0])
  with pytest.raises(ValueError, match=r"\['bias'\] is \(2,\) and missing"):
    loss_landscape.check_same(network([[1]]), {'params': {'kernel': np.ones((1, 1))}})
  with pytest.raises(ValueError, match=r"differ, \['params'\]\['bias'\] is"):  # the first by name
    loss_landscape.check_same(network([[1]]), {'params': {}})
