"""Named layers: linen modules that a model lists one after another.

Every layer is called as `layer(inputs, context)`. The output of a Conv or Dense layer is the output
after its activation.
"""

import dataclasses
import inspect
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Num

from jaxdl import ops
from jaxdl.ops.types import AnyArray, Padding

INITIALIZERS = {
  # Glorot & Bengio 2010, Keras's default ('Xavier')
  'glorot_uniform': nn.initializers.glorot_uniform(),
  'glorot_normal': nn.initializers.glorot_normal(),
  'he_uniform': nn.initializers.he_uniform(),
  'he_normal': nn.initializers.he_normal(),  # He et al. 2015, for rectified layers
  'lecun_normal': nn.initializers.lecun_normal(),  # flax's default
  'orthogonal': nn.initializers.orthogonal(),  # Saxe et al. 2014
}


def initializer(name: str, key: str = 'initializer') -> Callable:
  """Returns the initializer of a name.

  Args:
    name: a key of INITIALIZERS.
    key: the config's key, for the message.

  Raises:
    ValueError: the name is unknown; the message lists the valid ones.
  """
  if name not in INITIALIZERS:
    raise ValueError(
      f'config.model.{key}={name!r} is unknown: use one of {", ".join(INITIALIZERS)}'
    )
  return INITIALIZERS[name]


@dataclasses.dataclass(frozen=True)
class Context:
  """Properties of the batch that a layer may use.

  Attributes:
    train: True for batch statistics and active dropout; False for running averages and no dropout.
    mask: 1 for real examples (or characters, [B, T]) and 0 for padding, which batch statistics
      leave out; None if all are real.
    index: global index of each example, which determines its dropout mask; None in evaluation.
    axis_name: mapped axis over which batch statistics are summed; None on one device.
    reset: True where a stream starts, so that recurrent layers start with a state of zeros. False
      where they continue with the state in the collection 'carry'. None if every batch starts new
      streams.
  """

  train: bool = False
  mask: Num[AnyArray, 'B ...'] | None = None
  index: Int[AnyArray, ' B'] | None = None
  axis_name: str | None = None
  reset: Bool[AnyArray, ' B'] | None = None


def call(layer: nn.Module, inputs: Num[AnyArray, '...'], context: Context) -> Num[AnyArray, '...']:
  """Calls a layer of a list; a linen module of any other kind gets the keywords that it accepts.

  Args:
    layer: a layer that is called as `layer(inputs, context)` or `layer(inputs)`. The second kind
      may accept 'train', 'mask', 'index', 'deterministic' and 'use_running_average'. Modules of
      flax get no mask, which means something else there.
    inputs: its inputs.
    context: properties of the batch.
  """
  parameters = dict(inspect.signature(type(layer).__call__).parameters)
  positional = [
    name
    for name, one in parameters.items()
    if one.kind is not inspect.Parameter.KEYWORD_ONLY and one.default is inspect.Parameter.empty
  ]
  if 'context' in parameters or len(positional) > 2:  # with self
    return layer(inputs, context)
  keywords = {
    'train': context.train,
    'index': context.index,
    'deterministic': not context.train,
    'use_running_average': not context.train,
  }
  if not type(layer).__module__.startswith('flax.'):
    keywords['mask'] = context.mask
  return layer(inputs, **{name: keywords[name] for name in keywords if name in parameters})


def pair(size: int | Sequence[int]) -> tuple[int, int]:
  """The sizes of rows and columns: 3 → (3, 3); (3, 5) → (3, 5)."""
  if isinstance(size, int):
    return size, size
  rows, columns = size
  return rows, columns


class Conv(nn.Module):
  """Convolution, bias and activation: [B, H, W, C] → [B, h, w, features]."""

  features: int
  kernel: int | Sequence[int]
  strides: int | Sequence[int] = 1
  padding: Padding = 'SAME'
  activation: Callable | None = None
  kernel_init: Callable = INITIALIZERS['glorot_uniform']
  operation = staticmethod(ops.conv)

  @nn.compact
  def __call__(self, inputs: Num[AnyArray, 'B ...'], context: Context) -> Float[Array, 'B h w F']:
    shape = (*pair(self.kernel), inputs.shape[-1], self.features)
    kernel = self.param('kernel', self.kernel_init, shape)
    bias = self.param('bias', nn.initializers.zeros, (self.features,))
    outputs = self.operation(
      inputs, kernel, strides=pair(self.strides), padding=self.padding, training=context.train
    )
    outputs = outputs + bias
    return self.activation(outputs) if self.activation else outputs


