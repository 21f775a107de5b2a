"""Data parallelism: pmap, its axis and the layout of arrays over devices are used only here."""

import contextlib
import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Shaped

from jaxdl.devices import compiler

AXIS, MEMBERS = 'devices', 'members'  # names of mapped axes
MOST_CPU_DEVICES = 64
THREADS = ('NPROC', 'PJRT_NPROC')  # environment variables with the number of XLA's threads


def sum_over_devices(tree: Any) -> Any:
  """Sums a tree of arrays over the devices, inside a function compiled by `over_devices`.

  Args:
    tree: this device's arrays.
  """
  return jax.lax.psum(tree, AXIS)


def over_devices(function: Callable, *, scalars: int = 0, donate: tuple[int, ...] = ()) -> Any:
  """Compiles `function(replicated, arrays, feed, …)` for all devices.

  The feed is split over the devices. All other arguments are the same on all devices. The result
  must be the same, too, because pmap returns that of device 0: values that differ between devices
  must go through `sum_over_devices` or `all_gather`.

  Args:
    function: pure function of (state or variables, resident arrays, feed, further scalars).
    scalars: number of further scalars.
    donate: positions of the arguments whose memory the result may reuse.

  Returns:
    The compiled function; its feed must be split by `split_feed`.
  """
  axes = (None, None, 0, *[None] * scalars)
  return jax.pmap(function, axis_name=AXIS, in_axes=axes, out_axes=None, donate_argnums=donate)


def local_shard(tree: Any) -> Any:
  """This device's rows of replicated arrays, inside a function compiled by `over_devices`.

  Args:
    tree: arrays whose first axis the number of devices divides.
  """

  def part(values):
    rows = values.shape[0] // jax.lax.axis_size(AXIS)
    return jax.lax.dynamic_slice_in_dim(values, jax.lax.axis_index(AXIS) * rows, rows)

  return jax.tree.map(part, tree)


def all_gather(tree: Any) -> Any:
  """The rows of all devices, on every device: the inverse of `local_shard`.

  Args:
    tree: this device's rows.
  """
  return jax.lax.all_gather(tree, AXIS, tiled=True)


def replicate(tree: Any) -> Any:
  """Puts a tree of arrays on every local device.

  Args:
    tree: the arrays.
  """
  return jax.device_put(tree, _everywhere())


def replicated_shapes(tree: Any) -> Any:
  """The shapes and shardings that `replicate` would give a tree.

  Args:
    tree: arrays, or their shapes.
  """
  return jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=_everywhere()), tree
  )


def _everywhere():
  return NamedSharding(Mesh(np.array(jax.local_devices()), (AXIS,)), PartitionSpec())


def use_cpu_devices(configs: Sequence[Mapping[str, Any]]) -> None:
  """Splits the CPU into `cpu_devices` virtual devices, before JAX starts.

  Each device computes its part of every batch on one core; a single device would split each
  operation over the cores. The number is lower if it does not divide the batch sizes. It does not
  change if JAX has started, runs on an accelerator, or already has a number of devices
  (JAX_NUM_CPU_DEVICES, XLA_FLAGS). It does not depend on the cores of the machine, because the bits
  of the results would then depend on them, too.

  With `shards`, there are at least two devices, and the number of threads is that of the shards,
  unless the environment has another one (`shards.py`).

  Args:
    configs: plain JSON data, not yet checked.

  Raises:
    ValueError: `cpu_devices` is not a valid number of devices.
  """
  number = shared_cpu_devices(configs)
  _fix_threads(configs)
  is_set = (
    getattr(jax.config, 'jax_num_cpu_devices') > 0  # noqa: B009
    or 'host_platform_device_count' in os.environ.get('XLA_FLAGS', '')
  )
  if number > 1 and not is_set:
    with contextlib.suppress(RuntimeError):  # JAX has started
      jax.config.update('jax_num_cpu_devices', number)


def shared_cpu_devices(configs: Sequence[Mapping[str, Any]]) -> int:
  """The number of virtual devices of the CPU on which all configs can be trained.

  Args:
    configs: plain JSON data, not yet checked.

  Raises:
    ValueError: `cpu_devices` is not a valid number of devices.
  """
  numbers = [config.get('cpu_devices', 1) for config in configs]
  for number in numbers:
    if (
      isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= MOST_CPU_DEVICES
    ):
      raise ValueError(
        f'config.cpu_devices={number!r} is not a number of devices: use 1 to {MOST_CPU_DEVICES}'
      )
  shards = [config.get('shards', 1) for config in configs]
  numbers = [
    max(number, 2) if count != 1 else number for number, count in zip(numbers, shards, strict=True)
  ]
  sections = [config.get('data') for config in configs]
  sizes = [section.get('batch_size') for section in sections if isinstance(section, dict)]
  sizes += [count for count in shards if count != 1]
  return next(
    count
    for count in range(min(numbers), 0, -1)
    if count == 1 or all(isinstance(size, int) and size % count == 0 for size in sizes)
  )


def _fix_threads(configs):
  """Sets the number of threads of a CPU to the number of shards, before JAX starts."""
  numbers = {config.get('shards', 1) for config in configs}
  if len(numbers) == 1 and numbers != {1} and not compiler.backend_started():
    (number,) = numbers
    for name in THREADS:
      os.environ.setdefault(name, str(number))


