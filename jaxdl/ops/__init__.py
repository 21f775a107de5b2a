"""Operations with one meaning and a fast lowering per platform."""

from jaxdl.ops.convolution import conv, conv_transpose, explicit_padding
from jaxdl.ops.dropout import dropout
from jaxdl.ops.pooling import avg_pool, max_pool
from jaxdl.ops.recurrence import gru, lstm, simple_rnn

__all__ = [
  'avg_pool',
  'conv',
  'conv_transpose',
  'dropout',
  'explicit_padding',
  'gru',
  'lstm',
  'max_pool',
  'simple_rnn',
]
