"""Tests of occlusion and of the local recomputation of maps: equal to plain loops."""

import jax
import numpy as np
import pytest
from helpers import compiled_programs

from jaxdl import models
from jaxdl.analysis import attribution, units
from jaxdl.analysis.maps import local_forward
from jaxdl.analysis.units import Neuron

HEAD = (
  dict(kind='flatten'),
  dict(kind='dense', features=5),
  dict(kind='dense', features=3, activate=False, name='logits'),
)
NETS = {  # layers before the head, image
  'SAME': (
    (
      dict(kind='conv', features=3, kernel=3),
      dict(kind='max_pool'),
      dict(kind='batch_norm'),
      dict(kind='conv', features=2, kernel=5),
    ),
    (9, 8, 2),
  ),
  'VALID, even kernels': (
    (
      dict(kind='conv', features=3, kernel=2, padding='VALID', activate=False),
      dict(kind='max_pool', window=2, strides=1, padding='SAME'),
      dict(kind='conv', features=8, kernel=(4, 1), padding='VALID', activate=False),
    ),
    (8, 7, 1),
  ),
  'SAME, even kernels': (
    (
      dict(kind='conv', features=8, kernel=2, activate=False),
      dict(kind='conv', features=2, kernel=(4, 2)),
    ),
    (7, 8, 1),
  ),
  'strides larger than kernels': (
    (
      dict(kind='conv', features=4, kernel=3, strides=2),
      dict(kind='conv', features=4, kernel=1, strides=2),
      dict(kind='max_pool', window=2, strides=1),
    ),
    (11, 10, 1),
  ),
  'pool with gaps': (
    (
      dict(kind='max_pool', window=1, strides=3),
      dict(kind='conv', features=4, kernel=3, padding='VALID'),
    ),
    (10, 11, 1),
  ),
  'average': (
    (
      dict(kind='conv', features=3, kernel=3),
      dict(kind='average_pool'),
      dict(kind='conv', features=2, kernel=3),
    ),
    (8, 8, 1),
  ),
  'no spatial layers': ((), (6, 5, 1)),
}


def network(layers, shape, batch=3):
  model = models.build(dict(name='cnn', layers=layers + HEAD))
  generator = np.random.default_rng(0)
  images = generator.random((batch, *shape), np.float32)
  variables = jax.tree.map(
    lambda leaf: np.asarray(generator.normal(size=leaf.shape) * 0.5, np.float32),
    jax.eval_shape(model.init, jax.random.PRNGKey(0), images),
  )
  if 'batch_stats' in variables:
    variables['batch_stats'] = jax.tree.map(
      lambda leaf: np.abs(leaf) + 0.5, variables['batch_stats']
    )
  return model, variables, images


def occlusion_by_loops(model, variables, images, target, window, stride, fill):
  """Computes the map with a loop that fills and scores one window at a time."""
  scores = jax.jit(lambda images: units.scores(model, variables, images, target))
  total, count = np.zeros(images.shape[:3]), np.zeros(images.shape[1:3])
  unfilled = np.asarray(scores(images))
  for row in range(0, images.shape[1] - window[0] + stride[0], stride[0]):
    for column in range(0, images.shape[2] - window[1] + stride[1], stride[1]):
      pixels = np.s_[row : row + window[0], column : column + window[1]]
      filled = images.copy()
      filled[:, *pixels] = fill
      total[:, *pixels] += (unfilled - np.asarray(scores(filled)))[:, None, None]
      count[pixels] += 1
  assert count.min() >= 1
  return total / count


@pytest.mark.parametrize(
  'name',
  [
    pytest.param(
      name,
      marks=pytest.mark.slow if name in ('SAME, even kernels', 'pool with gaps', 'average') else (),
    )
    for name in NETS
  ],
)
def test_occlusion_equals_plain_loops(name):
  model, variables, images = network(*NETS[name])
  labels = np.array([0, 2, 1])
  found = attribution.occlusion(
    model, variables, images, labels, window=(3, 2), stride=(2, 1), batch_size=128
  )
  expected = occlusion_by_loops(
    model, variables, images, labels, (3, 2), (2, 1), images.mean((0, 1, 2))
  )
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-5)


def test_occlusion_of_neurons_with_a_fill_per_channel():
  model, variables, images = network(*NETS['SAME'])
  variables['params']['conv2']['bias'] += 3  # the unit is active
  for target in (Neuron('conv2', 1, (2, 3)), Neuron('dense1', 4)):
    found = attribution.occlusion(
      model, variables, images, target, window=4, stride=3, fill=(0.0, 1.0)
    )
    np.testing.assert_allclose(
      found,
      occlusion_by_loops(model, variables, images, target, (4, 4), (3, 3), (0.0, 1.0)),
      rtol=1e-4,
      atol=2e-5,
    )
    assert not attribution.silent(found).all()


