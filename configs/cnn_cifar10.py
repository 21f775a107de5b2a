"""Four convolutions with batch normalisation on CIFAR-10.

    python -m jaxdl.main --config=configs/cnn_cifar10.py

Report 000 (exercise 1) gives an accuracy of 76.69 %. This config (seed 0) reaches 78.61 % on the
test images, which are a JPEG copy, and 81.68 % on the 5,000 held-out training images, which have
their original pixels. Measured on 2 cores of an AMD EPYC, 2026-11-22, at the checkpoint with the
lowest validation loss. On a single device the results were 79.07 % and 81.76 %, measured one day
earlier.

The report does not specify the dropout rate (here 0.05), the augmentation (here flips and shifts by
up to 2 pixels), the initialisation (here He normal) or the schedule (here one cycle, with a peak of
three times the report's constant 1e-3). With a cosine schedule from 1e-3 and dropout of 0.1 the
results are 76.65 % and 79.20 %. With dropout of 0.5 and flips only they are 74.98 % and 77.56 %.
"""

import ml_collections


def get_config():
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.cpu_devices = 2
  config.task = 'classify'
  config.train_for = '20 epochs'
  config.log_every = '50 steps'
  config.evaluate_every = '1 epoch'
  config.checkpoint_every = '1 epoch'
  config.data = dict(
    name='cifar10',
    source='auto',
    batch_size=128,
    scale='unit',
    augment=(dict(kind='flip'), dict(kind='shift', pixels=2, fill='edge')),
    splits=dict(train='train[:45000]', validation='train[45000:]', test='test'),
  )
  config.model = dict(
    name='cnn',
    activation='relu',
    initializer='he_normal',
    layers=(
      dict(kind='conv', features=32, kernel=3, padding='VALID'),
      dict(kind='batch_norm'),
      dict(kind='max_pool', window=2),
      dict(kind='conv', features=64, kernel=3, padding='VALID'),
      dict(kind='max_pool', window=2),
      dict(kind='conv', features=128, kernel=3, padding='VALID'),
      dict(kind='dropout', rate=0.05),
      dict(kind='conv', features=128, kernel=3, padding='VALID'),
      dict(kind='flatten'),
      dict(kind='dense', features=128),
      dict(kind='batch_norm'),
      dict(kind='dense', features=128),
      dict(kind='dense', features=10, activate=False, name='logits'),
    ),
  )
  config.optimizer = dict(name='adam', learning_rate=3e-3)
  config.schedule = dict(name='one_cycle')
  config.reported = dict(
    source='000',
    test_accuracy=0.7669,
    train_accuracy=0.852,
    train_loss=0.4175,
    validation_accuracy=0.7754,
    validation_loss=0.6954,
    parameters=324_938,
    trainable=324_618,
  )
  return config
