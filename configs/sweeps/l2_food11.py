"""L2 penalty on Food-11: none, and three strengths.

    python -m jaxdl.sweep --config=configs/sweeps/l2_food11.py

Report 004 states that its learning curves with and without L2 are similar. It gives no strength.
Food-11 itself has not been measured yet. The table gives the accuracies on the 400 photographs of
ten dishes in docs/results.md (255 for training, 45 for validation, 100 for the test), seed 0. The
runs use the option

    --config.common="dict(data=dict(folder=DIR,
      splits=dict(train='train[:85%]', validation='train[85%:]')))"

    L2       at the lowest validation loss (epoch 1)   after 10 epochs
             test      validation                      test    training    test loss
    none     13 %      15.6 %                          28 %    96.9 %      3.53
    1e-4     13 %      11.1 %                          22 %    96.9 %      3.96
    5e-4     12 %      13.3 %                          25 %    95.6 %      4.13
    1e-3     13 %      15.6 %                          24 %    96.2 %      3.48

Measured on 2 cores of an AMD EPYC, 2026-11-22. All runs overfit early and to a similar degree, as
in the report. With 100 test photographs, differences below 12 points are not significant.
"""

import ml_collections


def get_config():
  config = ml_collections.ConfigDict()
  config.base = '../cnn_food11.py'
  config.seeds = (0,)
  config.axes = (
    dict(
      name='L2',
      choices=[
        dict(name='no L2'),
        *(dict(name=f'L2 {strength:g}', l2=strength) for strength in (1e-4, 5e-4, 1e-3)),
      ],
    ),
  )
  return config
