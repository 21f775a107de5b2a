"""Convolutional autoencoder that rotates handwritten Farsi digits upright, with a code of size 64.

    python -m jaxdl.main --config=configs/rotated_autoencoder_hoda.py

Reported: summed losses from 1773 down to 840, without their scale (report 000).
Ours: a mean squared error of 0.0152 ± 0.0001 on 20,000 test digits, over seeds 0, 1, 2.
Chosen: the network, angles of ±40°, mean squared error, Adam with 1e-3, batch size 128, 20 epochs.

Measurements and discussion: docs/results.md.
"""

import ml_collections


def get_config():
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.cpu_devices = 2
  config.task = 'reconstruct'
  config.train_for = '20 epochs'
  config.log_every = '50 steps'
  config.evaluate_every = '1 epoch'
  config.checkpoint_every = '1 epoch'
  config.data = dict(
    name='hoda',
    source='auto',
    batch_size=128,
    scale='unit',
    layout='image',
    distort=(dict(kind='rotate', degrees=40),),
    splits=dict(train='train[:55000]', validation='train[55000:]', test='test'),
  )
  config.model = dict(
    name='cnn',
    activation='relu',
    initializer='he_normal',
    layers=(
      dict(kind='conv', features=32, kernel=3, strides=2),
      dict(kind='conv', features=64, kernel=3, strides=2),
      dict(kind='flatten'),
      dict(kind='dense', features=64, activate=False, name='code'),
      dict(kind='dense', features=4096),
      dict(kind='reshape', shape=(8, 8, 64)),
      dict(kind='conv_transpose', features=32, kernel=3),
      dict(kind='conv_transpose', features=16, kernel=3),
      dict(kind='conv', features=1, kernel=3, activate=False, name='image'),
    ),
  )
  config.optimizer = dict(name='adam', learning_rate=1e-3)
  config.schedule = dict(name='cosine')
  config.reported = dict(source='000', summed_loss=(1773.23, 1129.72, 965.87, 888.52, 840.0))
  return config
