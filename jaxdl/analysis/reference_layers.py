"""The layers of the reference in NumPy, as their definitions read: loops over a window's places,
nothing fast.

Each is `layer(inputs, parameters, **settings)`, the settings being the config's; nothing here is
shared with jaxdl.ops.
"""

import itertools
import math

import numpy as np


def relu(values):
  """max(x, 0)."""
  return np.maximum(values, 0)


def sigmoid(values):
  """1 / (1 + e⁻ˣ), without overflow."""
  return np.exp(-np.logaddexp(0, -values))


def elu(values):
  """x where positive, else eˣ − 1 (Clevert et al. 2016, α = 1)."""
  return np.where(values > 0, values, np.expm1(np.minimum(values, 0)))


def gelu(values):
  """The approximation by tanh (Hendrycks & Gimpel 2016), which is flax's default."""
  return values * 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (values + 0.044715 * values**3)))


ACTIVATIONS = {'relu': relu, 'tanh': np.tanh, 'sigmoid': sigmoid, 'elu': elu, 'gelu': gelu}


def conv(inputs, parameters, *, strides=1, padding='SAME'):
  """Cross-correlation and bias: [B, H, W, C] → [B, H', W', F]."""
  kernel = parameters['kernel']  # [kh, kw, C, F]
  places = _places(inputs, kernel.shape[:2], _pair(strides), padding, fill=0)
  return sum(pixels @ kernel[place] for place, pixels in places) + parameters['bias']


def conv_transpose(inputs, parameters, *, strides=2, padding='SAME'):
  """Convolution of the image with strides − 1 zeros between its pixels, and bias: [B, H, W, C] →
  [B, H', W', F].
  """
  batch, height, width, channels = inputs.shape
  rows, columns = _pair(strides)
  spread = np.zeros(
    (batch, (height - 1) * rows + 1, (width - 1) * columns + 1, channels), inputs.dtype
  )
  spread[:, ::rows, ::columns] = inputs
  pads = [
    _transposed_pads(parameters['kernel'].shape[axis], stride, _of_axis(padding, axis))
    for axis, stride in enumerate((rows, columns))
  ]
  return conv(spread, parameters, padding=pads)


def dense(inputs, parameters):
  """[B, …, C] → [B, …, F]."""
  return inputs @ parameters['kernel'] + parameters['bias']


def max_pool(inputs, parameters, *, window=2, strides=None, padding='VALID'):
  """The greatest of each window, padding never: [B, H, W, C] → [B, H', W', C]."""
  del parameters
  places = _places(inputs, _pair(window), _pair(strides or window), padding, fill=-np.inf)
  return np.max([pixels for _, pixels in places], axis=0)


def average_pool(inputs, parameters, *, window=2, strides=None, padding='VALID'):
  """The mean of each window's pixels, padding left out: [B, H, W, C] → [B, H', W', C]."""
  del parameters
  geometry = (_pair(window), _pair(strides or window), padding)
  sums = sum(pixels for _, pixels in _places(inputs, *geometry, fill=0))
  return sums / sum(pixels for _, pixels in _places(np.ones_like(inputs), *geometry, fill=0))


def batch_norm(inputs, parameters, *, epsilon=1e-3):
  """By the running averages: (x − mean) / √(variance + ε) · scale + bias."""
  if inputs.shape[-1:] != parameters['scale'].shape:
    raise ValueError(
      f'batch normalisation of {len(parameters["scale"])} features gets {inputs.shape[-1]}'
    )
  normed = (inputs - parameters['mean']) / np.sqrt(parameters['var'] + epsilon)
  return normed * parameters['scale'] + parameters['bias']


def flatten(inputs, parameters):
  """[B, …] → [B, F], row-major."""
  del parameters
  return inputs.reshape(len(inputs), -1)


def reshape(inputs, parameters, *, shape):
  """[B, F] → [B, *shape], row-major."""
  del parameters
  return inputs.reshape(len(inputs), *shape)


def identity(inputs, parameters):
  """Dropout in evaluation, and an activation before it is applied."""
  del parameters
  return inputs


def _pair(size):
  return (size, size) if isinstance(size, int) else tuple(size)


def _of_axis(padding, axis):
  if isinstance(padding, str) and padding not in ('SAME', 'VALID'):
    raise ValueError(
      f"padding={padding!r} is unknown: use 'SAME', 'VALID' or ((top, bottom), (left, right))"
    )
  return padding if isinstance(padding, str) else padding[axis]


def _places(inputs, window, strides, padding, *, fill):
  """Every place of the window: ((row, column), what all windows have there [B, H', W', C])."""
  pads = [
    _pads(inputs.shape[1 + axis], window[axis], strides[axis], _of_axis(padding, axis))
    for axis in (0, 1)
  ]
  padded = np.pad(inputs, ((0, 0), *(np.maximum(pads, 0)), (0, 0)), constant_values=fill)
  (top, bottom), (left, right) = np.maximum(-np.array(pads), 0)  # negative padding cuts off
  padded = padded[:, top : padded.shape[1] - bottom, left : padded.shape[2] - right]
  counts = [(padded.shape[1 + axis] - window[axis]) // strides[axis] + 1 for axis in (0, 1)]
  if min(counts) < 1:
    raise ValueError(f'a window of {tuple(window)} is larger than {padded.shape[1:3]} pixels')
  for place in itertools.product(range(window[0]), range(window[1])):
    rows, columns = (
      slice(first, first + (count - 1) * stride + 1, stride)
      for first, count, stride in zip(place, counts, strides, strict=True)
    )
    yield place, padded[:, rows, columns]


def _pads(size, window, stride, padding):
  """Pixels before and after one axis: 'SAME' has ⌈size / stride⌉ windows, and the odd pixel comes
  after.
  """
  if padding == 'SAME':
    missing = max((math.ceil(size / stride) - 1) * stride + window - size, 0)
    return missing // 2, missing - missing // 2
  return (0, 0) if padding == 'VALID' else tuple(padding)


def _transposed_pads(window, stride, padding):
  """The same around the spread image: 'SAME' gives size · stride pixels, 'VALID' every pixel that a
  window touches.
  """
  if padding == 'SAME':
    total = window + stride - 2
    before = window - 1 if stride >= window else math.ceil(total / 2)
    return before, total - before
  return (window - 1, max(window, stride) - 1) if padding == 'VALID' else tuple(padding)
