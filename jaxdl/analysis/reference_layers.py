"""Layers of the NumPy reference, written as they are defined: loops over the window, not fast.

Each is `layer(inputs, parameters, **settings)` with the settings of the config. No code is shared
with jaxdl.ops.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Shaped

from jaxdl.analysis.units import Number

Parameters = Mapping[str, np.ndarray]
Size = int | Sequence[int]  # of both axes, or (rows, columns)
Pads = Sequence[int]  # (before, after) along an axis
Padding = str | Sequence[Pads]  # 'SAME', 'VALID' or ((top, bottom), (left, right))
Images = Shaped[np.ndarray, 'B H W C']


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
  inputs: Images, parameters: Parameters, *, strides: Size = 1, padding: Padding = 'SAME'
) -> Shaped[np.ndarray, 'B h w F']:
  """Cross-correlation and bias."""
  kernel = parameters['kernel']  # [kh, kw, C, F]
  places = _places(inputs, kernel.shape[:2], _pair(strides), padding, fill=0)
  return sum(pixels @ kernel[place] for place, pixels in places) + parameters['bias']


def conv_transpose(
  inputs: Images, parameters: Parameters, *, strides: Size = 2, padding: Padding = 'SAME'
) -> Shaped[np.ndarray, 'B h w F']:
  """Convolution of the image with strides − 1 zeros between its pixels, and bias."""
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
) -> Shaped[np.ndarray, 'B h w C']:
  """Maximum of each window, without the padding."""
  del parameters
  places = _places(inputs, _pair(window), _pair(strides or window), padding, fill=-np.inf)
  return np.max([pixels for _, pixels in places], axis=0)


def average_pool(
  inputs: Images,
  parameters: Parameters,
  *,
  window: Size = 2,
  strides: Size | None = None,
  padding: Padding = 'VALID',
) -> Shaped[np.ndarray, 'B h w C']:
  """Mean of each window's pixels, without the padding."""
  del parameters
  geometry = (_pair(window), _pair(strides or window), padding)
  sums = np.asarray(sum(pixels for _, pixels in _places(inputs, *geometry, fill=0)))
  return sums / sum(pixels for _, pixels in _places(np.ones_like(inputs), *geometry, fill=0))


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


def flatten(
  inputs: Shaped[np.ndarray, 'B ...'], parameters: Parameters
) -> Shaped[np.ndarray, 'B F']:
  """Row-major flattening."""
  del parameters
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


def _pair(size: Size) -> tuple[int, ...]:
  return (size, size) if isinstance(size, int) else tuple(size)


def _of_axis(padding: Padding, axis: int) -> str | Pads:
  if not isinstance(padding, str):
    return padding[axis]
  if padding not in ('SAME', 'VALID'):
    raise ValueError(
      f"padding={padding!r} is unknown: use 'SAME', 'VALID' or ((top, bottom), (left, right))"
    )
  return padding


def _places(
  inputs: Images, window: Sequence[int], strides: Sequence[int], padding: Padding, *, fill: Number
) -> Iterator[tuple[tuple[int, ...], Shaped[np.ndarray, 'B h w C']]]:
  """Yields ((row, column) in the window, the pixels that all windows have there)."""
  pads = [
    _pads(inputs.shape[1 + axis], window[axis], strides[axis], _of_axis(padding, axis))
    for axis in (0, 1)
  ]
  padded = np.pad(inputs, ((0, 0), *(np.maximum(pads, 0)), (0, 0)), constant_values=fill)
  (top, bottom), (left, right) = np.maximum(-np.array(pads), 0)  # negative padding crops
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
