"""The network of cnn_food11 with an L2 penalty on its kernels.

    python -m jaxdl.main --config=configs/cnn_food11_l2.py --config.data.folder=DIR

DIR is Food-11 as downloaded, or another folder of photographs (docs/data.md#photographs).

Reported: no figure, only 'clearly decreasing, no significant difference' (report 004).
Ours: 14.67 ± 4.93 % of 100 photographs of other dishes (seeds 0, 1, 2); Food-11 is not measured.
Chosen: a penalty of 5e-4 · Σ w²; the other settings are those of cnn_food11.

Measurements and discussion: docs/results.md.
"""

import ml_collections


def get_config():
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.cpu_devices = 2
  config.task = 'classify'
  config.train_for = '10 epochs'
  config.log_every = '10 steps'
  config.evaluate_every = '1 epoch'
  config.checkpoint_every = '1 epoch'
  config.data = dict(
    name='image_folder',
    folder='food-11',
    source='auto',
    batch_size=16,
    size=512,
    scale='symmetric',
    class_names='food11',
    augment=(dict(kind='flip'),),
    splits=dict(train='train', validation='validation', test='test'),
  )
  config.model = dict(
    name='cnn',
    activation='relu',
    initializer='he_normal',
    layers=(
      dict(kind='conv', features=16, kernel=5, padding='SAME'),
      dict(kind='max_pool', window=2),
      dict(kind='conv', features=32, kernel=5, padding='SAME'),
      dict(kind='max_pool', window=2),
      dict(kind='conv', features=32, kernel=5, padding='SAME'),
      dict(kind='max_pool', window=4),
      dict(kind='flatten'),
      dict(kind='dense', features='classes', activate=False, name='logits'),
    ),
  )
  config.optimizer = dict(name='adam', learning_rate=1e-3)
  config.schedule = dict(name='constant')
  config.l2 = 5e-4
  config.reported = dict(source='004')
  return config
