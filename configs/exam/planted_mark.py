"""A small CNN on digits with a mark in one corner, which alone decides the class.

    python -m jaxdl.exam exam/planted_mark

The exam trains it with several seeds and grades attribution methods by whether they find the mark
(docs/exam.md).
"""

import ml_collections


def get_config():
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.task = 'classify'
  config.train_for = '2 epochs'
  config.log_every = '25 steps'
  config.evaluate_every = '50 steps'
  config.checkpoint_every = '100 steps'
  config.data = dict(
    name='planted_mark',
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
