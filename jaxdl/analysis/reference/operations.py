"""Layers of the NumPy reference, written as they are defined: loops over the window, not fast.

Each is `layer(inputs, parameters, **settings)` with the settings of the config, for images
[B, H, W, C] or sequences [B, T, C]. The setting `real` [B, T] marks the real steps of sequences of
different lengths; None if all are real. No code is shared with jaxdl.ops.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped

from jaxdl.analysis.units import Number

Parameters = Mapping[str, np.ndarray]
Size = int | Sequence[int]  # of all axes, or (rows, columns)
Pads = Sequence[int]  # (before, after) along an axis
Padding = str | Sequence[Pads]  # 'SAME', 'VALID' or ((top, bottom), (left, right))
Images = Shaped[np.ndarray, 'B ... C']
Real = Bool[np.ndarray, 'B T'] | None


def relu(values: np.ndarray) -> np.ndarray:
  """max(x, 0)."""
  return np.maximum(values, 0)


def sigmoid(values: np.ndarray) -> np.ndarray:
  """1 / (1 + e⁻ˣ), without overflow."""
  return np.exp(-np.logaddexp(0, -values))


def elu(values: np.ndarray) -> np.ndarray:
  """x where positive, otherwise eˣ − 1 (Clevert et al. 2016, α = 1)."""
  return np.where(values > 0, values, np.expm1(np.minimum(values, 0)))


def gelu(values: np.ndarray) -> np.ndarray:
  """The tanh approximation (Hendrycks & Gimpel 2016), which is flax's default."""
  return values * 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (values + 0.044715 * values**3)))


ACTIVATIONS = {'relu': relu, 'tanh': np.tanh, 'sigmoid': sigmoid, 'elu': elu, 'gelu': gelu}


def conv(
  inputs: Images,
  parameters: Parameters,
  *,
  strides: Size = 1,
  padding: Padding = 'SAME',
  groups: int = 1,
  real: Real = None,
) -> Shaped[np.ndarray, 'B ... F']:
  """Cross-correlation and bias; each group of the features sees one group of the channels."""
  kernel = parameters['kernel']  # [*window, C / groups, F]
  axes = kernel.ndim - 2
  kernels = np.split(kernel, groups, axis=-1)
  geometry = (kernel.shape[:axes], _sizes(strides, axes), padding)
  outputs = [
    sum(
      positions @ part[place] for place, positions in _places(group, *geometry, fill=0, real=real)
    )
    for group, part in zip(np.split(inputs, groups, axis=-1), kernels, strict=True)
  ]
  return np.concatenate(outputs, axis=-1) + parameters['bias']


def depthwise_conv(
  inputs: Images, parameters: Parameters, *, multiplier: int = 1, **settings: Any
) -> Shaped[np.ndarray, 'B ... F']:
  """A convolution with as many groups as channels; the kernel's shape has the multiplier."""
  del multiplier
  return conv(inputs, parameters, groups=inputs.shape[-1], **settings)


def conv_transpose(
  inputs: Images, parameters: Parameters, *, strides: Size = 2, padding: Padding = 'SAME'
) -> Shaped[np.ndarray, 'B h w F']:
  """Convolution of the image with strides − 1 zeros between its pixels, and bias."""
  batch, height, width, channels = inputs.shape
  rows, columns = _sizes(strides, 2)
  spread = np.zeros(
    (batch, (height - 1) * rows + 1, (width - 1) * columns + 1, channels), inputs.dtype
  )
  spread[:, ::rows, ::columns] = inputs
  pads = [
    _transposed_pads(parameters['kernel'].shape[axis], stride, _of_axis(padding, axis))
    for axis, stride in enumerate((rows, columns))
  ]
  return conv(spread, parameters, padding=pads)


def dense(
  inputs: Shaped[np.ndarray, 'B *places C'], parameters: Parameters
) -> Shaped[np.ndarray, 'B *places F']:
  """Product with the kernel, and bias."""
  return inputs @ parameters['kernel'] + parameters['bias']


def max_pool(
  inputs: Images,
  parameters: Parameters,
  *,
  window: Size = 2,
  strides: Size | None = None,
  padding: Padding = 'VALID',
  real: Real = None,
) -> Shaped[np.ndarray, 'B ... C']:
  """Maximum of each window, without the padding; 0 where a window has only padding."""
  del parameters
  axes = inputs.ndim - 2
  geometry = (_sizes(window, axes), _sizes(strides or window, axes), padding)
  places = _places(inputs, *geometry, fill=-np.inf, real=real)
  found = np.max([positions for _, positions in places], axis=0)
  return found if real is None else np.where(np.isneginf(found), 0, found)


