"""Layers that turn a code into an image."""

import math
from collections.abc import Sequence

import flax.linen as nn
from jaxtyping import Num

from jaxdl import ops
from jaxdl.models.layers import Context, Conv
from jaxdl.ops.types import AnyArray


class Reshape(nn.Module):
  """[B, F] → [B, *shape], row-major; the inverse of Flatten."""

  shape: Sequence[int]

  def __call__(self, inputs: Num[AnyArray, 'B ...'], context: Context) -> Num[AnyArray, 'B ...']:
    if math.prod(inputs.shape[1:]) != math.prod(self.shape):
      raise ValueError(
        f'config.model: reshape to {tuple(self.shape)} takes {math.prod(self.shape)} numbers and '
        f'gets {math.prod(inputs.shape[1:])}: change the layer before it'
      )
    return inputs.reshape(inputs.shape[0], *self.shape)


class ConvTranspose(Conv):
  """Transposed convolution, bias and activation: [B, H, W, C] → [B, h, w, features].

  With 'SAME' padding, h = H · rows of the strides and w = W · columns of the strides.
  """

  strides: int | Sequence[int] = 2
  operation = staticmethod(ops.conv_transpose)
