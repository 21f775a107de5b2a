"""Receptive fields against the network itself: which pixels, lit alone, light up which units."""

import jax
import numpy as np
import pytest
from geometry_helpers import drawn, lit_units
from helpers import ROOT

from jaxdl import models
from jaxdl.config.reading import read_file
from jaxdl.models import geometry


def drawn_layers(seed):
  """Three layers of random kinds, windows, strides and paddings."""
  draw = np.random.default_rng(seed)
  layers = []
  for kind in draw.choice(
    ['conv', 'conv', 'conv_transpose', 'max_pool', 'average_pool', 'batch_norm'], 3
  ):
    extent, strides = draw.integers(1, 4, 2).tolist(), draw.integers(1, 4, 2).tolist()
    padding = ['SAME', 'VALID'][draw.integers(2)]
    if kind.startswith('conv'):
      layers.append(
        dict(kind=str(kind), features=2, kernel=extent, strides=strides, padding=padding)
      )
    elif kind == 'batch_norm':
      layers.append(dict(kind='batch_norm'))
    else:
      layers.append(dict(kind=str(kind), window=extent, strides=strides, padding=padding))
  return layers


def check(model, size):
  found, lit = geometry.receptive_fields(model, size), lit_units(model, size)
  for name, (rows, columns) in found.items():
    np.testing.assert_array_equal(np.einsum('ir,jc->rcij', rows, columns), lit[name], name)
  rows, columns, _ = geometry.unseen(model, size)
  expected = ~lit[list(found)[-1]].any((2, 3))  # [H, W]
  unseen = np.zeros(size, bool)
  unseen[rows], unseen[:, columns] = True, True
  np.testing.assert_array_equal(unseen, expected)
  return int(unseen.sum())


@pytest.mark.parametrize('seed', range(8))
def test_receptive_fields_of_random_networks_are_the_pixels_that_light_their_units(seed):
  check(models.build(dict(name='cnn', layers=drawn_layers(seed))), (17, 13))


def test_receptive_fields_with_padding_given_in_pixels():
  layers = [
    dict(kind='conv', features=2, kernel=3, strides=2, padding=((1, 0), (2, 1))),
    dict(kind='max_pool', window=3, strides=2, padding=((0, 1), (1, 1))),
  ]
  check(models.build(dict(name='cnn', layers=layers)), (12, 9))


def narrow(name, *, without=()):
  """The network of a config with 3 features in each layer, and without some kinds of layers."""
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
  ('name', 'size', 'blind'), [('cnn_cifar10', 32, 124), ('wide_cnn_fashion_mnist', 28, 0)]
)
def test_unseen_pixels_of_report_networks_light_nothing(name, size, blind):
  """32² − 30² = 124: rows and columns 30 and 31."""
  spatial = narrow(name, without=('dense', 'flatten', 'dropout'))
  assert check(models.build(dict(name='cnn', layers=spatial.layers)), (size, size)) == blind


def test_unseen_pixels_change_no_logit_of_the_whole_network():
  """Weights of any sign, dense layers and all: noise there changes nothing, one pixel beside it
  does.
  """
  model = narrow('cnn_cifar10')
  assert geometry.unseen(model, (32, 32)) == ([30, 31], [30, 31], ['max_pool2'])
  draw = np.random.default_rng(0)
  images = np.repeat(draw.normal(size=(1, 32, 32, 3)).astype(np.float32), 3, axis=0)
  images[1, 30:], images[1, :, 30:] = draw.normal(size=(2, 32, 3)), draw.normal(size=(32, 2, 3))
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
def test_receptive_fields_of_report_networks_by_hand(name, layer, size, jump, start, length):
  """Unit i sees `length` pixels from start + i · jump on (Araujo et al. 2019), clipped to the
  image.
  """
  model = models.build(read_file(ROOT / f'configs/{name}.py').model.to_dict())
  for field in geometry.receptive_fields(model, (size, size))[layer]:
    for unit, seen in enumerate(field):
      first = start + unit * jump
      assert np.flatnonzero(seen).tolist() == list(range(max(first, 0), min(first + length, size)))


def test_unseen_pixels_name_the_layer_that_leaves_them_out():
  """7 pixels: a pool of 2 leaves out the last row, a stride of 3 over a window of 2 each third of
  what is left.
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
