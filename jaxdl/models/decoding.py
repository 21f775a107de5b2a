"""Layers that turn a code into an image."""

import math
from collections.abc import Callable, Sequence

import flax.linen as nn
from jaxtyping import Array, Float, Num

from jaxdl import ops
from jaxdl.models import layers
from jaxdl.models.layers import Context
from jaxdl.ops.types import AnyArray, Padding


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


class ConvTranspose(nn.Module):
  """Transposed convolution, bias and activation: [B, H, W, C] → [B, h, w, features].

  With 'SAME' padding, h = H · rows of the strides and w = W · columns of the strides.
  """

  features: int
  kernel: int | Sequence[int]
  strides: int | Sequence[int] = 2
  padding: Padding = 'SAME'
  activation: Callable | None = None
  kernel_init: Callable = layers.INITIALIZERS['glorot_uniform']
  operation = staticmethod(ops.conv_transpose)

  @nn.compact
  def __call__(self, inputs: Num[AnyArray, 'B ...'], context: Context) -> Float[Array, 'B h w F']:
    if inputs.ndim != 4:
      raise ValueError(f'it takes images [H, W, C], not {list(inputs.shape[1:])}: reshape them')
    return layers.convolve(self, inputs, context, self.features)
