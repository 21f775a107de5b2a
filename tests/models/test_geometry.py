"""Tests of receptive fields: computed fields equal those found by setting one pixel at a time."""

import jax
import numpy as np
import pytest
from geometry_helpers import drawn, lit_units
from helpers import ROOT

from jaxdl import models
from jaxdl.config.reading import read_file
from jaxdl.models import geometry


def random_layers(seed):
  """Three layers of random kinds, windows, strides and paddings."""
  generator = np.random.default_rng(seed)
  layers = []
  for kind in generator.choice(
    ['conv', 'conv', 'conv_transpose', 'max_pool', 'average_pool', 'batch_norm'], 3
  ):
    extent, strides = generator.integers(1, 4, 2).tolist(), generator.integers(1, 4, 2).tolist()
    padding = ['SAME', 'VALID'][generator.integers(2)]
    if kind.startswith('conv'):
      layers.append(
        dict(kind=str(kind), features=2, kernel=extent, strides=strides, padding=padding)
      )
    elif kind == 'batch_norm':
      layers.append(dict(kind='batch_norm'))
    else:
      layers.append(dict(kind=str(kind), window=extent, strides=strides, padding=padding))
  return layers


def check_geometry(model, size):
  """Compares fields and unseen pixels with measured ones; returns the number of unseen pixels."""
  fields, active = geometry.receptive_fields(model, size), lit_units(model, size)
  for name, (rows, columns) in fields.items():
    np.testing.assert_array_equal(np.einsum('ir,jc->rcij', rows, columns), active[name], name)
  rows, columns, _ = geometry.unseen(model, size)
  expected = ~active[list(fields)[-1]].any((2, 3))  # [H, W]
  unseen = np.zeros(size, bool)
  unseen[rows], unseen[:, columns] = True, True
  np.testing.assert_array_equal(unseen, expected)
  return int(unseen.sum())


@pytest.mark.parametrize('seed', range(8))
def test_receptive_fields_of_random_networks_equal_measured_fields(seed):
  check_geometry(models.build(dict(name='cnn', layers=random_layers(seed))), (17, 13))


def test_receptive_fields_with_explicit_padding():
  layers = [
    dict(kind='conv', features=2, kernel=3, strides=2, padding=((1, 0), (2, 1))),
    dict(kind='max_pool', window=3, strides=2, padding=((0, 1), (1, 1))),
  ]
  check_geometry(models.build(dict(name='cnn', layers=layers)), (12, 9))


BRANCHES = [
  dict(kind='conv', features=2, kernel=3, strides=2, padding='VALID'),
  dict(
    kind='residual',
    project=True,
    layers=[
      dict(kind='depthwise_conv', kernel=(3, 2), strides=(2, 1)),
      dict(kind='conv', features=4, kernel=3, groups=2),
    ],
  ),
  dict(
    kind='parallel',
    branches=[
      [dict(kind='max_pool', window=3, strides=1, padding='SAME')],
      [dict(kind='dense', features=2)],
    ],
  ),
]


def test_receptive_fields_of_branches():
  """The shortcut of a residual layer and the branches of a parallel one see different pixels."""
  model = models.build(dict(name='cnn', layers=BRANCHES))
  check_geometry(model, (14, 12))
  assert geometry.unseen(model, (14, 12)) == ([13], [11], ['conv1'])


def test_receptive_fields_after_pooling_all_positions_are_left_out():
  layers = [
    dict(kind='conv', features=2, kernel=2, strides=2),
    dict(kind='global_average_pool'),
    dict(kind='dense', features=3),
  ]
  model = models.build(dict(name='cnn', layers=layers))
  assert list(geometry.receptive_fields(model, (6, 6))) == ['conv1']
  (steps,) = geometry.receptive_fields(model, (6,))['conv1']
  np.testing.assert_array_equal(steps, np.repeat(np.eye(3, dtype=bool), 2, axis=1))


