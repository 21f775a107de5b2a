"""Tests of statistics of activations: equal to NumPy over all activations at once, in float64."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import BN_CNN, RECURRENT

from jaxdl import models
from jaxdl.analysis import batches
from jaxdl.analysis.activations import activations, statistics
from jaxdl.figures import statistics as statistics_table

IDENTITY = dict(name='cnn', layers=(dict(kind='activation'),))  # for inputs that are not negative


def check_statistics(found, outputs):
  """Asserts that the statistics equal those of the outputs, layer name → [N, …, C]."""
  assert [row['layer'] for row in found.table] == list(found.channels) == list(outputs)
  for row, values in zip(found.table, outputs.values(), strict=True):
    values, channels = values.astype(np.float64), found.channels[row['layer']]
    flat = values.reshape(-1, values.shape[-1])
    tolerance = 1e-6 * np.abs(flat).max()  # programs round the outputs differently
    expected = dict(
      mean=flat.mean(0),
      std=flat.std(0),
      min=flat.min(0),
      max=flat.max(0),
      zeros=(flat == 0).mean(0),
    )
    for name, figures in expected.items():
      np.testing.assert_allclose(
        getattr(channels, name),
        figures,
        rtol=1e-6,
        atol=tolerance,
        err_msg=f'{row["layer"]} {name}',
      )
    expected_of_layer = dict(
      mean=flat.mean(), std=flat.std(), min=flat.min(), max=flat.max(), zeros=(flat == 0).mean()
    )
    for name, value in expected_of_layer.items():
      np.testing.assert_allclose(
        row[name], value, rtol=1e-6, atol=tolerance, err_msg=f'{row["layer"]} {name}'
      )
    np.testing.assert_array_equal(channels.dead, (flat <= 0).all(0))
    np.testing.assert_array_equal(channels.dead_units, (values <= 0).all(0))
    assert (row['images'], row['channels'], row['units']) == (
      len(values),
      flat.shape[1],
      values[0].size,
    )
    assert row['dead_units'] == (values <= 0).all(0).sum()
    assert row['dead_channels'] == (flat <= 0).all(0).sum()


@pytest.fixture(scope='module')
def net():
  """Returns a small CNN, random variables, seven images and the outputs of all layers.

  Channel 2 of conv1 is dead because of its bias.
  """
  model = models.build(BN_CNN)
  generator = np.random.default_rng(0)
  images = generator.random((7, 12, 12, 1), np.float32)
  images[-1] *= 50  # wrong padding would count the last image again
  variables = jax.tree.map(
    lambda leaf: jnp.asarray(generator.random(leaf.shape), leaf.dtype) - 0.5,
    jax.jit(model.init)(jax.random.PRNGKey(0), images),
  )
  variables['params']['conv1']['bias'] = variables['params']['conv1']['bias'].at[2].set(-1e4)
  variables['batch_stats'] = jax.tree.map(
    lambda leaf: jnp.abs(leaf) + 0.5, variables['batch_stats']
  )
  return model, variables, images, activations(model, variables, images)


@pytest.mark.parametrize('batch_size', [1, 5, 100])
def test_statistics_equal_numpy_at_any_batch_size(net, batch_size):
  model, variables, images, outputs = net
  found = statistics(model, variables, images, batch_size=batch_size)
  check_statistics(found, outputs)
  assert found.channels['conv1'].dead.tolist() == [False, False, True, False]
  assert json.loads(json.dumps(found.table)) == found.table


def test_statistics_of_a_stream_of_uneven_lengths(net):
  model, variables, images, outputs = net
  stream = (images[first:last] for first, last in [(0, 0), (0, 1), (1, 6), (6, 7)])
  found = statistics(model, variables, stream, ['dense1', 'conv1'], batch_size=3)
  check_statistics(found, {name: outputs[name] for name in ('conv1', 'dense1')})


def test_statistics_of_one_image(net):
  model, variables, images, outputs = net
  check_statistics(
    statistics(model, variables, images[:1], ['conv1']), {'conv1': outputs['conv1'][:1]}
  )


def test_statistics_are_precise_for_a_large_mean():
  """Mean 1000, standard deviation 0.01: E[x²] − E[x]² would be noise in float32."""
  images = (1000 + 0.01 * np.random.default_rng(0).standard_normal((50, 9, 8, 2))).astype(
    np.float32
  )
  found = statistics(models.build(IDENTITY), {}, images, batch_size=16)
  flat = images.astype(np.float64).reshape(-1, 2)
  np.testing.assert_allclose(found.channels['activation1'].std, flat.std(0), rtol=1e-6)
  np.testing.assert_allclose(found.channels['activation1'].mean, flat.mean(0), rtol=1e-12)
  np.testing.assert_allclose(found.table[0]['std'], flat.std(), rtol=1e-6)


def test_statistics_equal_hand_values():
  """The images (0, 3) and (0, 1) of 1 × 2 pixels: the left unit is dead, its channel is not."""
  images = np.array([[[[0.0], [3.0]]], [[[0.0], [1.0]]]], np.float32)
  found = statistics(models.build(IDENTITY), {}, images)
  assert found.table == [
    dict(
      layer='activation1',
      images=2,
      units=2,
      channels=1,
      mean=1.0,
      std=pytest.approx(1.5**0.5),
      min=0.0,
      max=3.0,
      zeros=0.5,
      dead_units=1,
      dead_channels=0,
    )
  ]
  assert found.channels['activation1'].dead_units.tolist() == [[[True], [False]]]


def test_statistics_table_rounds_to_four_digits():
  found = [
    {
      'layer': 'conv1',
      'units': 1200,
      'mean': 0.25,
      'std': 1.0,
      'min': 0.0,
      'max': 12.5,
      'zeros': 0.5,
      'dead_units': 3,
      'dead_channels': 0,
      'channels': 32,
    }
  ]
  (row,) = statistics_table.rows(found)
  assert row == ['conv1', '1,200', '0.2500', '1.000', '0.000', '12.50', '50.0 %', '3', '0 of 32']
  assert len(row) == len(statistics_table.COLUMNS)


def test_statistics_of_a_recurrent_layer():
  model = models.build(RECURRENT)
  generator = np.random.default_rng(0)
  rows = generator.random((5, 6, 4), np.float32)
  variables = jax.tree.map(
    lambda leaf: generator.normal(size=leaf.shape).astype(np.float32),
    jax.eval_shape(model.init, jax.random.PRNGKey(0), rows),
  )
  check_statistics(
    statistics(model, variables, rows, batch_size=2), activations(model, variables, rows)
  )


@pytest.mark.parametrize(('batch_size', 'error'), [(256, 1e-5), (65537, 1e-4)])
def test_statistics_rounding_error_is_small_for_any_batch_size(batch_size, error):
  """Equal deviations are the worst case: all their squares are rounded in the same direction."""
  generator = np.random.default_rng(0)
  images = (generator.random((65537, 1, 1, 32)) < 0.3) * generator.uniform(0.01, 10, 32)
  images = images.astype(np.float32)
  found = statistics(models.build(IDENTITY), {}, images, batch_size=batch_size)
  expected = images.std((0, 1, 2), dtype=np.float64)
  np.testing.assert_allclose(found.channels['activation1'].std, expected, rtol=error)


@pytest.mark.parametrize(
  ('images', 'layers', 'message'),
  [
    (
      np.zeros((2, 12, 12, 1), np.float32),
      ['conv2'],
      "layer 'conv2' is unknown: use one of conv1, batch_norm1",
    ),
    (
      np.zeros((2, 12, 12, 3), np.float32),
      None,
      r'inputs of shape \(2, 12, 12, 3\) do not fit the model',
    ),
    (np.zeros((0, 12, 12, 1), np.float32), None, 'there are no examples: give at least one'),
    ([], None, 'there are no examples: give at least one'),
    (
      [np.zeros((1, 12, 12, 1), np.float32), np.zeros((1, 9, 12, 1), np.float32)],
      ['conv1'],
      r'examples of shapes \(12, 12, 1\) and \(9, 12, 1\) are mixed: give one shape',
    ),
  ],
)
def test_statistics_errors_name_the_fix(net, images, layers, message):
  with pytest.raises(ValueError, match=f'^{message}'):
    statistics(*net[:2], images, layers)


@pytest.mark.parametrize(
  ('lengths', 'size', 'expected'),
  [
    ([10], 4, [4, 4, 2]),
    ([1, 1, 5, 0, 1], 3, [3, 3, 2]),
    ([2], 5, [2]),
    ([3, 3], 3, [3, 3]),
    ([7], 3, [3, 3, 1]),
  ],
)
def test_statistics_batches_have_one_size_and_all_examples(lengths, size, expected):
  numbers = np.arange(sum(lengths))
  parts = np.split(numbers, np.cumsum(lengths)[:-1])
  for examples in [parts] if len(lengths) > 1 else [parts, numbers]:
    found = list(batches.rebatched(examples, size))
    assert [count for _, count in found] == expected
    assert len({batch.shape for batch, _ in found}) == 1
    joined = np.concatenate([batch[:count] for batch, count in found])  # without padding
    np.testing.assert_array_equal(joined, numbers)
