"""Random small programs with exact results, to compare a compiler with NumPy.

A program is a short list of operations on arrays of random, prime and large sizes. It runs twice:
compiled by JAX in float32, and in NumPy in float64 with a bound on the rounding error of float32.
Half of the programs compute with small integers, whose float32 results are exact.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

ROWS = (1, 13, 127, 1021, 32_767, 32_768, 32_769, 32_769, 32_769, 32_769)
SIZES = (1, 2, 3, 5, 7, 8, 13)
RANK = 7
ELEMENTS = 1 << 14  # most values of an input that has no rows
MOST = 1 << 19  # most values of a result
UNIT = 2.0**-24  # greatest relative error of one rounding to float32
SMALLEST = 2.0**-126  # smaller numbers may be replaced by 0
EXACT = 2.0**24  # up to here float32 has every integer
LARGE = 1e12  # results may not be larger, so that nothing overflows
LETTERS = 'abcdefghijklmnop'


@dataclasses.dataclass(frozen=True)
class Bounded:
  """Float64 values with a bound on their error when they are computed in float32.

  Attributes:
    value: the values.
    error: bound of the absolute error, of the same shape.
    whole: whether all are integers that float32 computes exactly.
  """

  value: np.ndarray
  error: np.ndarray
  whole: bool

  @property
  def shape(self) -> tuple[int, ...]:
    """The shape of the values."""
    return self.value.shape


def given(values: np.ndarray) -> Bounded:
  """The float32 input of a program, which has no error."""
  value = values.astype(np.float64)
  return Bounded(value, np.zeros_like(value), bool((value == np.rint(value)).all()))


def rounded(
  value: np.ndarray, error: np.ndarray, magnitude: np.ndarray, whole: bool, terms: int = 1
) -> Bounded:
  """The result of an operation, with the rounding errors of the operation itself.

  A sum of n terms in any order has a relative error of at most n roundings, and in practice of
  the order of √n (Higham and Mary 2019). The bound is 2 min(n, 8 √n) roundings.

  Args:
    value: the exact result of the operation.
    error: the part of its error that the errors of the operands cause.
    magnitude: the sum of the absolute values of the terms.
    whole: whether the operands, and therefore the result, are integers.
    terms: number of terms of each sum, n.
  """
  if whole and magnitude.max(initial=0) < EXACT:
    return Bounded(value, error, True)
  count = 2 * min(terms, 8 * math.sqrt(terms))
  return Bounded(value, error + count * UNIT * (magnitude + error) + SMALLEST, False)


def _elementwise(function: Callable, slope: float = 1.0) -> Callable:
  """A function whose slope is at most `slope`, computed with up to 8 roundings."""

  def apply(one: Bounded) -> Bounded:
    value = function(one.value)
    return rounded(value, slope * one.error, 8 * np.abs(value), False)

  return apply


def _exactly(function: Callable) -> Callable:
  """A function that moves or chooses values, and so adds no error."""

  def apply(*several: Any, **settings: Any) -> Bounded:
    values = [one.value if isinstance(one, Bounded) else one for one in several]
    errors = [one.error if isinstance(one, Bounded) else one for one in several]
    error, value = function(*errors, **settings), function(*values, **settings)
    whole = all(one.whole for one in several if isinstance(one, Bounded))
    return Bounded(value, error, whole)

  return apply


def _added(function: Callable) -> Callable:
  def apply(one: Bounded, other: Bounded) -> Bounded:
    value = function(one.value, other.value)
    magnitude = np.abs(one.value) + np.abs(other.value)
    return rounded(value, one.error + other.error, magnitude, one.whole and other.whole)

  return apply


def _multiply(one: Bounded, other: Bounded) -> Bounded:
  value = one.value * other.value
  error = np.abs(one.value) * other.error + one.error * (np.abs(other.value) + other.error)
  return rounded(value, error, np.abs(value), one.whole and other.whole)


def _greater(one: Bounded, other: Bounded) -> Bounded:
  error = np.maximum(one.error, other.error)
  return Bounded(np.maximum(one.value, other.value), error, one.whole and other.whole)


def _sum(one: Bounded, axes: tuple[int, ...], keep: bool) -> Bounded:
  value, error, magnitude = (
    array.sum(axes, keepdims=keep) for array in (one.value, one.error, np.abs(one.value))
  )
  terms = math.prod(one.shape[axis] for axis in axes)
  return rounded(value, error, magnitude, one.whole, terms)


def _extreme(function: Callable) -> Callable:
  def apply(one: Bounded, axes: tuple[int, ...], keep: bool) -> Bounded:
    value = function(one.value, axis=axes, keepdims=keep)
    return Bounded(value, one.error.max(axes, keepdims=keep), one.whole)

  return apply


def _bilinear(function: Callable, terms: int, one: Bounded, other: Bounded) -> Bounded:
  """A function that sums products of the values of two arrays."""
  size, other_size = np.abs(one.value), np.abs(other.value)
  value, magnitude, error = function(one.value, other.value), function(size, other_size), 0.0
  if one.error.any():
    error = error + function(one.error, other_size + other.error)
  if other.error.any():
    error = error + function(size, other.error)
  whole = one.whole and other.whole
  return rounded(value, np.broadcast_to(error, value.shape), magnitude, whole, terms + 1)


def _einsum(one: Bounded, other: Bounded, spec: str) -> Bounded:
  names, result = spec.split('->')
  sizes = dict(zip(names.replace(',', ''), (*one.shape, *other.shape), strict=True))
  terms = math.prod(size for letter, size in sizes.items() if letter not in result)
  return _bilinear(lambda a, b: np.einsum(spec, a, b, optimize=True), terms, one, other)


def _windows(images: np.ndarray, kernel: np.ndarray, padding: str) -> np.ndarray:
  """Cross-correlation of images [N, …, C] with a kernel [*window, C, F]."""
  window = kernel.shape[:-2]
  axes = tuple(range(1, len(window) + 1))
  if padding == 'SAME':
    pads = [(0, 0), *(((size - 1) // 2, size // 2) for size in window), (0, 0)]
    images = np.pad(images, pads)
  parts = np.lib.stride_tricks.sliding_window_view(images, window, axis=axes)  # [N, …, C, *window]
  places = tuple(range(parts.ndim - len(window), parts.ndim))
  return np.tensordot(
    parts, kernel, ((*places, parts.ndim - len(window) - 1), tuple(range(kernel.ndim - 1)))
  )


def _conv(images: Bounded, kernel: Bounded, padding: str) -> Bounded:
  terms = math.prod(kernel.shape[:-1])
  return _bilinear(lambda a, b: _windows(a, b, padding), terms, images, kernel)


def _pad(values: Any, pads: Sequence[tuple[int, int]]) -> Any:
  return np.pad(values, pads)


EXACTLY: dict[str, Callable[..., Bounded]] = {
  'einsum': _einsum,
  'conv': _conv,
  'add': _added(np.add),
  'subtract': _added(np.subtract),
  'multiply': _multiply,
  'square': lambda one: _multiply(one, one),
  'maximum': _greater,
  'relu': lambda one: Bounded(np.maximum(one.value, 0), one.error, one.whole),
  'absolute': lambda one: Bounded(np.abs(one.value), one.error, one.whole),
  'negative': lambda one: Bounded(-one.value, one.error, one.whole),
  'tanh': _elementwise(np.tanh),
  'decay': _elementwise(lambda values: np.exp(-np.abs(values))),
  'damp': _elementwise(lambda values: values / (1 + values * values)),
  'sum': _sum,
  'largest': _extreme(np.max),
  'smallest': _extreme(np.min),
  'transpose': _exactly(lambda values, order: np.transpose(values, order)),
  'reshape': _exactly(lambda values, shape: np.reshape(values, shape)),
  'broadcast': _exactly(lambda values, shape: np.broadcast_to(values, shape)),
  'select': _exactly(lambda mask, one, other: np.where(mask, one, other)),
  'pad': _exactly(_pad),
  'cut': _exactly(lambda values, axis, start, stop: _cut(values, axis, start, stop)),
}


def _cut(values, axis, start, stop):
  return values[(slice(None),) * axis + (slice(start, stop),)]


def _compiled() -> dict[str, Callable]:
  """The operations in JAX, by name."""
  import jax.numpy as jnp
  from jax import lax

  def conv(images, kernel, padding):
    letters = 'HW'[: kernel.ndim - 2]
    numbers = (f'N{letters}C', f'{letters}IO', f'N{letters}C')
    strides = (1,) * len(letters)
    return lax.conv_general_dilated(images, kernel, strides, padding, dimension_numbers=numbers)

  return {
    'einsum': lambda one, other, spec: jnp.einsum(spec, one, other),
    'conv': conv,
    'add': jnp.add,
    'subtract': jnp.subtract,
    'multiply': jnp.multiply,
    'square': jnp.square,
    'maximum': jnp.maximum,
    'relu': lambda values: jnp.maximum(values, 0),
    'absolute': jnp.abs,
    'negative': jnp.negative,
    'tanh': jnp.tanh,
    'decay': lambda values: jnp.exp(-jnp.abs(values)),
    'damp': lambda values: values / (1 + values * values),
    'sum': lambda values, axes, keep: jnp.sum(values, axes, keepdims=keep),
    'largest': lambda values, axes, keep: jnp.max(values, axes, keepdims=keep),
    'smallest': lambda values, axes, keep: jnp.min(values, axes, keepdims=keep),
    'transpose': lambda values, order: jnp.transpose(values, order),
    'reshape': lambda values, shape: jnp.reshape(values, shape),
    'broadcast': lambda values, shape: jnp.broadcast_to(values, shape),
    'select': jnp.where,
    'pad': lambda values, pads: jnp.pad(values, pads),
    'cut': _cut,
  }


@dataclasses.dataclass(frozen=True)
class Step:
  """One operation: its name, the numbers of the values that it reads, and its settings."""

  name: str
  operands: tuple[int, ...]
  settings: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Program:
  """Operations on inputs. Values are numbered: the results of the steps follow the inputs.

  Attributes:
    inputs: the float32 and bool inputs.
    steps: the operations, in order; number of an input n is written as -1 - n.
    values: the exact result of each step.
    results: numbers of the steps whose results the program returns.
  """

  inputs: list[np.ndarray] = dataclasses.field(default_factory=list)
  steps: list[Step] = dataclasses.field(default_factory=list)
  values: list[Bounded] = dataclasses.field(default_factory=list)
  results: tuple[int, ...] = ()

  def add_input(self, values: np.ndarray) -> int:
    """Adds an input; returns its number."""
    self.inputs.append(values)
    return -len(self.inputs)

  def value(self, number: int) -> Any:
    """The exact value of a step or an input."""
    if number >= 0:
      return self.values[number]
    values = self.inputs[-1 - number]
    return values if values.dtype == bool else given(values)

  def add(self, name: str, *operands: int, **settings: Any) -> bool:
    """Adds an operation, unless its result is too large; returns whether it was added."""
    with np.errstate(over='ignore', invalid='ignore'):
      found = EXACTLY[name](*map(self.value, operands), **settings)
    if found.value.size > MOST or not np.abs(found.value).max(initial=0) < LARGE:
      return False
    self.steps.append(Step(name, operands, settings))
    self.values.append(found)
    return True

  def compiled(self) -> list[np.ndarray]:
    """The results of the program that JAX compiles."""
    import jax

    operations = _compiled()

    def run(inputs):
      values = []
      for step in self.steps:
        operands = [
          values[number] if number >= 0 else inputs[-1 - number] for number in step.operands
        ]
        values.append(operations[step.name](*operands, **step.settings))
      return [values[number] for number in self.results]

    return [np.asarray(values) for values in jax.jit(run)(self.inputs)]

  def excess(self, found: Sequence[np.ndarray]) -> float:
    """The greatest error of results, divided by its bound; above 1 they are wrong.

    Args:
      found: the results, as returned by `compiled`.
    """
    worst = 0.0
    for number, values in zip(self.results, found, strict=True):
      exact = self.values[number]
      if values.shape != exact.shape or not np.isfinite(values).all():
        return math.inf
      error = np.abs(values - exact.value)
      with np.errstate(divide='ignore', invalid='ignore'):
        ratio = np.where(error > 0, error / exact.error, 0.0)
      worst = max(worst, float(ratio.max(initial=0)))
    return worst

  def __str__(self) -> str:
    shapes = ', '.join(f'i{n} {values.shape}' for n, values in enumerate(self.inputs))
    steps = [
      f's{number} = {step.name}('
      + ', '.join(f's{one}' if one >= 0 else f'i{-1 - one}' for one in step.operands)
      + ''.join(f', {key}={value}' for key, value in step.settings.items())
      + f') {self.values[number].shape}'
      for number, step in enumerate(self.steps)
    ]
    return '; '.join([shapes, *steps, f'returns {self.results}'])


def random_program(seed: int) -> Program:
  """Generates a program.

  Args:
    seed: determines the program. With an even seed, its inputs are integers from -2 to 2.
  """
  draw = _Draw(seed)
  program, wanted = Program(), int(draw.rng.integers(2, 7))
  latest = draw.input(program, draw.shape())
  kinds = list(draw.one(*CHAINS))
  for _ in range(50):
    if len(program.steps) >= wanted and not kinds:
      break
    before = len(program.steps)
    earlier = latest
    if program.steps and not kinds and draw.rng.random() < 0.2:
      earlier = int(draw.rng.integers(len(program.steps)))
    kind = kinds.pop(0) if kinds else draw.rng.choice(list(KINDS), p=WEIGHTS)
    KINDS[kind](draw, program, earlier)
    if len(program.steps) > before:
      latest = len(program.steps) - 1
  last = len(program.steps) - 1
  also = int(draw.rng.integers(last + 1))
  program.results = (last, also) if also != last and draw.rng.random() < 0.3 else (last,)
  return program


class _Draw:
  """Random shapes and inputs of one program."""

  def __init__(self, seed):
    self.rng, self.whole = np.random.default_rng(seed), seed % 2 == 0

  def one(self, *choices):
    return choices[int(self.rng.integers(len(choices)))]

  def size(self):
    return int(self.rng.choice(SIZES))

  def shape(self):
    if self.rng.random() < 0.6:
      return (self.one(*ROWS), *(self.size() for _ in range(self.one(1, 1, 1, 2))))
    rank = self.one(2, 3, 4, 5, 6, RANK, RANK)
    shape = [self.size() for _ in range(rank)]
    while math.prod(shape) > ELEMENTS:
      shape[int(np.argmax(shape))] //= 2
    return tuple(shape)

  def input(self, program, shape):
    values = self.rng.integers(-2, 3, shape) if self.whole else self.rng.normal(size=shape)
    return program.add_input(np.asarray(values, np.float32))

  def axes(self, shape, most=3):
    """One to `most` axes; seldom those of many rows, whose sums hide a wrong row."""
    few = [axis for axis, size in enumerate(shape) if size <= max(SIZES)]
    axes = few if few and self.rng.random() < 0.8 else list(range(len(shape)))
    count = min(len(axes), most, self.one(1, 1, 1, 2, 3))
    return tuple(sorted(int(axis) for axis in self.rng.permutation(axes)[:count]))


def _add_dot(draw, program, number):
  shape = program.value(number).shape
  if not shape:
    return
  names, fresh = LETTERS[: len(shape)], iter(LETTERS[len(shape) :])
  if draw.rng.random() < 0.2:  # with itself or another value of the same shape
    contracted = [names[axis] for axis in draw.axes(shape)]
    other, other_names = draw.input(program, shape), names
  else:
    contracted = [names[draw.axes(shape, most=1)[0]]]
    shared = [name for name in names if name not in contracted and draw.rng.random() < 0.2]
    new = [next(fresh) for _ in range(draw.one(0, 1, 1, 1, 2))]
    other_names = [*shared, *contracted, *new]
    draw.rng.shuffle(other_names)
    sizes = [shape[names.index(name)] if name in names else draw.size() for name in other_names]
    other, other_names = draw.input(program, tuple(sizes)), ''.join(other_names)
  pairs = [(number, names), (other, other_names)]
  if draw.rng.random() < 0.5:
    pairs.reverse()
  (one, one_names), (two, two_names) = pairs
  left = [name for name in dict.fromkeys(one_names + two_names) if name not in contracted]
  if draw.rng.random() < 0.2:
    draw.rng.shuffle(left)
  program.add('einsum', one, two, spec=f'{one_names},{two_names}->{"".join(left)}')


def _add_unary(draw, program, number):
  exact = ('square', 'relu', 'absolute', 'negative')
  program.add(draw.one(*exact, *(() if draw.whole else ('tanh', 'decay', 'damp'))), number)


def _add_binary(draw, program, number):
  shape = program.value(number).shape
  same = [n for n, value in enumerate(program.values) if value.shape == shape]
  if same and draw.rng.random() < 0.5:
    other = draw.one(*same)
  else:
    other = draw.input(program, tuple(size if draw.rng.random() < 0.7 else 1 for size in shape))
  program.add(draw.one('add', 'subtract', 'multiply', 'multiply', 'maximum'), number, other)


def _add_reduction(draw, program, number):
  shape = program.value(number).shape
  if shape:
    name = draw.one('sum', 'sum', 'sum', 'largest', 'smallest')
    program.add(name, number, axes=draw.axes(shape), keep=bool(draw.rng.random() < 0.2))


def _add_transpose(draw, program, number):
  order = draw.rng.permutation(len(program.value(number).shape))
  program.add('transpose', number, order=tuple(int(axis) for axis in order))


def _add_reshape(draw, program, number):
  shape = list(program.value(number).shape)
  if len(shape) > 1:
    place = int(draw.rng.integers(len(shape) - 1))
    shape[place : place + 2] = [shape[place] * shape[place + 1]]
    program.add('reshape', number, shape=tuple(shape))


def _add_broadcast(draw, program, number):
  shape = program.value(number).shape
  if len(shape) < RANK:
    program.add('broadcast', number, shape=(draw.size(), *shape))


def _add_select(draw, program, number):
  shape = program.value(number).shape
  mask = program.add_input(draw.rng.random(shape) < 0.5)
  program.add('select', mask, number, draw.input(program, shape))


def _add_pad(draw, program, number):
  shape = program.value(number).shape
  pads = tuple((draw.one(0, 0, 1, 2), draw.one(0, 1)) for _ in shape)
  if shape:
    program.add('pad', number, pads=pads)


def _add_cut(draw, program, number):
  shape = program.value(number).shape
  wide = [axis for axis, size in enumerate(shape) if size > 1]
  if wide:
    axis = draw.one(*wide)
    program.add('cut', number, axis=axis, start=draw.one(0, 1), stop=shape[axis])


def _add_conv(draw, program, number):
  shape = program.value(number).shape
  if len(shape) not in (3, 4) or min(shape[1:-1]) < 3:
    return
  window = tuple(draw.one(1, 2, 3) for _ in shape[1:-1])
  kernel = draw.input(program, (*window, shape[-1], draw.size()))
  program.add('conv', number, kernel, padding=draw.one('SAME', 'VALID'))


KINDS = {
  'dot': _add_dot,
  'unary': _add_unary,
  'binary': _add_binary,
  'reduction': _add_reduction,
  'transpose': _add_transpose,
  'reshape': _add_reshape,
  'broadcast': _add_broadcast,
  'select': _add_select,
  'pad': _add_pad,
  'cut': _add_cut,
  'conv': _add_conv,
}
CHAINS = (  # what a program begins with; half of them are what fusions consist of
  (),
  (),
  (),
  (),
  ('dot', 'reduction'),
  ('dot', 'unary', 'reduction'),
  ('dot', 'binary', 'reduction'),
  ('binary', 'reduction'),
)
WEIGHTS = np.array([5, 4, 4, 5, 1, 1, 1, 1, 0.5, 0.5, 3]) / 26


def wrong_numbers() -> Program:
  """The program of jax#39103: a product of a matrix with each of many rows, then a reduction."""
  program = Program()
  rows = np.zeros((32_769, 3), np.float32)
  rows[:, 0] = np.arange(len(rows))
  numbers = program.add_input(np.eye(3, dtype=np.float32)), program.add_input(rows)
  program.add('einsum', *numbers, spec='jk,rk->jr')
  program.add('square', 0)
  program.add('sum', 1, axes=(0,), keep=False)
  program.results = (2,)
  return program


def crash() -> Program:
  """The program of jax#39257 and jax#40412: a reduction of a product of rank 7."""
  program, draw = Program(), np.random.default_rng(0)
  shape = (3, 1, 2, 2, 8, 8, 8)
  numbers = [program.add_input(draw.normal(size=shape).astype(np.float32)) for _ in range(2)]
  program.add('multiply', *numbers)
  program.add('sum', 0, axes=(3,), keep=False)
  program.results = (1,)
  return program


REPRODUCERS = {'jax#39103': wrong_numbers, 'jax#39257': crash}


def named(name: str) -> Program:
  """A program by its name: one of REPRODUCERS, or 'program 7' for the seed 7."""
  return REPRODUCERS[name]() if name in REPRODUCERS else random_program(int(name.split()[-1]))


def names(count: int, first: int = 0) -> list[str]:
  """The names of the reproducers and of `count` random programs."""
  return list(itertools.chain(REPRODUCERS, (f'program {first + n}' for n in range(count))))
