"""Elman RNN with two layers of 512 units that reads Shakespeare character by character.

    python -m jaxdl.main --config=configs/char_rnn_shakespeare.py

Report 004 reports only that the LSTM's loss is lower. Ours: 2.389 bits a character on the last 5 %
of the text, 2.148 on the 1 % before it (the LSTM 2.181 and 1.869), seed 0, at the checkpoint of the
lowest validation loss, which is the last one (of 20 epochs), on 2 cores of an AMD EPYC, 2026-11-22.
The text is cut by position: the first 94 % for training, the next 1 % for validation, the last 5 %
for the test. The report read another file of 67 characters and leaves open the sizes, the
optimizer, its rate, dropout and where training ends; here they are the same for all three cells.
"""

import ml_collections


def get_config():
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.task = 'next_char'
  config.train_for = '20 epochs'
  config.log_every = '50 steps'
  config.evaluate_every = '1 epoch'
  config.checkpoint_every = '1 epoch'
  config.data = dict(
    name='tiny_shakespeare',
    source='auto',
    batch_size=64,
    time_step=100,
    splits=dict(train='train+validation[:80%]', validation='validation[80%:]', test='test'),
  )
  config.model = dict(
    name='language_model', cell='rnn', features=512, classes='classes', layers=2, dropout=0.5
  )
  config.optimizer = dict(name='adam', learning_rate=2e-3, clip_norm=1.0)
  config.schedule = dict(name='cosine')
  config.reported = dict(source='004')
  return config
