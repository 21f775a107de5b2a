"""RNN, LSTM and GRU as character models of Shakespeare.

    python -m jaxdl.sweep --config=configs/sweeps/cells_shakespeare.py

Report 004 finds the LSTM below the RNN in training and validation loss; its figures are lost. Ours is not measured yet.
The members are the three configs as they are: they differ in the cell alone.
"""

import ml_collections


def get_config():
  config = ml_collections.ConfigDict()
  config.base = '../char_lstm_shakespeare.py'
  config.seeds = (0,)
  config.axes = (dict(name='cell', choices=[
      dict(name=cell.upper(), base=f'../char_{cell}_shakespeare.py') for cell in ('rnn', 'lstm', 'gru')]),)
  return config
