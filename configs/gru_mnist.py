"""GRU with 128 units that reads MNIST row by row.

    python -m jaxdl.main --config=configs/gru_mnist.py

Report 002 prints 99.8 %, which is above its training accuracy, so the two are probably swapped.
This config reaches 99.01 % (seed 0) and 98.97 ± 0.04 % over seeds 0, 1, 2. Measured on 2 cores of
an AMD EPYC, 2026-11-23, at the checkpoint with the lowest validation loss, on all 10,000 test
images, with the digits included in the package. TFDS's copy has a different order and gave 98.84 ±
0.02 %.

At the report's constant learning rate, the accuracy of the last parameters varies by ±0.3 points
between evaluations. The moving average of the parameters (`ema_decay`) is stable and does not
affect training. Without the moving average the accuracy is 98.65 ± 0.14 % (2026-11-21).

The report does not specify the initialisation (here orthogonal recurrent kernels and Glorot input
kernels) or the validation split (here the last 5,000 training images).
"""

import ml_collections


def get_config():
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.cpu_devices = 2
  config.task = 'classify'
  config.train_for = '5500 steps'
  config.log_every = '50 steps'
  config.evaluate_every = '50 steps'
  config.checkpoint_every = '500 steps'
  config.data = dict(
    name='mnist',
    source='auto',
    batch_size=128,
    scale='unit',
    layout='rows',
    splits=dict(train='train[:55000]', validation='train[55000:]', test='test'),
  )
  config.model = dict(name='recurrent', cell='gru', features=128, classes=10)
  config.optimizer = dict(name='adam', learning_rate=1e-3)
  config.schedule = dict(name='constant')
  config.ema_decay = 0.998
  config.reported = dict(source='002', test_accuracy=0.998, train_accuracy=0.9921, step=3250)
  return config