def narrow_network(name, *, without=()):
  """Builds a config's network with 3 features per layer, leaving out some kinds of layers."""
  section = read_file(ROOT / f'configs/{name}.py').model.to_dict()
  return models.build(
    {
      **section,
      'layers': [
        {**layer, 'features': 3} if 'features' in layer else layer
        for layer in section['layers']
        if layer['kind'] not in without
      ],
    }
  )


@pytest.mark.parametrize(
  ('name', 'size', 'unseen'), [('cnn_cifar10', 32, 124), ('wide_cnn_fashion_mnist', 28, 0)]
)
def test_unseen_pixels_of_report_networks_activate_no_unit(name, size, unseen):
  """Rows and columns 30 and 31 are unseen in cnn_cifar10: 32² − 30² = 124 pixels."""
  spatial = narrow_network(name, without=('dense', 'flatten', 'dropout'))
  assert (
    check_geometry(models.build(dict(name='cnn', layers=spatial.layers)), (size, size)) == unseen
  )


def test_unseen_pixels_change_no_logit():
  """Uses weights of both signs and the dense layers. A seen pixel next to them changes logits."""
  model = narrow_network('cnn_cifar10')
  assert geometry.unseen(model, (32, 32)) == ([30, 31], [30, 31], ['max_pool2'])
  generator = np.random.default_rng(0)
  images = np.repeat(generator.normal(size=(1, 32, 32, 3)).astype(np.float32), 3, axis=0)
  images[1, 30:], images[1, :, 30:] = (
    generator.normal(size=(2, 32, 3)),
    generator.normal(size=(32, 2, 3)),
  )
  images[2, 29, 29] += 100
  logits, outside, inside = np.asarray(jax.jit(model.apply)(drawn(model, images, -1, 1), images))
  np.testing.assert_allclose(outside, logits, rtol=1e-6)
  assert not np.isclose(inside, logits, rtol=1e-3).any()


@pytest.mark.parametrize(
  ('name', 'layer', 'size', 'jump', 'start', 'length'),
  [
    ('cnn_cifar10', 'conv2', 32, 2, 0, 8),
    ('cnn_cifar10', 'conv4', 32, 4, 0, 26),
    ('deep_cnn_cifar10', 'conv4', 32, 4, -11, 26),
    ('deep_cnn_cifar10', 'max_pool3', 32, 8, -11, 30),
    ('cnn_mnist', 'max_pool2', 28, 4, -6, 16),
  ],
)
def test_receptive_fields_of_report_networks_equal_hand_values(
  name, layer, size, jump, start, length
):
  """Unit i sees pixels start + i · jump to start + i · jump + length − 1, clipped to the image.

  Source: Araujo et al. 2019.
  """
  model = models.build(read_file(ROOT / f'configs/{name}.py').model.to_dict())
  for field in geometry.receptive_fields(model, (size, size))[layer]:
    for unit, seen in enumerate(field):
      first = start + unit * jump
      expected = list(range(max(first, 0), min(first + length, size)))
      assert np.flatnonzero(seen).tolist() == expected


def test_unseen_pixels_come_with_the_responsible_layers():
  """On 7 × 7 pixels, a pool of 2 rows skips the last row.

  A window of 2 columns with a stride of 3 skips every third column, and the last one.
  """
  model = models.build(
    dict(
      name='cnn',
      layers=(
        dict(kind='max_pool', window=(2, 1)),
        dict(kind='batch_norm'),
        dict(kind='conv', features=1, kernel=2, strides=(1, 3), padding='VALID'),
        dict(kind='flatten'),
        dict(kind='dense', features=2),
      ),
    )
  )
  assert geometry.unseen(model, (7, 7)) == ([6], [2, 5, 6], ['max_pool1', 'conv1'])
  assert list(geometry.receptive_fields(model, (7, 7))) == ['max_pool1', 'batch_norm1', 'conv1']
