"""Array operations that compute the same result on every platform, with a fast lowering for each.

A GPU or TPU uses XLA's own operations. A CPU uses lowerings that were measured to be faster there,
except inside `stock_lowering`.
"""

from jaxdl.ops.attention import attention, attention_weights, rotate
from jaxdl.ops.convolution import conv, conv_transpose, explicit_padding
from jaxdl.ops.dropout import dropout
from jaxdl.ops.lowering import stock_lowering
from jaxdl.ops.pooled_convolution import conv_relu_max_pool
from jaxdl.ops.pooling import avg_pool, global_max, max_pool
from jaxdl.ops.products import product, rounded_products
from jaxdl.ops.recurrence import gru, lstm, simple_rnn

__all__ = [
  'attention',
  'attention_weights',
  'avg_pool',
  'conv',
  'conv_relu_max_pool',
  'conv_transpose',
  'dropout',
  'explicit_padding',
  'global_max',
  'gru',
  'lstm',
  'max_pool',
  'product',
  'rotate',
  'rounded_products',
  'simple_rnn',
  'stock_lowering',
]
