"""Named layers: linen modules that a model lists one after another.

Every layer is called as `layer(inputs, context)`. The output of a Conv or Dense layer is the output
after its activation.
"""

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Num

from jaxdl import ops
from jaxdl.devices import shards
from jaxdl.ops.types import AnyArray, Padding


def _traced_once(function):
  """An initializer that keeps its traces: Flax traces it in every call of a model."""
  return jax.jit(function, static_argnums=(1, 2), inline=True)


INITIALIZERS = {
  # Glorot & Bengio 2010, Keras's default ('Xavier')
  'glorot_uniform': _traced_once(nn.initializers.glorot_uniform()),
  'glorot_normal': _traced_once(nn.initializers.glorot_normal()),
  'he_uniform': _traced_once(nn.initializers.he_uniform()),
  'he_normal': _traced_once(nn.initializers.he_normal()),  # He et al. 2015, for rectified layers
  'lecun_normal': _traced_once(nn.initializers.lecun_normal()),  # flax's default
  'orthogonal': _traced_once(nn.initializers.orthogonal()),  # Saxe et al. 2014
}


def dirac(key: Array, shape: Sequence[int], dtype: Any = jnp.float32) -> Float[Array, '...']:
  """The first features copy the channels; the others are drawn by 'glorot_uniform'.

  Args:
    key: of the draw.
    shape: shape [..., C, F] of a kernel.
    dtype: its type.

  Returns:
    The kernel. For 'SAME' padding, feature f < C has 1 at its own position and channel and 0
    elsewhere (Zagoruyko & Komodakis 2017).
  """
  *window, channels, features = shape
  drawn = INITIALIZERS['glorot_uniform'](key, shape, dtype)
  copies = min(channels, features)
  centre = tuple((size - 1) // 2 for size in window)
  copying = jnp.zeros((*window, channels, copies), dtype)
  copying = copying.at[(*centre, jnp.arange(copies), jnp.arange(copies))].set(1)
  return jnp.concatenate([copying, drawn[..., copies:]], axis=-1)


def whitened(key: Array, shape: Sequence[int], dtype: Any = jnp.float32) -> Float[Array, '...']:
  """An orthogonal kernel, which training replaces before the first step (`training.whitening`)."""
  return INITIALIZERS['orthogonal'](key, shape, dtype)


# Initializers of single layers: name → (the kinds of layers that may have it, the function).
OF_LAYERS = {'dirac': (('conv', 'dense'), dirac), 'whitening': (('conv',), whitened)}


def initializer(name: str, where: str = 'config.model.initializer') -> Callable:
  """Returns the initializer of a name.

  Args:
    name: a key of INITIALIZERS.
    where: the config's key, for the message.

  Raises:
    ValueError: the name is unknown; the message lists the valid ones.
  """
  if name not in INITIALIZERS:
    also = ' (it is an initializer of single layers)' if name in OF_LAYERS else ''
    raise ValueError(f'{where}={name!r} is unknown{also}: use one of {", ".join(INITIALIZERS)}')
  return INITIALIZERS[name]


def layer_initializer(name: str, layer: Mapping[str, Any], where: str) -> Callable:
  """Returns the initializer of one layer.

  Args:
    name: a key of INITIALIZERS or of OF_LAYERS.
    layer: the section of the layer.
    where: the config's key, for the message.

  Raises:
    ValueError: the name is unknown, or not for layers of this kind.
  """
  if name in INITIALIZERS:
    return INITIALIZERS[name]
  if name not in OF_LAYERS:
    raise ValueError(
      f'{where}={name!r} is unknown: use one of {", ".join([*INITIALIZERS, *OF_LAYERS])}'
    )
  kinds, function = OF_LAYERS[name]
  if layer['kind'] not in kinds or layer.get('groups', 1) != 1:
    raise ValueError(
      f'{where}={name!r} is for layers of kind {" or ".join(kinds)} without groups: use one of '
      f'{", ".join(INITIALIZERS)}'
    )
  return function


@dataclasses.dataclass(frozen=True)
class Context:
  """Properties of the batch that a layer may use.

  Attributes:
    train: True for batch statistics and active dropout; False for running averages and no dropout.
    mask: 1 for real examples (or characters, [B, T]) and 0 for padding, which batch statistics
      leave out; None if all are real.
    index: global index of each example, which determines its dropout mask; None in evaluation.
    axis_name: mapped axis, or axes of devices and shards, over which batch statistics are summed;
      None on one device.
    reset: True where a stream starts, so that recurrent layers start with a state of zeros. False
      where they continue with the state in the collection 'carry'. None if every batch starts new
      streams.
    steps: 1 for the real steps of sequences of different lengths and 0 for padding; None if all are
      real.
  """

  train: bool = False
  mask: Num[AnyArray, 'B ...'] | None = None
  index: Int[AnyArray, ' B'] | None = None
  axis_name: str | tuple[str, str] | None = None
  reset: Bool[AnyArray, ' B'] | None = None
  steps: Num[AnyArray, 'B T'] | None = None


def split_steps(
  inputs: Num[AnyArray, 'B ...'],
) -> tuple[Num[AnyArray, 'B T F'], Num[AnyArray, 'B T']]:
  """Splits sequences with a mask into the sequences and the mask, which has no gradient.

  Args:
    inputs: [B, T, F + 1]; the last channel is 1 for real steps and 0 for padding.

  Returns:
    (sequences, mask).

  Raises:
    ValueError: the inputs are not sequences with a mask.
  """
  if inputs.ndim != 3 or inputs.shape[-1] < 2:
    raise ValueError(
      f'config.model.masked=True takes steps of numbers and their mask, [T, F + 1], and the inputs '
      f'are {list(inputs.shape[1:])}: set it to False'
    )
  return inputs[..., :-1], jax.lax.stop_gradient(inputs[..., -1])


def mean_over(
  values: Float[AnyArray, 'B T F'], steps: Num[AnyArray, 'B T'] | None
) -> Float[AnyArray, 'B F']:
  """The mean over the real steps; 0 for a sequence without any.

  Args:
    values: sequences.
    steps: 1 for real steps and 0 for padding; None if all are real.
  """
  if steps is None:
    return values.mean(1)
  real = (steps > 0)[..., None]
  count = real.sum(1).astype(values.dtype)  # [B, 1]
  return jnp.where(real, values, 0).sum(1) / jnp.where(count > 0, count, 1)


def call(layer: nn.Module, inputs: Any, context: Context) -> Num[AnyArray, '...']:
  """Calls a layer of a list; a linen module of any other kind gets the keywords that it accepts.

  Args:
    layer: a layer that is called as `layer(inputs, context)` or `layer(inputs)`. The second kind
      may accept 'train', 'mask', 'index', 'deterministic' and 'use_running_average'. Modules of
      flax get no mask, which means something else there.
    inputs: its inputs, an array; a tuple of arrays for a layer that joins branches.
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


def along_axes(
  window: int | Sequence[int],
  strides: int | Sequence[int],
  padding: Padding,
  inputs: Num[AnyArray, 'B ...'],
  steps: Num[AnyArray, 'B T'] | None = None,
) -> tuple[tuple[int, ...], tuple[int, ...], Padding]:
  """The window, the strides and the padding along each axis of positions.

  Sequences have one axis and images have two. In sequences of different lengths, 'SAME' pads as for
  a length that is divisible by the stride, so windows do not depend on the amount of padding.

  Args:
    window: positions, or one number for each axis.
    strides: positions from one window to the next, or one number for each axis.
    padding: 'SAME' | 'VALID' | one (before, after) for each axis.
    inputs: sequences [B, T, C] or images [B, H, W, C].
    steps: marks of the real steps of sequences of different lengths.

  Returns:
    (window, strides, padding), with one number for each axis.

  Raises:
    ValueError: the inputs have no positions, or there is another number of axes.
  """
  axes = inputs.ndim - 2
  if axes not in (1, 2):
    raise ValueError(
      f'it takes sequences [T, C] or images [H, W, C], not {list(inputs.shape[1:])}: put it before '
      'layers that flatten or pool all positions'
    )
  counts: dict[str, Any] = {'kernel or window': window, 'strides': strides}
  if not isinstance(padding, str):
    counts['padding'] = padding
  for key, value in counts.items():
    if not isinstance(value, int) and len(value) != axes:
      raise ValueError(
        f'{key} {tuple(value)} is for {len(value)} axes and the inputs have {axes}: give '
        f'{"one" if axes == 1 else "two"}'
      )
  window = (window,) * axes if isinstance(window, int) else tuple(window)
  strides = (strides,) * axes if isinstance(strides, int) else tuple(strides)
  if steps is not None and padding == 'SAME':
    before = max(window[0] - strides[0], 0) // 2
    length = inputs.shape[1]
    end = (-(-length // strides[0]) - 1) * strides[0] + window[0]  # of the last window
    padding = ((before, max(end - length - before, 0)),)
  return window, strides, padding


def steps_after(
  steps: Num[AnyArray, 'B T'],
  count: int,
  window: int | Sequence[int],
  strides: int | Sequence[int],
  padding: Padding,
) -> Num[Array, 'B t']:
  """The marks of the real steps after a convolution or pooling of sequences of different lengths.

  There are as many real steps as for the sequence without its padding.

  Args:
    steps: marks of the real steps before.
    count: number t of steps after.
    window, strides, padding: as in the config.
  """
  width, stride = (size if isinstance(size, int) else size[0] for size in (window, strides))
  last = 0 if padding == 'SAME' else width - 1
  if not isinstance(padding, str):
    last -= sum(padding[0])
  places = np.arange(count) * stride + last  # the last step that must be real
  inside = (places >= 0) & (places < steps.shape[1])
  marks = jnp.take(jnp.asarray(steps), np.clip(places, 0, steps.shape[1] - 1), axis=1)
  return jnp.where(inside | (places < 0), marks, 0)


def as_images(
  operation: Callable,
  inputs: Num[AnyArray, 'B ... C'],
  window: tuple[int, ...],
  strides: tuple[int, ...],
  padding: Padding,
) -> Num[Array, 'B ... F']:
  """Applies an operation on images to images, or to sequences as images of one column.

  Args:
    operation: (images, window, strides, padding) → images.
    inputs: sequences or images.
    window, strides, padding: as returned by `along_axes`.
  """
  if inputs.ndim == 4:
    return operation(inputs, window, strides, padding)
  if not isinstance(padding, str):
    padding = (*padding, (0, 0))
  return operation(inputs[:, :, None], (*window, 1), (*strides, 1), padding)[:, :, 0]


def only_real(
  inputs: Num[AnyArray, 'B ...'], context: Context, fill: float | np.floating = 0.0
) -> Num[AnyArray, 'B ...']:
  """Sequences with another value at their padded steps; other inputs as they are."""
  if context.steps is None or inputs.ndim != 3:
    return inputs
  return jnp.where(context.steps[..., None] > 0, inputs, fill)


def convolve(
  layer: Any,
  inputs: Num[AnyArray, 'B ... C'],
  context: Context,
  features: int,
  groups: int = 1,
  pooling: tuple[int, int] | None = None,
) -> Float[Array, 'B ... F']:
  """Convolution, bias and activation of a layer with the fields of `Conv`.

  Padded steps of sequences of different lengths count as 0, as the positions beyond an edge do.

  Args:
    layer: the layer, inside its `__call__`.
    inputs: sequences or images.
    context: `steps` and `train` are used.
    features: number F of features.
    groups: groups of channels.
    pooling: window of a max-pooling of the outputs, as returned by `Conv.pooling`.

  Raises:
    ValueError: the inputs have no positions, or the groups do not divide their channels.
  """
  window, strides, padding = along_axes(
    layer.kernel, layer.strides, layer.padding, inputs, context.steps
  )
  channels = inputs.shape[-1]
  if channels % groups or features % groups:
    raise ValueError(
      f'groups={groups} does not divide {channels} channels and {features} features: use a '
      'divisor of both'
    )
  kernel = layer.param('kernel', layer.kernel_init, (*window, channels // groups, features))
  bias = layer.param('bias', nn.initializers.zeros, (features,))
  if pooling:
    return ops.conv_relu_max_pool(inputs, kernel, bias, padding=padding, window=pooling)

  def operation(images, window, strides, padding):
    keywords = {'groups': groups} if groups > 1 else {}
    return layer.operation(
      images,
      kernel.reshape(*window, *kernel.shape[-2:]),
      strides=strides,
      padding=padding,
      training=context.train,
      **keywords,
    )

  outputs = as_images(operation, only_real(inputs, context), window, strides, padding) + bias
  return layer.activation(outputs) if layer.activation else outputs


class Conv(nn.Module):
  """Convolution, bias and activation: [B, H, W, C] → [B, h, w, features], or [B, T, C] → [B, t, F].

  With `groups`, each group of the features is computed from its own group of the channels.
  """

  features: int
  kernel: int | Sequence[int]
  strides: int | Sequence[int] = 1
  padding: Padding = 'SAME'
  groups: int = 1
  activation: Callable | None = None
  kernel_init: Callable = INITIALIZERS['glorot_uniform']
  operation = staticmethod(ops.conv)

  @nn.compact
  def __call__(
    self,
    inputs: Num[AnyArray, 'B ...'],
    context: Context,
    pooling: tuple[int, int] | None = None,
  ) -> Float[Array, 'B ... F']:
    """Applies the layer; with `pooling`, also max-pooling with windows of that many pixels."""
    return convolve(self, inputs, context, self.features, self.groups, pooling)

  def pooling(self, following: nn.Module) -> tuple[int, int] | None:
    """The window of the following layer if `conv_relu_max_pool` computes both layers on images."""
    if (
      not isinstance(following, MaxPool)
      or self.activation is not nn.relu
      or self.groups > 1
      or pair(self.strides) != (1, 1)
      or following.padding != 'VALID'
    ):
      return None
    window = pair(following.window)
    return window if pair(following.strides or window) == window else None


class DepthwiseConv(nn.Module):
  """Convolution of each channel with kernels of its own: [B, …, C] → [B, …, C · multiplier].

  The features of a channel follow each other.
  """

  kernel: int | Sequence[int]
  multiplier: int = 1
  strides: int | Sequence[int] = 1
  padding: Padding = 'SAME'
  activation: Callable | None = None
  kernel_init: Callable = INITIALIZERS['glorot_uniform']
  operation = staticmethod(ops.conv)

  @nn.compact
  def __call__(self, inputs: Num[AnyArray, 'B ...'], context: Context) -> Float[Array, 'B ... F']:
    channels = inputs.shape[-1]
    return convolve(self, inputs, context, channels * self.multiplier, channels)


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
    outputs = ops.product(inputs, kernel) + bias
    return self.activation(outputs) if self.activation else outputs


def pool(
  layer: Any, operation: Callable, inputs: Num[AnyArray, 'B ... C'], context: Context
) -> Num[Array, 'B ... C']:
  """Pooling of a layer with the fields of `MaxPool`."""
  window, strides, padding = along_axes(
    layer.window, layer.strides or layer.window, layer.padding, inputs, context.steps
  )

  def pooled(images, window, strides, padding):
    return operation(images, window=window, strides=strides, padding=padding)

  return as_images(pooled, inputs, window, strides, padding)


class MaxPool(nn.Module):
  """Maximum over windows of images or sequences; by default, the strides are the window.

  Padded steps of sequences are left out; a window without a real step gives 0.
  """

  window: int | Sequence[int] = 2
  strides: int | Sequence[int] | None = None
  padding: Padding = 'VALID'

  def __call__(self, inputs: Num[AnyArray, 'B ...'], context: Context) -> Num[Array, 'B ... C']:
    low = float(jnp.finfo(inputs.dtype).min)
    outputs = pool(self, ops.max_pool, only_real(inputs, context, low), context)
    if context.steps is None:
      return outputs
    steps = context.steps.astype(inputs.dtype)[..., None]
    return jnp.where(pool(self, ops.max_pool, steps, context) > 0, outputs, 0)


class AveragePool(nn.Module):
  """Mean over windows of images or sequences, without their padding.

  By default, the strides are the window. A window without a real step gives 0.
  """

  window: int | Sequence[int] = 2
  strides: int | Sequence[int] | None = None
  padding: Padding = 'VALID'

  def __call__(self, inputs: Num[AnyArray, 'B ...'], context: Context) -> Num[Array, 'B ... C']:
    outputs = pool(self, ops.avg_pool, only_real(inputs, context), context)
    if context.steps is None:
      return outputs
    real = (context.steps > 0).astype(inputs.dtype)[..., None]
    share = pool(self, ops.avg_pool, real, context)  # of the real steps in the window
    return outputs / jnp.where(share > 0, share, 1)


class GlobalAveragePool(nn.Module):
  """Mean over all positions: [B, …, C] → [B, C]; padded steps of sequences are left out."""

  def __call__(self, inputs: Num[AnyArray, 'B ...'], context: Context) -> Num[AnyArray, 'B C']:
    return mean_over(_positions(inputs), context.steps)


class GlobalMaxPool(nn.Module):
  """Maximum over all positions: [B, …, C] → [B, C]; padded steps of sequences are left out.

  Where several positions are equal, the gradient goes to the first one.
  """

  def __call__(self, inputs: Num[AnyArray, 'B ...'], context: Context) -> Num[AnyArray, 'B C']:
    low = float(jnp.finfo(inputs.dtype).min)
    outputs = ops.global_max(_positions(only_real(inputs, context, low)))
    if context.steps is None or inputs.ndim != 3:
      return outputs
    any_real = jnp.any(context.steps > 0, axis=1, keepdims=True)
    return jnp.where(any_real, outputs, 0)


def _positions(inputs):
  """[B, …, C] → [B, N, C]."""
  if inputs.ndim < 3:
    raise ValueError(
      f'it takes sequences [T, C] or images [H, W, C], not {list(inputs.shape[1:])}: remove it'
    )
  return inputs.reshape(inputs.shape[0], -1, inputs.shape[-1])


class Flatten(nn.Module):
  """[B, …] → [B, F], row-major; padded steps of sequences become 0."""

  def __call__(self, inputs: Num[AnyArray, 'B ...'], context: Context) -> Num[AnyArray, 'B F']:
    inputs = only_real(inputs, context)
    return inputs.reshape(inputs.shape[0], -1)


class Activation(nn.Module):
  """The model's activation as a separate layer, for networks that pool before they activate."""

  activation: Callable

  def __call__(self, inputs: Num[AnyArray, '...'], context: Context) -> Num[AnyArray, '...']:
    return self.activation(inputs)


class Dropout(nn.Module):
  """Inverted dropout (Srivastava et al. 2014).

  The mask depends on the example, not on its position in the batch.

  Attributes:
    rate: share of the elements that are set to 0.
    whole_channels: whether a channel is 0 at all places of an example or at none: locked dropout of
      sequences [B, T, C] (Gal & Ghahramani 2016), spatial dropout of images [B, H, W, C] (Tompson
      et al. 2015).
  """

  rate: float | int | Float[Array, '']
  whole_channels: bool = False

  def __call__(self, inputs: Num[AnyArray, '...'], context: Context) -> Num[AnyArray, '...']:
    if not context.train or (isinstance(self.rate, (int, float)) and self.rate == 0):
      return inputs
    index = context.index  # training always has it
    assert index is not None
    key = self.make_rng('dropout')
    if not self.whole_channels:
      return ops.dropout(key, inputs, rate=self.rate, index=index)
    shape = inputs.shape[0], *(1 for _ in inputs.shape[1:-1]), inputs.shape[-1]
    return inputs * ops.dropout(key, jnp.ones(shape, inputs.dtype), rate=self.rate, index=index)


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
  weight, positions = weight[:, None, None], flat.shape[1]
  if context.steps is not None and inputs.ndim == 3:
    weight, positions = weight * context.steps.astype(flat.dtype)[..., None], 1  # [B, N, 1]

  def reduce(tree):
    return shards.sum_over(tree, context.axis_name) if context.axis_name else tree

  masked = flat * weight
  count, first = reduce((weight.sum() * positions, masked.sum((0, 1))))
  mean = first / count  # [C]
  # Squares of the differences from the mean: E[x²] − E[x]² would lose all digits if the mean is
  # large.
  variance = reduce((jnp.square(flat - mean) * weight).sum((0, 1))) / count  # [C]
  return mean, variance


class LayerNorm(nn.Module):
  """Layer normalisation over the features of each position (Ba, Kiros & Hinton 2016).

  It computes in float32 or a wider type; the outputs have the type of the inputs.
  """

  epsilon: float | int = 1e-5

  @nn.compact
  def __call__(
    self, inputs: Num[AnyArray, 'B ... C'], context: Context
  ) -> Num[AnyArray, 'B ... C']:
    scale, bias = _scale_and_bias(self, inputs)
    wide = inputs.astype(jnp.promote_types(inputs.dtype, jnp.float32))
    centred = wide - wide.mean(-1, keepdims=True)
    variance = jnp.square(centred).mean(-1, keepdims=True)
    outputs = centred * jax.lax.rsqrt(variance + self.epsilon) * scale + bias
    return outputs.astype(inputs.dtype)


class GroupNorm(nn.Module):
  """Normalisation over all positions and the features of a group, in each example (Wu & He 2018).

  Padded steps of sequences are left out. It computes in float32 or a wider type; the outputs have
  the type of the inputs.
  """

  groups: int
  epsilon: float | int = 1e-5

  @nn.compact
  def __call__(
    self, inputs: Num[AnyArray, 'B ... C'], context: Context
  ) -> Num[AnyArray, 'B ... C']:
    features = inputs.shape[-1]
    if features % self.groups:
      raise ValueError(
        f'groups={self.groups} does not divide {features} features: use a divisor of them'
      )
    scale, bias = _scale_and_bias(self, inputs)
    wide = inputs.astype(jnp.promote_types(inputs.dtype, jnp.float32))
    grouped = wide.reshape(wide.shape[0], -1, self.groups, features // self.groups)
    weight = jnp.ones((1, 1), wide.dtype)
    if context.steps is not None and inputs.ndim == 3:
      weight = context.steps.astype(wide.dtype)  # [B, N]
    weight = jnp.broadcast_to(weight, (weight.shape[0], grouped.shape[1]))[..., None, None]
    count = weight.sum((1, 3), keepdims=True) * grouped.shape[-1]
    count = jnp.where(count > 0, count, 1)
    centred = grouped - (grouped * weight).sum((1, 3), keepdims=True) / count
    variance = (jnp.square(centred) * weight).sum((1, 3), keepdims=True) / count
    normed = centred * jax.lax.rsqrt(variance + self.epsilon)
    return (normed.reshape(inputs.shape) * scale + bias).astype(inputs.dtype)


def _scale_and_bias(layer, inputs):
  shape = (inputs.shape[-1],)
  scale = layer.param('scale', nn.initializers.ones, shape)
  return scale, layer.param('bias', nn.initializers.zeros, shape)


# Layers with a window that moves over the positions.
MOVING = (Conv, DepthwiseConv, MaxPool, AveragePool)
