"""Layers that turn a code into an image again."""

import math
from collections.abc import Callable

import flax.linen as nn

from jaxdl import ops
from jaxdl.models.layers import INITIALIZERS, pair


class Reshape(nn.Module):
  """[B, F] → [B, *shape], row-major; the inverse of Flatten."""

  shape: tuple[int, ...]

  def __call__(self, inputs, context):
    if math.prod(inputs.shape[1:]) != math.prod(self.shape):
      raise ValueError(f'config.model: reshape to {tuple(self.shape)} takes {math.prod(self.shape)} numbers and gets '
                       f'{math.prod(inputs.shape[1:])}: change the layer before it')
    return inputs.reshape(inputs.shape[0], *self.shape)


class ConvTranspose(nn.Module):
  """Transposed convolution, bias and activation: [B, H, W, C] → [B, H · rows, W · columns, features] where 'SAME'."""

  features: int
  kernel: int | tuple[int, int]
  strides: int | tuple[int, int] = 2
  padding: str = 'SAME'
  activation: Callable | None = None
  kernel_init: Callable = INITIALIZERS['glorot_uniform']

  @nn.compact
  def __call__(self, inputs, context):
    shape = (*pair(self.kernel), inputs.shape[-1], self.features)
    kernel = self.param('kernel', self.kernel_init, shape)
    bias = self.param('bias', nn.initializers.zeros, (self.features,))
    outputs = ops.conv_transpose(inputs, kernel, strides=pair(self.strides), padding=self.padding) + bias
    return self.activation(outputs) if self.activation else outputs  # [B, H', W', F]
