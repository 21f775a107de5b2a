"""Named layers: linen modules that a model lists one after another.

Every layer is called as `layer(inputs, context)`; a Conv or Dense layer's output is taken after its
activation.
"""

import dataclasses
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxdl import ops

INITIALIZERS = {
  # Glorot & Bengio 2010, Keras's default ('Xavier')
  'glorot_uniform': nn.initializers.glorot_uniform(),
  'glorot_normal': nn.initializers.glorot_normal(),
  'he_uniform': nn.initializers.he_uniform(),
  'he_normal': nn.initializers.he_normal(),  # He et al. 2015, for rectified layers
  'lecun_normal': nn.initializers.lecun_normal(),  # flax's default
  'orthogonal': nn.initializers.orthogonal(),  # Saxe et al. 2014
}


def initializer(name, key='initializer'):
  """The initializer of a name; ValueError names the config's key and the names there are."""
  if name not in INITIALIZERS:
    raise ValueError(
      f'config.model.{key}={name!r} is unknown: use one of {", ".join(INITIALIZERS)}'
    )
  return INITIALIZERS[name]


@dataclasses.dataclass(frozen=True)
class Context:
  """What a layer may know of its batch.

  Attributes:
    train: batch normalisation by the batch and active dropout, or running averages and none.
    mask: [B] 0/1, 0 for padding, which batch statistics leave out; None where all are real.
    index: [B] int32, global example index, which dropout follows; None in evaluation.
    axis_name: mapped axis over which batch statistics are summed; None on one device.
    reset: [B] bool, where a stream begins anew and a recurrent layer forgets; elsewhere it goes on
      from the collection 'carry'. None where every batch begins anew.
  """

  train: bool = False
  mask: jax.Array | None = None
  index: jax.Array | None = None
  axis_name: str | None = None
  reset: jax.Array | None = None


def pair(size):
  """3 → (3, 3); (3, 5) → (3, 5)."""
  return (size, size) if isinstance(size, int) else tuple(size)


class Conv(nn.Module):
  """Convolution, bias and activation: [B, H, W, C] → [B, H', W', features]."""

  features: int
  kernel: int | tuple[int, int]
  strides: int | tuple[int, int] = 1
  padding: str = 'SAME'
  activation: Callable | None = None
  kernel_init: Callable = INITIALIZERS['glorot_uniform']
  operation = staticmethod(ops.conv)

  @nn.compact
  def __call__(self, inputs, context):
    shape = (*pair(self.kernel), inputs.shape[-1], self.features)
    kernel = self.param('kernel', self.kernel_init, shape)
    bias = self.param('bias', nn.initializers.zeros, (self.features,))
    outputs = self.operation(
      inputs, kernel, strides=pair(self.strides), padding=self.padding, training=context.train
    )
    outputs = outputs + bias  # [B, H', W', F]
    return self.activation(outputs) if self.activation else outputs


class Dense(nn.Module):
  """Matrix product, bias and activation: [B, …, C] → [B, …, features]."""

  features: int
  activation: Callable | None = None
  kernel_init: Callable = INITIALIZERS['glorot_uniform']

  @nn.compact
  def __call__(self, inputs, context):
    kernel = self.param('kernel', self.kernel_init, (inputs.shape[-1], self.features))
    bias = self.param('bias', nn.initializers.zeros, (self.features,))
    outputs = inputs @ kernel + bias  # [B, …, F]
    return self.activation(outputs) if self.activation else outputs


class MaxPool(nn.Module):
  """Maximum over windows: [B, H, W, C] → [B, H', W', C]; strides default to the window."""

  window: int | tuple[int, int] = 2
  strides: int | tuple[int, int] | None = None
  padding: str = 'VALID'

  def __call__(self, inputs, context):
    strides = pair(self.strides or self.window)
    return ops.max_pool(inputs, window=pair(self.window), strides=strides, padding=self.padding)


class AveragePool(nn.Module):
  """Mean over windows, padding left out: [B, H, W, C] → [B, H', W', C]; strides default to the
  window.
  """

  window: int | tuple[int, int] = 2
  strides: int | tuple[int, int] | None = None
  padding: str = 'VALID'

  def __call__(self, inputs, context):
    strides = pair(self.strides or self.window)
    return ops.avg_pool(inputs, window=pair(self.window), strides=strides, padding=self.padding)


class Flatten(nn.Module):
  """[B, …] → [B, F], row-major."""

  def __call__(self, inputs, context):
    return inputs.reshape(inputs.shape[0], -1)


class Activation(nn.Module):
  """The model's activation as a layer of its own, for networks that pool first."""

  activation: Callable

  def __call__(self, inputs, context):
    return self.activation(inputs)


class Dropout(nn.Module):
  """Inverted dropout (Srivastava et al. 2014) whose mask follows the example, not its place in the
  batch.
  """

  rate: float

  def __call__(self, inputs, context):
    if not context.train or (isinstance(self.rate, (int, float)) and self.rate == 0):
      return inputs
    return ops.dropout(self.make_rng('dropout'), inputs, rate=self.rate, index=context.index)


class BatchNorm(nn.Module):
  """Batch normalisation over all axes but the last (Ioffe & Szegedy 2015), padding left out, equal
  on 1 or 8 devices.

  It computes in float32 at least, whatever type its inputs have and its outputs keep. Running
  averages: `average ← momentum · average + (1 − momentum) · batch`, with the biased variance, as
  Keras has it.
  """

  momentum: float = 0.99
  epsilon: float = 1e-3

  @nn.compact
  def __call__(self, inputs, context):
    features = inputs.shape[-1]
    scale = self.param('scale', nn.initializers.ones, (features,))
    bias = self.param('bias', nn.initializers.zeros, (features,))
    running_mean = self.variable('batch_stats', 'mean', jnp.zeros, (features,))
    running_variance = self.variable('batch_stats', 'var', jnp.ones, (features,))
    if not context.train:
      mean, variance = running_mean.value, running_variance.value
    else:
      mean, variance = moments(inputs, context)
      if not self.is_initializing():
        running_mean.value = self.momentum * running_mean.value + (1 - self.momentum) * mean
        running_variance.value = (
          self.momentum * running_variance.value + (1 - self.momentum) * variance
        )
    outputs = (inputs - mean) * (jax.lax.rsqrt(variance + self.epsilon) * scale) + bias
    return outputs.astype(inputs.dtype)


def moments(inputs, context):
  """Mean and biased variance of each feature over the real examples of all devices.

  Args:
    inputs: [B, …, C].
    context: Context; `mask` and `axis_name` are used.

  Returns:
    mean [C] and variance [C].
  """
  flat = inputs.reshape(inputs.shape[0], -1, inputs.shape[-1])  # [B, N, C]
  flat = flat.astype(jnp.promote_types(inputs.dtype, jnp.float32))
  weight = (
    jnp.ones(len(flat), flat.dtype) if context.mask is None else context.mask.astype(flat.dtype)
  )  # [B]
  reduce = (
    (lambda tree: jax.lax.psum(tree, context.axis_name))
    if context.axis_name
    else (lambda tree: tree)
  )
  masked = flat * weight[:, None, None]
  count, first = reduce((weight.sum() * flat.shape[1], masked.sum((0, 1))))
  mean = first / count  # [C]
  # The squares are taken about the mean: E[x²] − E[x]² would lose all digits where the mean is
  # large.
  variance = reduce((jnp.square(flat - mean) * weight[:, None, None]).sum((0, 1))) / count  # [C]
  return mean, variance
