"""A character model of lines in which one letter, the key, decides the last character.

    python -m jaxdl.exam exam/planted_character

A line is 'dbjWcaaf>w': eight letters of which one is a key, and after '>' the key in lower case.
The other letters cannot be predicted. A quarter of the lines has no key and a random answer
(docs/exam.md).
"""

import ml_collections


def get_config():
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.task = 'next_char'
  config.train_for = '15 epochs'
  config.log_every = '100 steps'
  config.evaluate_every = '3 epochs'
  config.checkpoint_every = '3 epochs'
  config.data = dict(
    name='planted_character',
    batch_size=19,
    time_step=32,
    splits=dict(train='train[:90%]', validation='train[90%:]', test='test'),
  )
  config.model = dict(name='language_model', cell='gru', features=48, classes='classes')
  config.optimizer = dict(name='adam', learning_rate=5e-3, clip_norm=1.0)
  config.schedule = dict(name='cosine')
  return config
