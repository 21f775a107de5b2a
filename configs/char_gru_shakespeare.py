"""GRU with two layers of 512 units, a character model of Shakespeare.

    python -m jaxdl.main --config=configs/char_gru_shakespeare.py

Reported: no figure; report 004 has no GRU.
Ours: 2.1818 ± 0.0069 bits on the last 5 % of the text, 2.070 on the last tenth (seeds 0, 1).
Chosen: the settings of char_lstm_shakespeare; only the cell differs.

Measurements and discussion: docs/results.md.
"""

import ml_collections


def get_config():
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.task = 'next_char'
  config.train_for = '45 epochs'
  config.log_every = '50 steps'
  config.evaluate_every = '5 epochs'
  config.checkpoint_every = '5 epochs'
  config.data = dict(
    name='tiny_shakespeare',
    source='auto',
    batch_size=64,
    time_step=100,
    splits=dict(train='train', validation='validation', test='test'),
  )
  config.model = dict(
    name='language_model',
    cell='gru',
    features=512,
    classes='classes',
    layers=2,
    dropout=0.4,
    locked_dropout=True,
    recurrent_dropout=0.3,
  )
  config.optimizer = dict(name='adam', learning_rate=3e-3, clip_norm=1.0)
  config.schedule = dict(name='cosine')
  config.ema_decay = 0.998
  config.precision = 'bfloat16_products'
  config.reported = dict(source='004')
  return config