def average_pool(
  inputs: Images,
  parameters: Parameters,
  *,
  window: Size = 2,
  strides: Size | None = None,
  padding: Padding = 'VALID',
  real: Real = None,
) -> Shaped[np.ndarray, 'B ... C']:
  """Mean of each window's positions, without the padding; 0 where a window has only padding."""
  del parameters
  axes = inputs.ndim - 2
  geometry = (_sizes(window, axes), _sizes(strides or window, axes), padding)

  def total(values):
    places = _places(values, *geometry, fill=0, real=real)
    return np.asarray(sum(positions for _, positions in places))

  count = total(np.ones_like(inputs))
  return total(inputs) / (count if real is None else np.maximum(count, 1))


def global_average_pool(
  inputs: Images, parameters: Parameters, *, real: Real = None
) -> Shaped[np.ndarray, 'B C']:
  """Mean over all positions; 0 where there are none."""
  del parameters
  if real is None:
    return inputs.mean(tuple(range(1, inputs.ndim - 1)))
  return np.where(real[..., None], inputs, 0).sum(1) / np.maximum(real.sum(1), 1)[:, None]


def global_max_pool(
  inputs: Images, parameters: Parameters, *, real: Real = None
) -> Shaped[np.ndarray, 'B C']:
  """Maximum over all positions; 0 where there are none."""
  del parameters
  if real is None:
    return inputs.max(tuple(range(1, inputs.ndim - 1)))
  found = np.where(real[..., None], inputs, -np.inf).max(1)
  return np.where(np.isneginf(found), 0, found)


def batch_norm(
  inputs: Shaped[np.ndarray, '*shape C'], parameters: Parameters, *, epsilon: Number = 1e-3
) -> Shaped[np.ndarray, '*shape C']:
  """(x − mean) / √(variance + ε) · scale + bias, with the running averages."""
  if inputs.shape[-1:] != parameters['scale'].shape:
    raise ValueError(
      f'batch normalisation of {len(parameters["scale"])} features gets {inputs.shape[-1]}'
    )
  normed = (inputs - parameters['mean']) / np.sqrt(parameters['var'] + epsilon)
  return normed * parameters['scale'] + parameters['bias']


def layer_norm(
  inputs: Shaped[np.ndarray, '*shape C'], parameters: Parameters, *, epsilon: Number = 1e-5
) -> Shaped[np.ndarray, '*shape C']:
  """(x − mean) / √(variance + ε) · scale + bias, with the moments of each position's features."""
  mean, variance = inputs.mean(-1, keepdims=True), inputs.var(-1, keepdims=True)
  normed = (inputs - mean) / np.sqrt(variance + epsilon)
  return normed * parameters['scale'] + parameters['bias']


def group_norm(
  inputs: Images,
  parameters: Parameters,
  *,
  groups: int,
  epsilon: Number = 1e-5,
  real: Real = None,
) -> Images:
  """The same with the moments of all positions and the features of a group, example by example."""
  outputs = []
  for number, example in enumerate(inputs):
    counted = ... if real is None else real[number]
    parts = []
    for part in np.split(example, groups, axis=-1):
      values = part[counted]
      mean, variance = (values.mean(), values.var()) if values.size else (0, 0)
      parts.append((part - mean) / np.sqrt(variance + epsilon))
    outputs.append(np.concatenate(parts, axis=-1))
  return (np.stack(outputs) * parameters['scale'] + parameters['bias']).astype(inputs.dtype)


def project(
  inputs: Images, parameters: Parameters, *, positions: Sequence[int]
) -> Shaped[np.ndarray, 'B ... F']:
  """A dense layer at every n-th position of a shortcut, so that `positions` remain on each axis."""
  for axis, count in enumerate(positions, start=1):
    stride = math.ceil(inputs.shape[axis] / count)
    inputs = np.take(inputs, range(0, inputs.shape[axis], stride), axis)
  return dense(inputs, parameters)


