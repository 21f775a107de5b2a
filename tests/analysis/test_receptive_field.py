"""Tests of receptive fields by formula: equal to measured fields and to hand-computed values."""

import flax.linen as nn
import numpy as np
import pytest
from geometry_helpers import lit_units
from helpers import ROOT

from jaxdl import models
from jaxdl.analysis import neurons
from jaxdl.config.reading import read_file
from jaxdl.models import cnn

STACKS = {
  'same': [
    dict(kind='conv', features=2, kernel=3),
    dict(kind='max_pool', window=2),
    dict(kind='conv', features=2, kernel=(5, 3), strides=(1, 2)),
    dict(kind='batch_norm'),
  ],
  'valid': [
    dict(kind='conv', features=2, kernel=(2, 4), padding='VALID'),
    dict(kind='max_pool', window=3, strides=2),
    dict(kind='conv', features=2, kernel=3, strides=2, padding='VALID'),
  ],
  'even and stride 1': [
    dict(kind='conv', features=2, kernel=2),
    dict(kind='max_pool', window=2, strides=1),
    dict(kind='conv', features=2, kernel=4),
    dict(kind='average_pool', window=2, strides=1, padding='SAME'),
  ],
  'padding in pixels': [
    dict(kind='conv', features=2, kernel=3, strides=2, padding=((1, 0), (2, 1))),
    dict(kind='max_pool', window=3, strides=2, padding=((0, 1), (1, 1))),
  ],
}


@pytest.mark.parametrize('stack', STACKS)
def test_receptive_field_contains_the_pixels_that_activate_a_unit(stack):
  """For every unit of every layer, the box is exact and the field contains it."""
  model, size = models.build(dict(name='cnn', layers=STACKS[stack])), (17, 14)
  for layer, active in lit_units(model, size).items():  # [H, W, H', W']
    field = neurons.receptive_field(model, (*size, 1), layer)
    exact = 0
    for row, column in np.ndindex(*active.shape[2:]):
      pixels = np.argwhere(active[:, :, row, column])
      top, bottom, left, right = neurons.box(model, (*size, 1), layer, (row, column))
      assert [top, left, bottom - 1, right - 1] == [*pixels.min(0), *pixels.max(0)]
      assert active[top:bottom, left:right, row, column].all()
      first = [field.start[axis] + field.stride[axis] * (row, column)[axis] for axis in (0, 1)]
      clipped = [
        max(first[0], 0),
        min(first[0] + field.size[0], size[0]),
        max(first[1], 0),
        min(first[1] + field.size[1], size[1]),
      ]
      assert clipped[0] <= top
      assert clipped[1] >= bottom
      assert clipped[2] <= left
      assert clipped[3] >= right
      exact += clipped == [top, bottom, left, right]
    # The field is larger than the box only next to pixels that no window covers.
    assert exact >= 0.6 * active[0, 0].size


# Size, stride and start of the layers, computed by hand from kernels, strides and paddings.
REPORTS = [
  (
    'cnn_cifar10',
    32,
    dict(conv1=(3, 1, 0), max_pool1=(4, 2, 0), conv2=(8, 2, 0), conv3=(18, 4, 0), conv4=(26, 4, 0)),
  ),
  (
    'deep_cnn_cifar10',
    32,
    dict(
      conv1=(3, 1, -1),
      conv2=(8, 2, -3),
      conv3=(18, 4, -7),
      conv4=(26, 4, -11),
      max_pool3=(30, 8, -11),
    ),
  ),
  (
    'lenet5_gray_cifar10',
    28,
    dict(conv2=(14, 2, -6), max_pool2=(16, 4, -6), dense1=(28, 0, 0), logits=(28, 0, 0)),
  ),
  (
    'cnn_mnist',
    28,
    dict(conv1=(5, 1, -2), max_pool1=(6, 2, -2), conv2=(14, 2, -6), max_pool2=(16, 4, -6)),
  ),
  (
    'bn_cnn_gray_cifar10',
    28,
    dict(batch_norm2=(12, 4, -4), conv3=(20, 4, -8), max_pool3=(24, 8, -8)),
  ),
  (
    'cnn_fashion_mnist',
    28,
    dict(conv1=(2, 1, 0), max_pool1=(3, 1, 0), conv2=(4, 1, 0), max_pool2=(5, 1, 0)),
  ),
  (
    'wide_cnn_fashion_mnist',
    28,
    dict(conv1=(3, 1, 0), max_pool1=(4, 2, 0), activation1=(4, 2, 0), flatten1=(28, 0, 0)),
  ),
  ('cnn_food11', 512, dict(conv3=(32, 4, -14), max_pool3=(44, 16, -14))),
  ('cnn_food11_l2', 512, dict(conv3=(32, 4, -14), max_pool3=(44, 16, -14))),
  (
    'rotated_autoencoder_hoda',
    32,
    dict(conv1=(3, 2, 0), conv2=(7, 4, 0), code=(32, 0, 0), conv_transpose2=(32, 0, 0)),
  ),
]


