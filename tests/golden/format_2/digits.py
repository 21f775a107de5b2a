"""A small network on 61 digits."""

import ml_collections


def get_config():
  config = ml_collections.ConfigDict()
  config.task = 'classify'
  config.seed = 0
  config.train_for = '8 steps'
  config.log_every = '2 steps'
  config.evaluate_every = '4 steps'
  config.checkpoint_every = '4 steps'
  config.data = dict(
    name='mnist',
    source='bundled',
    layout='image',
    batch_size=16,
    evaluation_batch_size=48,
    splits=dict(train='train[:61]', validation='train[100:150]', test='test[:50]'),
  )
  config.model = dict(
    name='cnn',
    layers=(
      dict(kind='conv', features=3, kernel=5, strides=2),
      dict(kind='batch_norm'),
      dict(kind='max_pool', window=2),
      dict(kind='dropout', rate=0.2),
      dict(kind='flatten'),
      dict(kind='dense', features=10, activate=False),
    ),
  )
  config.optimizer = dict(name='adam', learning_rate=1e-2)
  config.schedule = dict(name='cosine', final=0.1)
  return config