def real_after(
  real: Bool[np.ndarray, 'B T'], count: int, width: int, stride: int, padding: Padding
) -> Bool[np.ndarray, 'B t']:
  """The real steps after a window moved over sequences of different lengths, which end in padding.

  There are as many as for each sequence without its padding.
  """
  lengths = real.sum(1)
  if padding == 'SAME':
    after = np.ceil(lengths / stride)
  else:
    pads = 0 if isinstance(padding, str) else sum(padding[0])
    after = np.maximum((lengths + pads - width) // stride + 1, 0)
  return np.arange(count) < after[:, None]


def flatten(
  inputs: Shaped[np.ndarray, 'B ...'], parameters: Parameters, *, real: Real = None
) -> Shaped[np.ndarray, 'B F']:
  """Row-major flattening; padded steps become 0."""
  del parameters
  if real is not None:
    inputs = np.where(real[..., None], inputs, 0)
  return inputs.reshape(len(inputs), -1)


def reshape(
  inputs: Shaped[np.ndarray, 'B F'], parameters: Parameters, *, shape: Sequence[int]
) -> Shaped[np.ndarray, 'B ...']:
  """Row-major reshaping to [B, *shape]."""
  del parameters
  return inputs.reshape(len(inputs), *shape)


def identity(
  inputs: Shaped[np.ndarray, '*shape'], parameters: Parameters
) -> Shaped[np.ndarray, '*shape']:
  """Dropout in evaluation mode, and an activation layer before its activation is applied."""
  del parameters
  return inputs


def _sizes(size: Size, axes: int) -> tuple[int, ...]:
  return (size,) * axes if isinstance(size, int) else tuple(size)


def _of_axis(padding: Padding, axis: int) -> str | Pads:
  if not isinstance(padding, str):
    return padding[axis]
  if padding not in ('SAME', 'VALID'):
    raise ValueError(
      f"padding={padding!r} is unknown: use 'SAME', 'VALID' or ((top, bottom), (left, right))"
    )
  return padding


def _places(
  inputs: Images,
  window: Sequence[int],
  strides: Sequence[int],
  padding: Padding,
  *,
  fill: Number,
  real: Real = None,
) -> Iterator[tuple[tuple[int, ...], Shaped[np.ndarray, 'B ... C']]]:
  """Yields (place in the window, the positions that all windows have there)."""
  axes = range(len(window))
  pads = [
    _pads(inputs.shape[1 + axis], window[axis], strides[axis], _of_axis(padding, axis))
    for axis in axes
  ]
  if real is not None:
    inputs = np.where(real[..., None], inputs, fill)
    if padding == 'SAME':  # as for a length that the stride divides
      before = max(window[0] - strides[0], 0) // 2
      pads = [(before, max(sum(pads[0]), max(window[0] - strides[0], 0)) - before)]
  padded = np.pad(inputs, ((0, 0), *(np.maximum(pads, 0)), (0, 0)), constant_values=fill)
  for axis, ends in enumerate(np.maximum(-np.array(pads), 0), start=1):  # negative padding crops
    padded = np.take(padded, range(ends[0], padded.shape[axis] - ends[1]), axis)
  counts = [(padded.shape[1 + axis] - window[axis]) // strides[axis] + 1 for axis in axes]
  if min(counts) < 1:
    raise ValueError(f'a window of {tuple(window)} is larger than {padded.shape[1:-1]} positions')
  if real is not None and padding == 'SAME':
    counts[0] = math.ceil(inputs.shape[1] / strides[0])
  for place in itertools.product(*map(range, window)):
    slices = [
      slice(first, first + (count - 1) * stride + 1, stride)
      for first, count, stride in zip(place, counts, strides, strict=True)
    ]
    yield place, padded[(slice(None), *slices)]


def _pads(size: int, window: int, stride: int, padding: str | Pads) -> tuple[int, int]:
  """Pixels before and after an axis.

  'SAME' gives ⌈size / stride⌉ windows, with the odd pixel after.
  """
  if padding == 'SAME':
    missing = max((math.ceil(size / stride) - 1) * stride + window - size, 0)
    return missing // 2, missing - missing // 2
  if padding == 'VALID':
    return 0, 0
  before, after = padding
  return int(before), int(after)


def _transposed_pads(window: int, stride: int, padding: str | Pads) -> tuple[int, int]:
  """Pixels before and after an axis of the image with zeros between its pixels.

  'SAME' gives size · stride pixels, 'VALID' every pixel that a window touches.
  """
  if padding == 'SAME':
    total = window + stride - 2
    before = window - 1 if stride >= window else math.ceil(total / 2)
    return before, total - before
  if padding == 'VALID':
    return window - 1, max(window, stride) - 1
  before, after = padding
  return int(before), int(after)