class Dense(nn.Module):
  """Matrix product, bias and activation: [B, …, C] → [B, …, features]."""

  features: int
  activation: Callable | None = None
  kernel_init: Callable = INITIALIZERS['glorot_uniform']

  @nn.compact
  def __call__(
    self, inputs: Num[AnyArray, 'B ... C'], context: Context
  ) -> Float[AnyArray, 'B ... F']:
    kernel = self.param('kernel', self.kernel_init, (inputs.shape[-1], self.features))
    bias = self.param('bias', nn.initializers.zeros, (self.features,))
    outputs = inputs @ kernel + bias
    return self.activation(outputs) if self.activation else outputs


class MaxPool(nn.Module):
  """Maximum over windows: [B, H, W, C] → [B, h, w, C]; by default, the strides are the window."""

  window: int | Sequence[int] = 2
  strides: int | Sequence[int] | None = None
  padding: Padding = 'VALID'

  def __call__(self, inputs: Num[AnyArray, 'B ...'], context: Context) -> Num[Array, 'B h w C']:
    strides = pair(self.strides or self.window)
    return ops.max_pool(inputs, window=pair(self.window), strides=strides, padding=self.padding)


class AveragePool(nn.Module):
  """Mean over windows without their padding: [B, H, W, C] → [B, h, w, C].

  By default, the strides are the window.
  """

  window: int | Sequence[int] = 2
  strides: int | Sequence[int] | None = None
  padding: Padding = 'VALID'

  def __call__(self, inputs: Num[AnyArray, 'B ...'], context: Context) -> Num[Array, 'B h w C']:
    strides = pair(self.strides or self.window)
    return ops.avg_pool(inputs, window=pair(self.window), strides=strides, padding=self.padding)


class Flatten(nn.Module):
  """[B, …] → [B, F], row-major."""

  def __call__(self, inputs: Num[AnyArray, 'B ...'], context: Context) -> Num[AnyArray, 'B F']:
    return inputs.reshape(inputs.shape[0], -1)


class Activation(nn.Module):
  """The model's activation as a separate layer, for networks that pool before they activate."""

  activation: Callable

  def __call__(self, inputs: Num[AnyArray, '...'], context: Context) -> Num[AnyArray, '...']:
    return self.activation(inputs)


class Dropout(nn.Module):
  """Inverted dropout (Srivastava et al. 2014).

  The mask depends on the example, not on its position in the batch.
  """

  rate: float | int | Float[Array, '']

  def __call__(self, inputs: Num[AnyArray, '...'], context: Context) -> Num[AnyArray, '...']:
    if not context.train or (isinstance(self.rate, (int, float)) and self.rate == 0):
      return inputs
    index = context.index  # training always has it
    assert index is not None
    return ops.dropout(self.make_rng('dropout'), inputs, rate=self.rate, index=index)


class BatchNorm(nn.Module):
  """Batch normalisation over all axes but the last (Ioffe & Szegedy 2015).

  Padding is left out, and the result is the same on any number of devices. The layer computes in
  float32 or a wider type; the outputs have the type of the inputs. Running averages are updated as
  in Keras, with the biased variance: `average ← momentum · average + (1 − momentum) · batch`.
  """

  momentum: float | int = 0.99
  epsilon: float | int = 1e-3

  @nn.compact
  def __call__(
    self, inputs: Num[AnyArray, 'B ... C'], context: Context
  ) -> Num[AnyArray, 'B ... C']:
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


def moments(
  inputs: Num[AnyArray, 'B ... C'], context: Context
) -> tuple[Float[Array, ' C'], Float[Array, ' C']]:
  """Mean and biased variance of each feature over the real examples of all devices.

  Args:
    inputs: a batch of this device.
    context: `mask` and `axis_name` are used.

  Returns:
    (mean, variance).
  """
  flat = inputs.reshape(inputs.shape[0], -1, inputs.shape[-1])  # [B, N, C]
  flat = flat.astype(jnp.promote_types(inputs.dtype, jnp.float32))
  if context.mask is None:
    weight = jnp.ones(len(flat), flat.dtype)  # [B]
  else:
    weight = context.mask.astype(flat.dtype)

  def reduce(tree):
    return jax.lax.psum(tree, context.axis_name) if context.axis_name else tree

  masked = flat * weight[:, None, None]
  count, first = reduce((weight.sum() * flat.shape[1], masked.sum((0, 1))))
  mean = first / count  # [C]
  # Squares of the differences from the mean: E[x²] − E[x]² would lose all digits if the mean is
  # large.
  variance = reduce((jnp.square(flat - mean) * weight[:, None, None]).sum((0, 1))) / count  # [C]
  return mean, variance