class Subsampled(nn.Module):
  """A custom layer that keeps every third row and column."""

  def __call__(self, inputs, context):
    return inputs[:, ::3, ::3]


class SubsampledWithWindow(Subsampled):
  """The same layer with a known receptive field."""

  def window_of(self, axis, size):
    return 1, 3, 1, (0, 0)


def test_receptive_field_after_a_custom_layer_needs_window_of(monkeypatch):
  monkeypatch.setattr(
    cnn, 'KINDS', {**cnn.KINDS, 'subsampled': Subsampled, 'with_window': SubsampledWithWindow}
  )

  def field(kind):
    convolution = dict(kind='conv', features=2, kernel=3)
    model = models.build(
      {'name': 'cnn', 'layers': [convolution, dict(kind=kind), convolution, dict(kind='flatten')]}
    )
    return neurons.receptive_field(model, (16, 16, 1), 'conv2')

  assert (field('with_window').size, field('with_window').stride) == ((9, 9), (3, 3))
  with pytest.raises(
    ValueError,
    match=r'the receptive field of a layer Subsampled is unknown: give it a method window_of\(',
  ):
    field('subsampled')


@pytest.mark.parametrize(('name', 'size', 'expected'), REPORTS, ids=[name for name, *_ in REPORTS])
def test_receptive_field_of_report_networks_equals_hand_values(name, size, expected):
  model = models.build(
    models.with_classes(read_file(ROOT / f'configs/{name}.py').model.to_dict(), 10)
  )
  for layer, figures in expected.items():
    found = neurons.receptive_field(model, (size, size, 1), layer)
    assert found == tuple((figure, figure) for figure in figures)
    assert found.centre == (figures[2] + (figures[0] - 1) / 2,) * 2


def test_box_of_units_that_see_only_padding_or_everything():
  """Two rows above and one column on the right are padding; a dense unit sees 3 × 4 pixels."""
  layers = [
    dict(kind='conv', features=1, kernel=1, padding=((2, 0), (0, 1))),
    dict(kind='flatten'),
    dict(kind='dense', features=2),
  ]
  model = models.build(dict(name='cnn', layers=layers))
  boxes = {
    place: neurons.box(model, (3, 4, 1), 'conv1', place)
    for place in ((0, 0), (1, 4), (2, 4), (2, 0), (4, 3))
  }
  assert boxes == {
    (0, 0): (0, 0, 0, 0),
    (1, 4): (0, 0, 0, 0),
    (2, 4): (0, 0, 0, 0),
    (2, 0): (0, 1, 0, 1),
    (4, 3): (2, 3, 3, 4),
  }
  assert neurons.box(model, (3, 4, 1), 'dense1', (0, 0)) == (0, 3, 0, 4)
  for place in ((-1, 0), (0, -1), (5, 0), (0, 5), (0,), (0, 0, 0)):
    with pytest.raises(ValueError, match=r'^position \(.*\) of layer .* its output is \(5, 5\)$'):
      neurons.box(model, (3, 4, 1), 'conv1', place)


def test_receptive_field_errors_name_the_fix():
  layers = [
    dict(kind='conv', features=1, kernel=3),
    dict(kind='conv_transpose', features=1, kernel=3),
  ]
  model = models.build(dict(name='cnn', layers=layers))
  with pytest.raises(
    ValueError, match=r"^layer 'conv2' is unknown: use one of conv1, conv_transpose1$"
  ):
    neurons.receptive_field(model, (8, 8, 1), 'conv2')
  with pytest.raises(
    ValueError,
    match=r"^layer 'conv_transpose1' enlarges: .* use a layer before it, or box for one unit$",
  ):
    neurons.receptive_field(model, (8, 8, 1), 'conv_transpose1')
  assert neurons.box(model, (8, 8, 1), 'conv_transpose1', (15, 0)) == (6, 8, 0, 2)
  with pytest.raises(
    ValueError,
    match=r"^position \(8, 0\) of layer 'conv1' is out of range: its output is \(8, 8\)$",
  ):
    neurons.box(model, (8, 8, 1), 'conv1', (8, 0))
  recurrent = models.build(dict(name='recurrent', cell='lstm', features=2, classes=2))
  with pytest.raises(
    ValueError, match=r'^Recurrent on inputs of shape \(28, 28\) has no receptive fields: use a cnn'
  ):
    neurons.receptive_field(recurrent, (28, 28), 'lstm')