def check_batch_size(batch_size: int, where: str, parts: Mapping[str, int] | None = None) -> None:
  """Checks that a batch divides over the devices, and each device's examples into equal parts.

  Args:
    batch_size: examples of a batch.
    where: the config key, for the message.
    parts: reason, for the message → number of parts of each device's examples.

  Raises:
    ValueError: it does not; the message names the nearest sizes that do.
  """
  devices = jax.device_count()
  over = f'{devices} devices'
  needed = devices
  for reason, count in (parts or {}).items():
    over += f' and {reason}'
    needed = math.lcm(needed, devices * count)
  if batch_size < 1 or batch_size % needed:
    raise ValueError(
      f'{where}={batch_size} does not divide over {over}: use {near_sizes(batch_size, needed)}'
    )


def near_sizes(batch_size: int, devices: int) -> str:
  """The nearest batch sizes that divide over a number of devices, such as '126 or 128'.

  Args:
    batch_size: examples of a batch.
    devices: number of devices.
  """
  below = max(batch_size, 0) // devices * devices
  return f'{below} or {below + devices}' if below else f'{devices}'


def split_feed(
  feed: Mapping[str, Shaped[np.ndarray, 'S B ...']], steps: int
) -> dict[str, Shaped[Array, 'D steps b ...']]:
  """Gives each device its part of every batch and starts the copies to the devices.

  Args:
    feed: name → values of S steps, for this process's part of each batch.
    steps: number of steps, at least S. Shorter feeds are padded with zeros, so that one compiled
      program serves all lengths.

  Returns:
    Name → values for each of the D devices of this process, b = B / D.
  """
  devices = jax.local_device_count()
  sharding = NamedSharding(Mesh(np.array(jax.local_devices()), (AXIS,)), PartitionSpec(AXIS))

  def split(values):
    parts = _padded(values, steps).reshape(steps, devices, -1, *values.shape[2:])
    return np.moveaxis(parts, 1, 0)

  return jax.device_put({name: split(values) for name, values in feed.items()}, sharding)


def members_mesh(count: int) -> Mesh:
  """The devices of a program that trains several runs (members).

  The first axis separates members. The devices along the second axis share the batches of a member.
  The first axis is as long as possible, because separate members need no communication.

  Args:
    count: number of members.

  Returns:
    A mesh [greatest common divisor of members and devices, remaining devices].
  """
  devices = np.array(jax.devices())
  return Mesh(devices.reshape(math.gcd(count, jax.device_count()), -1), (MEMBERS, AXIS))


def over_members(
  function: Callable, mesh: Mesh, *, scalars: int = 0, donate: tuple[int, ...] = ()
) -> jax.stages.Wrapped:
  """Compiles `function(number, replicated, arrays, feed, …)` for all members of a mesh.

  It corresponds to `over_devices` for one run. The members of one device are computed one after
  another on a CPU, whose cache holds one member, and at once (vmap) on other platforms.

  Args:
    function: pure function of the member's number [], its state or variables, the resident arrays,
      its feed, and further scalars, which are the same for all members.
    mesh: mesh returned by `members_mesh`.
    scalars: number of further scalars.
    donate: positions of the arguments whose memory the result may reuse.

  Returns:
    The compiled function of (states of the members [M, …], arrays, feeds [M, S, B, …], …); its
    results are [M, …].
  """

  def on_device(states, arrays, feeds, *further):
    some = len(jax.tree.leaves(states)[0])
    members = (jax.lax.axis_index(MEMBERS) * some + jnp.arange(some), states, feeds)

    def each(member):
      number, state, feed = member
      return function(number, state, arrays, feed, *further)

    return jax.lax.map(each, members) if members_in_turn() else jax.vmap(each)(members)

  everywhere = PartitionSpec()
  specs = (
    PartitionSpec(MEMBERS),
    everywhere,
    PartitionSpec(MEMBERS, None, AXIS),
    *[everywhere] * scalars,
  )
  mapped = jax.shard_map(
    on_device, mesh=mesh, in_specs=specs, out_specs=PartitionSpec(MEMBERS), check_vma=False
  )
  return jax.jit(mapped, donate_argnums=donate)


def members_in_turn() -> bool:
  """Whether a device computes its members one after another; accelerators compute them at once."""
  return jax.default_backend() == 'cpu'


def split_members(tree: Any, mesh: Mesh) -> Any:
  """Puts each member's part of a tree of arrays [M, …] on the devices that compute it.

  Args:
    tree: the arrays of all members.
    mesh: mesh returned by `members_mesh`.
  """
  return jax.device_put(tree, NamedSharding(mesh, PartitionSpec(MEMBERS)))


def split_feeds(
  feeds: Mapping[str, Shaped[np.ndarray, 'M S B ...']], steps: int, mesh: Mesh
) -> dict[str, Shaped[Array, 'M steps B ...']]:
  """Puts the feeds of members on the devices that compute them.

  Args:
    feeds: name → values of S steps of M members.
    steps: number of steps, at least S; shorter feeds are padded with zeros.
    mesh: mesh returned by `members_mesh`.
  """
  sharding = NamedSharding(mesh, PartitionSpec(MEMBERS, None, AXIS))
  padded = {name: _padded(values, steps, axis=1) for name, values in feeds.items()}
  return jax.device_put(padded, sharding)


def _padded(values, steps, axis=0):
  """Adds steps of zeros, so that there are as many as a compiled program expects."""
  missing = [(0, steps - size if place == axis else 0) for place, size in enumerate(values.shape)]
  return np.pad(values, missing) if values.shape[axis] < steps else values


def pad_to_devices(batch_size: int, shards: int = 1) -> int:
  """The smallest multiple of the numbers of devices and shards that is at least a batch size.

  Args:
    batch_size: examples of a batch.
    shards: number of shards of a batch; 1 for none.
  """
  parts = math.lcm(jax.device_count(), shards)
  return -(-batch_size // parts) * parts
