"""The network of cnn_food11 on photographs of 128 × 128 pixels, with and without an L2 penalty.

    python -m jaxdl.sweep --config=configs/sweeps/small_food11.py

Report 004 has 96 % in training and 46 % in the test, a gap of 50 points, and curves that do not
differ significantly with L2. Food-11 itself has not been measured yet. The table gives mean ±
deviation over seeds 0, 1 and 2 after 60 epochs on the 400 photographs of ten dishes in
docs/results.md (255 for training, 45 for validation, 100 for the test; chance level 10 %). The runs
use the options

    --config.common.data.folder=DIR
    --config.common.data.splits="dict(train='train[:85%]', validation='train[85%:]')"

    L2       training       test          gap, points
    none     82.4 ± 2.9 %   25.7 ± 5.7 %  56.7 ± 5.1
    5e-4     81.8 ± 2.5 %   24.3 ± 4.2 %  57.4 ± 4.3

Measured on 2 cores of an Intel Xeon, 2026-12-01. With L2 the gap is 0.7 ± 2.3 points larger (95 %
interval of the three pairs): no significant difference, as in the report.
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
