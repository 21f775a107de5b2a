"""LeNet5 with ReLU on gray CIFAR-10.

    python -m jaxdl.main --config=configs/lenet5_gray_cifar10.py

Reported: 52 % (report 002), with overfitting after about 1,000 iterations.
Ours: 63.34 ± 0.25 % of the test images, which are a JPEG copy, over seeds 0, 1, 2.
Chosen: batch size 128, flips, area averaging to 28×28, He normal.

Measurements and discussion: docs/results.md.
"""

import ml_collections


def get_config():
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.cpu_devices = 2
  config.task = 'classify'
  config.train_for = '5500 steps'
  config.log_every = '50 steps'
  config.evaluate_every = '250 steps'
  config.checkpoint_every = '500 steps'
  config.data = dict(
    name='cifar10',
    source='auto',
    batch_size=128,
    scale='unit',
    color='gray',
    size=28,
    fit='area',
    augment=(dict(kind='flip'),),
    splits=dict(train='train[:45000]', validation='train[45000:]', test='test'),
  )
  config.model = dict(
    name='cnn',
    activation='relu',
    initializer='he_normal',
    layers=(
      dict(kind='conv', features=32, kernel=5),
      dict(kind='max_pool', window=2),
      dict(kind='conv', features=64, kernel=5),
      dict(kind='max_pool', window=2),
      dict(kind='flatten'),
      dict(kind='dense', features=1024),
      dict(kind='dense', features=10, activate=False, name='logits'),
    ),
  )
  config.optimizer = dict(name='adam', learning_rate=1e-4)
  config.schedule = dict(name='constant')
  config.reported = dict(source='002', test_accuracy=0.52)
  return config
