"""The network of `deep_cnn_cifar10` with the recipe of report 001.

    python -m jaxdl.sweep --config=configs/sweeps/report_recipe_cifar10.py

The report gives Adam, dropout of 0.5 and a learning rate that is reduced when the validation loss
has not fallen for 5 epochs. It does not specify the augmentation, the factor or the length of
training. Here they are flips and shifts, 0.3 and 45 epochs.

Measurements and discussion: docs/results.md.
"""

import pathlib

import ml_collections

from jaxdl.config import reading

BASE = '../deep_cnn_cifar10.py'


def get_config():
  config = ml_collections.ConfigDict()
  config.base = BASE
  config.seeds = (0,)
  config.axes = (
    dict(
      name='recipe',
      choices=[
        dict(
          name='of the report',
          task=dict(name='classify', label_smoothing=0.0),
          data=dict(scale='unit'),
          model=dict(layers=layers()),
          optimizer=dict(name='adam', learning_rate=1e-3),
          schedule=dict(name='constant'),
          plateau=dict(patience='5 epochs', factor=0.3),
        )
      ],
    ),
  )
  config.reported = {'of the report': dict(test_accuracy=0.88)}
  return config


def layers():
  """Layers of `deep_cnn_cifar10` with a dropout rate of 0.5."""
  found = reading.read_file(pathlib.Path(__file__).parent / BASE).model.layers
  return [{**layer, 'rate': 0.5} if layer['kind'] == 'dropout' else dict(layer) for layer in found]
