"""32, 64 and 128 hidden units of RNN, LSTM and GRU that read MNIST row by row.

    python -m jaxdl.sweep --config=configs/sweeps/hidden_units_mnist.py

Report 002 trains each once. Ours are not measured yet.
Every member is `lstm_mnist` but for its cell and its units, the moving average of the parameters included.
"""

import ml_collections


def get_config():
  config = ml_collections.ConfigDict()
  config.base = '../lstm_mnist.py'
  config.seeds = (0, 1, 2)
  config.axes = (
      dict(name='cell', choices=[dict(name=cell.upper(), model=dict(cell=cell)) for cell in ('rnn', 'lstm', 'gru')]),
      dict(name='hidden units', choices=[dict(name=str(units), model=dict(features=units)) for units in (32, 64, 128)]))
  config.reported = {
      'RNN, 32': dict(test_accuracy=0.98, train_accuracy=0.992), 'RNN, 64': dict(test_accuracy=0.9638, train_accuracy=0.9921),
      'RNN, 128': dict(test_accuracy=0.9727, train_accuracy=0.9765),
      'LSTM, 32': dict(test_accuracy=0.979, train_accuracy=0.992), 'LSTM, 64': dict(test_accuracy=0.982, train_accuracy=0.984),
      'LSTM, 128': dict(test_accuracy=0.987, train_accuracy=0.9999),
      'GRU, 32': dict(test_accuracy=0.98, train_accuracy=0.992), 'GRU, 64': dict(test_accuracy=0.986, train_accuracy=0.9999),
      'GRU, 128': dict(test_accuracy=0.988, train_accuracy=0.9921)}
  return config
