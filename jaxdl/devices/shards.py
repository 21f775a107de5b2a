"""Batches computed as shards, so that the bits do not depend on the number of devices.

With `config.shards`, every batch is divided into shards of equal size, whatever the number of
devices, and the results of the shards are added in a fixed order. Three things are needed for equal
bits, besides equal sizes:

- The compiled program of a shard, and that of the sum, must not depend on the number of shards of a
  device (`over_shards`, `sum_of_shards`).
- On a CPU, XLA divides an operation over a pool of threads, and some results depend on their
  number. By default it is the number of cores or of devices, whichever is larger;
  `parallel.use_cpu_devices` makes it the number of shards.
- Batch statistics are added over the shards in the same fixed order (`sum_over`).
"""

import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxdl.devices import parallel
from jaxdl.devices.parallel import AXIS

SHARDS = 'shards'  # name of the mapped axis
LARGEST = 1 << 16


def over_shards(function: Callable, tree: Any, shards: int, *, in_turn: bool) -> Any:
  """Calls a function for every shard of this device, inside a function compiled by
  `parallel.over_devices`.

  All shards have the same size on any number of devices, so their results have the same bits.

  Args:
    function: pure function of a shard of `tree`.
    tree: this device's rows of a batch.
    shards: number of shards of a batch, a multiple of the number of devices.
    in_turn: whether the shards are computed one after another. Otherwise they are computed at once,
      and the function may use `sum_over` with both axes.

  Returns:
    The results, with a first axis of this device's shards.
  """
  count = shards // jax.lax.axis_size(AXIS)
  parts = jax.tree.map(lambda values: values.reshape(count, -1, *values.shape[1:]), tree)
  if not in_turn:
    return jax.vmap(function, axis_name=SHARDS)(parts)

  # The body of the loop is the same for any number of shards: the compiler knows neither the number
  # of iterations nor, because of the unused row, that a device has only one shard.
  def one(place, results):
    part = jax.lax.optimization_barrier(jax.tree.map(lambda values: values[place], padded))
    found = jax.lax.optimization_barrier(function(part))
    return jax.tree.map(lambda values, value: values.at[place].set(value), results, found)

  padded = jax.tree.map(lambda values: jnp.concatenate([values, values[:1]]), parts)
  shapes = jax.eval_shape(function, jax.tree.map(lambda values: values[0], parts))
  results = jax.tree.map(lambda value: jnp.zeros((count + 1, *value.shape), value.dtype), shapes)
  results = jax.lax.fori_loop(0, jax.lax.optimization_barrier(count), one, results)
  return jax.tree.map(lambda values: values[:count], results)


def sum_of_shards(tree: Any) -> Any:
  """Sums the results of `over_shards` over the shards of all devices, in a fixed order.

  Every device gets the results of all shards and computes the same program, a binary tree of
  neighbouring shards.

  Args:
    tree: arrays with a first axis of this device's shards.
  """
  everything = jax.lax.optimization_barrier(jax.lax.all_gather(tree, AXIS, tiled=True))
  return jax.lax.optimization_barrier(jax.tree.map(_pairwise_sum, everything))


def _pairwise_sum(values):
  """Sums over the first axis, whose length is a power of 2, as a binary tree."""
  while len(values) > 1:
    values = values[::2] + values[1::2]
  return values[0]


def sum_over(tree: Any, axis: str | tuple[str, ...]) -> Any:
  """Sums arrays over a mapped axis, or over devices and shards in a fixed order.

  Args:
    tree: the arrays of this device, or of this shard inside `over_shards`.
    axis: AXIS or (AXIS, SHARDS).
  """
  if isinstance(axis, str):
    return jax.lax.psum(tree, axis)
  return jax.tree.map(_sum_over_shards, tree)


@jax.custom_vjp
def _sum_over_shards(values):
  return sum_of_shards(jax.lax.all_gather(values, SHARDS))


# Every shard gets the sum, so the cotangents of all shards are added in the same order.
_sum_over_shards.defvjp(
  lambda values: (_sum_over_shards(values), None),
  lambda _, cotangent: (_sum_over_shards(cotangent),),
)


def check_number(shards: Any) -> None:
  """Raises ValueError for a value of `config.shards` that is no power of 2."""
  is_number = not isinstance(shards, bool) and isinstance(shards, int) and 1 <= shards <= LARGEST
  if not is_number or shards & (shards - 1):
    raise ValueError(f'config.shards={shards!r} is not a power of 2: use 1 for none, or 2, 4, 8, …')


def check(
  shards: int, batch_size: int, *, accumulate: int, has_statistics: bool, own_code: bool
) -> None:
  """Checks that a batch can be computed as shards on the devices of this process.

  Args:
    shards: value of `config.shards`, 2 or more, as accepted by `check_number`.
    batch_size: examples of a batch.
    accumulate: value of `config.accumulate`.
    has_statistics: whether the network has batch statistics.
    own_code: whether the config names own code.

  Raises:
    ValueError: it cannot; the message says what to change.
  """
  devices = jax.device_count()
  if accumulate > 1:
    raise ValueError(
      f'config.shards={shards} and config.accumulate={accumulate} cannot be combined: '
      'set config.accumulate=1'
    )
  if shards % devices:
    raise ValueError(
      f'config.shards={shards} does not divide over {devices} devices: use a multiple of {devices}'
    )
  if batch_size % shards:
    raise ValueError(
      f'config.data.batch_size={batch_size} does not divide into config.shards={shards}: '
      f'use {parallel.near_sizes(batch_size, shards)}'
    )
  if has_statistics:
    _check_statistics(shards, devices, own_code)
  if jax.default_backend() == 'cpu' and os.environ.get(parallel.THREADS[0]) != str(shards):
    raise ValueError(
      f'config.shards={shards} needs {shards} threads, and JAX started with another number: set '
      f'the environment variables {" and ".join(parallel.THREADS)} to {shards} before Python starts'
    )


def _check_statistics(shards, devices, own_code):
  """Raises ValueError if the bits of batch statistics would depend on the number of devices."""
  if own_code:
    raise ValueError(
      f'config.shards={shards}: your own code has batch statistics, which only the layer '
      "kind='batch_norm' adds in a fixed order: use that layer, or config.shards=1"
    )
  if jax.default_backend() != 'cpu':
    raise ValueError(
      f'config.shards={shards}: batch normalisation computes all shards of a device at once, whose '
      'bits are only known to be equal on CPUs: use config.shards=1, or layer_norm or group_norm'
    )
  if shards < 2 * devices:
    raise ValueError(
      f'config.shards={shards}: with batch normalisation, each of the {devices} devices needs 2 '
      f'shards: use {2 * devices} or more'
    )
