"""Layers that turn a code into an image again."""

import math

import flax.linen as nn

from jaxdl import ops
from jaxdl.models.layers import Conv


class Reshape(nn.Module):
  """[B, F] → [B, *shape], row-major; the inverse of Flatten."""

  shape: tuple[int, ...]

  def __call__(self, inputs, context):
    if math.prod(inputs.shape[1:]) != math.prod(self.shape):
      raise ValueError(
        f'config.model: reshape to {tuple(self.shape)} takes {math.prod(self.shape)} numbers and gets '
        f'{math.prod(inputs.shape[1:])}: change the layer before it'
      )
    return inputs.reshape(inputs.shape[0], *self.shape)


class ConvTranspose(Conv):
  """Transposed convolution, bias and activation: [B, H, W, C] → [B, H · rows, W · columns,
  features] where 'SAME'.
  """

  strides: int | tuple[int, int] = 2
  operation = staticmethod(ops.conv_transpose)
