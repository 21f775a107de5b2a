"""RNN, LSTM and GRU with 32, 64 and 128 hidden units that read MNIST row by row.

    python -m jaxdl.sweep --config=configs/sweeps/hidden_units_mnist.py

The table gives the test accuracy in %: the reported one (each network trained once), then ours, as
mean ± deviation over three seeds. Ours is measured at the checkpoint with the lowest validation
loss, on all 10,000 test images, on 2 cores of an Intel Xeon, 2026-12-03. The digits are those of
the package. The chance level is 11.35 %.

    units   RNN                    LSTM                   GRU
    32      98.0   95.25 ± 0.12    97.9   98.60 ± 0.11    98.0   98.45 ± 0.10
    64      96.38  97.65 ± 0.23    98.2   99.02 ± 0.09    98.6   98.87 ± 0.08
    128     97.27  98.36 ± 0.13    98.7   99.12 ± 0.11    98.8   99.14 ± 0.01

The report's RNN gets worse from 32 to 64 units. Its RNN figures for 32 units equal those of its GRU
to the digit, including the training accuracy. No seed of ours comes within two points of that RNN
accuracy; all other figures are higher than the report's. The runs use `lstm_mnist`, including the
moving average of the parameters, but train twice as long, with one cycle and clipped gradients. The
peak of the rate is 4e-3, and 2e-3 for the RNN, which becomes unstable with 4e-3 at 128 units. With
the settings of `lstm_mnist`, 32 units reached 93.80, 97.58 and 97.39 %.
"""

import ml_collections


def get_config():
  config = ml_collections.ConfigDict()
  config.base = '../lstm_mnist.py'
  config.seeds = (0, 1, 2)
  config.common = dict(
    train_for='11000 steps',
    schedule=dict(name='one_cycle'),
    optimizer=dict(clip_norm=1.0),
  )
  config.axes = (
    dict(
      name='cell',
      choices=[
        dict(name=cell.upper(), model=dict(cell=cell), optimizer=dict(learning_rate=rate))
        for cell, rate in (('rnn', 2e-3), ('lstm', 4e-3), ('gru', 4e-3))
      ],
    ),
    dict(
      name='hidden units',
      choices=[dict(name=str(units), model=dict(features=units)) for units in (32, 64, 128)],
    ),
  )
  config.reported = {
    'RNN, 32': dict(test_accuracy=0.98, train_accuracy=0.992),
    'RNN, 64': dict(test_accuracy=0.9638, train_accuracy=0.9921),
    'RNN, 128': dict(test_accuracy=0.9727, train_accuracy=0.9765),
    'LSTM, 32': dict(test_accuracy=0.979, train_accuracy=0.992),
    'LSTM, 64': dict(test_accuracy=0.982, train_accuracy=0.984),
    'LSTM, 128': dict(test_accuracy=0.987, train_accuracy=0.9999),
    'GRU, 32': dict(test_accuracy=0.98, train_accuracy=0.992),
    'GRU, 64': dict(test_accuracy=0.986, train_accuracy=0.9999),
    'GRU, 128': dict(test_accuracy=0.988, train_accuracy=0.9921),
  }
  return config
