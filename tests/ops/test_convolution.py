"""Tests of convolution and transposed convolution: every lowering equals the stock operation.

Also inside loops, under vmap and under pmap.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxdl import ops
from jaxdl.ops import (
  bands,
  convolution,
  direct_convolution,
  patch_convolution,
  wide_patches,
  winograd,
)

CASES = {  # image, kernel, strides, padding
  'same': ((7, 6), (3, 3), (1, 1), 'SAME'),
  'same, even kernel, strided': ((7, 8), (2, 4), (2, 3), 'SAME'),
  'valid, rows unlike columns': ((6, 5), (5, 2), (1, 2), 'VALID'),
  'strides beyond the kernel': ((9, 7), (1, 2), (3, 3), 'VALID'),
  'explicit, wider than the kernel': ((4, 3), (2, 3), (1, 2), ((3, 0), (1, 4))),
  'one pixel': ((1, 1), (3, 3), (1, 1), 'SAME'),
  'patches of four outputs for three columns': ((5, 7), (3, 5), (2, 1), 'VALID'),
  'patches of four outputs for five columns': ((5, 5), (2, 5), (1, 1), 'SAME'),
}
LAYOUT = ('NHWC', 'HWIO', 'NHWC')


def operands(image, kernel, channels=(3, 4), batch=2, dtype=np.float32, seed=0):
  draw = np.random.default_rng(seed).normal
  return tuple(
    jnp.asarray(draw(size=shape), dtype)
    for shape in ((batch, *image, channels[0]), (*kernel, *channels))
  )


def expected_conv(inputs, kernel, strides, padding):
  return jax.lax.conv_general_dilated(inputs, kernel, strides, padding, dimension_numbers=LAYOUT)


def expected_transpose(inputs, kernel, strides, padding):
  return jax.lax.conv_transpose(inputs, kernel, strides, padding, dimension_numbers=LAYOUT)


def value_and_gradients(function):
  """Compiles a function that returns its outputs and both gradients, for a varying cotangent."""

  def outputs_and_gradients(inputs, kernel):
    outputs, pullback = jax.vjp(function, inputs, kernel)
    return outputs, pullback(
      jnp.cos(jnp.arange(outputs.size)).reshape(outputs.shape).astype(outputs.dtype)
    )

  return jax.jit(outputs_and_gradients)


def assert_close(found, expected, tolerance):
  for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
    assert a.shape == b.shape
    np.testing.assert_allclose(np.float64(a), np.float64(b), rtol=tolerance, atol=tolerance)


def shapes_computed_by(function, *args):
  """Returns the shapes of all arrays that a function computes, including those in inner calls."""
  found = set()

  def visit(jaxpr):
    for equation in jaxpr.eqns:
      found.update(variable.aval.shape for variable in equation.outvars)
      for value in jax.tree.leaves(equation.params, is_leaf=lambda leaf: hasattr(leaf, 'eqns')):
        inner = getattr(value, 'jaxpr', value)
        if hasattr(inner, 'eqns'):
          visit(inner)

  visit(jax.make_jaxpr(function)(*args).jaxpr)
  return found


@pytest.fixture
def small_parts(monkeypatch):
  """Computes one example per part, so that small batches are split like large ones."""
  monkeypatch.setattr(patch_convolution, 'LARGEST_UNSPLIT', 0)
  monkeypatch.setattr(patch_convolution, 'PART', 0)
  monkeypatch.setattr(winograd, 'PART', 0)


@pytest.mark.parametrize(('image', 'kernel', 'strides', 'padding'), CASES.values(), ids=CASES)
@pytest.mark.parametrize(
  'channels', [pytest.param((1, 2), marks=pytest.mark.slow), (9, 3)]
)  # patches of fewer than 8 channels are extracted in two steps
@pytest.mark.usefixtures('small_parts')
def test_conv_in_parts_equals_stock(image, kernel, strides, padding, channels):
  args = operands(image, kernel, channels)
  found = value_and_gradients(functools.partial(ops.conv, strides=strides, padding=padding))(*args)
  stock = value_and_gradients(lambda x, k: expected_conv(x, k, strides, padding))(*args)
  assert_close(found, stock, 2e-5)


@pytest.mark.parametrize(('image', 'kernel', 'strides', 'padding'), CASES.values(), ids=CASES)
@pytest.mark.parametrize(('groups', 'channels'), [(2, (2, 6)), (4, (1, 8))])
def test_grouped_conv_equals_stock(image, kernel, strides, padding, groups, channels):
  """Groups of two channels, and a depthwise convolution with two features of each channel."""
  inputs, kernel = (
    operands(image, kernel, (channels[0] * groups, channels[1]))[0],
    operands(image, kernel, channels)[1],
  )
  keywords = dict(strides=strides, padding=padding)
  found = value_and_gradients(functools.partial(ops.conv, groups=groups, **keywords))
  stock = value_and_gradients(
    lambda x, k: jax.lax.conv_general_dilated(
      x, k, strides, padding, dimension_numbers=LAYOUT, feature_group_count=groups
    )
  )
  assert_close(found(inputs, kernel), stock(inputs, kernel), 2e-5)


def test_groups_that_do_not_fit_are_refused():
  inputs, kernel = operands((4, 4), (3, 3), (4, 6))
  with pytest.raises(ValueError, match='in 2 groups takes 8 channels and the inputs'):
    ops.conv(inputs, kernel, groups=2)


@pytest.mark.parametrize(('image', 'kernel', 'strides', 'padding'), CASES.values(), ids=CASES)
@pytest.mark.parametrize(
  'path',
  [
    convolution.transposed_as_products,
    pytest.param(convolution.transposed_stock, marks=pytest.mark.slow),
  ],
)
def test_conv_transpose_equals_stock(image, kernel, strides, padding, path):
  args = operands(image, kernel)
  pads = tuple(
    convolution.transposed_padding(
      kernel[axis], strides[axis], padding if isinstance(padding, str) else padding[axis]
    )
    for axis in (0, 1)
  )
  found = value_and_gradients(lambda x, k: path(x, k, strides, pads))(*args)
  stock = value_and_gradients(lambda x, k: expected_transpose(x, k, strides, padding))(*args)
  assert_close(found, stock, 2e-5)


@pytest.mark.parametrize(('image', 'kernel', 'strides', 'padding'), CASES.values(), ids=CASES)
@pytest.mark.parametrize(
  ('channels', 'training'),
  [
    ((9, 8), False),
    ((9, 2), False),  # patches of the cotangents
    pytest.param((16, 17), True, marks=pytest.mark.slow),  # Winograd's gradient of the kernel
  ],
)
def test_direct_convolution_equals_stock(image, kernel, strides, padding, channels, training):
  with jax.enable_x64(True):
    args = operands(image, kernel, channels, dtype=np.float64)
    pads = convolution.explicit_pads(*args, strides, padding)
    found = value_and_gradients(
      lambda x, k: direct_convolution.direct(x, k, strides, pads, training)
    )(*args)
    stock = value_and_gradients(lambda x, k: expected_conv(x, k, strides, pads))(*args)
    assert_close(found, stock, 1e-12)


@pytest.mark.parametrize('channels', [(8, 3), (8, 2), (16, 16)])
def test_gradients_of_direct_convolution_by_finite_differences(channels):
  with jax.enable_x64(True):
    args = operands((6, 5), (3, 2), channels, dtype=np.float64, batch=1)
    convolve = jax.jit(
      lambda x, k: direct_convolution.direct(x, k, (1, 1), ((1, -1), (0, 1)), True)
    )
    check_grads(convolve, args, order=2, modes=('rev',), atol=1e-6, rtol=1e-6)


def test_direct_convolution_is_used_where_measured_to_be_faster():
  def is_fast(*shape, dtype=np.float32, image=(8, 8)):
    inputs = jax.ShapeDtypeStruct((2, *image, shape[2]), dtype)
    return direct_convolution.is_fast(inputs, jax.ShapeDtypeStruct(shape, dtype))

  assert is_fast(3, 3, 32, 64)
  assert is_fast(3, 3, 16, 1)
  assert not is_fast(3, 3, 3, 32)  # a first layer
  assert not is_fast(1, 1, 32, 64)  # a matrix product
  assert not is_fast(3, 3, 256, 256)
  assert not is_fast(3, 3, 32, 64, image=(8, 2))  # the image is smaller than the window
  assert not is_fast(3, 3, 32, 64, dtype=jnp.bfloat16)


@pytest.mark.parametrize(
  ('rows', 'window', 'stride', 'pads', 'bands'),
  [
    (12, 5, 1, (2, 2), 3),
    (8, 3, 2, (0, 1), 4),
    (6, 3, 1, (-2, 3), 2),
    *(
      pytest.param(*case, marks=pytest.mark.slow)
      for case in ((12, 5, 1, (2, 2), 1), (6, 2, 3, (0, 0), 6))
    ),
  ],
)
@pytest.mark.parametrize('channels', [(1, 2), pytest.param((9, 3), marks=pytest.mark.slow)])
def test_conv_in_bands_of_rows_equals_stock(
  rows, window, stride, pads, bands, channels, monkeypatch
):
  """Patches larger than a part: outputs and both gradients, in the given number of bands."""
  monkeypatch.setattr(patch_convolution, 'LARGEST_UNSPLIT', 0)
  height = (rows - 1) * stride + window - sum(pads)
  args = operands((height, 5), (window, 3), channels)
  monkeypatch.setattr(patch_convolution, 'PART', rows // bands * 3 * window * 3 * channels[0] * 4)
  cut, _ = patch_convolution._in_bands(*args, (stride, 1), (pads, (0, 0)))
  assert len(cut(args[0])) == 2 * bands
  found = value_and_gradients(
    lambda x, k: patch_convolution.by_patches(x, k, (stride, 1), (pads, (0, 0)))
  )(*args)
  stock = value_and_gradients(lambda x, k: expected_conv(x, k, (stride, 1), (pads, (0, 0))))(*args)
  assert_close(found, stock, 2e-5)


@pytest.mark.parametrize(
  ('window', 'features', 'stride', 'outputs'),
  [
    (5, 32, 1, 4),
    (5, 33, 1, 2),  # more than 128 features with 4
    (3, 64, 1, 2),  # twice the multiplications with 4
    (3, 65, 1, 1),
    (1, 8, 1, 1),
    (5, 8, 2, 1),
  ],
)
def test_outputs_of_a_wide_patch(window, features, stride, outputs):
  kernel = np.empty((3, window, 3, features), np.float32)
  assert wide_patches.outputs_of_patch(kernel, (1, stride)) == outputs


def test_bands_overlap_by_the_rows_of_a_window():
  """A band has at least as many rows as windows overlap, so that it ends within the next band.

  Hence 7 rows with a window of 3 stay in one band.
  """
  assert bands.count(12, window=5, stride=1, most=4) == 3
  assert bands.count(12, window=5, stride=1, most=1) == 3  # a band has at least 4 rows
  assert bands.count(7, window=3, stride=1, most=2) == 1
  assert bands.count(7, window=1, stride=1, most=2) == 7
  rows = jnp.arange(4.0).reshape(1, 4, 1, 1)
  found = bands.cut(rows, bands=2, rows=4, window=3, stride=1, pads=(1, 1))[..., 0, 0]
  np.testing.assert_array_equal(found, [[0, 0, 1, 2], [1, 2, 3, 0]])


def test_conv_transpose_equals_hand_values():
  """With a 2 × 2 kernel and strides of 2, each pixel becomes a multiple of the kernel."""
  inputs = jnp.array([[1.0, 2], [3, 4]])[None, :, :, None]
  kernel = jnp.array([[1.0, 10], [100, 1000]])[:, :, None, None]
  found = ops.conv_transpose(inputs, kernel, strides=(2, 2))[0, :, :, 0]
  # The kernel is rotated by 180°, as in lax.conv_transpose.
  tile = np.array([[1000.0, 100], [10, 1]])
  np.testing.assert_array_equal(found, np.block([[tile, 2 * tile], [3 * tile, 4 * tile]]))


@pytest.mark.parametrize('function', [ops.conv, ops.conv_transpose])
@pytest.mark.parametrize('padding', ['SAME', 'VALID'])
@pytest.mark.usefixtures('small_parts')
def test_gradients_by_finite_differences(function, padding):
  with jax.enable_x64(True):
    args = operands((4, 5), (3, 2), (2, 3), dtype=np.float64)
    bound = jax.jit(functools.partial(function, strides=(2, 1), padding=padding))
    check_grads(bound, args, order=1, modes=('rev',), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(('dtype', 'tolerance'), [(jnp.float64, 1e-12), (jnp.bfloat16, 0.1)])
@pytest.mark.parametrize('function', [ops.conv, ops.conv_transpose])
@pytest.mark.usefixtures('small_parts')
def test_dtypes_are_preserved(function, dtype, tolerance):
  expected = {ops.conv: expected_conv, ops.conv_transpose: expected_transpose}[function]
  with jax.enable_x64(True):
    args = operands((5, 4), (3, 3), dtype=dtype, batch=1)
    found = value_and_gradients(function)(*args)
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {jnp.dtype(dtype)}
    wide = [array.astype(jnp.float64) for array in args]
    assert_close(
      found, value_and_gradients(lambda x, k: expected(x, k, (1, 1), 'SAME'))(*wide), tolerance
    )


def test_uint8_inputs_are_converted_to_the_kernel_dtype():
  inputs, kernel = operands((4, 4), (3, 3))
  pixels = jnp.arange(96, dtype=jnp.uint8).reshape(inputs.shape)
  np.testing.assert_array_equal(
    ops.conv(pixels, kernel), ops.conv(pixels.astype(jnp.float32), kernel)
  )


@pytest.mark.parametrize(
  ('function', 'channels'), [(ops.conv, (3, 4)), (ops.conv, (16, 16)), (ops.conv_transpose, (3, 4))]
)
@pytest.mark.usefixtures('small_parts')
def test_gradients_inside_a_loop_mapped_over_seeds_and_devices(function, channels):
  """Runs a loop of unknown length under vmap over seeds and pmap; compares with single seeds."""
  expected = {ops.conv: expected_conv, ops.conv_transpose: expected_transpose}[function]
  args = [operands((5, 4), (3, 2), channels, seed=seed) for seed in (0, 1)]

  def descend(function, steps, inputs, kernel):
    gradient = jax.grad(lambda kernel: (function(inputs, kernel) ** 2).mean())
    return jax.lax.fori_loop(0, steps, lambda _, kernel: kernel - 0.1 * gradient(kernel), kernel)

  over_seeds = jax.vmap(
    functools.partial(descend, functools.partial(function, training=True)), in_axes=(None, 0, 0)
  )
  over_devices = jax.pmap(over_seeds, in_axes=(None, 0, 0))
  stacked = [jnp.stack(arrays)[None] for arrays in zip(*args, strict=True)]
  found = over_devices(3, *stacked)[0]
  single = jax.jit(functools.partial(descend, lambda x, k: expected(x, k, (1, 1), 'SAME')))
  assert_close(found, jnp.stack([single(3, *seed_args) for seed_args in args]), 1e-5)


WINOGRAD = {  # image, kernel, pads, outputs per tile
  'same': ((9, 7), (3, 3), ((1, 1), (1, 1)), (3, 4)),
  'same, incomplete last tile': ((7, 11), (5, 5), ((2, 2), (2, 2)), (2, 2)),
  'even kernel': ((13, 6), (2, 2), ((0, 1), (0, 1)), (5, 3)),
  'valid, rows unlike columns': ((11, 14), (5, 2), ((0, 0), (0, 0)), (2, 5)),
  'a window of one row': ((3, 6), (1, 4), ((0, 0), (2, 1)), (1, 3)),
  'wide and negative pads': ((6, 9), (3, 4), ((3, -1), (-2, 5)), (3, 3)),
  'smaller than a tile': ((1, 2), (3, 3), ((1, 1), (1, 1)), (1, 2)),
}


@pytest.mark.parametrize(
  ('image', 'kernel', 'pads', 'step'),
  [
    pytest.param(
      *case,
      id=name,
      marks=pytest.mark.slow if name in ('same', 'even kernel', 'a window of one row') else (),
    )
    for name, case in WINOGRAD.items()
  ],
)
@pytest.mark.parametrize(
  'part', [pytest.param(1 << 30, marks=pytest.mark.slow), 0]
)  # bytes: one part, or many bands
def test_winograd_equals_stock(image, kernel, pads, step, part, monkeypatch):
  """Compares outputs and both gradients in float64, where only rounding errors remain."""
  monkeypatch.setattr(winograd, 'PART', part)
  with jax.enable_x64(True):
    args = operands(image, kernel, batch=3, dtype=np.float64)
    points = math.prod(np.add(step, kernel) - 1)  # per tile
    shapes = shapes_computed_by(lambda x, k: winograd.winograd(x, k, pads), *args)
    assert {shape[0] for shape in shapes if len(shape) == 3} == {points}
    found = value_and_gradients(lambda x, k: winograd.winograd(x, k, pads))(*args)
    assert_close(
      found, value_and_gradients(lambda x, k: expected_conv(x, k, (1, 1), pads))(*args), 1e-12
    )


def test_winograd_in_bands_of_tiles_equals_stock(monkeypatch):
  """8 × 3 tiles are split into four bands of two rows of tiles, which overlap by the window."""
  pads = ((1, 2), (0, 1))
  with jax.enable_x64(True):
    args = operands((31, 11), (3, 3), (5, 6), dtype=np.float64)
    monkeypatch.setattr(winograd, 'PART', 2 * 36 * 3 * (5 + 6) * 8)
    shapes = shapes_computed_by(lambda x, k: winograd.winograd(x, k, pads), *args)
    assert (2 * 4, 2 * 4 + 2, 3 * 4 + 2, 5) in shapes  # two images in four bands
    found = value_and_gradients(lambda x, k: winograd.winograd(x, k, pads))(*args)
    assert_close(
      found, value_and_gradients(lambda x, k: expected_conv(x, k, (1, 1), pads))(*args), 1e-12
    )


@pytest.mark.parametrize(
  'window', [3, *(pytest.param(other, marks=pytest.mark.slow) for other in (2, 4, 5))]
)
def test_winograd_rounding_error_is_small(window):
  """float32 against float64: errors below 1e-5 of the largest value, and 2e-6 outside training."""
  args = operands((16, 16), (window, window), (64, 32), batch=4)
  with jax.enable_x64(True):
    wide = [jnp.asarray(array, jnp.float64) for array in args]
    exact = value_and_gradients(lambda x, k: expected_conv(x, k, (1, 1), 'VALID'))(*wide)

  def largest_error(training):
    found = value_and_gradients(functools.partial(ops.conv, padding='VALID', training=training))(
      *args
    )
    return max(
      float(np.abs(np.float64(a) - np.float64(b)).max() / np.abs(b).max())
      for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(exact), strict=True)
    )

  assert winograd.pays(*args, (1, 1), ((0, 0), (0, 0)))
  assert largest_error(training=False) < 2e-6
  assert largest_error(training=False) < largest_error(training=True) < 1e-5


def test_winograd_is_used_where_measured_to_be_faster():
  def pays(inputs, kernel, strides=(1, 1), pads=((0, 0), (0, 0)), dtype=np.float32):
    return winograd.pays(
      jax.ShapeDtypeStruct(inputs, dtype), jax.ShapeDtypeStruct(kernel, dtype), strides, pads
    )

  assert pays((128, 14, 14, 32), (5, 5, 32, 64), pads=((2, 2), (2, 2)))
  assert pays((128, 13, 13, 64), (3, 3, 64, 128))
  # XLA's convolution is faster with few channels and for a window of 2 × 2.
  assert not pays((16, 256, 256, 16), (5, 5, 16, 32), pads=((2, 2), (2, 2)))
  assert not pays((64, 28, 28, 64), (2, 2, 64, 32), pads=((0, 1), (0, 1)))
  # For 2 × 2 outputs, Winograd needs nearly as many products as the direct sum.
  assert not pays((128, 4, 4, 128), (3, 3, 128, 128))
  assert not pays((128, 30, 30, 3), (3, 3, 3, 32))  # a first layer
  assert not pays((128, 13, 13, 64), (3, 3, 64, 128), strides=(1, 2))
  assert not pays((128, 14, 14, 32), (6, 6, 32, 64))
  assert not pays((128, 14, 14, 32), (1, 1, 32, 64))
  assert not pays((128, 13, 13, 64), (3, 3, 64, 128), dtype=jnp.bfloat16)


@pytest.mark.usefixtures('small_parts')
def test_gradients_of_winograd_by_finite_differences():
  with jax.enable_x64(True):
    args = operands((6, 5), (3, 2), (32, 32), dtype=np.float64, batch=1)
    assert winograd.pays(*args, (1, 1), ((1, 1), (0, 1)))
    check_grads(
      jax.jit(functools.partial(ops.conv, training=True)),
      args,
      order=2,
      modes=('rev',),
      atol=1e-6,
      rtol=1e-6,
    )


@pytest.mark.parametrize(('batch', 'parts'), [(26, 1), (27, 9), (127, 127), (128, 32), (1000, 200)])
def test_parts_divide_the_batch_and_fit_the_limit(batch, parts):
  """An example's patches take 0.63 MB: 26 examples are not split, larger batches have parts ≤ 6."""
  inputs, kernel = (
    jax.ShapeDtypeStruct(shape, np.float32) for shape in ((batch, 14, 14, 32), (5, 5, 32, 64))
  )
  assert patch_convolution._parts(inputs, kernel, (1, 1), ((2, 2), (2, 2))) == parts


