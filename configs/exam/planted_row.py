"""A GRU that reads digits row by row, of which one row alone decides the class.

    python -m jaxdl.exam exam/planted_row

The row is read early: the network keeps it in its state for the 19 rows that follow (docs/exam.md).
"""

import ml_collections


def get_config():
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.task = 'classify'
  config.train_for = '8 epochs'
  config.log_every = '25 steps'
  config.evaluate_every = '50 steps'
  config.checkpoint_every = '100 steps'
  config.data = dict(
    name='planted_row',
    batch_size=100,
    layout='rows',
    splits=dict(train='train[:5000]', validation='train[5000:]', test='test'),
  )
  config.model = dict(name='recurrent', cell='gru', features=32, classes='classes')
  config.optimizer = dict(name='adam', learning_rate=2e-3)
  config.schedule = dict(name='constant')
  return config
