"""The L2 penalty on Food-11: none, and three strengths.

    python -m jaxdl.sweep --config=configs/sweeps/l2_food11.py

Report 004 finds its learning curves with and without L2 much alike and gives no strength. Ours is not measured yet.
"""

import ml_collections


def get_config():
  config = ml_collections.ConfigDict()
  config.base = '../cnn_food11.py'
  config.seeds = (0,)
  config.axes = (dict(name='L2', choices=[dict(name='no L2'), *(
      dict(name=f'L2 {strength:g}', l2=strength) for strength in (1e-4, 5e-4, 1e-3))]),)
  return config
