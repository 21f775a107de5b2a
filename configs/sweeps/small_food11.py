"""The network of cnn_food11 on photographs of 128 × 128 pixels, with and without an L2 penalty.

    python -m jaxdl.sweep --config=configs/sweeps/small_food11.py

With this size the network learns from 300 photographs, which it does not with 512 × 512.
"""

import ml_collections


def get_config():
  config = ml_collections.ConfigDict()
  config.base = '../cnn_food11.py'
  config.seeds = (0, 1, 2)
  config.common = dict(
    train_for='60 epochs',
    evaluate_every='5 epochs',
    checkpoint_every='5 epochs',
    data=dict(
      size=128,
      augment=(dict(kind='flip'), dict(kind='random_resized_crop', area=(0.35, 1.0))),
    ),
    schedule=dict(name='one_cycle'),
  )
  config.axes = (
    dict(
      name='L2',
      choices=[dict(name='no L2'), dict(name='L2 0.0005', l2=5e-4)],
    ),
  )
  return config
