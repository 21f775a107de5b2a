"""Convolution without strides by Winograd's algorithm: a CPU lowering with under half the products.

Tiles of the image and the kernel are read as polynomials and evaluated at a few points. The values
are multiplied, one matrix product for each point, and the outputs are interpolated from the
products. With at most six points on an axis, rounding errors are about five times those of a sum
over the window.

Source: Winograd 1980, Arithmetic complexity of computations; Lavin & Gray 2016, Fast algorithms for
convolutional neural networks; the points: Barabasz et al. 2018, Error analysis and improving the
accuracy of Winograd convolution.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Float64

from jaxdl.ops import bands, parts
from jaxdl.ops.patches import pad
from jaxdl.ops.types import AnyArray, Pads, Size

POINTS = (0, 1, -1, 0.5, -2)  # a tile is evaluated at the first few of them and at infinity
# Bytes of values of a part of the batch: measured from 1 to 16 MiB. A part may have twice the bytes
# of the kernel's values where that is more.
PART = 4 << 20
# With fewer channels or more products, evaluating the tiles costs more than it saves.
CHANNELS, SHARE = 32, 3 / 8
CHANNELS_FOR_KERNEL, SHARE_FOR_KERNEL = 16, 3 / 7  # of the kernel's gradient


def pays(
  inputs: Float[AnyArray | jax.ShapeDtypeStruct, 'B H W C'],
  kernel: Float[AnyArray | jax.ShapeDtypeStruct, 'kh kw C F'],
  strides: Size,
  pads: Pads,
) -> bool:
  """Whether `winograd` was measured to be faster than XLA's convolution and `by_patches`.

  It is faster without strides, with enough channels, without low precision and with at most three
  eighths of the products.

  Args:
    inputs: images, or their shape.
    kernel: of the same type, or its shape.
    strides: (rows, columns).
    pads: ((top, bottom), (left, right)); negative values crop.
  """
  return _applies(inputs, kernel, strides, CHANNELS) and _share(inputs, kernel, pads) <= SHARE


def pays_for_kernel(
  inputs: Float[AnyArray | jax.ShapeDtypeStruct, 'B H W C'],
  kernel: Float[AnyArray | jax.ShapeDtypeStruct, 'kh kw C F'],
  strides: Size,
  pads: Pads,
) -> bool:
  """Whether `kernel_gradient` was measured to be faster than a product over patches.

  Args:
    inputs, kernel, strides, pads: as in `pays`.
  """
  applies = _applies(inputs, kernel, strides, CHANNELS_FOR_KERNEL)
  return applies and _share(inputs, kernel, pads) <= SHARE_FOR_KERNEL


def _applies(inputs, kernel, strides, channels):
  """Whether the algorithm exists for a convolution, and it has the number of channels."""
  return (
    max(strides) == 1
    and max(kernel.shape[:2]) <= len(POINTS)
    and min(kernel.shape[2:]) >= channels
    and inputs.dtype.itemsize >= 4
  )


def _share(inputs, kernel, pads):
  """The products that Winograd needs, as a fraction of those of the sum over the window."""
  rows, columns = _axes(inputs, kernel, pads)
  products = rows.products * columns.products
  return products / (rows.outputs * rows.window * columns.outputs * columns.window)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def winograd(
  inputs: Float[AnyArray, 'B H W C'], kernel: Float[AnyArray, 'kh kw C F'], pads: Pads
) -> Float[Array, 'B h w F']:
  """`convolution.stock` with strides of 1.

  Args:
    inputs: images.
    kernel: of the same type; kh and kw are at most 5.
    pads: ((top, bottom), (left, right)); negative values crop.

  Returns:
    The outputs.
  """
  rows, columns = axes = _axes(inputs, kernel, pads)
  number, most = _bands(inputs, kernel, axes)
  of_kernel = _of_kernel(axes, kernel.dtype) @ kernel.swapaxes(0, 1).reshape(-1, kernel[0, 0].size)
  of_kernel = lax.optimization_barrier(of_kernel).reshape(-1, *kernel.shape[2:])  # [points, C, F]

  def convolve(images):
    values = _values(images, (rows.of_inputs, columns.of_inputs), axes)  # [points, b · tiles, C]
    products = jnp.matmul(values, of_kernel)
    products = products.reshape(
      columns.points, rows.points, len(images), -1, columns.tiles, kernel.shape[3]
    )
    # [points of rows, b, tiles, tiles of columns, step, F]
    lines = _combine(columns.of_outputs.T, products, axis=4)
    # [b, tiles, step, tiles of columns, step, F]
    outputs = _combine(rows.of_outputs.T, lines, axis=2)
    return outputs.reshape(len(images), -1, columns.tiles * columns.step, kernel.shape[3])

  images = _cut(inputs, pads, axes, number)
  outputs = parts.each(convolve, parts.count(len(images), *most), images)
  return outputs.reshape(len(inputs), -1, *outputs.shape[2:])[:, : rows.outputs, : columns.outputs]


def _forward(inputs, kernel, pads):
  return winograd(inputs, kernel, pads), (inputs, kernel)


def _backward(pads, saved, cotangent):
  inputs, kernel = saved
  rotated = kernel[::-1, ::-1].swapaxes(2, 3)
  around = tuple(
    (window - 1 - before, window - 1 - after)
    for window, (before, after) in zip(kernel.shape[:2], pads, strict=True)
  )
  return winograd(cotangent, rotated, around), kernel_gradient(inputs, cotangent, kernel, pads)


winograd.defvjp(_forward, _backward)


def kernel_gradient(
  inputs: Float[AnyArray, 'B H W C'],
  cotangent: Float[AnyArray, 'B h w F'],
  kernel: Float[AnyArray, 'kh kw C F'],
  pads: Pads,
) -> Float[Array, 'kh kw C F']:
  """The gradient of `winograd` with respect to its kernel.

  Args:
    inputs, kernel, pads: as in `winograd`.
    cotangent: of the outputs.

  Returns:
    The gradient.
  """
  rows, columns = axes = _axes(inputs, kernel, pads)
  number, most = _bands(inputs, kernel, axes)
  is_narrower = kernel.shape[2] < kernel.shape[3]

  def product(images, cotangents):
    values = _values(images, (rows.of_inputs, columns.of_inputs), axes)  # [points, b · tiles, C]
    # [points, b · tiles, F]
    spread = _values(cotangents, (rows.of_outputs, columns.of_outputs), axes)
    # The narrower factor is on the left: the product is then up to twice as fast.
    left, right = (values, spread) if is_narrower else (spread, values)
    return jnp.matmul(left.swapaxes(1, 2), right)  # [points, C, F] or [points, F, C]

  images = _cut(inputs, pads, axes, number)
  widths = [(0, axis.tiles * axis.step - axis.outputs) for axis in axes]
  cotangents = pad(cotangent, widths).reshape(
    len(images), -1, columns.tiles * columns.step, cotangent.shape[3]
  )
  total = parts.total(product, parts.count(len(images), *most), images, cotangents)
  gradient = _of_kernel(axes, kernel.dtype).T @ total.reshape(len(total), -1)
  gradient = gradient.reshape(columns.window, rows.window, *total.shape[1:])
  gradient = gradient if is_narrower else gradient.swapaxes(2, 3)
  return gradient.swapaxes(0, 1)  # [kh, kw, C, F]


@dataclasses.dataclass(frozen=True)
class _Axis:
  """Tiles of `step` outputs along one axis, evaluated at `points` points.

  Attributes:
    outputs: number of outputs.
    window: length of the kernel.
    step: outputs of a tile.
  """

  outputs: int
  window: int
  step: int

  @property
  def points(self) -> int:
    """Number of points at which a tile is evaluated."""
    return self.step + self.window - 1

  @property
  def tiles(self) -> int:
    """Number of tiles that cover the outputs."""
    return -(-self.outputs // self.step)

  @property
  def products(self) -> int:
    """Number of products along the axis."""
    return self.tiles * self.points

  @property
  def of_inputs(self) -> Float64[np.ndarray, 'points points']:
    """The matrix that evaluates a tile of the inputs."""
    return _matrices(self.step, self.window)[0]

  @property
  def of_kernel(self) -> Float64[np.ndarray, 'points window']:
    """The matrix that evaluates the kernel."""
    return _matrices(self.step, self.window)[1]

  @property
  def of_outputs(self) -> Float64[np.ndarray, 'points step']:
    """The matrix that evaluates a tile of outputs; its transpose interpolates the outputs."""
    return _matrices(self.step, self.window)[2]


def _axes(inputs, kernel, pads):
  """The axes (rows, columns), each with the step that needs the fewest products."""
  axes = []
  for axis in (0, 1):
    window = kernel.shape[axis]
    outputs = inputs.shape[1 + axis] + sum(pads[axis]) - window + 1
    choices = [_Axis(outputs, window, step) for step in range(1, len(POINTS) + 3 - window)]
    axes.append(min(choices, key=lambda choice: choice.products))
  return tuple(axes)


@functools.lru_cache
def _matrices(step, window):
  """The matrices of a tile: (of_inputs, of_kernel, of_outputs).

  Lagrange's formula interpolates the product of two polynomials from its values. Correlation is the
  transpose of this product.
  """
  points = POINTS[: step + window - 2]
  others = [[other for other in points if other != point] for point in points]
  of_inputs = np.zeros((len(points) + 1, len(points) + 1))
  for row, roots in enumerate([*others, points]):
    of_inputs[row, : len(roots) + 1] = np.polynomial.polynomial.polyfromroots(roots)
  spans = [np.prod(np.subtract(point, other)) for point, other in zip(points, others, strict=True)]
  return of_inputs, _powers(points, window) / np.array([*spans, 1])[:, None], _powers(points, step)


def _powers(points, terms):
  """The values of the monomials at the points and, last, at infinity: [points + 1, terms]."""
  return np.vstack([np.vander(points, terms, increasing=True), np.eye(terms)[-1:]])


def _of_kernel(axes, dtype):
  """The matrix that evaluates the kernel on both axes at once: [points, kw · kh]."""
  rows, columns = axes
  return jnp.asarray(np.kron(columns.of_kernel, rows.of_kernel), dtype)


def _bands(inputs, kernel, axes):
  """(bands of an image, (bytes of the values of a band, bytes that a part may have))."""
  rows, columns = axes
  points = rows.points * columns.points * inputs.dtype.itemsize
  size = points * columns.tiles * sum(kernel.shape[2:])  # bytes of one row of tiles
  most = max(PART, 2 * points * kernel.shape[2] * kernel.shape[3])
  number = 1
  if rows.tiles * size > most:
    number = bands.count(rows.tiles, window=rows.points, stride=rows.step, most=most // size)
  return number, (rows.tiles // number * size, most)


def _cut(inputs, pads, axes, number):
  """[B, H, W, C] → [B · bands, h, w, C], padded or cropped to the pixels that the tiles cover."""
  reach = [
    (before, axis.tiles * axis.step + axis.window - 1 - size - before)
    for axis, size, (before, _) in zip(axes, inputs.shape[1:3], pads, strict=True)
  ]
  if number == 1:
    return pad(inputs, reach)
  rows = axes[0]
  images = bands.cut(
    inputs, bands=number, rows=rows.tiles, window=rows.points, stride=rows.step, pads=reach[0]
  )
  return pad(images, ((0, 0), reach[1]))


def _values(images, matrices, axes):
  """The values of the tiles of images [b, h, w, C] at all points.

  Returns:
    [points of columns · points of rows, b · tiles, C].
  """
  for matrix, along, axis in zip(matrices, (1, 3), axes, strict=True):
    tiles = (images.shape[along] - matrix.shape[1]) // axis.step + 1
    places = [
      lax.slice_in_dim(images, start, start + (tiles - 1) * axis.step + 1, axis.step, along)
      for start in range(matrix.shape[1])
    ]
    # first [points of rows, b, tiles, w, C], then [points, points, b, tiles, tiles, C]
    images = _combine(matrix, places, axis=0)
  return images.reshape(matrices[0].shape[0] * matrices[1].shape[0], -1, images.shape[-1])


def _combine(matrix, arrays, axis):
  """Stacks Σ_j matrix[i, j] · arrays[j] over i.

  The barrier keeps the result in memory; XLA would compute it again in each of its users.
  """
  sums = []
  for row in matrix:  # lax's functions, which are traced faster than those of jax.numpy
    terms = [
      array if factor == 1 else lax.mul(array, np.asarray(factor, array.dtype))
      for factor, array in zip(row, arrays, strict=True)
      if factor
    ]
    sums.append(lax.expand_dims(functools.reduce(lax.add, terms), (axis,)))
  return lax.optimization_barrier(lax.concatenate(sums, axis))
