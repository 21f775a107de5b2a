"""Tests of layer tables: every row equals the table printed in the report.

For networks without a printed table, the numbers of weights are compared.
"""

import math

import pytest
from helpers import ROOT

from jaxdl import models
from jaxdl.config.reading import read_file
from jaxdl.models import table

# (type, output, parameters) of every row of the report's table; dropout has 0 parameters
TABLES = {
  'cnn_cifar10': (
    (32, 32, 3),
    [
      ('Conv', [30, 30, 32], 896),
      ('BatchNorm', [30, 30, 32], 128),
      ('MaxPool', [15, 15, 32], 0),
      ('Conv', [13, 13, 64], 18496),
      ('MaxPool', [6, 6, 64], 0),
      ('Conv', [4, 4, 128], 73856),
      ('Dropout', [4, 4, 128], 0),
      ('Conv', [2, 2, 128], 147584),
      ('Flatten', [512], 0),
      ('Dense', [128], 65664),
      ('BatchNorm', [128], 512),
      ('Dense', [128], 16512),
      ('Dense', [10], 1290),
    ],
  ),
  'deep_cnn_cifar10': (
    (32, 32, 3),
    [
      ('Conv', [32, 32, 64], 1792),
      ('MaxPool', [16, 16, 64], 0),
      ('Conv', [16, 16, 128], 73856),
      ('MaxPool', [8, 8, 128], 0),
      ('Conv', [8, 8, 256], 295168),
      ('Conv', [8, 8, 256], 590080),
      ('MaxPool', [4, 4, 256], 0),
      ('Flatten', [4096], 0),
      ('Dense', [1024], 4195328),
      ('Dense', [1024], 1049600),
      ('Dense', [10], 10250),
      ('BatchNorm', [10], 40),
    ],
  ),
  'cnn_fashion_mnist': (
    (28, 28, 1),
    [
      ('Conv', [28, 28, 64], 320),
      ('MaxPool', [27, 27, 64], 0),
      ('Dropout', [27, 27, 64], 0),
      ('Conv', [27, 27, 32], 8224),
      ('MaxPool', [26, 26, 32], 0),
      ('Dropout', [26, 26, 32], 0),
      ('Flatten', [21632], 0),
      ('Dense', [256], 5538048),
      ('Dropout', [256], 0),
      ('Dense', [10], 2570),
    ],
  ),
  'wide_cnn_fashion_mnist': (
    (28, 28, 1),
    [
      ('Conv', [26, 26, 64], 640),
      ('MaxPool', [13, 13, 64], 0),
      ('Activation', [13, 13, 64], 0),
      ('Flatten', [10816], 0),
      ('Dense', [1024], 11076608),
      ('Dense', [10], 10250),
    ],
  ),
}
# Networks whose reports print no table: numbers of weights without biases, as counted by the
# histograms of report 004.
WEIGHTS = {
  'cnn_food11': ((512, 512, 3), [1200, 12800, 25600, 360448]),
  'lenet5_gray_cifar10': ((28, 28, 1), [800, 51200, 3136 * 1024, 10240]),
  'bn_cnn_gray_cifar10': ((28, 28, 1), [800, 18432, 36864, 4 * 4 * 64 * 256, 2560]),
}


def test_layer_table_error_names_the_too_large_window():
  pools = models.build({'name': 'cnn', 'layers': [{'kind': 'max_pool', 'window': 5}] * 2})
  with pytest.raises(
    ValueError,
    match=r'layer max_pool2, which gets 3 × 3 × 1 of images of 16 × 16 \(config\.data\.size\): '
    r"a window of 5 pixels is larger than the axis of 3 with padding='VALID': take a smaller one",
  ):
    table.layers(pools, (16, 16, 1))


def rows(name, shape):
  section = models.with_classes(read_file(ROOT / f'configs/{name}.py').model.to_dict(), 11)
  return table.layers(models.build(section), shape)


@pytest.mark.parametrize('name', TABLES)
def test_layer_table_equals_the_table_of_the_report(name):
  shape, expected = TABLES[name]
  found = [(row['type'], row['output'], row['parameters']) for row in rows(name, shape)]
  if name == 'deep_cnn_cifar10':  # Report 001 mentions dropout in the text, not in the table.
    found = [row for row in found if row[0] != 'Dropout']
  assert found == expected


@pytest.mark.parametrize('name', WEIGHTS)
def test_layer_table_weights_equal_those_of_the_report(name):
  shape, expected = WEIGHTS[name]
  found = [row for row in rows(name, shape) if row['type'] in ('Conv', 'Dense')]
  assert [row['parameters'] - row['output'][-1] for row in found] == expected


def test_layer_table_counts_equal_those_of_report_001():
  """Parameters: 960,896 in convolutions and 5,255,218 in dense and batch normalisation layers.

  Neurons: 131,072 in convolutions and 2,058 in dense layers.
  """
  found = rows('deep_cnn_cifar10', (32, 32, 3))
  conv, dense = ([row for row in found if row['type'] == kind] for kind in ('Conv', 'Dense'))
  assert sum(row['parameters'] for row in conv) == 960896
  assert sum(row['parameters'] for row in found) - 960896 == 5255218
  assert [sum(math.prod(row['output']) for row in kind) for kind in (conv, dense)] == [131072, 2058]


def test_layer_table_error_suggests_a_layout_for_recurrent_layers():
  model = models.build({'name': 'recurrent', 'cell': 'gru', 'features': 4, 'classes': 10})
  with pytest.raises(
    ValueError, match=r"^layer gru1?, which gets 28 × 28 × 1 .*config\.data\.layout='rows'"
  ):
    table.layers(model, (28, 28, 1))
