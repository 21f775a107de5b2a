"""Four convolutions and two wide dense layers on augmented CIFAR-10, with batch-normalised logits.

    python -m jaxdl.main --config=configs/deep_cnn_cifar10.py

Report 001 gives an accuracy of about 88 %. This config reaches 82.91 % on the 10,000 test images,
which are a JPEG copy, and 85.56 % on the 5,000 held-out training images, which have their original
pixels. Seed 0, at the checkpoint with the lowest validation loss (the last step). Measured on 2
cores of an Intel Xeon, 2026-11-23, in 60 minutes.

The result is below the report and below the goal of 89 %. More epochs would not help: the last six
gained 0.3 points, while the training accuracy was 88 % with dropout active. With dropout of 0.2
after the convolutions the results were 81.75 % and 84.94 % (2 cores of an AMD EPYC, 2026-11-22).
The report's dropout rate, 0.5, learns more slowly (38 % of the test images after one epoch, 48 %
with 0.2) and was not trained to the end.

The learning rate is reduced when the validation loss has not fallen for 5 epochs, as in the report.
The report does not specify the factor (here 0.3), the augmentation (here flips and shifts by up to
4 pixels), the optimizer (here Adam), the length of training (here 30 epochs) or a learning-rate
schedule (here cosine). The report's dropout rate of 0.5 needs longer training; here it is used only
before the dense layers, and the convolutions have 0.1. Evaluation uses a moving average of the
parameters.
"""

import ml_collections


def get_config():
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.cpu_devices = 2
  config.task = 'classify'
  config.train_for = '30 epochs'
  config.log_every = '50 steps'
  config.evaluate_every = '1 epoch'
  config.checkpoint_every = '1 epoch'
  config.data = dict(
    name='cifar10',
    source='auto',
    batch_size=100,
    scale='unit',
    augment=(dict(kind='flip'), dict(kind='shift', pixels=4)),
    splits=dict(train='train[:45000]', validation='train[45000:]', test='test'),
  )
  config.model = dict(
    name='cnn',
    activation='relu',
    initializer='glorot_uniform',
    layers=(
      dict(kind='conv', features=64, kernel=3),
      dict(kind='max_pool', window=2),
      dict(kind='dropout', rate=0.1),
      dict(kind='conv', features=128, kernel=3),
      dict(kind='max_pool', window=2),
      dict(kind='dropout', rate=0.1),
      dict(kind='conv', features=256, kernel=3),
      dict(kind='conv', features=256, kernel=3),
      dict(kind='max_pool', window=2),
      dict(kind='dropout', rate=0.1),
      dict(kind='flatten'),
      dict(kind='dense', features=1024),
      dict(kind='dropout', rate=0.5),
      dict(kind='dense', features=1024),
      dict(kind='dropout', rate=0.5),
      dict(kind='dense', features=10, activate=False),
      dict(kind='batch_norm', name='logits'),
    ),
  )
  config.optimizer = dict(name='adam', learning_rate=1e-3)
  config.schedule = dict(name='cosine')
  config.plateau = dict(patience='5 epochs', factor=0.3)
  config.ema_decay = 0.999
  config.reported = dict(
    source='001', test_accuracy=0.88, parameters=6_216_114, trainable=6_216_094
  )
  return config
