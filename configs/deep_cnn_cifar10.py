"""Four convolutions and two wide dense layers on augmented CIFAR-10, batch normalisation on the
logits.

    python -m jaxdl.main --config=configs/deep_cnn_cifar10.py

Report 001 reports about 88 %. Ours: 82.91 % of the 10,000 test images, which are a JPEG copy here,
and 85.56 % of the 5,000 held out from training, whose pixels are the original ones, seed 0, at the
checkpoint of the lowest validation loss (the last step), on 2 cores of an Intel Xeon, 2026-11-23,
in 60 minutes. That is below the report and the goal of 89 %. More epochs of the same would not
help: the last six gained 0.3 points, while training stood at 88 %, dropout included. With dropout
of 0.2 after the convolutions it was 81.75 % and 84.94 % (2 cores of an AMD EPYC, 2026-11-22); the
report's own rate, 0.5, learns more slowly (38 % of the test images after an epoch, 48 % with 0.2)
and was not trained to its end. The learning rate is cut where the validation loss has not fallen
for 5 epochs, as in the report, which leaves open by how much (here to 0.3 of it), the augmentation
(here flip and shift by up to 4 pixels), the optimizer's rule (here Adam), where training ends (here
after 30 epochs) and so whether the rate falls by itself, too (here along a cosine). The report's
rate of dropout, 0.5, needs longer training: it is kept before the dense layers, convolutions have
0.1. What is evaluated is a moving average of the parameters.
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
