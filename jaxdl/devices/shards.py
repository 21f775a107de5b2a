"""Batches computed as shards, so that the bits do not depend on the number of devices.

With `config.shards`, every batch is divided into shards of equal size, whatever the number of
devices, and the results of the shards are added in a fixed order. Four things are needed for equal
bits, besides equal sizes:

- The compiled program of a shard, and that of the sum, must not depend on the number of shards of a
  device. So a device computes its shards one after another (`over_shards`, `sum_of_shards`).
- XLA optimizes a program for one device in another order than one for several, which changes some
  roundings. A CPU therefore has at least two virtual devices.
- On a CPU, XLA divides an operation over a pool of threads, and some results depend on their
  number. By default it is the number of cores or of devices, whichever is larger;
  `parallel.use_cpu_devices` makes it the number of shards.
- Batch statistics are added over the shards in the same fixed order (`sum_over`). A network with
  them is computed in segments: all shards up to the first sum, then the sum, then all shards up to
  the next one (`jaxdl.devices.segments`).
"""

import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxdl.devices import parallel, segments
from jaxdl.devices.parallel import AXIS

SHARDS = 'shards'  # stands for the shards in the field `axis_name` of a model
LARGEST = 1 << 16


def over_shards(function: Callable, tree: Any, shards: int) -> Any:
  """Calls a function for every shard of this device, inside a function compiled by
  `parallel.over_devices`.

  All shards have the same size on any number of devices, so their results have the same bits.

  Args:
    function: pure function of a shard of `tree`; it may use `sum_over` with both axes.
    tree: this device's rows of a batch.
    shards: number of shards of a batch, a multiple of the number of devices.

  Returns:
    The results, with a first axis of this device's shards.
  """
  count = shards // jax.lax.axis_size(AXIS)
  parts = jax.tree.map(lambda values: values.reshape(count, -1, *values.shape[1:]), tree)
  padded = jax.tree.map(lambda values: jnp.concatenate([values, values[:1]]), parts)

  def sums(values):
    return sum_of_shards(jax.tree.map(lambda value: value[:count], values))

  results = segments.in_turn(function, padded, sums=sums)
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
  return jax.tree.map(segments.sum_over_shards, tree)


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
  if has_statistics and own_code:
    raise ValueError(
      f'config.shards={shards}: your own code has batch statistics, which only the layer '
      "kind='batch_norm' adds in a fixed order: use that layer, or config.shards=1"
    )
  if jax.default_backend() != 'cpu':
    return
  if os.environ.get(parallel.THREADS[0]) != str(shards):
    raise ValueError(
      f'config.shards={shards} needs {shards} threads, and JAX started with another number: set '
      f'the environment variables {" and ".join(parallel.THREADS)} to {shards} before Python starts'
    )
  if devices == 1:
    raise ValueError(
      f'config.shards={shards} needs at least 2 devices on a CPU, and JAX started with one: set '
      'config.cpu_devices=2 or the environment variable JAX_NUM_CPU_DEVICES=2 before JAX starts'
    )
