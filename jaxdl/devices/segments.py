"""A function of a shard, computed for one shard after another, in segments between its sums.

`sum_over_shards` stands for a sum over all shards, so no shard can be computed to its end before
every shard has come to the sum. The function is traced to a jaxpr, and its equations are divided
into segments by the number of sums on which they depend. Each segment is a loop over the shards.
See "Writing custom Jaxpr interpreters in JAX" in the documentation of JAX.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core
from jax.interpreters import ad

_sum = core.Primitive('sum_over_shards')
_sum.def_abstract_eval(lambda value: value)
# Every shard gets the sum, so the cotangents of all shards are summed too.
ad.deflinear2(_sum, lambda cotangent, _: [_sum.bind(cotangent)])


def sum_over_shards(values: jax.Array) -> jax.Array:
  """Sums an array over all shards, inside a function called by `in_turn`."""
  return _sum.bind(values)


def in_turn(function: Callable, padded: Any, *, sums: Callable) -> Any:
  """Calls a function for every shard, one after another.

  Args:
    function: pure function of a shard; it may use `sum_over_shards`.
    padded: arrays [n + 1, …] of n shards; the last row is not used. Because of it, the compiler
      does not know that a device has only one shard.
    sums: function of a list of arrays [n + 1, …] that returns the list of their sums over all
      shards.

  Returns:
    The results of the shards, [n + 1, …]; the last row has no meaning.
  """
  shard = jax.tree.map(lambda values: values[0], padded)
  closed, shapes = jax.make_jaxpr(function, return_shape=True)(shard)
  jaxpr = closed.jaxpr
  rows = len(jax.tree.leaves(padded)[0])
  shared = dict(zip(jaxpr.constvars, closed.consts, strict=True))
  stacked = dict(zip(jaxpr.invars, jax.tree.leaves(padded), strict=True))
  for segment in _segments(jaxpr):
    _run(segment.shared, shared)
    found = _loop(segment, [stacked[name] for name in segment.inputs], shared)
    stacked.update(zip(segment.outputs, found, strict=True))
    summed = [_rows(equation.invars[0], stacked, shared, rows) for equation in segment.sums]
    shared.update(
      zip([equation.outvars[0] for equation in segment.sums], sums(summed), strict=True)
    )
  results = [_rows(name, stacked, shared, rows) for name in jaxpr.outvars]
  return jax.tree.unflatten(jax.tree.structure(shapes), results)


@dataclasses.dataclass
class _Segment:
  """Equations between two sums.

  Attributes:
    shared: equations whose results are the same for all shards.
    own: the other equations.
    sums: sums over all shards at the end of the segment.
    inputs: variables from before that `own` needs and that differ between shards.
    outputs: variables of `own` that are needed afterwards.
  """

  shared: list = dataclasses.field(default_factory=list)
  own: list = dataclasses.field(default_factory=list)
  sums: list = dataclasses.field(default_factory=list)
  inputs: list = dataclasses.field(default_factory=list)
  outputs: list = dataclasses.field(default_factory=list)


def _segments(jaxpr):
  """Divides the equations of a jaxpr by the number of sums on which they depend."""
  segments = [_Segment()]
  level = dict.fromkeys([*jaxpr.constvars, *jaxpr.invars], 0)
  shared = set(jaxpr.constvars)
  for equation in jaxpr.eqns:
    inputs = _variables(equation.invars)
    place = max((level[name] for name in inputs), default=0)
    if equation.primitive is _sum:
      segments[place].sums.append(equation)
      place += 1
      if place == len(segments):
        segments.append(_Segment())
      shared.update(equation.outvars)
    elif shared.issuperset(inputs):
      segments[place].shared.append(equation)
      shared.update(equation.outvars)
    else:
      segments[place].own.append(equation)
    level.update(dict.fromkeys(equation.outvars, place))
  needed = set(_variables(jaxpr.outvars))
  for segment in reversed(segments):
    needed.update(name for equation in segment.sums for name in _variables(equation.invars))
    made = dict.fromkeys(name for equation in segment.own for name in equation.outvars)
    segment.outputs = [name for name in made if name in needed]
    used = dict.fromkeys(name for one in segment.own for name in _variables(one.invars))
    segment.inputs = [name for name in used if name not in made and name not in shared]
    needed.update(segment.inputs)
  return segments


def _variables(atoms):
  return [atom for atom in atoms if not isinstance(atom, core.Literal)]


def _loop(segment, arrays, shared):
  """Computes the outputs of a segment, [n + 1, …], from its inputs that differ between shards."""

  def compute(values):
    known = {**shared, **dict(zip(segment.inputs, values, strict=True))}
    _run(segment.own, known)
    return [known[name] for name in segment.outputs]

  # The body of the loop is the same for any number of shards: the compiler knows neither the number
  # of iterations nor, because of the unused row, that a device has only one shard.
  def one(place, results):
    part = jax.lax.optimization_barrier([values[place] for values in arrays])
    found = jax.lax.optimization_barrier(compute(part))
    return [values.at[place].set(value) for values, value in zip(results, found, strict=True)]

  if not segment.outputs:
    return []
  rows = len(arrays[0])
  results = [jnp.zeros((rows, *name.aval.shape), name.aval.dtype) for name in segment.outputs]
  return jax.lax.fori_loop(0, jax.lax.optimization_barrier(rows - 1), one, results)


def _run(equations, known):
  """Computes equations and adds their results to the known values of variables."""
  for equation in equations:
    values = [_value(atom, known) for atom in equation.invars]
    found = equation.primitive.bind(*values, **equation.primitive.get_bind_params(equation.params))
    results = found if equation.primitive.multiple_results else [found]
    known.update(zip(equation.outvars, results, strict=True))


def _value(atom, known):
  return atom.val if isinstance(atom, core.Literal) else known[atom]


def _rows(atom, stacked, shared, rows):
  """The values of a variable for all shards, [n + 1, …]."""
  if not isinstance(atom, core.Literal) and atom in stacked:
    return stacked[atom]
  value = jnp.asarray(_value(atom, shared))
  return jnp.broadcast_to(value, (rows, *value.shape))