def test_occlusion_of_a_linear_model_equals_window_sums():
  model = models.build(
    dict(
      name='cnn',
      layers=(dict(kind='flatten'), dict(kind='dense', features=2, activate=False, name='logits')),
    )
  )
  generator = np.random.default_rng(0)
  weights = generator.normal(size=(4, 4, 2)).astype(np.float32)
  images = generator.random((1, 4, 4, 1), np.float32)
  variables = {
    'params': {'logits': {'kernel': weights.reshape(16, 2), 'bias': np.zeros(2, np.float32)}}
  }
  products = weights[..., 1] * images[0, ..., 0]
  window_sums = products.reshape(2, 2, 2, 2).sum((1, 3))  # adjacent windows
  found = attribution.occlusion(model, variables, images, np.array([1]), window=2, stride=2, fill=0)
  np.testing.assert_allclose(
    found[0], np.repeat(np.repeat(window_sums, 2, 0), 2, 1), rtol=1e-5, atol=1e-6
  )
  found = attribution.occlusion(model, variables, images, np.array([1]), window=4, fill=0)
  np.testing.assert_allclose(found[0], np.full((4, 4), window_sums.sum()), rtol=1e-5)


def test_occlusion_outside_the_receptive_field_has_no_effect():
  model, variables, images = network(*NETS['SAME'])
  variables['params']['conv1']['bias'] += 3  # all units are active
  found = attribution.occlusion(
    model, variables, images, Neuron('conv1', 0, (1, 1)), window=1, fill=0
  )
  assert not found[:, 3:].any()
  assert not found[:, :, 3:].any()
  assert found[:, :3, :3].all()


@pytest.mark.parametrize(
  ('name', 'size'),
  [
    ('SAME', (2, 3)),
    ('SAME, even kernels', (3, 2)),
    ('strides larger than kernels', (3, 2)),
    ('pool with gaps', (1, 1)),
    *(
      pytest.param(*case, marks=pytest.mark.slow)
      for case in (('SAME', (9, 1)), ('VALID, even kernels', (1, 2)))
    ),
  ],
)
def test_local_maps_equal_complete_maps_at_every_position(name, size):
  model, variables, images = network(*NETS[name], batch=1)
  patch = np.random.default_rng(1).random((1, *size, images.shape[-1]), np.float32)
  labels = np.zeros(1, int)
  last = local_forward.chain(model, variables, images, labels)[0]

  @jax.jit
  def maps(filled, patch, start):
    steps = local_forward.chain(model, variables, images, labels)[1]
    complete = units.outputs(model, variables, filled, [last])[1][last]
    return local_forward.follow(steps, patch, start), complete

  for row in range(images.shape[1] - size[0] + 1):
    for column in range(images.shape[2] - size[1] + 1):
      filled = images.copy()
      filled[:, row : row + size[0], column : column + size[1]] = patch
      np.testing.assert_allclose(*maps(filled, patch, (row, column)), rtol=1e-4, atol=2e-5)


def test_local_recomputation_ends_at_the_expected_layer():
  expected = {
    'SAME': 'conv2',
    'VALID, even kernels': 'conv2',
    'SAME, even kernels': 'conv2',
    'strides larger than kernels': 'max_pool1',
    'pool with gaps': 'conv1',
    'average': 'conv1',
    'no spatial layers': None,
  }
  for name, last in expected.items():
    assert last_local_layer(name, np.zeros(3, int)) == last
  assert last_local_layer('SAME', Neuron('max_pool1', 0)) == 'conv1'


def last_local_layer(name, target):
  model, variables, images = network(*NETS[name])
  found = []
  jax.eval_shape(
    lambda images: found.append(local_forward.chain(model, variables, images, target)[0]), images
  )
  return found[0]


def test_second_call_compiles_nothing():
  model, variables, images = network(*NETS['average'])
  attribution.occlusion(model, variables, images, np.array([0, 1, 2]), window=2)
  clone, negative = model.clone(), jax.tree.map(np.negative, variables)
  with compiled_programs() as compiled:
    attribution.occlusion(clone, negative, images, np.array([2, 1, 0]), window=2)
  assert compiled == []
  with compiled_programs() as compiled:
    attribution.occlusion(clone, negative, images, np.array([2, 1, 0]), window=3)
  assert compiled, 'another window size compiles nothing'


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (
      dict(window=9),
      r'window=\(9, 9\) does not fit images of 9 × 8 pixels: use 1 to 8 along axis 1',
    ),
    (dict(window=0), r'window=\(0, 0\) does not fit images'),
    (
      dict(window=2, stride=3),
      r'stride=\(3, 3\) leaves pixels out with window=\(2, 2\): use 1 to 2 along axis 0',
    ),
    (dict(fill=(0, 0, 0)), r'fill of shape \(3,\) does not fit images of 2 channels'),
  ],
)
def test_occlusion_errors_name_the_fix(arguments, message):
  with pytest.raises(ValueError, match=f'^{message}'):
    attribution.occlusion(*network(*NETS['SAME']), np.array([0, 1, 2]), **arguments)