@pytest.mark.parametrize(
  ('channels', 'training', 'both', 'kernel_only'),
  [(3, False, 3, 2), (16, False, 3, 2), (16, True, 4, 3), (32, True, 6, 4)],
)  # Winograd also transforms the kernel and its gradient
def test_first_layer_skips_the_gradient_of_its_inputs(channels, training, both, kernel_only):
  inputs, kernel = operands((8, 8), (3, 3), (channels, channels), batch=4)

  def products(argnums):
    gradient = jax.jit(
      jax.grad(lambda x, k: (ops.conv(x, k, training=training) ** 2).sum(), argnums)
    )
    program = gradient.lower(inputs, kernel).compile().as_text()
    return sum(program.count(operation) for operation in (' dot(', ' convolution('))

  assert products(argnums=(0, 1)) == both
  assert products(argnums=1) == kernel_only


def test_errors_name_the_value_and_the_fix():
  inputs, kernel = operands((4, 4), (3, 3))
  with pytest.raises(ValueError, match="padding='same' is unknown: use 'SAME'"):
    ops.conv(inputs, kernel, padding='same')
  with pytest.raises(ValueError, match="padding='FULL' is unknown: use 'SAME'"):
    ops.conv_transpose(inputs, kernel, padding='FULL')
  with pytest.raises(
    ValueError, match=r'kernel \(3, 3, 3, 4\) takes 3 channels and the inputs \(2, 4, 4, 1\) have 1'
  ):
    ops.conv(inputs[..., :1], kernel)
  with pytest.raises(
    ValueError, match="a window of 3 pixels is larger than the axis of 2 with padding='VALID'"
  ):
    ops.conv(inputs[:, :2], kernel, padding='VALID')
