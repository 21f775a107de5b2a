"""A small CNN on digits with the same mark in two corners, of which a test image has only one.

    python -m jaxdl.exam exam/planted_cues

The mark that is left is the only evidence of the class. A method that points to the empty corner
shows what the network has learned in general, not what decides here (docs/exam.md).
"""

import ml_collections


def get_config():
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.task = 'classify'
  config.train_for = '3 epochs'
  config.log_every = '25 steps'
  config.evaluate_every = '50 steps'
  config.checkpoint_every = '100 steps'
  config.data = dict(
    name='planted_cues',
    batch_size=100,
    splits=dict(train='train[:5000]', validation='train[5000:]', test='test'),
  )
  config.model = dict(
    name='cnn',
    activation='relu',
    initializer='he_normal',
    layers=(
      dict(kind='conv', features=8, kernel=5, padding='SAME'),
      dict(kind='max_pool', window=2),
      dict(kind='conv', features=16, kernel=3, padding='SAME'),
      dict(kind='flatten'),
      dict(kind='dense', features='classes', activate=False, name='logits'),
    ),
  )
  config.optimizer = dict(name='adam', learning_rate=2e-3)
  config.schedule = dict(name='constant')
  return config
