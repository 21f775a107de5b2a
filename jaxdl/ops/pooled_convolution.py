"""Convolution, bias, ReLU and max-pooling in one loop over parts of a batch, for CPUs.

A part is convolved and pooled while it is in the cache. Only the maxima and their positions are
stored, not the outputs of the convolution, which have as many numbers for each maximum as a window
has pixels.
"""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Num

from jaxdl.ops import bands, convolution, parts
from jaxdl.ops.lowering import is_stock
from jaxdl.ops.patches import shifted
from jaxdl.ops.pooling import max_stock, spread_to_winner, winner_of
from jaxdl.ops.types import AnyArray, Padding, Pads, Size

PART = 1 << 20  # bytes of the convolution's outputs in a part: measured from 0.5 to 4 MiB


def conv_relu_max_pool(
  inputs: Num[AnyArray, 'B H W _'],
  kernel: Float[AnyArray, 'kh kw _ F'],
  bias: Float[AnyArray, ' F'],
  *,
  padding: Padding = 'SAME',
  window: Size = (2, 2),
) -> Float[Array, 'B h w F']:
  """max_pool(relu(conv(inputs, kernel, training=True) + bias), window=window).

  Args:
    inputs: images.
    kernel: of a convolution without strides.
    bias: of its features.
    padding: of the convolution, as in `conv`.
    window: (rows, columns) of the pooling; windows do not overlap.

  Returns:
    The maxima; differentiable in reverse mode. Where several pixels of a window are equal, the
    gradient goes to the first one in row-major order.

  Raises:
    ValueError: as `conv` and `max_pool`.
  """
  inputs, kernel = convolution.matching(inputs, kernel)
  pads = convolution.explicit_pads(inputs, kernel, (1, 1), padding)
  size = _size(inputs, kernel, pads)
  for pixels, of_window in zip(size, window, strict=True):
    convolution.explicit_padding(pixels, of_window, of_window, 'VALID')  # checks the window
  if is_stock():
    return stock(inputs, kernel, bias, pads, window)
  convolve = convolution.algorithm(inputs, kernel, (1, 1), pads, training=True)
  return lax.platform_dependent(
    inputs,
    kernel,
    bias,
    cpu=lambda inputs, kernel, bias: in_parts(inputs, kernel, bias, pads, window, convolve),
    default=lambda inputs, kernel, bias: stock(inputs, kernel, bias, pads, window),
  )


def stock(
  inputs: Float[AnyArray, 'B H W C'],
  kernel: Float[AnyArray, 'kh kw C F'],
  bias: Float[AnyArray, ' F'],
  pads: Pads,
  window: Size,
) -> Float[Array, 'B h w F']:
  """The operations one after another, with XLA's convolution and max-pooling.

  Args:
    inputs, kernel, bias, window: as in `conv_relu_max_pool`.
    pads: padding of the convolution.

  Returns:
    The maxima.
  """
  outputs = convolution.stock(inputs, kernel, (1, 1), pads) + bias
  return max_stock(jax.nn.relu(outputs), window, window, ((0, 0), (0, 0)))


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4, 5))
def in_parts(
  inputs: Float[AnyArray, 'B H W C'],
  kernel: Float[AnyArray, 'kh kw C F'],
  bias: Float[AnyArray, ' F'],
  pads: Pads,
  window: Size,
  convolve: Callable,
) -> Float[Array, 'B h w F']:
  """The lowering of `conv_relu_max_pool` for CPUs.

  Args:
    inputs, kernel, bias, window: as in `conv_relu_max_pool`.
    pads: padding of the convolution.
    convolve: its algorithm, (inputs, kernel, pads) → outputs.

  Returns:
    The maxima.
  """
  return _forward(inputs, kernel, bias, pads, window, convolve)[0]


def _forward(inputs, kernel, bias, pads, window, convolve):
  cut, pads, number = _parts(inputs, kernel, pads, window)

  def block(images):
    outputs = lax.optimization_barrier(convolve(images, kernel, pads))
    places = shifted(outputs, window, window)
    greatest = functools.reduce(jnp.maximum, places) + bias
    winner = winner_of(places)
    # At ReLU's threshold and below, no position gets a gradient.
    winner = jnp.where(greatest > 0, winner, len(places)).astype(winner.dtype)
    return jax.nn.relu(greatest), winner

  maxima, winner = parts.each(block, number, cut(inputs))
  return maxima.reshape(len(inputs), -1, *maxima.shape[2:]), (inputs, kernel, winner)


def _backward(pads, window, convolve, saved, cotangent):
  inputs, kernel, winner = saved
  cut, pads_of_band, number = _parts(inputs, kernel, pads, window)

  def of_convolution(images, winner, cotangent, pads):
    """Gradients of the images, of the kernel, and of the outputs of the convolution."""
    outputs, pullback = jax.vjp(lambda *factors: convolve(*factors, pads), images, kernel)
    spread = spread_to_winner(winner, cotangent, window, outputs.shape[1:3])
    spread = lax.optimization_barrier(spread)
    return *pullback(spread), spread

  def of_parameters(images, winner, cotangent):
    _, of_kernel, spread = of_convolution(images, winner, cotangent, pads_of_band)
    return of_kernel, spread.sum((0, 1, 2))

  def of_images(images, winner, cotangent):
    return of_convolution(images, winner, cotangent, pads)[0]

  # Two loops: XLA leaves out the second one, which a first layer does not use.
  of_kernel, of_bias = parts.total(
    of_parameters, number, cut(inputs), winner, cotangent.reshape(winner.shape)
  )
  # Bands of images would overlap, and adding them takes longer than it saves.
  winner = winner.reshape(cotangent.shape)
  size = math.prod(_size(inputs, kernel, pads)) * kernel.shape[3] * kernel.dtype.itemsize
  number = parts.count(len(inputs), size, PART)
  of_inputs = parts.each(of_images, number, inputs, winner, cotangent)
  return of_inputs, of_kernel, of_bias


in_parts.defvjp(_forward, _backward)


def _parts(inputs, kernel, pads, window):
  """How the batch is divided: (function that cuts images into bands, pads of a band, parts)."""
  rows, columns = _size(inputs, kernel, pads)
  rows //= window[0]
  size = window[0] * columns * kernel.shape[3] * kernel.dtype.itemsize  # bytes for a row of maxima
  along = dict(rows=rows, window=kernel.shape[0] + window[0] - 1, stride=window[0])
  number = 1
  if rows * size > PART:
    number = bands.count(**along, most=max(PART // size, 1))
  of_batch = parts.count(len(inputs) * number, rows // number * size, PART)
  if number == 1:
    return (lambda images: images), pads, of_batch
  cut = functools.partial(bands.cut, **along, bands=number, pads=pads[0])
  return cut, ((0, 0), pads[1]), of_batch


def _size(inputs, kernel, pads):
  """(rows, columns) of the convolution's outputs."""
  rows, columns = (
    inputs.shape[1 + axis] + sum(pads[axis]) - kernel.shape[axis] + 1 for axis in (0, 1)
  )
  return rows, columns
